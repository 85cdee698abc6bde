//! A script as tokens: as much of JavaScript's grammar as tells code from texts, comments and regular expressions, and finds
//! the bracket that closes another. It refuses nothing; what cannot be right makes the reading unsound.

use super::super::super::steps;
use super::space::{line_end, space};
pub(super) use super::token::Kind;
use super::token::{Place, Token};

/// The tokens of a script.
pub(super) struct Tokens<'a> {
    text: &'a [u8],
    tokens: Vec<Token>,
    /// Where the first thing stands that was not understood.
    pub(super) fault: Option<usize>,
    /// The brackets that are open.
    open: Vec<usize>,
    at: usize,
    /// Up to here no further regular expression is looked for: one that began on this line did not end on it.
    no_regex_before: usize,
}

impl<'a> Tokens<'a> {
    /// Reads a script.
    pub(super) fn of(text: &'a [u8]) -> Self {
        let mut tokens = Self { text, tokens: Vec::new(), fault: None, open: Vec::new(), at: 0, no_regex_before: 0 };
        if Place::of(text.len()) == Place::NONE {
            // Four gibibytes are no script.
            tokens.is_wrong();
            return tokens;
        }
        if text.starts_with(b"#!") {
            tokens.skip_line();
        }
        while tokens.skip_blank() {
            tokens.next();
        }
        if !tokens.open.is_empty() {
            tokens.is_wrong();
        }
        tokens
    }

