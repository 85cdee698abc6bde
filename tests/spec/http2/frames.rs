//! Frames written by hand (RFC 9113 §4.1), for what no library would send.

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
