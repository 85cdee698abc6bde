//! Which answers are looked into, and the head of one that changes.

use super::request::Asked;
use super::tag;
use crate::domain::webchat::{Finding, is_javascript, type_hides_ascii};
use crate::http1::{AnswerHead, Lines};

/// What an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Page {
        is_xhtml: bool,
    },
    /// It says nothing of what it is: a browser looks at its first bytes.
    PerhapsPage,
    Script,
}

/// What is done about an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing.
    Passes,
    /// It passes as it is, and this is counted.
    Counted(Finding),
    /// It confirms the caller's changed copy.
    Confirms,
    /// It is the head of what may change.
    Head,
    /// It is looked into.
    Read { holds: Holds, is_gzip: bool },
}

impl Answer {
    pub(super) fn of(head: &AnswerHead, asked: Asked) -> Self {
        if head.status == 304 && asked.has_marked {
            return Self::Confirms;
        }
        if matches!(head.status, 0..200 | 204 | 304) {
            return Self::Passes;
        }
        let kinds: Vec<&[u8]> = head.lines.all("content-type").collect();
        let found = kinds.iter().find_map(|kind| Some((*kind, holds(kind)?)));
        let Some((kind, holds)) = found.or_else(|| taken_for(head, &kinds, asked)) else { return Self::Passes };
        // Of a part it cannot be told whether it is one of a page, where nothing says so.
        if kinds.len() > 1 || head.status == 206 || type_hides_ascii(kind) {
            return if holds == Holds::PerhapsPage { Self::Passes } else { Self::Counted(Finding::Unseen) };
        }
        if asked.head_only {
            return if holds == Holds::PerhapsPage { Self::Passes } else { Self::Head };
        }
        let lines = head.lines.all("content-encoding");
        let mut codings = lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
        let mut codings = codings.by_ref().filter(|coding| !coding.is_empty() && !is_any(coding, &["identity"]));
        match (codings.next(), codings.next()) {
            (None, _) => Self::Read { holds, is_gzip: false },
            (Some(coding), None) if is_any(coding, &["gzip", "x-gzip"]) => Self::Read { holds, is_gzip: true },
            (Some(_), _) => Self::Counted(Finding::Encoded),
        }
    }
}

fn is_any(text: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()))
}

fn holds(kind: &[u8]) -> Option<Holds> {
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    match essence {
        _ if is_any(essence, &["text/html"]) => Some(Holds::Page { is_xhtml: false }),
        _ if is_any(essence, &["application/xhtml+xml"]) => Some(Holds::Page { is_xhtml: true }),
        _ => is_javascript(essence).then_some(Holds::Script),
    }
}

/// What a browser takes an answer for that does not say that it is a page or a script, unless it is told not to (`nosniff`).
fn taken_for<'k>(head: &AnswerHead, kinds: &[&'k [u8]], asked: Asked) -> Option<(&'k [u8], Holds)> {
    if head.lines.all("x-content-type-options").any(|line| is_any(line.trim_ascii(), &["nosniff"])) {
        return None;
    }
    let kind = kinds.first().copied().unwrap_or_default();
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let is_unsaid = is_any(essence, &["", "*/*", "unknown/unknown", "application/unknown"]);
    if asked.for_script && (is_unsaid || is_any(essence, &["text/plain", "application/octet-stream"])) {
        return Some((kind, Holds::Script));
    }
    is_unsaid.then_some((kind, Holds::PerhapsPage))
}

/// Lines that are about the bytes of a body, and so not about what is made of it.
const OF_BYTES: [&str; 7] =
    ["content-length", "content-md5", "digest", "repr-digest", "content-digest", "accept-ranges", "etag"];

/// The lines of an answer that changes, or may.
pub(super) fn changed(lines: &Lines) -> Lines {
    of(lines, tag::marked)
}

/// The lines of a head without a body: whether the body would change is not known.
pub(super) fn of_head(lines: &Lines) -> Lines {
    of(lines, |_| None)
}

/// The lines that confirm a changed copy.
pub(super) fn confirming(lines: &Lines) -> Lines {
    let tag = lines.first("etag").and_then(tag::marked);
    let each = lines.iter().filter(|line| !line.is("content-length"));
    Lines::of(each.map(|line| (line.name, tag.as_deref().filter(|_| line.is("etag")).unwrap_or(line.value))))
}

/// The trailers of an answer that changes, or may.
pub(in super::super) fn trailers(lines: &Lines) -> Lines {
    let kept = lines.iter().filter(|line| !OF_BYTES.iter().any(|name| line.is(name)));
    Lines::of(kept.map(|line| (line.name, line.value)))
}

fn of(lines: &Lines, marked: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Lines {
    let tag = lines.first("etag").and_then(marked);
    let kept = lines.iter().filter(|line| !OF_BYTES.iter().any(|name| line.is(name)));
    let ours = [("Accept-Ranges", Some(&b"none"[..])), ("ETag", tag.as_deref())];
    let ours = ours.into_iter().filter_map(|(name, value)| Some((name.as_bytes(), value?)));
    Lines::of(kept.map(|line| (line.name, line.value)).chain(ours))
}
