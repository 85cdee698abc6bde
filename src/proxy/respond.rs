//! Refusals as HTTP answers, in the shape that the service's own clients read.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName};
use http::{Method, Response, StatusCode, Version};
use serde::Serialize;

use super::governed_headers::has_token;
use super::head_writer::HeadWriter;
use super::rewrite::{self, AnswerFraming, OUR_VIA};
use super::trace::RequestId;
use crate::domain::profile::ErrorShape;
use crate::domain::refusal::Refusal;
use crate::http1::{Head, Lines};
use crate::telemetry::clock;

/// The code of a refusal, on every answer that is the gate's own.
pub const FORGETGATE_REFUSAL: HeaderName = HeaderName::from_static("forgetgate-refusal");

/// What a page may read of the gate's own answers beside status and body.
const EXPOSED: &[u8] = b"Forgetgate-Refusal, Retry-After, X-Request-Id";

/// Longest origin that is repeated.
const ORIGIN_BYTES_MAX: usize = 512;

/// The page that asks, if it is one. Only what is written as an origin is repeated: it goes into a line of the answer's.
pub(super) fn page_of(head: &Head) -> Option<Vec<u8>> {
    let mut origins = head.lines.all("origin");
    let only = origins.next().filter(|_| origins.next().is_none())?;
    let sound = !only.is_empty() && only.len() <= ORIGIN_BYTES_MAX && only.iter().all(u8::is_ascii_graphic);
    sound.then(|| only.to_vec())
}

/// An answer that the gate gives itself, as it is written.
#[derive(Clone, Debug)]
pub struct OwnAnswer {
    status: u16,
    reason: Cow<'static, str>,
    /// The header lines, without those that say how the connection goes on.
    lines: Vec<u8>,
    body: Bytes,
    /// Whether the connection ends behind it, because the rest of the request is not wanted.
    pub close: bool,
}

/// How a connection goes on behind an answer.
#[derive(Clone, Copy, Debug)]
pub struct Hop {
    /// What the caller speaks.
    pub version: Version,
    /// Whether it goes on.
    pub keep: bool,
    /// Whether the request asked for a head without a body.
    pub head_only: bool,
}

impl Hop {
    /// As the caller asks for it; `draining` when there is to be no further request.
    #[must_use]
    pub fn of(head: &Head, draining: bool) -> Self {
        let says = |token| head.lines.all("connection").any(|value| has_token(value, token));
        let keep = !says("close") && (head.version == Version::HTTP_11 || says("keep-alive"));
        Self { version: head.version, keep: keep && !draining, head_only: head.method == Method::HEAD }
    }

    /// Appends the line that says how the connection goes on, where that is not understood.
    pub(super) fn connection(self, out: &mut Vec<u8>) {
        match (self.version, self.keep) {
            (Version::HTTP_11, false) => out.line(b"Connection", b"close"),
            (Version::HTTP_10, true) => out.line(b"Connection", b"keep-alive"),
            (_, _) => {}
        }
    }
}

impl OwnAnswer {
    /// The erasure's answer.
    pub(super) fn of(response: Response<Bytes>, request_id: &RequestId, close: bool) -> Self {
        let (parts, body) = response.into_parts();
        let sent = parts.headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH);
        let sent = Lines::of(sent.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
        let mut lines = Vec::new();
        let framing = match parts.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => AnswerFraming::None,
            _ => AnswerFraming::Length(body.len() as u64),
        };
        rewrite::answer_lines(&mut lines, &sent, framing, request_id);
        let reason = Cow::Borrowed(parts.status.canonical_reason().unwrap_or_default());
        Self { status: parts.status.as_u16(), reason, lines, body, close }
    }

    /// A browser shows a page only what the answer lets it read (Fetch §3.3): without these lines a refusal looks to it like
    /// a fault of the network. `origin` is the page's, if it was a page that asked.
    pub(super) fn for_page(mut self, origin: Option<&[u8]>) -> Self {
        if let Some(origin) = origin {
            self.lines.line(b"Access-Control-Allow-Origin", origin);
            self.lines.line(b"Access-Control-Allow-Credentials", b"true");
            self.lines.line(b"Access-Control-Expose-Headers", EXPOSED);
            self.lines.line(b"Vary", b"Origin");
        }
        self
    }

    /// Appends it, as it goes out.
    pub fn write(&self, hop: Hop, out: &mut Vec<u8>) {
        rewrite::status_line(out, hop.version == Version::HTTP_10, self.status, self.reason.as_bytes());
        out.extend_from_slice(&self.lines);
        hop.connection(out);
        out.extend_from_slice(b"\r\n");
        if !hop.head_only {
            out.extend_from_slice(&self.body);
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    code: u16,
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    errors: [Detail<'a>; 1],
    trace: &'a str,
}

#[derive(Serialize)]
struct Detail<'a> {
    code: &'a str,
    message: &'a str,
}

/// A refusal on its way to the caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusing<'a> {
    pub(super) refusal: Refusal,
    /// Nearly always the code's own.
    pub(super) status: u16,
    pub(super) retry_after_s: Option<u32>,
    pub(super) shape: ErrorShape,
    pub(super) request_id: &'a RequestId,
    /// Whether the connection ends behind it, because the rest of the request is not wanted.
    pub(super) close: bool,
}

/// The answer.
pub(super) fn refuse(refusing: Refusing<'_>) -> OwnAnswer {
    let Refusing { refusal, status, retry_after_s, shape, request_id, close } = refusing;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let sentence = refusal.sentence;
    let body = Body {
        code: status.as_u16(),
        error: sentence,
        code_description: (shape == ErrorShape::WatsonSpeech).then(|| status.canonical_reason().unwrap_or("Error")),
        description: (shape == ErrorShape::WatsonDiscovery).then_some(sentence),
        errors: [Detail { code: refusal.code.as_str(), message: sentence }],
        trace: request_id.as_str(),
    };
    // A struct of texts and a number always serialises.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut lines = Vec::new();
    let mut line = |name: &str, value: &str| lines.line(name.as_bytes(), value.as_bytes());
    line("Content-Type", "application/json");
    line("Content-Length", itoa::Buffer::new().format(body.len()));
    line("Forgetgate-Refusal", refusal.code.as_str());
    line("X-Request-Id", request_id.as_str());
    line("Via", OUR_VIA);
    line("Date", &http_date());
    if let Some(seconds) = retry_after_s {
        line("Retry-After", itoa::Buffer::new().format(seconds));
    }
    // On audio streams Node's SDK shows nothing but the reason phrase.
    OwnAnswer { status: status.as_u16(), reason: Cow::Borrowed(sentence), lines, body: Bytes::from(body), close }
}

fn http_date() -> String {
    let since_1970 = std::time::Duration::from_secs(clock::unix_now().0);
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + since_1970)
}
