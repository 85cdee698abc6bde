//! Sets `learningOptOut: true` in the configurations that a script holds.
//!
//! A configuration is an object literal that is assigned to `watsonAssistantChatOptions`, given to
//! `loadWatsonAssistantChat`, or has `integrationID: "…"` and `region` in a script that names one of the two.

mod file;
mod literal;
mod space;
mod token;
mod tokens;

use std::fmt;

pub use self::file::Script;
use self::literal::{Change, Literal};
use self::tokens::{Kind, Tokens};
use super::super::steps;
use super::{Finding, Findings, LOADER, OPTIONS};

/// More configurations than this are no page's; each costs a look at all that is in it.
const LITERALS_MAX: usize = 64;

/// A script that was looked into.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Edited {
    /// The script as it goes on; `None` where it stays as it is.
    pub text: Option<Vec<u8>>,
    /// What was found in it.
    pub findings: Findings,
}

// What it holds is a customer's: it is never shown.
impl fmt::Debug for Edited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edited").field("findings", &self.findings).finish_non_exhaustive()
    }
}

/// Looks into a script.
#[must_use]
pub fn edited(text: &[u8]) -> Edited {
    if !is_named(text) {
        return Edited::default();
    }
    let tokens = Tokens::of(text);
    let mut sites = Sites { tokens: &tokens, literals: Vec::new(), looks: 0, elsewhere: false, overridden: false };
    (0..tokens.len()).for_each(|at| sites.look(at));
    let direct = sites.literals.len();
    (0..tokens.len()).for_each(|at| sites.look_at_keys(at));
    let (literals, mut findings) = (sites.literals, Findings::default());
    // What is assigned as a variable may well be the literal that was found by its keys.
    let is_missed = sites.elsewhere && literals.len() == direct;
    if is_missed || sites.overridden || (literals.is_empty() && tokens.fault.is_some()) {
        findings.add(Finding::Unseen);
    }
    let mut changes = Vec::new();
    for open in literals {
        let before = changes.len();
        Literal::new(&tokens, open).opt_out(&mut changes);
        findings.add(if changes.len() > before { Finding::Set } else { Finding::Already });
    }
    let text = (!changes.is_empty()).then(|| applied(text, changes));
    Edited { text, findings }
}

/// Whether it names what Web Chat is configured by. Nearly no script does, and the others need not be read.
pub(super) fn is_named(text: &[u8]) -> bool {
    [OPTIONS, LOADER].iter().any(|name| memchr::memmem::find(text, name.as_bytes()).is_some())
}

fn applied(text: &[u8], mut changes: Vec<Change>) -> Vec<u8> {
    changes.sort_unstable_by_key(|change| change.from);
    let mut out = Vec::with_capacity(text.len() + 64);
    let mut from = 0;
    for change in changes {
        // A literal within a literal's replaced value went with it.
        if change.from < from {
            continue;
        }
        out.extend_from_slice(text.get(from..change.from).unwrap_or_default());
        out.extend_from_slice(change.with.as_bytes());
        from = change.to;
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
    out
}

/// Where a script names Web Chat's configuration.
struct Sites<'a> {
    tokens: &'a Tokens<'a>,
    /// The opening braces of the literals.
    literals: Vec<usize>,
    /// How many of them, and of what might be some, were looked at.
    looks: usize,
    /// Whether a configuration is made in a way that is not read.
    elsewhere: bool,
    /// Whether the opt-out of a configuration is written somewhere else.
    overridden: bool,
}

