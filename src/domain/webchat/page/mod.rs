//! A page as it streams through: everything passes at once, but the text of a script, which is held back until it has ended.
//!
//! Only as much of HTML is read as tells where scripts begin and end (HTML Living Standard §13.2.5): tags with their quotes,
//! comments, and the elements in which a tag is text. XHTML differs in that `<script/>` has ended.

mod ends;
mod named;
mod recent;
mod tags;

use std::fmt;

use self::ends::{CommentEnd, ElementEnd};
pub(super) use self::named::Named;
pub use self::tags::is_javascript;
use self::tags::{Holds, Step, Tags};
use super::super::steps;
use super::pin::Pins;
use super::script::is_named;
use super::{Edited, Finding, Findings, edited};

/// A page, of which any part may have come.
pub struct Page {
    at: At,
    tags: Tags,
    /// What has come of a script.
    held: Vec<u8>,
    held_max: usize,
    /// Hashes by which the page's policies allow scripts, and how much more of its own policies is read.
    allowed: Pins,
    policies_left: usize,
    integrity: Vec<u8>,
    /// The configuration's names outside the scripts that are looked into.
    named: Named,
    findings: Findings,
    changed: bool,
    /// Whether it is in a charset in which its scripts cannot be read.
    hides_ascii: bool,
}

// What it holds is a customer's: it is never shown.
impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("findings", &self.findings).finish_non_exhaustive()
    }
}

/// Where the page is.
#[derive(Debug)]
enum At {
    /// In text, or in a tag.
    Tags,
    Comment(CommentEnd),
    /// In an element in which tags are text.
    Text(ElementEnd),
    /// In a script that is held back.
    Script(ElementEnd),
    /// In a script that is too long to be held back.
    LongScript(ElementEnd, Named),
}

/// Bytes that are read of a page's own policies.
const POLICIES_MAX: usize = 64 * 1024;

impl Page {
    /// A page of which nothing has come. `policies` are the `Content-Security-Policy` lines of its answer.
    #[must_use]
    pub fn new(is_xhtml: bool, held_max: usize, policies: &[u8]) -> Self {
        Self {
            at: At::Tags,
            tags: Tags::new(is_xhtml),
            held: Vec::new(),
            held_max,
            allowed: Pins::of(policies),
            policies_left: POLICIES_MAX,
            integrity: Vec::new(),
            named: Named::default(),
            findings: Findings::default(),
            changed: false,
            hides_ascii: false,
        }
    }

    /// Takes what came next, and appends what goes on.
    pub fn push(&mut self, came: &[u8], out: &mut Vec<u8>) {
        out.reserve(came.len());
        came.iter().for_each(|byte| self.byte(*byte, out));
    }

    /// The page has ended. A script that has not does not run, and stays as it is.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
        if self.named.found {
            self.findings.add(Finding::Unseen);
        }
    }

    /// What was found.
    #[must_use]
    pub const fn findings(&self) -> Findings {
        self.findings
    }

    /// Whether something else goes on than came.
    #[must_use]
    pub const fn has_changed(&self) -> bool {
        self.changed
    }

    /// The values of `integrity` that came since this was last asked, divided by blanks.
    pub fn take_integrity(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.integrity)
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        steps::add(1);
        let ended = match &mut self.at {
            At::Script(end) => {
                self.held.push(byte);
                if end.with(byte) {
                    self.script(out);
                    self.ended(byte);
                } else if self.held.len() > self.held_max {
                    self.too_long(out);
                }
                return;
            }
            At::Tags => {
                self.named.with(byte);
                self.tag(byte);
                false
            }
            At::Comment(end) => {
                if end.with(byte) {
                    self.at = At::Tags;
                }
                false
            }
            At::Text(end) => {
                self.named.with(byte);
                end.with(byte)
            }
            At::LongScript(end, named) => {
                named.with(byte);
                let ended = end.with(byte);
                if named.found {
                    self.findings.add(Finding::TooLong);
                }
                ended
            }
        };
        out.push(byte);
        if ended {
            self.ended(byte);
        }
    }

    /// The end tag of an element without tags has been read as far as this byte, which is the first behind its name.
    fn ended(&mut self, byte: u8) {
        self.at = At::Tags;
        self.tags.ends(byte);
    }

    fn tag(&mut self, byte: u8) {
        match self.tags.with(byte) {
            Step::On => {}
            Step::Comment => self.at = At::Comment(CommentEnd::default()),
            Step::Began => {
                self.hides_ascii |= self.tags.hides_ascii();
                if let Some(policy) = self.tags.policy() {
                    let policy = policy.get(..self.policies_left.min(policy.len())).unwrap_or_default();
                    self.policies_left -= policy.len();
                    self.allowed.learn(policy);
                }
                if let Some(integrity) = self.tags.integrity() {
                    self.integrity.extend_from_slice(integrity);
                    self.integrity.push(b' ');
                }
                self.at = match self.tags.holds() {
                    Holds::Tags => At::Tags,
                    Holds::Text(name) => At::Text(ElementEnd::of(name)),
                    Holds::Script => At::Script(ElementEnd::of_script()),
                    Holds::Data => At::Text(ElementEnd::of_script()),
                };
            }
        }
    }

    /// The script has ended, and its end tag is held, too.
    fn script(&mut self, out: &mut Vec<u8>) {
        let end = self.held.len().saturating_sub(ends::SCRIPT.len() + 1);
        let (text, tag) = self.held.split_at(end);
        steps::add(text.len());
        let mut found = edited(text);
        if self.hides_ascii && is_named(text) {
            found = Edited { text: None, findings: Findings::from_iter([Finding::Unseen]) };
        }
        if found.text.is_some() && self.allowed.has(&without_returns(text)) {
            found.text = None;
            found.findings = Findings::from_iter([Finding::Pinned]);
        }
        self.changed |= found.text.is_some();
        self.findings.join(found.findings);
        out.extend_from_slice(found.text.as_deref().unwrap_or(text));
        out.extend_from_slice(tag);
        self.held.clear();
    }

    fn too_long(&mut self, out: &mut Vec<u8>) {
        let At::Script(end) = std::mem::replace(&mut self.at, At::Tags) else { return };
        let mut named = Named::default();
        self.held.iter().for_each(|byte| named.with(*byte));
        self.at = At::LongScript(end, named);
        out.append(&mut self.held);
    }
}

/// The text as a browser hashes it: it makes one of all ends of lines (§13.2.3.5).
fn without_returns(text: &[u8]) -> Vec<u8> {
    let mut lines = text.to_vec();
    let mut before = 0;
    lines.retain(|byte| {
        let doubled = before == b'\r' && *byte == b'\n';
        before = *byte;
        !doubled
    });
    lines.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
    lines
}

#[cfg(test)]
mod tests;
