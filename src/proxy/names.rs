//! Header names, sorted by what the gate does about them. One look at a name, no map look-ups.
//! See docs/decisions/013-dropped-headers.md.

use crate::domain::profile::Profile;

/// What the gate does about a header line, apart from those that the profile governs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Passes on.
    Other,
    /// Becomes the upstream's own.
    Host,
    /// Goes, with all that it names.
    Connection,
    /// Goes: it was for this hop only.
    KeepAlive,
    /// Goes: the gate sees to it.
    Expect,
    /// Goes: it was for the gate itself, or must not reach what is behind it.
    Dropped,
    /// Passes, unless the gate has its own.
    Authorization,
    /// Goes where the gate is the caller's proxy: it may be for that.
    ProxyAuthorization,
    /// Written anew, if it says `trailers`.
    Te,
    /// Written anew.
    TransferEncoding,
    /// Written anew, in canonical decimal.
    ContentLength,
    /// Goes, unless the gate carries the upgrade.
    Upgrade,
    /// Passes without the governed names.
    Trailer,
    /// Passes, or is made.
    RequestId,
    /// Continued, or begun.
    TraceParent,
    /// Passes with a valid `traceparent`.
    TraceState,
    /// Says that the method is another.
    MethodOverride,
    /// Where the request came from.
    Forwarding,
    /// Passes, and the gate's own is added: which gates the request has been through.
    Via,
}

/// Longest name that is more than passed on.
const NAME_MAX: usize = 24;

/// Sorts a name, in whatever case it came.
pub(super) fn kind(name: &[u8]) -> Kind {
    let mut folded = [0; NAME_MAX];
    let Some(folded) = folded.get_mut(..name.len()) else { return Kind::Other };
    let mut is_twin = false;
    for (to, byte) in folded.iter_mut().zip(name) {
        *to = fold(*byte);
        is_twin |= matches!(byte, b'_' | b'.');
    }
    match kind_of(folded) {
        // What the gate drops, or writes itself, does not come in by another spelling: CGI, WSGI and PHP would take it for that.
        Kind::Dropped | Kind::KeepAlive | Kind::TransferEncoding | Kind::ContentLength | Kind::RequestId if is_twin => {
            Kind::Dropped
        }
        kind => kind,
    }
}

/// Sorts a name in lower case.
fn kind_of(lower: &[u8]) -> Kind {
    match lower {
        b"host" => Kind::Host,
        b"connection" => Kind::Connection,
        b"authorization" => Kind::Authorization,
        b"proxy-authorization" => Kind::ProxyAuthorization,
        b"keep-alive" | b"proxy-connection" => Kind::KeepAlive,
        b"expect" => Kind::Expect,
        b"http2-settings" | b"forgetgate-authorization" | b"x-original-url" | b"x-rewrite-url" => Kind::Dropped,
        b"te" => Kind::Te,
        b"transfer-encoding" => Kind::TransferEncoding,
        b"content-length" => Kind::ContentLength,
        b"upgrade" => Kind::Upgrade,
        b"trailer" => Kind::Trailer,
        b"via" => Kind::Via,
        b"x-request-id" => Kind::RequestId,
        b"traceparent" => Kind::TraceParent,
        b"tracestate" => Kind::TraceState,
        b"x-forwarded-for" | b"x-forwarded-host" | b"x-forwarded-proto" | b"forwarded" => Kind::Forwarding,
        [b'x', rest @ ..] if rest.len() > 10 => {
            if METHOD_OVERRIDES.iter().any(|name| folds_into(lower, name)) {
                Kind::MethodOverride
            } else {
                Kind::Other
            }
        }
        _ => Kind::Other,
    }
}

/// Headers by which frameworks let a `POST` mean another method.
pub(super) const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// The old opt-out header: read as the caller's wish, never forwarded.
pub(super) const LEGACY_OPT_OUT: &str = "x-wdc-pl-opt-out";

/// The headers that a profile governs.
#[derive(Debug)]
pub(super) struct Governed {
    /// In lower case.
    label: String,
    /// As the gate writes it.
    pub(super) label_as_written: Vec<u8>,
    pub(super) opt_out: Option<OptOutNames>,
}

