//! Where the story is told: headings, aligned lines, and a mark before each line that claims something.

use std::fmt::Display;
use std::io::{self, Write};

/// No line is longer, so that the story fits an ordinary terminal.
const COLUMNS: usize = 100;
/// What is said about a line ("service saw") has this width.
const LABEL: usize = 14;
/// What is left for the text.
const ROOM: usize = COLUMNS - LABEL - 4;

/// A terminal or anything else that takes text, and the count of what held.
pub struct Stage<'a> {
    out: &'a mut dyn Write,
    colour: bool,
    held: usize,
    broken: usize,
}

impl std::fmt::Debug for Stage<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("held", &self.held).field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl<'a> Stage<'a> {
    /// Tells the story to `out`; `colour` allows bold headings and coloured marks.
    pub fn new(out: &'a mut dyn Write, colour: bool) -> Self {
        Self { out, colour, held: 0, broken: 0 }
    }

    /// How many claims did not hold.
    #[must_use]
    pub const fn broken(&self) -> usize {
        self.broken
    }

    /// How many claims were made.
    #[must_use]
    pub const fn claims(&self) -> usize {
        self.held + self.broken
    }

    /// A heading with an empty line before it.
    pub(crate) fn heading(&mut self, text: impl Display) -> io::Result<()> {
        let text = self.painted("1", &clipped(&text.to_string(), COLUMNS));
        writeln!(self.out, "\n{text}")
    }

    /// Plain text.
    pub(crate) fn say(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{}", clipped(&format!("   {text}"), COLUMNS))
    }

    /// A line that is as long as it is, for people to copy.
    pub(crate) fn copyable(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "   {text}")
    }

    /// What somebody did.
    pub(crate) fn did(&mut self, label: &str, text: impl Display) -> io::Result<()> {
        self.marked(" ", label, &text.to_string())
    }

    /// What must hold, with what was really observed.
    pub(crate) fn claim(&mut self, holds: bool, label: &str, text: impl Display) -> io::Result<()> {
        *if holds { &mut self.held } else { &mut self.broken } += 1;
        let mark = if holds { self.painted("32", "✓") } else { self.painted("31", "✗") };
        self.marked(&mark, label, &text.to_string())
    }

    /// Somebody's words, on as many lines as they take.
    pub(crate) fn quote(&mut self, text: &str) -> io::Result<()> {
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > ROOM {
                self.marked(" ", "", &std::mem::take(&mut line))?;
            }
            let gap = if line.is_empty() { "" } else { " " };
            line = format!("{line}{gap}{word}");
        }
        self.marked(" ", "", &line)
    }

    fn marked(&mut self, mark: &str, label: &str, text: &str) -> io::Result<()> {
        writeln!(self.out, " {mark} {label:<LABEL$} {}", clipped(text, ROOM))
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The text, or as much of it as there is room for, on one line.
fn clipped(text: &str, room: usize) -> String {
    let text = text.replace(['\r', '\n'], " ");
    if text.chars().count() <= room {
        return text;
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned_clipped_and_counted() {
        let mut out = Vec::new();
        let mut stage = Stage::new(&mut out, false);
        stage.did("app sends", "x".repeat(200)).unwrap();
        stage.claim(true, "service saw", "this").unwrap();
        stage.claim(false, "service saw", "not\nthat").unwrap();
        stage.quote(&"word ".repeat(20)).unwrap();
        assert_eq!((stage.claims(), stage.broken()), (2, 1));
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0].chars().count(), COLUMNS);
        assert_eq!(lines[1..3], [" ✓ service saw    this", " ✗ service saw    not that"]);
        assert_eq!(lines[3..].iter().map(|line| line.matches("word").count()).collect::<Vec<_>>(), [16, 4]);
    }
}