impl Sites<'_> {
    /// Looks at one token.
    fn look(&mut self, at: usize) {
        steps::add(1);
        match self.tokens.kind(at) {
            Some(Kind::Word) if self.tokens.text(at) == OPTIONS.as_bytes() => self.options(at + 1),
            Some(Kind::Word) if self.tokens.text(at) == LOADER.as_bytes() => self.loader(at),
            // window["loadWatsonAssistantChat"]
            Some(Kind::Quoted) if self.tokens.inside(at) == LOADER.as_bytes() => {
                self.elsewhere |= self.tokens.is(at + 1, b']') && self.tokens.is(at + 2, b'(');
            }
            Some(Kind::Quoted) if self.tokens.inside(at) == OPTIONS.as_bytes() => {
                // window["watsonAssistantChatOptions"]
                if self.tokens.is(at + 1, b']') {
                    self.options(at + 2);
                } else {
                    self.elsewhere = true;
                }
            }
            Some(Kind::Quoted | Kind::Template) => self.elsewhere |= names_in_text(self.tokens.text(at)),
            _ => {}
        }
    }

    /// The variable was named, and this stands behind it.
    fn options(&mut self, behind: usize) {
        let tokens = self.tokens;
        let key = if tokens.is(behind, b'.') { behind + 1 } else { behind };
        let end = if tokens.is(behind, b'[') { behind + 3 } else { key + 1 };
        let member = tokens.is(behind, b'.') || tokens.is(behind, b'[');
        let named = tokens.text(key) == super::OPT_OUT.as_bytes()
            || (tokens.is(behind, b'[') && tokens.inside(behind + 1) == super::OPT_OUT.as_bytes());
        if member && named {
            let opts_out =
                |value| tokens.text(value) == b"true" || (tokens.is(value, b'!') && tokens.text(value + 1) == b"0");
            self.overridden |= tokens.assigned(end).is_some_and(|value| !opts_out(value));
            return;
        }
        let Some(mut value) = tokens.assigned(behind) else { return };
        while tokens.is(value, b'(') {
            steps::add(1);
            value += 1;
        }
        if tokens.is(value, b'{') {
            self.take(value);
        } else if !matches!(tokens.text(value), b"null" | b"undefined" | b"void") {
            self.elsewhere = true;
        }
    }

    /// The function was named here.
    fn loader(&mut self, at: usize) {
        let tokens = self.tokens;
        // load?.(…)
        let is_asked = tokens.is(at + 1, b'?') && tokens.is(at + 2, b'.') && tokens.is(at + 3, b'(');
        let open = if is_asked { at + 3 } else { at + 1 };
        if !tokens.is(open, b'(') {
            self.elsewhere |= self.is_handed_on(at);
            return;
        }
        let declared = at.checked_sub(1).is_some_and(|before| tokens.text(before) == b"function")
            || tokens.close(open).is_some_and(|close| tokens.is(close + 1, b'{'));
        if declared {
            return;
        }
        if tokens.is(open + 1, b'{') {
            self.take(open + 1);
        } else {
            self.elsewhere = true;
        }
    }

    /// Whether the function that is named here is called by another name, or by a method of its own.
    fn is_handed_on(&self, at: usize) -> bool {
        let tokens = self.tokens;
        let is_renamed = tokens.text(at + 1) == b"as" && !tokens.text(at + 2).is_empty();
        let dot = if tokens.is(at + 1, b'?') { at + 2 } else { at + 1 };
        let by_method = tokens.is(dot, b'.') && matches!(tokens.text(dot + 1), b"call" | b"apply" | b"bind");
        // load = loadWatsonAssistantChat, load = window.loadWatsonAssistantChat
        let object = at.checked_sub(2).filter(|object| tokens.is(object + 1, b'.'));
        let first = object.unwrap_or(at);
        let compares = |before: usize| [b'=', b'!', b'<', b'>'].iter().any(|mark| tokens.is(before, *mark));
        let value =
            |equals: usize| tokens.assigned(equals) == Some(first) && !equals.checked_sub(1).is_some_and(compares);
        let is_value = first.checked_sub(1).is_some_and(value) && tokens.assigned(at + 1).is_none();
        is_renamed || by_method || is_value
    }

    /// A literal that has the configuration's keys. Only a text tells a literal from a pattern that takes one apart.
    fn look_at_keys(&mut self, at: usize) {
        steps::add(1);
        let tokens = self.tokens;
        let is_key = tokens.key(at) == Some(b"integrationID") && tokens.is(at + 1, b':');
        if !is_key || !matches!(tokens.kind(at + 2), Some(Kind::Quoted | Kind::Template)) {
            return;
        }
        let Some(open) = tokens.parent(at).filter(|open| !self.literals.contains(open)) else { return };
        self.looks += 1;
        if self.looks > LITERALS_MAX {
            self.elsewhere = true;
            return;
        }
        let has_region = tokens.children(open).any(|child| tokens.key(child) == Some(b"region"));
        if has_region && tokens.is(open, b'{') {
            self.take(open);
        }
    }

    fn take(&mut self, open: usize) {
        let end = self.tokens.close(open).map(|close| self.tokens.place(close).1);
        let is_read = end.is_some_and(|end| self.tokens.fault.is_none_or(|fault| end <= fault));
        if !is_read || self.literals.len() == LITERALS_MAX {
            self.elsewhere = true;
        } else if !self.literals.contains(&open) {
            self.literals.push(open);
        }
    }
}

/// Whether a configuration is written in a text, which may be made a script of later.
fn names_in_text(text: &[u8]) -> bool {
    steps::add(text.len());
    let called = [LOADER, "("].concat();
    [OPTIONS, &called].iter().any(|name| memchr::memmem::find(text, name.as_bytes()).is_some())
}

#[cfg(test)]
mod tests;
