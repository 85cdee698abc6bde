//! An object literal that configures Web Chat: what has to change in it so that it opts out.

use super::super::OPT_OUT;
use super::tokens::{Kind, Tokens};

/// A part of the script that becomes another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) with: String,
}

/// An object literal.
pub(super) struct Literal<'a> {
    tokens: &'a Tokens<'a>,
    open: usize,
    close: usize,
}

/// What a property says of the opt-out.
enum Says {
    /// Nothing.
    Nothing,
    /// It may say anything: `...other`, `[name]: …`, `get learningOptOut() {…}`.
    Anything,
    /// It opts out.
    Out,
    /// It does not, unless this is changed.
    Not(Change),
}

/// Whether this name is another than the opt-out's, and written without escapes.
fn is_plain(name: &[u8]) -> bool {
    name != OPT_OUT.as_bytes() && !name.contains(&b'\\')
}

impl<'a> Literal<'a> {
    /// The literal that begins with this brace.
    pub(super) fn new(tokens: &'a Tokens<'a>, open: usize) -> Self {
        Self { tokens, open, close: tokens.close(open).unwrap_or(open) }
    }

    /// What has to change. The last property of a name wins, so that one at the end outdoes all that may say it before.
    pub(super) fn opt_out(&self, changes: &mut Vec<Change>) {
        let mut is_out = false;
        for (first, last) in self.properties() {
            match self.says(first, last) {
                Says::Nothing => {}
                Says::Anything => is_out = false,
                Says::Out => is_out = true,
                Says::Not(change) => {
                    changes.push(change);
                    is_out = true;
                }
            }
        }
        if !is_out {
            changes.push(self.appended());
        }
    }

    /// First and last token of each property.
    fn properties(&self) -> Vec<(usize, usize)> {
        let mut properties = Vec::new();
        let mut first = self.open + 1;
        let commas = self.tokens.children(self.open).filter(|at| self.tokens.is(*at, b','));
        for comma in commas.chain([self.close]) {
            if first < comma {
                properties.push((first, comma - 1));
            }
            first = comma + 1;
        }
        properties
    }

    fn says(&self, first: usize, last: usize) -> Says {
        let tokens = self.tokens;
        let Some(key) = tokens.key(first) else { return Says::Anything };
        if key.contains(&b'\\') {
            return Says::Anything;
        }
        let is_opt_out = key == OPT_OUT.as_bytes();
        let (_, end) = tokens.place(last);
        match tokens.kind(first + 1) {
            // { learningOptOut }
            _ if first == last && is_opt_out => Says::Not(Change { from: end, to: end, with: ": true".to_owned() }),
            _ if first == last => Says::Nothing,
            Some(Kind::Mark(b':')) if is_opt_out => {
                let (from, _) = tokens.place(first + 2);
                let says_so = match last - first {
                    2 => tokens.text(last) == b"true",
                    3 => tokens.is(first + 2, b'!') && tokens.text(last) == b"0",
                    _ => false,
                };
                if says_so { Says::Out } else { Says::Not(Change { from, to: end, with: "true".to_owned() }) }
            }
            Some(Kind::Mark(b':')) => Says::Nothing,
            Some(Kind::Mark(b'(')) if !is_opt_out => Says::Nothing,
            // async onLoad(instance) {…}
            Some(Kind::Word) if matches!(key, b"async" | b"get" | b"set") && is_plain(tokens.text(first + 1)) => {
                Says::Nothing
            }
            // A method of that name, an accessor, `async`, or what is no property at all.
            _ => Says::Anything,
        }
    }

    /// Behind the last property, and so before a comment that may stand there.
    fn appended(&self) -> Change {
        let last = self.close - 1;
        let (_, end) = self.tokens.place(last);
        let begins = last == self.open || (self.tokens.is(last, b',') && self.tokens.parent(last) == Some(self.open));
        let comma = if begins { "" } else { "," };
        Change { from: end, to: end, with: format!("{comma} {OPT_OUT}: true") }
    }
}
