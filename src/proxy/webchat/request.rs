//! What an upstream whose pages are changed is asked for: only codings that can be read, whole pages, and no word about copies
//! that may be older than the gate.

use http::Method;

use super::super::head_writer::HeadWriter;
use super::tag;
use crate::http1::Head;

/// What is known of a request whose answer may be a page.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Asked {
    /// Whether its answer may be a page or a script.
    is_for_page: bool,
    /// Whether the caller keeps a changed copy.
    pub(super) has_marked: bool,
    pub(super) head_only: bool,
    /// Whether its answer is run as a script, nearly whatever its type is.
    pub(super) for_script: bool,
}

/// What pages end in, and scripts, where their names say so.
const PAGE_ENDINGS: [&str; 4] = ["/", ".html", ".htm", ".xhtml"];
const SCRIPT_ENDINGS: [&str; 3] = [".js", ".mjs", ".cjs"];

/// What browsers say that they want a page or a script for (Fetch Metadata).
const PAGES: [&[u8]; 12] = [
    b"document",
    b"iframe",
    b"frame",
    b"embed",
    b"object",
    b"script",
    b"worker",
    b"sharedworker",
    b"serviceworker",
    b"audioworklet",
    b"paintworklet",
    b"fencedframe",
];

impl Asked {
    pub(in super::super) fn of(head: &Head) -> Self {
        let accepts = |kind: &[u8]| head.lines.all("accept").any(|line| memchr::memmem::find(line, kind).is_some());
        let path = head.uri.path();
        // What a condition keeps another method from doing is the service's to judge.
        let is_read = head.method == Method::GET || head.method == Method::HEAD;
        let destination = head.lines.first("sec-fetch-dest");
        let ends = |endings: &[&str]| endings.iter().any(|ending| path.ends_with(ending));
        let wants_page = accepts(b"text/html")
            || accepts(b"application/xhtml+xml")
            || destination.is_some_and(|to| PAGES.contains(&to))
            || ends(&PAGE_ENDINGS)
            || ends(&SCRIPT_ENDINGS);
        let for_script = destination.map_or_else(|| ends(&SCRIPT_ENDINGS), |to| to == b"script");
        let has_marked = head.lines.all("if-none-match").any(tag::has_marked);
        Self { is_for_page: is_read && wants_page, has_marked, head_only: head.method == Method::HEAD, for_script }
    }

    /// Writes what becomes of a line on the way to the service. `false` where it stays as it is.
    pub(in super::super) fn rewrites(self, name: &[u8], value: &[u8], out: &mut impl HeadWriter) -> bool {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("accept-encoding") {
            out.line(name, &codings(value));
            return true;
        }
        if is("if-none-match") && (self.is_for_page || tag::has_marked(value)) {
            if let Some(tags) = tag::asked(value, self.is_for_page) {
                out.line(name, &tags);
            }
            return true;
        }
        let is_of_copy = is("if-modified-since") && !self.has_marked;
        self.is_for_page && (is_of_copy || is("range") || is("if-range"))
    }
}

/// Those codings of a list that can be read.
fn codings(line: &[u8]) -> Vec<u8> {
    let readable = |coding: &&[u8]| {
        let name = coding.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        [&b"gzip"[..], b"x-gzip", b"identity"].iter().any(|each| name.eq_ignore_ascii_case(each))
    };
    let kept: Vec<&[u8]> = line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(readable).collect();
    if kept.is_empty() { b"identity".to_vec() } else { kept.join(&b", "[..]) }
}

#[cfg(test)]
mod tests {
    use super::codings;

    #[test]
    fn p2_a_service_is_asked_only_for_codings_that_can_be_read() {
        for (asked, sent) in [
            ("gzip, deflate, br, zstd", "gzip"),
            ("br;q=1.0, GZIP;q=0.8, *;q=0.1", "GZIP;q=0.8"),
            ("identity, x-gzip ; q=0", "identity, x-gzip ; q=0"),
            ("br", "identity"),
            ("*", "identity"),
            ("", "identity"),
        ] {
            assert_eq!(codings(asked.as_bytes()), sent.as_bytes(), "{asked}");
        }
    }
}
