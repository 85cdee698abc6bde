//! Header names, sorted by what the gate does about them. One look at a name, no map look-ups.
//! See docs/decisions/013-dropped-headers.md.

use super::governed_query;
use super::head_writer::OwnLine;
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

/// Sorts a name, in whatever case it came.
pub(super) fn kind(name: &[u8]) -> Kind {
    for (known, kind) in alike(name) {
        // Nearly all spell it so, or in lower case.
        if name == known.as_bytes() || name.eq_ignore_ascii_case(known.as_bytes()) {
            return *kind;
        }
        if name.iter().zip(known.bytes()).all(|(a, b)| fold(*a) == fold(b)) {
            return twin(*kind);
        }
    }
    Kind::Other
}

/// What the gate drops, or writes itself, does not come in by another spelling: CGI, WSGI and PHP would take it for that.
const fn twin(kind: Kind) -> Kind {
    match kind {
        Kind::KeepAlive | Kind::TransferEncoding | Kind::ContentLength | Kind::RequestId => Kind::Dropped,
        kind => kind,
    }
}

/// The names that have the length and the first letter of this one: nearly always none, or the one that it is.
fn alike(name: &[u8]) -> &'static [(&'static str, Kind)] {
    match (name.len(), name.first().map_or(0, u8::to_ascii_lowercase)) {
        (2, b't') => &[("TE", Kind::Te)],
        (3, b'v') => &[("Via", Kind::Via)],
        (4, b'h') => &[("Host", Kind::Host)],
        (6, b'e') => &[("Expect", Kind::Expect)],
        (7, b't') => &[("Trailer", Kind::Trailer)],
        (7, b'u') => &[("Upgrade", Kind::Upgrade)],
        (9, b'f') => &[("Forwarded", Kind::Forwarding)],
        (10, b'c') => &[("Connection", Kind::Connection)],
        (10, b'k') => &[("Keep-Alive", Kind::KeepAlive)],
        (10, b't') => &[("Tracestate", Kind::TraceState)],
        (11, b't') => &[("Traceparent", Kind::TraceParent)],
        (12, b'x') => &[("X-Request-Id", Kind::RequestId)],
        (13, b'a') => &[("Authorization", Kind::Authorization)],
        (13, b'x') => &[("X-Rewrite-URL", Kind::Dropped), ("X-HTTP-Method", Kind::MethodOverride)],
        (14, b'c') => &[("Content-Length", Kind::ContentLength)],
        (14, b'h') => &[("HTTP2-Settings", Kind::Dropped)],
        (14, b'x') => &[("X-Original-URL", Kind::Dropped)],
        (15, b'x') => &[("X-Forwarded-For", Kind::Forwarding)],
        (16, b'p') => &[("Proxy-Connection", Kind::KeepAlive)],
        (16, b'x') => &[("X-Forwarded-Host", Kind::Forwarding)],
        (17, b't') => &[("Transfer-Encoding", Kind::TransferEncoding)],
        (17, b'x') => &[("X-Forwarded-Proto", Kind::Forwarding), ("X-Method-Override", Kind::MethodOverride)],
        (19, b'p') => &[("Proxy-Authorization", Kind::ProxyAuthorization)],
        (22, b'x') => &[("X-HTTP-Method-Override", Kind::MethodOverride)],
        (24, b'f') => &[("Forgetgate-Authorization", Kind::Dropped)],
        _ => &[],
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
    /// The fewest letters that the name of a governed parameter of a query has.
    pub(super) query_letters_min: usize,
    pub(super) opt_out: Option<OptOutNames>,
}

/// Opting out.
#[derive(Debug)]
pub(super) struct OptOutNames {
    /// In lower case: the header itself first.
    names: Vec<String>,
    /// The lines that opt out.
    pub(super) out: Vec<OwnLine>,
    /// The line that opts in.
    pub(super) in_: OwnLine,
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
        let opt_out = profile.opt_out.as_ref().map(|rule| {
            let written = || std::iter::once(&rule.header_written).chain(&rule.also);
            OptOutNames {
                names: written().map(|name| name.to_ascii_lowercase()).collect(),
                out: written().map(|name| OwnLine::new(name, &rule.value)).collect(),
                in_: OwnLine::new(&rule.header_written, "false"),
            }
        });
        let label = &profile.label;
        Self {
            label: label.header.clone(),
            label_as_written: label.header_written.clone().into_bytes(),
            query_letters_min: governed_query::letters_min(profile),
            opt_out,
        }
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
    use super::{Kind, METHOD_OVERRIDES, alike, folds_into, kind};

    /// Every name that means something: a name of another length or with another first letter is none of them.
    const KNOWN: [(&str, Kind); 27] = [
        ("Host", Kind::Host),
        ("Connection", Kind::Connection),
        ("Authorization", Kind::Authorization),
        ("Proxy-Authorization", Kind::ProxyAuthorization),
        ("Keep-Alive", Kind::KeepAlive),
        ("Proxy-Connection", Kind::KeepAlive),
        ("Expect", Kind::Expect),
        ("HTTP2-Settings", Kind::Dropped),
        ("Forgetgate-Authorization", Kind::Dropped),
        ("X-Original-URL", Kind::Dropped),
        ("X-Rewrite-URL", Kind::Dropped),
        ("TE", Kind::Te),
        ("Transfer-Encoding", Kind::TransferEncoding),
        ("Content-Length", Kind::ContentLength),
        ("Upgrade", Kind::Upgrade),
        ("Trailer", Kind::Trailer),
        ("Via", Kind::Via),
        ("X-Request-Id", Kind::RequestId),
        ("Traceparent", Kind::TraceParent),
        ("Tracestate", Kind::TraceState),
        ("X-Forwarded-For", Kind::Forwarding),
        ("X-Forwarded-Host", Kind::Forwarding),
        ("X-Forwarded-Proto", Kind::Forwarding),
        ("Forwarded", Kind::Forwarding),
        ("X-HTTP-Method-Override", Kind::MethodOverride),
        ("X-HTTP-Method", Kind::MethodOverride),
        ("X-Method-Override", Kind::MethodOverride),
    ];

    #[test]
    fn p9_every_name_that_means_something_is_known_in_any_case_and_no_other() {
        for (name, expected) in KNOWN {
            for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                assert_eq!(kind(name.as_bytes()), expected, "{name}");
                assert_eq!(kind(format!("{name}s").as_bytes()), Kind::Other, "{name}");
                assert_eq!(kind(&name.as_bytes()[1..]), Kind::Other, "{name}");
                let other = name.replace(['e', 'E'], "q").replace(['i', 'I'], "j").replace(['o', 'O'], "0");
                assert_eq!(kind(other.as_bytes()), Kind::Other, "{other}");
            }
        }
        assert!(METHOD_OVERRIDES.iter().all(|name| kind(name.as_bytes()) == Kind::MethodOverride));
        let mut found = 0;
        for (length, first) in (0..=32).flat_map(|length| (0..=255).map(move |first| (length, first))) {
            let mut name = vec![b'a'; length];
            name.iter_mut().take(1).for_each(|byte| *byte = first);
            let alike = alike(&name).iter().filter(|_| !first.is_ascii_uppercase());
            found += alike
                .inspect(|(known, _)| {
                    assert!(known.len() == length && known.as_bytes()[0].to_ascii_lowercase() == first)
                })
                .count();
        }
        assert_eq!(found, KNOWN.len(), "each is looked for where it stands");
    }

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
