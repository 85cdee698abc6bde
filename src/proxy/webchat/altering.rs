//! One answer that is looked into, on its way through: decoded, read, and coded again if it changes or may have.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::time::{Sleep, sleep};

use super::answer::Holds;
use super::gunzip::Gunzip;
use super::{HELD_FOR, Pins};
use crate::domain::webchat::{Finding, Findings, Page, Script};
use crate::http1::Lines;

/// So many bytes are read at once, before others have their turn.
const READ_AT_ONCE: usize = 16 * 1024;
/// And so many that are coded: a thousand times as many may come of them.
const CODED_AT_ONCE: usize = 1024;

/// An answer that is looked into.
pub(in super::super) struct Altering {
    content: Content,
    gzip: Option<Gzip>,
    pins: Arc<Pins>,
    /// The answer as it came, as long as it may yet pass as it is.
    pub(super) raw: Vec<u8>,
    /// What goes on of it, decoded.
    text: Vec<u8>,
    /// How much of it was read, and its first bytes.
    length: u64,
    first: [u8; 2],
    /// What a browser would take it for by its first bytes.
    looks: Looks,
    /// Whether its beginning has gone out, so that it cannot pass as it came any more.
    pub(super) streams: bool,
    /// How long it may be held back.
    pub(super) held_max: usize,
    pub(super) held_for: Pin<Box<Sleep>>,
}

enum Content {
    Page(Box<Page>),
    Script(Box<Script>),
}

/// What the first bytes of an answer say that does not say what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    /// It is a page or a script.
    Right,
    /// It could be a page, and only blanks have come.
    Open,
    /// It is no page.
    Other,
}

/// Made at its first use: most answers never change.
struct Gzip {
    decoder: Gunzip,
    encoder: GzEncoder<Vec<u8>>,
    /// Whether something in it could go out.
    is_behind: bool,
}

// Pages are a customer's: they are never shown.
impl std::fmt::Debug for Altering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Altering").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Altering {
    pub(super) fn new(holds: Holds, is_gzip: bool, lines: &Lines, pins: &Arc<Pins>, held_max: usize) -> Self {
        let policies = || lines.all("content-security-policy").collect::<Vec<_>>().join(&b'\n');
        let gzip = || Gzip {
            decoder: Gunzip::new(),
            encoder: GzEncoder::new(Vec::new(), Compression::default()),
            is_behind: false,
        };
        Self {
            content: match holds {
                Holds::Page { is_xhtml } => Content::Page(Box::new(Page::new(is_xhtml, held_max, &policies()))),
                Holds::PerhapsPage => Content::Page(Box::new(Page::new(false, held_max, &policies()))),
                Holds::Script => Content::Script(Box::new(Script::new(held_max))),
            },
            gzip: is_gzip.then(gzip),
            pins: Arc::clone(pins),
            raw: Vec::new(),
            text: Vec::new(),
            length: 0,
            first: [0; 2],
            looks: if holds == Holds::PerhapsPage { Looks::Open } else { Looks::Right },
            streams: false,
            held_max,
            held_for: Box::pin(sleep(HELD_FOR)),
        }
    }

    pub(super) const fn looks(&self) -> Looks {
        self.looks
    }

    /// How much of the answer is held back.
    pub(super) fn held(&self) -> usize {
        self.raw.len().max(self.text.len())
    }

    /// How much to give it at once.
    pub(super) const fn at_once(&self) -> usize {
        if self.gzip.is_some() { CODED_AT_ONCE } else { READ_AT_ONCE }
    }

    /// Reads what came next. An error where it is not in the coding that its head says.
    pub(super) fn take(&mut self, came: &[u8]) -> io::Result<()> {
        let Some(gzip) = &mut self.gzip else {
            self.read(came);
            return Ok(());
        };
        let decoded = gzip.decoder.take(came, self.streams)?;
        self.read(&decoded);
        Ok(())
    }

    /// It has ended.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if let Some(gzip) = &mut self.gzip {
            let decoded = gzip.decoder.end(self.streams)?;
            self.read(&decoded);
        }
        match &mut self.content {
            Content::Page(page) => page.end(&mut self.text),
            Content::Script(script) => script.end(|text| self.pins.have(text), &mut self.text),
        }
        Ok(())
    }

    fn read(&mut self, came: &[u8]) {
        for (place, byte) in self.first.iter_mut().skip(usize::try_from(self.length).unwrap_or(2)).zip(came) {
            *place = *byte;
        }
        self.length += came.len() as u64;
        let first = came.iter().find(|byte| !byte.is_ascii_whitespace()).filter(|_| self.looks == Looks::Open);
        if let Some(first) = first {
            self.looks = if *first == b'<' { Looks::Right } else { Looks::Other };
        }
        match &mut self.content {
            Content::Page(page) => {
                page.push(came, &mut self.text);
                self.pins.learn(&page.take_integrity());
            }
            Content::Script(script) => script.push(came, &mut self.text),
        }
    }

    pub(super) fn has_changed(&self) -> bool {
        match &self.content {
            Content::Page(page) => page.has_changed(),
            Content::Script(script) => script.has_changed(),
        }
    }

    pub(in super::super) fn findings(&self) -> Findings {
        let mut findings = match &self.content {
            Content::Page(page) => page.findings(),
            Content::Script(script) => script.findings(),
        };
        // UTF-16, in which nothing is found.
        if matches!(self.first, [0xff, 0xfe] | [0xfe, 0xff]) {
            findings.add(Finding::Unseen);
        }
        findings
    }

    /// What goes out next, coded as the answer was.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(gzip) = &mut self.gzip else {
            out.append(&mut self.text);
            return Ok(());
        };
        gzip.is_behind |= !self.text.is_empty();
        gzip.encoder.write_all(&self.text)?;
        self.text.clear();
        out.append(gzip.encoder.get_mut());
        Ok(())
    }

    /// Nothing more comes for now: what the coding still holds goes out.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if let Some(gzip) = self.gzip.as_mut().filter(|gzip| gzip.is_behind) {
            gzip.is_behind = false;
            gzip.encoder.flush()?;
            out.append(gzip.encoder.get_mut());
        }
        Ok(())
    }

    /// The last that goes out.
    pub(super) fn last(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.next(out)?;
        if let Some(gzip) = &mut self.gzip {
            gzip.encoder.try_finish()?;
            out.append(gzip.encoder.get_mut());
        }
        Ok(())
    }
}
