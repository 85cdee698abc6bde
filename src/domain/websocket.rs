//! WebSocket (RFC 6455) as far as a gate must know it: which answer belongs to a handshake, and where a frame ends.
//!
//! Frames pass untouched. Where one ends is known only so that the gate can say goodbye between two of them.

use data_encoding::BASE64;
use sha1::{Digest as _, Sha1};

use super::base64::padded_base64;

/// What RFC 6455 §1.3 appends to the key.
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What `Sec-WebSocket-Accept` says to a handshake with this `Sec-WebSocket-Key`.
#[must_use]
pub fn accept_of(key: &[u8]) -> String {
    BASE64.encode(&Sha1::new().chain_update(key).chain_update(ACCEPT_GUID).finalize())
}

/// Whether it is a `Sec-WebSocket-Key`, the base64 of 16 bytes (RFC 6455 §4.2.1).
#[must_use]
pub fn is_key(key: &[u8]) -> bool {
    padded_base64(key).is_some_and(|nonce| nonce.len() == 16)
}

/// Who sends a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Its frames are masked.
    Client,
    /// Its frames are not.
    Server,
}

impl Sender {
    /// A close frame with status 1001, "going away". A client's mask may be any; this one is all zeros.
    #[must_use]
    pub const fn going_away(self) -> &'static [u8] {
        match self {
            Self::Client => &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9],
            Self::Server => &[0x88, 0x02, 0x03, 0xe9],
        }
    }
}

const CLOSE: u8 = 8;

/// Follows the frames of one direction.
#[derive(Debug, Default)]
pub struct Frames {
    state: State,
    closed: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Between,
    /// The first byte was read.
    Length { close: bool },
    /// So many bytes of a longer length are to be read.
    Longer { left: u8, length: u64, masked: bool },
    /// So many bytes of mask and payload are left.
    Payload { left: u64 },
}

impl Frames {
    /// Takes the next bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Some((byte, rest)) = bytes.split_first() {
            if let State::Payload { left } = self.state {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                self.state = payload(left - taken as u64);
                bytes = bytes.get(taken..).unwrap_or_default();
                continue;
            }
            bytes = rest;
            self.state = self.step(*byte);
        }
    }

    fn step(&mut self, byte: u8) -> State {
        match self.state {
            State::Between => State::Length { close: byte & 0x0f == CLOSE },
            State::Length { close } => {
                self.closed |= close;
                let (masked, mask) = (byte & 0x80 != 0, u64::from(byte & 0x80 != 0) * 4);
                match byte & 0x7f {
                    126 => State::Longer { left: 2, length: 0, masked },
                    127 => State::Longer { left: 8, length: 0, masked },
                    length => payload(u64::from(length) + mask),
                }
            }
            State::Longer { left, length, masked } => {
                let length = (length << 8) | u64::from(byte);
                match left {
                    1 => payload(length.saturating_add(u64::from(masked) * 4)),
                    _ => State::Longer { left: left - 1, length, masked },
                }
            }
            payload @ State::Payload { .. } => payload,
        }
    }

    /// Whether the next byte begins a frame.
    #[must_use]
    pub const fn is_between(&self) -> bool {
        matches!(self.state, State::Between)
    }

    /// Whether a close frame has begun. Nothing may follow it.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }
}

const fn payload(left: u64) -> State {
    if left == 0 { State::Between } else { State::Payload { left } }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Frames, Sender, accept_of, is_key};

    #[test]
    fn the_accept_value_is_that_of_the_standards_example() {
        assert_eq!(accept_of(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    /// What one server takes for a handshake and another does not is none (P9).
    #[test]
    fn a_key_is_one_base64_text_of_sixteen_bytes() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        let sixteen = b"AA==".repeat(16);
        for other in
            [&b"AAAAAAAAAAA=AAAAAAAAAAA="[..], &sixteen, b"dGhlIHNhbXBsZSBub25jZQ", b"dGhlIHNhbXBsZSBub25jZR==", b""]
        {
            assert!(!is_key(other), "{}", String::from_utf8_lossy(other));
        }
    }

    /// A frame with this opcode, mask and payload.
    fn frame(opcode: u8, masked: bool, length: usize) -> Vec<u8> {
        let mask_bit = if masked { 0x80 } else { 0 };
        let mut bytes = vec![0x80 | opcode];
        match length {
            0..=125 => bytes.push(mask_bit | u8::try_from(length).unwrap()),
            126..=65_535 => {
                bytes.push(mask_bit | 126);
                bytes.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        bytes.resize(bytes.len() + length + if masked { 4 } else { 0 }, 0x88);
        bytes
    }

    #[test]
    fn goodbyes_are_frames_of_their_sender() {
        for (sender, masked) in [(Sender::Client, true), (Sender::Server, false)] {
            let mut frames = Frames::default();
            frames.feed(sender.going_away());
            assert!(frames.is_between() && frames.is_closed());
            assert_eq!(sender.going_away().len(), frame(8, masked, 2).len());
        }
    }

    proptest! {
        #[test]
        fn p8_frames_end_where_they_end_in_whatever_pieces_they_come(
            lengths in prop::collection::vec((0..70_000_usize, any::<bool>()), 1..5),
            piece in 1..5000_usize,
        ) {
            let mut frames = Frames::default();
            for (length, masked) in lengths {
                let bytes = frame(2, masked, length);
                let (last, most) = bytes.split_last().unwrap();
                for part in most.chunks(piece) {
                    frames.feed(part);
                    prop_assert!(!frames.is_between());
                }
                frames.feed(&[*last]);
                prop_assert!(frames.is_between() && !frames.is_closed());
            }
        }
    }
}
