//! Which answers are looked into, and the head of one that changes.

use super::request::Asked;
use super::tag;
use crate::domain::http1::{AnswerHead, Lines};
use crate::domain::webchat::{Finding, is_javascript};

/// What an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Page { is_xhtml: bool },
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
        let found = kinds.iter().find_map(|kind| Some((kind, holds(kind)?)));
        let Some((kind, holds)) = found else { return Self::Passes };
        if kinds.len() > 1 || head.status == 206 || !is_ascii_and_more(kind) {
            return Self::Counted(Finding::Unseen);
        }
        if asked.head_only {
            return Self::Head;
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

/// Whether every byte below 0x80 is the ASCII character, wherever it stands.
fn is_ascii_and_more(kind: &[u8]) -> bool {
    const OTHERS: [&str; 10] = ["utf-16", "utf-32", "utf-7", "ucs-", "iso-2022", "shift", "sjis", "gb", "big5", "hz-"];
    let lower = kind.to_ascii_lowercase();
    let Some(at) = memchr::memmem::find(&lower, b"charset=") else { return true };
    let charset = lower.get(at + "charset=".len()..).unwrap_or_default();
    let charset = charset.strip_prefix(b"\"").unwrap_or(charset);
    !OTHERS.iter().any(|other| charset.starts_with(other.as_bytes()))
}

/// Lines that are about the bytes of a body, and so not about what is made of it.
const OF_BYTES: [&str; 6] =
    ["content-length", "content-md5", "digest", "repr-digest", "content-digest", "accept-ranges"];

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

fn of(lines: &Lines, marked: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Lines {
    let tag = lines.first("etag").and_then(marked);
    let kept = lines.iter().filter(|line| !OF_BYTES.iter().any(|name| line.is(name)) && !line.is("etag"));
    let ours = [("Accept-Ranges", Some(&b"none"[..])), ("ETag", tag.as_deref())];
    let ours = ours.into_iter().filter_map(|(name, value)| Some((name.as_bytes(), value?)));
    Lines::of(kept.map(|line| (line.name, line.value)).chain(ours))
}
