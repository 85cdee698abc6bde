//! A bounded look into a body. What was read is kept and sent on unchanged; compressed bodies are inflated beside it.

use std::future::poll_fn;
use std::io::Read;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};

use crate::domain::derive::{self, Derived};
use crate::domain::http1::Lines;
use crate::domain::refusal::{Code, Refusal};
use crate::proxy::caller::{Caller, Inbound};
use crate::wire::Body;

/// A look into one body.
pub(super) struct Peek<'p, 'c> {
    pub(super) lines: &'p Lines,
    pub(super) caller: &'p mut Caller<'c>,
    pub(super) inbound: &'p mut Inbound,
    pub(super) bytes_max: usize,
}

impl Peek<'_, '_> {
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
        derive::from_multipart(kind, Bytes::from(self.whole().await?), part, pointer)
    }

    /// The whole body, inflated. Read once, whoever asks.
    async fn whole(&mut self) -> Result<Vec<u8>, Refusal> {
        self.read_ahead().await?;
        let sent = self.inbound.ahead.as_slice();
        let coding = self.lines.first("content-encoding").map(|value| value.trim_ascii().to_ascii_lowercase());
        match coding.as_deref() {
            None | Some(b"identity" | b"") => Ok(sent.to_vec()),
            Some(b"gzip" | b"x-gzip") => self.inflated(MultiGzDecoder::new(sent)),
            Some(b"deflate") => self.inflated(ZlibDecoder::new(sent)),
            Some(_) => Ok(Vec::new()),
        }
    }

    async fn read_ahead(&mut self) -> Result<(), Refusal> {
        if matches!(self.inbound.body, Body::Length(length) if length > self.bytes_max as u64) {
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

    /// Inflates, with the same bound: a small body may hold a very large one.
    fn inflated(&self, decoder: impl Read) -> Result<Vec<u8>, Refusal> {
        let mut text = Vec::new();
        let bound = self.bytes_max as u64 + 1;
        if decoder.take(bound).read_to_end(&mut text).is_err() {
            return Ok(Vec::new());
        }
        if text.len() > self.bytes_max { Err(Code::BodyTooLarge.into()) } else { Ok(text) }
    }
}

fn content_type(lines: &Lines) -> Option<&str> {
    std::str::from_utf8(lines.first("content-type")?).ok()
}
