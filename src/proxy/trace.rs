//! `X-Request-Id` and `traceparent`: kept where they are sound, made where they are not.
//!
//! Both are only names for people who look for a request; neither need be hard to guess.

use smallvec::SmallVec;
use uuid::Uuid;

/// Longest request ID that is kept: it goes into logs.
const REQUEST_ID_MAX: usize = 128;

/// A request's name for people: visible ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestId(SmallVec<[u8; uuid::fmt::Hyphenated::LENGTH]>);

impl RequestId {
    /// The caller's own, if it may stand in a log line as it is.
    pub(super) fn sound(value: &[u8]) -> Option<Self> {
        let sound = !value.is_empty() && value.len() <= REQUEST_ID_MAX && value.iter().all(u8::is_ascii_graphic);
        sound.then(|| Self(SmallVec::from_slice(value)))
    }

    /// A new one, and as the number that it is.
    pub(super) fn new() -> (Uuid, Self) {
        let uuid = uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid();
        let mut text = Uuid::encode_buffer();
        let text = uuid.hyphenated().encode_lower(&mut text).as_bytes();
        (uuid, Self(SmallVec::from_slice(text)))
    }

    /// Its text.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The same as bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A `traceparent`.
pub(super) type TraceParent = [u8; 55];

/// The caller's trace with a new span of ours, or a new trace (W3C Trace Context, version 00). `true` if it is the
/// caller's.
pub(super) fn traceparent(sent: Option<&[u8]>) -> (TraceParent, bool) {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let continued = sent.and_then(valid);
    if let Some(sent) = continued {
        text = *sent;
    } else if let Some(trace_id) = text.get_mut(3..35) {
        put_hex(trace_id, fastrand::u128(1..).to_be_bytes());
    }
    if let Some(span_id) = text.get_mut(36..52) {
        put_hex(span_id, fastrand::u64(1..).to_be_bytes());
    }
    (text, continued.is_some())
}

/// Two digits for each byte: every request has two of these, and a general encoder takes 180 instructions for each.
fn put_hex<const N: usize>(text: &mut [u8], bytes: [u8; N]) {
    let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
}

/// A `traceparent` of version 00 whose IDs are not all zeros.
fn valid(bytes: &[u8]) -> Option<&[u8; 55]> {
    let text: &[u8; 55] = bytes.try_into().ok()?;
    let dashes = [2, 35, 52];
    let shaped = text.iter().enumerate().all(|(at, byte)| {
        if dashes.contains(&at) { *byte == b'-' } else { byte.is_ascii_digit() || (b'a'..=b'f').contains(byte) }
    });
    let not_zero =
        |range: std::ops::Range<usize>| text.get(range).is_some_and(|id| id.iter().any(|byte| *byte != b'0'));
    (shaped && text.starts_with(b"00-") && not_zero(3..35) && not_zero(36..52)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{RequestId, traceparent};

    #[test]
    fn p8_a_valid_trace_goes_on_under_a_new_span_and_an_invalid_one_begins_anew() {
        let sent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let (ours, continued) = traceparent(Some(sent));
        assert!(continued);
        assert_eq!((&ours[..36], &ours[52..]), (&sent[..36], &sent[52..]));
        assert_ne!(&ours[36..52], &sent[36..52]);
        for bad in [
            "",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        ] {
            let (ours, continued) = traceparent(Some(bad.as_bytes()));
            assert!(!continued);
            assert!(traceparent(Some(&ours)).1, "what is begun is valid");
        }
    }

    #[test]
    fn a_request_id_that_could_spoil_a_log_is_replaced() {
        assert_eq!(RequestId::sound(b"abc-1").unwrap().as_str(), "abc-1");
        assert_eq!(RequestId::sound(b"a b"), None);
        assert_eq!(RequestId::sound(b""), None);
        let (uuid, ours) = RequestId::new();
        assert_eq!(ours.as_str(), uuid.to_string());
    }
}