/// Opting out, as names, and as lines ready to be written.
#[derive(Debug)]
pub(super) struct OptOutNames {
    /// In lower case: the header itself first.
    names: Vec<String>,
    /// The lines that opt out.
    pub(super) out: Vec<u8>,
    /// The line that opts in.
    pub(super) in_: Vec<u8>,
}

/// A name that the profile governs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The label itself.
    Label,
    /// A spelling that some servers fold into the label's name.
    LabelTwin,
    /// Opting out, in any spelling.
    OptOut,
    /// The old opt-out header, in any spelling.
    LegacyOptOut,
}

impl Governed {
    /// The names of a profile.
    pub(super) fn of(profile: &Profile) -> Self {
        let line = |name: &str, value: &str| format!("{name}: {value}\r\n").into_bytes();
        let opt_out = profile.opt_out.as_ref().map(|rule| {
            let written = || std::iter::once(&rule.header_written).chain(&rule.also);
            OptOutNames {
                names: written().map(|name| name.to_ascii_lowercase()).collect(),
                out: written().flat_map(|name| line(name, &rule.value)).collect(),
                in_: line(&rule.header_written, "false"),
            }
        });
        let label = &profile.label;
        Self { label: label.header.clone(), label_as_written: label.header_written.clone().into_bytes(), opt_out }
    }

    /// Which governed header this is, if it is one.
    pub(super) fn role(&self, name: &[u8]) -> Option<Role> {
        let labels = !self.label.is_empty();
        if labels && name.eq_ignore_ascii_case(self.label.as_bytes()) {
            return Some(Role::Label);
        }
        if labels && folds_into(name, &self.label) {
            return Some(Role::LabelTwin);
        }
        let opt_out = self.opt_out.as_ref()?;
        if opt_out.names.iter().any(|governed| folds_into(name, governed)) {
            return Some(Role::OptOut);
        }
        folds_into(name, LEGACY_OPT_OUT).then_some(Role::LegacyOptOut)
    }
}

/// CGI, WSGI and PHP make one variable of `X-A`, `X_A` and `X.A`.
const fn fold(byte: u8) -> u8 {
    if matches!(byte, b'_' | b'.') { b'-' } else { byte.to_ascii_lowercase() }
}

fn folds_into(name: &[u8], governed: &str) -> bool {
    name.len() == governed.len() && name.iter().zip(governed.bytes()).all(|(a, b)| fold(*a) == b)
}

#[cfg(test)]
mod tests {
    use super::{Kind, folds_into, kind};

    #[test]
    fn p9_twins_of_what_the_gate_drops_or_writes_are_dropped_with_it() {
        for name in [
            "X-Original-URL",
            "X-Rewrite-URL",
            "Forgetgate-Authorization",
            "Http2-Settings",
            "Content-Length",
            "Transfer-Encoding",
            "X-Request-Id",
            "Keep-Alive",
            "Proxy-Connection",
        ] {
            for separator in ["_", "."] {
                assert_eq!(kind(name.replace('-', separator).as_bytes()), Kind::Dropped, "{name} {separator}");
            }
        }
        for name in ["X_Forwarded_For", "X.Forwarded-Proto", "x_forwarded_host"] {
            assert_eq!(kind(name.as_bytes()), Kind::Forwarding, "{name}");
        }
        assert_eq!(kind(b"Proxy_Authorization"), Kind::ProxyAuthorization);
        assert_eq!(kind(b"X_Custom_Thing"), Kind::Other);
    }

    #[test]
    fn p9_twins_of_a_governed_name_are_recognised() {
        for twin in ["x_watson_metadata", "x.watson.metadata", "X-Watson_Metadata", "x-watson-metadata"] {
            assert!(folds_into(twin.as_bytes(), "x-watson-metadata"), "{twin}");
        }
        assert!(!folds_into(b"x-watson-metadat", "x-watson-metadata"));
        assert!(!folds_into(b"xywatson-metadata", "x-watson-metadata"));
    }
}
