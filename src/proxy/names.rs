//! Header names, sorted by what the gate does about them. One look at a name, no map look-ups.

use http::header::{HeaderName, HeaderValue};

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
    /// Goes: it was for this hop only, or for the gate itself.
    Dropped,
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
}

/// Sorts a name. Names of one length are compared as a whole, so this costs next to nothing.
pub(super) fn kind(name: &HeaderName) -> Kind {
    match name.as_str() {
        "host" => Kind::Host,
        "connection" => Kind::Connection,
        "keep-alive"
        | "proxy-connection"
        | "http2-settings"
        | "expect"
        | "forgetgate-authorization"
        | "x-original-url"
        | "x-rewrite-url" => Kind::Dropped,
        "te" => Kind::Te,
        "transfer-encoding" => Kind::TransferEncoding,
        "content-length" => Kind::ContentLength,
        "upgrade" => Kind::Upgrade,
        "trailer" => Kind::Trailer,
        "x-request-id" => Kind::RequestId,
        "traceparent" => Kind::TraceParent,
        "tracestate" => Kind::TraceState,
        "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-proto" | "forwarded" => Kind::Forwarding,
        other if METHOD_OVERRIDES.iter().any(|name| folds_into(other, name)) => Kind::MethodOverride,
        _ => Kind::Other,
    }
}

/// Headers by which frameworks let a `POST` mean another method.
const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// The old opt-out header: read as the caller's wish, never forwarded.
pub(super) const LEGACY_OPT_OUT: &str = "x-wdc-pl-opt-out";

/// The headers that a profile governs.
#[derive(Debug)]
pub(super) struct Governed {
    pub(super) label: HeaderName,
    pub(super) opt_out: Option<OptOutNames>,
}

/// Opting out, as names and values ready to be written.
#[derive(Debug)]
pub(super) struct OptOutNames {
    pub(super) name: HeaderName,
    pub(super) out: HeaderValue,
    pub(super) also: Vec<HeaderName>,
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
    /// The names of a profile. `None` where one of them is no header name, which a parsed profile cannot have.
    pub(super) fn of(profile: &Profile) -> Option<Self> {
        let name = |text: &str| HeaderName::from_bytes(text.as_bytes()).ok();
        let opt_out = match &profile.opt_out {
            None => None,
            Some(rule) => Some(OptOutNames {
                name: name(&rule.header)?,
                out: HeaderValue::from_str(&rule.value).ok()?,
                also: rule.also.iter().map(|also| name(also)).collect::<Option<_>>()?,
            }),
        };
        Some(Self { label: name(&profile.label.header)?, opt_out })
    }

    /// Which governed header is this, if it is one?
    pub(super) fn role(&self, name: &str) -> Option<Role> {
        let is = |governed: &HeaderName| folds_into(name, governed.as_str());
        // All governed names of all services begin with an x; most names are ruled out by that.
        if name == self.label.as_str() {
            return Some(Role::Label);
        }
        if is(&self.label) {
            return Some(Role::LabelTwin);
        }
        let opt_out = self.opt_out.as_ref()?;
        if is(&opt_out.name) || opt_out.also.iter().any(is) {
            return Some(Role::OptOut);
        }
        folds_into(name, LEGACY_OPT_OUT).then_some(Role::LegacyOptOut)
    }
}

/// CGI, WSGI and PHP make one variable of `X-A`, `X_A` and `X.A`.
fn folds_into(name: &str, governed: &str) -> bool {
    let fold = |byte: u8| if matches!(byte, b'_' | b'.') { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == governed.len() && name.bytes().zip(governed.bytes()).all(|(a, b)| fold(a) == b)
}

#[cfg(test)]
mod tests {
    use super::folds_into;

    #[test]
    fn p9_twins_of_a_governed_name_are_recognised() {
        for twin in ["x_watson_metadata", "x.watson.metadata", "X-Watson_Metadata", "x-watson-metadata"] {
            assert!(folds_into(twin, "x-watson-metadata"), "{twin}");
        }
        assert!(!folds_into("x-watson-metadat", "x-watson-metadata"));
        assert!(!folds_into("xywatson-metadata", "x-watson-metadata"));
    }
}
