//! Frames written by hand (RFC 9113 §4.1), for what no library would send.

use std::net::SocketAddr;

use crate::client::Client;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A block of header lines: each a literal that is never indexed, its name and value as they are (RFC 7541 §6.2.3).
pub(crate) fn block(lines: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    let text = |text: &str| {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 127, "a longer one is written otherwise");
        let mut bytes = vec![length];
        bytes.extend(text.as_bytes());
        bytes
    };
    for (name, value) in lines {
        block.push(0x10);
        block.extend(text(name));
        block.extend(text(value));
    }
    block
}

/// The frame at the beginning of what has come, if it is whole: its kind, flags, stream, payload and whole length.
pub(crate) fn first(bytes: &[u8]) -> Option<(u8, u8, u32, &[u8], usize)> {
    let head = bytes.get(..9)?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let payload = bytes.get(9..9 + length)?;
    let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
    Some((head[3], head[4], stream, payload, 9 + length))
}

/// All whole frames: kind, flags, stream and payload.
pub(crate) fn all(mut bytes: &[u8]) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((kind, flags, stream, payload, length)) = first(bytes) {
        frames.push((kind, flags, stream, payload.to_vec()));
        bytes = &bytes[length..];
    }
    frames
}

/// A connection that begins as HTTP/2 does, and on which anything may be sent.
pub(crate) struct Raw {
    pub(crate) client: Client,
    /// What has come, in whole frames and the rest.
    read: Vec<u8>,
}

impl Raw {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let mut client = Client::to(address);
        client.send([PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
        Self { client, read: Vec::new() }
    }

    /// Sends a request without a body: `lines` are all that there is behind the four pseudo-headers.
    pub(crate) fn ask(&mut self, stream: u32, target: &str, lines: &[(&str, &str)]) {
        let (method, path) = target.split_once(' ').unwrap();
        let pseudo = [(":method", method), (":scheme", "http"), (":authority", "gate"), (":path", path)];
        self.client.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, &block(&[&pseudo[..], lines].concat())));
    }

    /// Reads on until a frame of this kind has come on this stream, and gives its payload.
    #[track_caller]
    pub(crate) fn until(&mut self, kind: u8, stream: u32) -> Vec<u8> {
        loop {
            let found = all(&self.read).into_iter().find(|(its, _, on, _)| (*its, *on) == (kind, stream));
            if let Some((.., payload)) = found {
                return payload;
            }
            assert!(self.client.read_into(&mut self.read), "the connection ended before frame {kind} on {stream} came");
        }
    }

    /// Reads on until this stream has been answered or reset: the code of the reset, or of the whole connection's end.
    #[track_caller]
    pub(crate) fn end_of(&mut self, stream: u32) -> Option<u32> {
        loop {
            for (kind, flags, on, payload) in all(&self.read) {
                if on == stream && kind == RST_STREAM {
                    return Some(u32::from_be_bytes(payload[..4].try_into().unwrap()));
                }
                if kind == GOAWAY {
                    return Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
                }
                if on == stream && matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
                    return None;
                }
            }
            assert!(self.client.read_into(&mut self.read), "the connection ended before stream {stream} did");
        }
    }
}
