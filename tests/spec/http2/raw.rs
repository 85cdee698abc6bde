//! A caller that writes frames by hand.

use std::net::SocketAddr;

use super::frames::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, all, block, frame};
use crate::client::Client;

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
