//! What is known of a request when it has ended, as the gate fills it in and as it waits for the writer.
//!
//! A record has no place for a path, a query or a header, which can hold a customer's ID (P7). It is packed before it is
//! handed over: a queue of many thousand places pays for each byte, and the caller's own method is freed where it was made.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::refusal::Code;

/// HTTP's own methods, the usual ones first.
static STANDARD: [Method; 9] = [
    Method::POST,
    Method::GET,
    Method::DELETE,
    Method::PUT,
    Method::PATCH,
    Method::HEAD,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The whole answer went out.
    Done,
    /// The caller left first.
    ClientGone,
    /// The upstream broke off.
    UpstreamGone,
    /// The gate answered instead.
    Refused,
    /// A time was over.
    TimedOut,
    /// The gate ended it: it was told to stop, or to close the WebSockets of a customer who is being erased.
    GateEnded,
}

impl EndReason {
    /// As it is written in the line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::ClientGone => "client_gone",
            Self::UpstreamGone => "upstream_gone",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::GateEnded => "gate_ended",
        }
    }
}

/// What is known of a request when it has ended.
#[derive(Clone, Debug)]
pub struct AccessRecord {
    /// The upstream's slot in the registry; `None` where no route matched.
    pub upstream: Option<u16>,
    /// Written as it is if it is one of HTTP's own; others are written as `other`, since they are the caller's words.
    pub method: Method,
    /// The call as the profile names it (a template), never the path itself; of a tunnel its host.
    pub call: Option<Arc<str>>,
    /// What the caller got; 0 if it left before there was one.
    pub status: u16,
    /// Why the gate refused.
    pub refusal: Option<Code>,
    /// Body bytes from the caller.
    pub bytes_in: u64,
    /// Body bytes to the caller.
    pub bytes_out: u64,
    /// From the head's last byte to the answer's.
    pub took: Duration,
    /// How it ended.
    pub ended: EndReason,
    /// The request's ID where it is a UUID: the gate's always is; a caller's own text is not logged.
    pub request_id: Option<Uuid>,
}

/// A record on its way to the writer.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub(super) upstream: Option<u16>,
    pub(super) method: MethodName,
    pub(super) call: Option<Arc<str>>,
    pub(super) status: u16,
    pub(super) refusal: Option<Code>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) took_us: u64,
    pub(super) ended: EndReason,
    pub(super) ended_at: Instant,
    pub(super) request_id: Option<Uuid>,
}

impl Packed {
    pub(super) fn of(record: &mut AccessRecord, ended_at: Instant) -> Self {
        Self {
            upstream: record.upstream,
            method: MethodName::of(&record.method),
            call: record.call.take(),
            status: record.status,
            refusal: record.refusal,
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            took_us: micros(record.took),
            ended: record.ended,
            ended_at,
            request_id: record.request_id,
        }
    }
}

/// A method as it may be written: its place among HTTP's own, or beyond them.
#[derive(Clone, Copy, Debug)]
pub(super) struct MethodName(u8);

impl MethodName {
    fn of(method: &Method) -> Self {
        let place = STANDARD.iter().position(|standard| standard == method);
        Self(place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX))
    }

    pub(super) fn as_str(self) -> &'static str {
        STANDARD.get(usize::from(self.0)).map_or("other", Method::as_str)
    }
}

/// Whole microseconds; the most that can be written for more.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