    pub(super) const fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn kind(&self, at: usize) -> Option<Kind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    /// The token as it is written; empty where there is none.
    pub(super) fn text(&self, at: usize) -> &'a [u8] {
        let (from, to) = self.place(at);
        self.text.get(from..to).unwrap_or_default()
    }

    /// What stands in the quotes.
    pub(super) fn inside(&self, at: usize) -> &'a [u8] {
        let text = self.text(at);
        text.get(1..text.len().saturating_sub(1)).unwrap_or_default()
    }

    pub(super) fn is(&self, at: usize, mark: u8) -> bool {
        self.kind(at) == Some(Kind::Mark(mark))
    }

    pub(super) fn parent(&self, at: usize) -> Option<usize> {
        self.tokens.get(at)?.parent.at()
    }

    /// What closes the bracket that opens here.
    pub(super) fn close(&self, at: usize) -> Option<usize> {
        self.tokens.get(at)?.partner.at().filter(|partner| *partner > at)
    }

    /// Where the token begins and ends.
    pub(super) fn place(&self, at: usize) -> (usize, usize) {
        let found = self.tokens.get(at).and_then(|token| Some((token.from.at()?, token.to.at()?)));
        found.unwrap_or_default()
    }

    /// The tokens that stand in a bracket, and in no other within it.
    pub(super) fn children(&self, open: usize) -> impl Iterator<Item = usize> {
        let close = self.close(open).unwrap_or(open);
        let mut at = open;
        // What stands in a bracket within it is passed over, so that brackets in brackets are not read again for each.
        std::iter::from_fn(move || {
            steps::add(1);
            at = if at == open { open + 1 } else { self.close(at).unwrap_or(at + 1) };
            (at < close).then_some(at)
        })
    }

    /// The name of a property, where the token could be one: at the beginning, or behind a comma.
    pub(super) fn key(&self, at: usize) -> Option<&'a [u8]> {
        let before = at.checked_sub(1)?;
        let begins = Some(before) == self.parent(at) || self.is(before, b',');
        match self.kind(at)? {
            Kind::Word if begins => Some(self.text(at)),
            Kind::Quoted if begins => Some(self.inside(at)),
            _ => None,
        }
    }

    /// Whether this is `=`, and no part of another operator. Gives what stands behind it. `||=`, `&&=` and `??=` assign
    /// as well.
    pub(super) fn assigned(&self, at: usize) -> Option<usize> {
        let mut at = at;
        while self.is(at, b'|') || self.is(at, b'&') || self.is(at, b'?') {
            steps::add(1);
            at += 1;
        }
        let glued = |mark| self.is(at + 1, mark) && self.place(at + 1).0 == self.place(at).1;
        (self.is(at, b'=') && !glued(b'=') && !glued(b'>')).then_some(at + 1)
    }

    fn is_wrong(&mut self) {
        self.fault.get_or_insert(self.at.min(self.text.len()));
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or_default()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Skips blanks and comments. `false` at the end.
    fn skip_blank(&mut self) -> bool {
        let mut begins_line = self.tokens.is_empty() && self.at == 0;
        loop {
            steps::add(1);
            let rest = self.rest();
            if rest.is_empty() {
                return false;
            }
            if let Some(length) = space(rest) {
                begins_line |= line_end(rest).is_some();
                self.at += length;
            } else if rest.starts_with(b"//") || rest.starts_with(b"<!--") || (begins_line && rest.starts_with(b"-->"))
            {
                self.skip_line();
            } else if rest.starts_with(b"/*") {
                let end = memchr::memmem::find(rest.get(2..).unwrap_or_default(), b"*/");
                if end.is_none() {
                    self.is_wrong();
                }
                let comment = end.map_or(rest, |end| rest.get(..end + 4).unwrap_or(rest));
                steps::add(comment.len());
                begins_line |= comment.contains(&b'\n');
                self.at += comment.len();
            } else {
                return true;
            }
        }
    }

    fn skip_line(&mut self) {
        while !self.rest().is_empty() && line_end(self.rest()).is_none() {
            steps::add(1);
            self.at += 1;
        }
    }

    fn next(&mut self) {
        let from = self.at;
        match self.peek(0) {
            quote @ (b'"' | b'\'') => self.quoted(quote),
            b'`' => self.template(),
            b'/' if self.may_begin_regex() && self.regex() => {}
            byte if is_of_word(byte) => {
                while is_of_word(self.peek(0)) && space(self.rest()).is_none() {
                    steps::add(1);
                    self.at += 1;
                }
                self.push(Kind::Word, from, None);
            }
            b'}' if self.is_in_template() => self.template(),
            mark => self.mark(mark),
        }
    }

    fn push(&mut self, kind: Kind, from: usize, partner: Option<usize>) {
        let parent = self.open.last().map_or(Place::NONE, |open| Place::of(*open));
        let partner = partner.map_or(Place::NONE, Place::of);
        self.tokens.push(Token { kind, from: Place::of(from), to: Place::of(self.at), parent, partner });
    }

    fn mark(&mut self, mark: u8) {
        let from = self.at;
        self.at += 1;
        let opened = if matches!(mark, b')' | b']' | b'}') { self.shut(mark) } else { None };
        self.push(Kind::Mark(mark), from, opened);
        if matches!(mark, b'(' | b'[' | b'{') {
            self.open.push(self.tokens.len() - 1);
        }
    }

    /// Closes the bracket that is open, and gives it; the token that closes it is pushed next.
    fn shut(&mut self, mark: u8) -> Option<usize> {
        let opening = match mark {
            b')' => b'(',
            b']' => b'[',
            _ => b'{',
        };
        let close = self.tokens.len();
        match self.open.last().and_then(|open| self.tokens.get_mut(*open)) {
            Some(open) if open.kind == Kind::Mark(opening) => {
                open.partner = Place::of(close);
                self.open.pop()
            }
            _ => {
                self.is_wrong();
                None
            }
        }
    }

    fn quoted(&mut self, quote: u8) {
        let from = self.at;
        self.at += 1;
        loop {
            steps::add(1);
            match self.peek(0) {
                b'\\' if self.rest().starts_with(b"\\\r\n") => self.at += 3,
                b'\\' => self.at += 2,
                byte if byte == quote => {
                    self.at += 1;
                    break;
                }
                b'\n' | b'\r' => {
                    self.is_wrong();
                    break;
                }
                _ if self.rest().is_empty() => {
                    self.is_wrong();
                    break;
                }
                _ => self.at += 1,
            }
        }
        self.at = self.at.min(self.text.len());
        self.push(Kind::Quoted, from, None);
    }

    fn is_in_template(&self) -> bool {
        self.open.last().and_then(|open| self.kind(*open)) == Some(Kind::Template)
    }

    /// A piece of a template: from its first mark, or from where what it holds ends.
    fn template(&mut self) {
        let from = self.at;
        if self.peek(0) == b'}' {
            let close = self.tokens.len();
            if let Some(open) = self.open.pop().and_then(|open| self.tokens.get_mut(open)) {
                open.partner = Place::of(close);
            }
        }
        self.at += 1;
        loop {
            steps::add(1);
            match self.peek(0) {
                b'\\' => self.at += 2,
                b'`' => {
                    self.at += 1;
                    self.push(Kind::Template, from, None);
                    return;
                }
                b'$' if self.peek(1) == b'{' => {
                    self.at += 2;
                    self.push(Kind::Template, from, None);
                    self.open.push(self.tokens.len() - 1);
                    return;
                }
                _ if self.rest().is_empty() => break,
                _ => self.at += 1,
            }
        }
        self.is_wrong();
        self.at = self.at.min(self.text.len());
        self.push(Kind::Template, from, None);
    }

    /// Reads a regular expression. `false` if it does not end on its line, as each must: then it is a division.
    fn regex(&mut self) -> bool {
        let from = self.at;
        let (mut at, mut in_class) = (from + 1, false);
        loop {
            steps::add(1);
            match self.text.get(at).copied() {
                None | Some(b'\n' | b'\r') => {
                    self.no_regex_before = at;
                    return false;
                }
                Some(b'\\') => at += 1,
                Some(b'[') => in_class = true,
                Some(b']') => in_class = false,
                Some(b'/') if !in_class => break,
                Some(_) => {}
            }
            at += 1;
        }
        self.at = at + 1;
        while self.peek(0).is_ascii_alphabetic() {
            self.at += 1;
        }
        self.push(Kind::Regex, from, None);
        true
    }

    /// Whether a slash here begins a regular expression, or divides.
    fn may_begin_regex(&self) -> bool {
        if self.at < self.no_regex_before {
            return false;
        }
        let Some(last) = self.tokens.len().checked_sub(1) else { return true };
        match self.kind(last) {
            Some(Kind::Word) => {
                let is_property = last.checked_sub(1).is_some_and(|before| self.is(before, b'.'));
                !is_property && is_before_expression(self.text(last))
            }
            Some(Kind::Template) => self.is_in_template() && self.open.last() == Some(&last),
            Some(Kind::Mark(b')')) => self.closes_condition(last),
            Some(Kind::Mark(b']')) => false,
            // a++ / b
            Some(Kind::Mark(mark @ (b'+' | b'-'))) => !last.checked_sub(1).is_some_and(|before| self.is(before, mark)),
            Some(Kind::Mark(_)) => true,
            Some(Kind::Quoted | Kind::Regex) | None => false,
        }
    }

    /// if (…) /…/.test(…)
    fn closes_condition(&self, close: usize) -> bool {
        let open = self.tokens.get(close).and_then(|token| token.partner.at());
        let before = open.and_then(|open| open.checked_sub(1));
        before.is_some_and(|before| matches!(self.text(before), b"if" | b"while" | b"for" | b"with"))
    }
}

/// Keywords behind which an expression begins.
fn is_before_expression(word: &[u8]) -> bool {
    const WORDS: [&str; 14] = [
        "return",
        "typeof",
        "instanceof",
        "in",
        "of",
        "new",
        "delete",
        "void",
        "throw",
        "case",
        "do",
        "else",
        "yield",
        "await",
    ];
    WORDS.iter().any(|each| each.as_bytes() == word)
}

/// Also what is not ASCII, and what escapes it.
const fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'#' | b'\\') || byte >= 0x80
}
