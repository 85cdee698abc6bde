//! Rust source split into code and prose, so that a word in a comment is no dependency and a brace in a string no block.
//!
//! Both halves keep every line in its place. It is a lexer of the few tokens that can hide others, not a parser.

/// A source file, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The code; comments and the inside of literals are blank.
    pub(crate) code: String,
    /// The comments; everything else is blank.
    pub(crate) prose: String,
}

#[derive(Clone, Copy)]
enum Inside {
    Code,
    Line,
    /// Block comments nest.
    Block(usize),
    /// A string that ends with `"` and so many `#`; raw ones know no escapes.
    Text {
        hashes: usize,
        is_raw: bool,
    },
}

impl Source {
    pub(crate) fn of(text: &str) -> Self {
        let mut lexer = Lexer { left: text, source: Self { code: String::new(), prose: String::new() } };
        let mut inside = Inside::Code;
        while !lexer.left.is_empty() {
            inside = lexer.step(inside);
        }
        lexer.source
    }
}

struct Lexer<'a> {
    left: &'a str,
    source: Source,
}

impl Lexer<'_> {
    fn step(&mut self, inside: Inside) -> Inside {
        match inside {
            Inside::Code => self.code(),
            Inside::Line if self.left.starts_with('\n') => self.take(1, Inside::Code, Inside::Code),
            Inside::Line => self.take(1, Inside::Line, Inside::Line),
            Inside::Block(depth) if self.left.starts_with("*/") => {
                let next = if depth == 1 { Inside::Code } else { Inside::Block(depth - 1) };
                self.take(2, inside, next)
            }
            Inside::Block(depth) if self.left.starts_with("/*") => self.take(2, inside, Inside::Block(depth + 1)),
            Inside::Block(_) => self.take(1, inside, inside),
            Inside::Text { is_raw: false, .. } if self.left.starts_with('\\') => self.take(2, inside, inside),
            Inside::Text { hashes, .. } if self.ends_text(hashes) => self.take(1 + hashes, Inside::Code, Inside::Code),
            Inside::Text { .. } => self.take(1, inside, inside),
        }
    }

    fn ends_text(&self, hashes: usize) -> bool {
        let after = self.left.strip_prefix('"');
        after.is_some_and(|after| after.bytes().take_while(|byte| *byte == b'#').take(hashes).count() == hashes)
    }

    fn code(&mut self) -> Inside {
        if self.left.starts_with("//") {
            return self.take(2, Inside::Line, Inside::Line);
        }
        if self.left.starts_with("/*") {
            return self.take(2, Inside::Block(1), Inside::Block(1));
        }
        if self.left.starts_with('"') {
            return self.take(1, Inside::Code, Inside::Text { hashes: 0, is_raw: false });
        }
        if let Some(hashes) = self.raw_string() {
            return self.take(hashes + 2, Inside::Code, Inside::Text { hashes, is_raw: true });
        }
        match self.char_literal() {
            Some(length) => self.take(length, Inside::Line, Inside::Code),
            None => self.take(1, Inside::Code, Inside::Code),
        }
    }

    /// How many `#` a raw string that begins here has.
    fn raw_string(&self) -> Option<usize> {
        let after = self.left.strip_prefix('r')?;
        if self.source.code.ends_with(|last: char| last.is_alphanumeric() && last != 'b' && last != 'c') {
            return None;
        }
        let hashes = after.len() - after.trim_start_matches('#').len();
        after.trim_start_matches('#').starts_with('"').then_some(hashes)
    }

    /// How many characters a char literal that begins here has; a lifetime is none.
    fn char_literal(&self) -> Option<usize> {
        let after = self.left.strip_prefix('\'')?;
        if let Some(escaped) = after.strip_prefix('\\') {
            let (name, _) = escaped.get(1..)?.split_once('\'')?;
            return Some(name.chars().count() + 4);
        }
        after.chars().nth(1).filter(|second| *second == '\'').map(|_| 3)
    }

    /// Moves so many characters to the half they belong to, and blanks to the other.
    fn take(&mut self, count: usize, belongs: Inside, next: Inside) -> Inside {
        let mut chars = self.left.chars();
        for taken in chars.by_ref().take(count) {
            let blank = if taken == '\n' { '\n' } else { ' ' };
            let (code, prose) = match belongs {
                Inside::Code => (taken, blank),
                // A char literal comes here too, but holds no words.
                Inside::Line | Inside::Block(_) => (blank, taken),
                Inside::Text { .. } => (blank, blank),
            };
            self.source.code.push(code);
            self.source.prose.push(prose);
        }
        self.left = chars.as_str();
        next
    }
}

/// The words of code: identifiers, keywords and numbers.
pub(crate) fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

#[test]
fn comments_literals_and_lifetimes_are_told_apart() {
    let text =
        "fn f<'a>() { // a { comment\n  g(\"s // {\\\" x\", r#\"r \" {\"#, '{', '\\'', b'\"'); /* b /* { */ */ h }\n";
    let source = Source::of(text);
    assert_eq!(source.code.matches('{').count(), 1);
    assert_eq!(source.code.lines().count(), 2);
    assert_eq!(words(&source.code).collect::<Vec<_>>(), ["fn", "f", "a", "g", "r", "b", "h"]);
    assert!(source.prose.contains("a { comment") && source.prose.contains("/* { */"));
    assert!(!source.prose.contains("s // {"));
}
