//! A bounded look into a body. What was read is kept and sent on unchanged; compressed bodies are inflated beside it.

use std::future::poll_fn;
use std::io::Read;

use bytes::Bytes;
use flate2::bufread::{GzDecoder, ZlibDecoder};

use crate::domain::derive::{self, Derived};
use crate::domain::refusal::{Code, Refusal};
use crate::http1::BodyDecoder;
use crate::http1::Lines;
use crate::proxy::caller::{Caller, Inbound};

/// Members of a compressed body: each costs a decoder, also one that is empty. Writers make one.
const MEMBERS_MAX: usize = 64;

/// A look into one body. It is read and inflated once, however many places are looked at.
pub(super) struct Peek<'p, 'c> {
    lines: &'p Lines,
    caller: &'p mut Caller<'c>,
    inbound: &'p mut Inbound,
    bytes_max: usize,
    /// The whole body, inflated. Empty where it cannot be.
    text: Option<Bytes>,
}

impl<'p, 'c> Peek<'p, 'c> {
    pub(super) const fn new(
        lines: &'p Lines,
        caller: &'p mut Caller<'c>,
        inbound: &'p mut Inbound,
        bytes_max: usize,
    ) -> Self {
        Self { lines, caller, inbound, bytes_max, text: None }
    }

    /// What the pointer finds in a JSON body. Bodies that are not JSON are not read.
    pub(super) async fn json(&mut self, pointer: &str) -> Derived {
        if !content_type(self.lines).map_or(Ok(false), derive::is_json)? {
            return Ok(None);
        }
        derive::from_json(&self.whole().await?, pointer)
    }

    /// A part of a multipart body, or what the pointer finds in it.
    pub(super) async fn multipart(&mut self, part: &str, pointer: Option<&str>) -> Derived {
        let Some(kind) = content_type(self.lines).filter(|text| derive::is_multipart(text)) else { return Ok(None) };
        derive::from_multipart(kind, self.whole().await?, part, pointer)
    }

    /// The whole body, inflated. Read once, whoever asks.
    async fn whole(&mut self) -> Result<Bytes, Refusal> {
        if let Some(text) = &self.text {
            return Ok(text.clone());
        }
        self.read_ahead().await?;
        let sent = self.inbound.ahead.as_slice();
        let coding = self.lines.first("content-encoding").map(|value| value.trim_ascii().to_ascii_lowercase());
        let text = match coding.as_deref() {
            None | Some(b"identity" | b"") => sent.to_vec(),
            Some(b"gzip" | b"x-gzip") => gunzipped(sent, self.bytes_max)?,
            Some(b"deflate") => inflated(ZlibDecoder::new(sent), self.bytes_max)?.unwrap_or_default(),
            Some(_) => Vec::new(),
        };
        let text = Bytes::from(text);
        self.text = Some(text.clone());
        Ok(text)
    }

    async fn read_ahead(&mut self) -> Result<(), Refusal> {
        if matches!(self.inbound.body, BodyDecoder::Length(length) if length > self.bytes_max as u64) {
            return Err(Code::BodyTooLarge.into());
        }
        let malformed =
            Refusal::new(Code::HeaderAmbiguous, "The request's body broke off or is not framed as HTTP asks");
        match poll_fn(|cx| self.inbound.poll_ahead(self.caller, cx, self.bytes_max)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Code::BodyTooLarge.into()),
            Err(_) => Err(malformed),
        }
    }
}

/// Inflates, with the same bound: a small body may hold a very large one. `None` is one that cannot be read.
fn inflated(decoder: impl Read, bytes_max: usize) -> Result<Option<Vec<u8>>, Refusal> {
    let mut text = Vec::new();
    if decoder.take(bytes_max as u64 + 1).read_to_end(&mut text).is_err() {
        return Ok(None);
    }
    #[cfg(test)]
    looks::count(text.len());
    if text.len() > bytes_max { Err(Code::BodyTooLarge.into()) } else { Ok(Some(text)) }
}

/// All members of a gzip body, one behind the other; nothing if one of them cannot be read, or there are too many.
fn gunzipped(mut sent: &[u8], bytes_max: usize) -> Result<Vec<u8>, Refusal> {
    let mut text = Vec::new();
    for _ in 0..MEMBERS_MAX {
        let mut member = GzDecoder::new(sent);
        let Some(more) = inflated(&mut member, bytes_max - text.len())? else { break };
        text.extend_from_slice(&more);
        sent = member.into_inner();
        if sent.is_empty() {
            return Ok(text);
        }
    }
    Ok(Vec::new())
}

fn content_type(lines: &Lines) -> Option<&str> {
    std::str::from_utf8(lines.first("content-type")?).ok()
}

/// How many bytes were inflated on this thread: a test's measure of the work that a body makes.
#[cfg(test)]
mod looks {
    use std::cell::Cell;

    thread_local! {
        static BYTES: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn count(bytes: usize) {
        BYTES.set(BYTES.get() + bytes);
    }

    pub(super) fn counted() -> usize {
        BYTES.get()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::rc::Rc;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tokio::time::Instant;

    use super::{MEMBERS_MAX, Peek, gunzipped, looks};
    use crate::http1::{BodyDecoder, BufferedIo, Lines};
    use crate::net::{ConnectionTimers, Peer, Stream};
    use crate::proxy::caller::{Caller, Inbound};

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// However many places an operator lists.
    #[tokio::test]
    async fn p12_a_body_is_inflated_once() {
        let (near, _far) = tokio::io::duplex(16);
        let mut link = BufferedIo::new(Stream::Memory(near));
        let (watch, peer) = (ConnectionTimers::new(&Rc::new(std::cell::Cell::new(Instant::now()))), Peer::default());
        let mut caller = Caller { link: &mut link, watch: &watch, peer: &peer };
        let mut inbound = Inbound::new(BodyDecoder::Ended, false);
        let text = format!("{{\"a\":\"{}\",\"id\":\"u-1\"}}", "x".repeat(100_000));
        inbound.ahead = gzip(text.as_bytes());
        let lines: [(&[u8], &[u8]); 2] = [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")];
        let lines = Lines::of(lines);
        let mut peek = Peek::new(&lines, &mut caller, &mut inbound, 1 << 20);
        let before = looks::counted();
        for place in 0..50 {
            assert_eq!(peek.json(&format!("/nowhere/{place}")).await.unwrap(), None);
        }
        assert_eq!(peek.json("/id").await.unwrap().unwrap().expose(), "u-1");
        assert_eq!(looks::counted() - before, text.len());
    }

    #[test]
    fn p12_a_body_of_very_many_members_is_not_read_to_its_end() {
        let two = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(gunzipped(&two, 1 << 20).unwrap(), b"one two");
        let many = gzip(b"").repeat(MEMBERS_MAX + 1);
        assert_eq!(gunzipped(&[many, gzip(b"id")].concat(), 1 << 20).unwrap(), b"");
        assert!(gunzipped(&gzip(&[b'x'; 100]), 99).is_err());
        assert_eq!(gunzipped(b"no gzip", 99).unwrap(), b"");
        assert_eq!(gunzipped(&[gzip(b"a"), b"rubbish".to_vec()].concat(), 99).unwrap(), b"");
    }
}
