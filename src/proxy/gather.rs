//! What the governed headers of a request say, read off all lines before anything is judged.

use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::names::{Governed, Kind, Role, kind};
use crate::domain::decide::Wish;
use crate::domain::refusal::{Code, Refusal};

/// What was found in the lines.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// The one label line.
    pub(super) label: Option<HeaderValue>,
    /// The caller's wish about learning.
    pub(super) wish: Option<Wish>,
    /// Names that `Connection` takes with it, lower case.
    pub(super) nominated: SmallVec<[HeaderName; 2]>,
    /// Did `TE` say `trailers`?
    pub(super) te_trailers: bool,
    /// The values of all lines of a method override: which of them a server believes is not known.
    pub(super) method_overrides: SmallVec<[HeaderValue; 1]>,
    /// Is it a WebSocket handshake? Any other upgrade is left out, and the request goes on without it.
    pub(super) websocket: bool,
}

/// Reads all lines.
pub(super) fn gather(method: &Method, headers: &HeaderMap, governed: &Governed) -> Result<Gathered, Refusal> {
    let mut found = Gathered::default();
    let mut to_websocket = false;
    for (name, value) in headers {
        match kind(name) {
            Kind::Connection => nominate(&mut found, value, governed)?,
            Kind::Te => found.te_trailers |= has_token(value, "trailers"),
            Kind::MethodOverride => found.method_overrides.push(value.clone()),
            Kind::Upgrade => to_websocket |= has_token(value, "websocket"),
            Kind::Other => match governed.role(name.as_str()) {
                None => {}
                Some(Role::Label) if found.label.is_none() => found.label = Some(value.clone()),
                Some(Role::Label) => return Err(ambiguous("The request has two lines of its label")),
                Some(Role::LabelTwin) => {
                    return Err(ambiguous("The request has a second spelling of its label's header"));
                }
                Some(Role::OptOut) => found.wish = either(found.wish, wish(value)),
                Some(Role::LegacyOptOut) => found.wish = either(found.wish, legacy_wish(value)),
            },
            _ => {}
        }
    }
    let confirmed = || found.nominated.contains(&http::header::UPGRADE);
    found.websocket = to_websocket && method == Method::GET && confirmed();
    Ok(found)
}

const fn ambiguous(sentence: &'static str) -> Refusal {
    Refusal::new(Code::HeaderAmbiguous, sentence)
}

fn nominate(found: &mut Gathered, value: &HeaderValue, governed: &Governed) -> Result<(), Refusal> {
    for token in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if token.is_empty() || token.eq_ignore_ascii_case(b"keep-alive") || token.eq_ignore_ascii_case(b"close") {
            continue;
        }
        let name = HeaderName::from_bytes(token)
            .map_err(|_| ambiguous("A Connection line names something that is no header"))?;
        let framing = matches!(kind(&name), Kind::Host | Kind::ContentLength | Kind::TransferEncoding);
        if framing || governed.role(name.as_str()).is_some() {
            return Err(ambiguous("A Connection line names a header that the gate or the framing depends on"));
        }
        found.nominated.push(name);
    }
    Ok(())
}

/// Whoever says once that it may not be learnt from has said so.
fn either(a: Option<Wish>, b: Wish) -> Option<Wish> {
    match (a, b) {
        (Some(Wish::OptOut), _) | (_, Wish::OptOut) => Some(Wish::OptOut),
        _ => Some(Wish::OptIn),
    }
}

/// Until 2022 any value but `false` and `0` opted out; reading it so is on the safe side.
fn wish(value: &HeaderValue) -> Wish {
    match value.as_bytes().trim_ascii() {
        b"0" => Wish::OptIn,
        text if text.eq_ignore_ascii_case(b"false") => Wish::OptIn,
        _ => Wish::OptOut,
    }
}

/// `X-WDC-PL-OPT-OUT: 1` opted out, any other value did not.
fn legacy_wish(value: &HeaderValue) -> Wish {
    if value.as_bytes().trim_ascii() == b"1" { Wish::OptOut } else { Wish::OptIn }
}

/// Is this token in the comma-separated list?
pub(super) fn has_token(value: &HeaderValue, token: &str) -> bool {
    value.as_bytes().split(|byte| *byte == b',').any(|each| each.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}
