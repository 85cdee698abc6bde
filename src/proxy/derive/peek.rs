//! A bounded look into a body. What was read is kept and sent on unchanged; compressed bodies are inflated beside it.

use std::collections::VecDeque;
use std::io::Read;

use bytes::{Bytes, BytesMut};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use futures_util::stream;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use serde_json::Value;

use crate::domain::derive;
use crate::domain::refusal::{Code, Refusal};

/// What has been read ahead of one body.
#[derive(Debug)]
pub(super) struct Peek {
    frames: VecDeque<Frame<Bytes>>,
    read: bool,
    bytes_max: usize,
}

impl Peek {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self { frames: VecDeque::new(), read: false, bytes_max }
    }

    pub(super) fn into_frames(self) -> VecDeque<Frame<Bytes>> {
        self.frames
    }

    /// What the pointer finds in a JSON body. Bodies that are not JSON are not read.
    pub(super) async fn json(
        &mut self,
        headers: &HeaderMap,
        body: &mut Incoming,
        pointer: &str,
    ) -> Result<Option<String>, Refusal> {
        if !is_json(headers) {
            return Ok(None);
        }
        let text = self.whole(headers, body).await?;
        let document: Option<Value> = serde_json::from_slice(&text).ok();
        Ok(document.and_then(|document| derive::from_json(&document, pointer)))
    }

    /// A part of a multipart body, or what the pointer finds in it.
    pub(super) async fn multipart(
        &mut self,
        headers: &HeaderMap,
        body: &mut Incoming,
        part: &str,
        pointer: Option<&str>,
    ) -> Result<Option<String>, Refusal> {
        let Some(boundary) = content_type(headers).and_then(|text| multer::parse_boundary(text).ok()) else {
            return Ok(None);
        };
        let text = self.whole(headers, body).await?;
        let mut parts =
            multer::Multipart::new(stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from(text))]), boundary);
        while let Ok(Some(field)) = parts.next_field().await {
            if field.name() != Some(part) {
                continue;
            }
            let Ok(content) = field.bytes().await else { return Ok(None) };
            return Ok(match pointer {
                None => derive::text(&content),
                Some(pointer) => {
                    let document: Option<Value> = serde_json::from_slice(&content).ok();
                    document.and_then(|document| derive::from_json(&document, pointer))
                }
            });
        }
        Ok(None)
    }

    /// The whole body, inflated. Read once, whoever asks.
    async fn whole(&mut self, headers: &HeaderMap, body: &mut Incoming) -> Result<Vec<u8>, Refusal> {
        if !self.read {
            self.read = true;
            self.read_ahead(body).await?;
        }
        let sent: Vec<u8> = self.frames.iter().filter_map(Frame::data_ref).flatten().copied().collect();
        match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().trim_ascii().to_ascii_lowercase()).as_deref() {
            None | Some(b"identity" | b"") => Ok(sent),
            Some(b"gzip" | b"x-gzip") => self.inflated(MultiGzDecoder::new(sent.as_slice())),
            Some(b"deflate") => self.inflated(ZlibDecoder::new(sent.as_slice())),
            Some(_) => Ok(Vec::new()),
        }
    }

    async fn read_ahead(&mut self, body: &mut Incoming) -> Result<(), Refusal> {
        if body.size_hint().lower() > self.bytes_max as u64 {
            return Err(Code::BodyTooLarge.into());
        }
        let mut data = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let malformed =
                Refusal::new(Code::HeaderAmbiguous, "The request's body broke off or is not framed as HTTP asks");
            let frame = frame.map_err(|_| malformed)?;
            // One piece, however small the pieces it came in: what each costs beside its bytes must not add up.
            match frame.into_data() {
                Ok(piece) if data.len() + piece.len() > self.bytes_max => return Err(Code::BodyTooLarge.into()),
                Ok(piece) => data.extend_from_slice(&piece),
                Err(trailers) => self.frames.push_back(trailers),
            }
        }
        if !data.is_empty() {
            self.frames.push_front(Frame::data(data.freeze()));
        }
        Ok(())
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

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = content_type(headers).and_then(|text| text.parse::<mime::Mime>().ok()) else { return false };
    kind.subtype() == mime::JSON || kind.suffix() == Some(mime::JSON)
}
