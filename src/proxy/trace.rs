//! `X-Request-Id` and `traceparent`: kept where they are sound, made where they are not.
//!
//! Both are only names for people who look for a request; neither need be hard to guess.

use http::header::HeaderValue;
use uuid::Uuid;

/// Longest request ID that is kept: it goes into logs.
const REQUEST_ID_MAX: usize = 128;

/// The caller's request ID, if it may stand in a log line as it is.
pub(super) fn is_sound_request_id(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    !bytes.is_empty() && bytes.len() <= REQUEST_ID_MAX && bytes.iter().all(u8::is_ascii_graphic)
}

/// A new request ID, and as a header value.
pub(super) fn new_request_id() -> (Uuid, HeaderValue) {
    let uuid = uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid();
    let mut text = Uuid::encode_buffer();
    let value = ascii(uuid.hyphenated().encode_lower(&mut text).as_bytes());
    (uuid, value)
}

/// The caller's trace with a new span of ours, or a new trace (W3C Trace Context, version 00).
pub(super) fn traceparent(sent: Option<&HeaderValue>) -> (HeaderValue, bool) {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let continued = sent.and_then(|value| valid(value.as_bytes()));
    if let Some(sent) = continued {
        text = *sent;
    } else if let Some(trace_id) = text.get_mut(3..35) {
        hex(fastrand::u128(1..), trace_id);
    }
    if let Some(span_id) = text.get_mut(36..52) {
        let mut digits = [0; 32];
        hex(u128::from(fastrand::u64(1..)), &mut digits);
        for (to, from) in span_id.iter_mut().zip(digits.iter().skip(16)) {
            *to = *from;
        }
    }
    (ascii(&text), continued.is_some())
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

fn hex(mut number: u128, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = match (number & 0xf) as u8 {
            small @ 0..=9 => b'0' + small,
            large => b'a' + large - 10,
        };
        number >>= 4;
    }
}

fn ascii(text: &[u8]) -> HeaderValue {
    // Hexadecimal digits and dashes are a header value; were they not, the line would be empty, which is harmless.
    HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::{is_sound_request_id, new_request_id, traceparent};

    #[test]
    fn p8_a_valid_trace_goes_on_under_a_new_span_and_an_invalid_one_begins_anew() {
        let sent = HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let (ours, continued) = traceparent(Some(&sent));
        let (ours, sent) = (ours.to_str().unwrap(), sent.to_str().unwrap());
        assert!(continued);
        assert_eq!((&ours[..36], &ours[52..]), (&sent[..36], &sent[52..]));
        assert_ne!(&ours[36..52], &sent[36..52]);
        for bad in [
            "",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        ] {
            let (ours, continued) = traceparent(Some(&HeaderValue::from_static(bad)));
            assert!(!continued);
            assert!(traceparent(Some(&ours)).1, "what is begun is valid");
        }
    }

    #[test]
    fn a_request_id_that_could_spoil_a_log_is_replaced() {
        assert!(is_sound_request_id(&HeaderValue::from_static("abc-1")));
        assert!(!is_sound_request_id(&HeaderValue::from_static("a b")));
        assert!(!is_sound_request_id(&HeaderValue::from_static("")));
        assert!(is_sound_request_id(&new_request_id().1));
    }
}
