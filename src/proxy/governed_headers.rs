//! Reads all lines of the governed headers of a request, before anything is judged.

use http::Method;
use http::header::HeaderName;
use smallvec::SmallVec;

use super::framing::Kinds;
use super::names::{Governed, Kind, Role, kind};
use crate::domain::decide::Wish;
use crate::domain::refusal::{Code, Refusal};
use crate::http1::Head;

/// Different names in `Connection`: clients name two or three.
const NOMINATED_MAX: usize = 32;

/// What was found in the lines.
#[derive(Debug, Default)]
pub(super) struct Gathered<'h> {
    /// The value of the one label line.
    pub(super) label: Option<&'h [u8]>,
    /// The caller's wish about learning.
    pub(super) wish: Option<Wish>,
    /// Names that `Connection` takes with it, lower case.
    pub(super) nominated: SmallVec<[HeaderName; 2]>,
    /// Whether `TE` said `trailers`.
    pub(super) te_trailers: bool,
    /// The values of all lines of a method override: which of them a server believes is not known.
    pub(super) method_overrides: Vec<&'h [u8]>,
    /// Whether it is a WebSocket handshake. Any other upgrade is left out, and the request goes on without it.
    pub(super) websocket: bool,
}

/// Reads all lines.
pub(super) fn gather<'h>(head: &'h Head, kinds: &Kinds, governed: &Governed) -> Result<Gathered<'h>, Refusal> {
    let mut found = Gathered::default();
    let mut to_websocket = false;
    for (line, kind) in head.lines.iter().zip(kinds.each()) {
        match kind {
            Kind::Connection => nominate(&mut found, line.value, governed)?,
            Kind::Te => found.te_trailers |= has_token(line.value, "trailers"),
            Kind::MethodOverride => found.method_overrides.push(line.value),
            Kind::Upgrade => to_websocket |= has_token(line.value, "websocket"),
            Kind::Other => match governed.role(line.name) {
                None => {}
                Some(Role::Label) if found.label.is_none() => found.label = Some(line.value),
                Some(Role::Label) => return Err(ambiguous("The request has two lines of its label")),
                Some(Role::LabelTwin) => {
                    return Err(ambiguous("The request has a second spelling of its label's header"));
                }
                Some(Role::OptOut) => found.wish = either(found.wish, wish(line.value)),
                Some(Role::LegacyOptOut) => found.wish = either(found.wish, legacy_wish(line.value)),
            },
            _ => {}
        }
    }
    found.websocket = to_websocket && head.method == Method::GET && found.nominated.contains(&http::header::UPGRADE);
    Ok(found)
}

const fn ambiguous(sentence: &'static str) -> Refusal {
    Refusal::new(Code::HeaderAmbiguous, sentence)
}

/// What a `Connection` line names, apart from what it says of the connection itself.
pub(super) fn nominations(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| {
        !token.is_empty() && !token.eq_ignore_ascii_case(b"keep-alive") && !token.eq_ignore_ascii_case(b"close")
    })
}

fn nominate(found: &mut Gathered<'_>, value: &[u8], governed: &Governed) -> Result<(), Refusal> {
    for token in nominations(value) {
        let name = HeaderName::from_bytes(token)
            .map_err(|_| ambiguous("A Connection line names something that is no header"))?;
        let framing = matches!(kind(token), Kind::Host | Kind::ContentLength | Kind::TransferEncoding);
        if framing || governed.role(token).is_some() {
            return Err(ambiguous("A Connection line names a header that the gate or the framing depends on"));
        }
        if !found.nominated.contains(&name) {
            found.nominated.push(name);
        }
        // Each of them is looked for in every line (P12).
        if found.nominated.len() > NOMINATED_MAX {
            return Err(ambiguous("The Connection lines name more headers than any client's"));
        }
    }
    Ok(())
}

/// Whoever says once that it may not be learnt from has said so.
pub(super) fn either(a: Option<Wish>, b: Wish) -> Option<Wish> {
    match (a, b) {
        (Some(Wish::OptOut), _) | (_, Wish::OptOut) => Some(Wish::OptOut),
        _ => Some(Wish::OptIn),
    }
}

/// Until 2022 any value but `false` and `0` opted out; reading it so is on the safe side.
pub(super) fn wish(value: &[u8]) -> Wish {
    match value.trim_ascii() {
        b"0" => Wish::OptIn,
        text if text.eq_ignore_ascii_case(b"false") => Wish::OptIn,
        _ => Wish::OptOut,
    }
}

/// `X-WDC-PL-OPT-OUT: 1` opted out, any other value did not.
pub(super) fn legacy_wish(value: &[u8]) -> Wish {
    if value.trim_ascii() == b"1" { Wish::OptOut } else { Wish::OptIn }
}

/// Whether this token is in the comma-separated list.
pub(super) fn has_token(value: &[u8], token: &str) -> bool {
    value.split(|byte| *byte == b',').any(|each| each.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}
