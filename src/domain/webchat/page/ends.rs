//! Where an element ends in which tags are text, and where a comment ends.

use super::recent::Recent;

/// How a script's end tag begins.
pub(super) const SCRIPT: &[u8] = b"</script";

/// What ends an element in which tags are text.
#[derive(Clone, Copy, Debug)]
pub(super) struct ElementEnd {
    recent: Recent,
    /// How the end tag begins, in lower case; nothing ends `plaintext`.
    tag: &'static [u8],
    /// Only in a script: `<!--` came, and perhaps `<script` behind it. Then `</script` is text, once (§13.2.5.20 ff.).
    escaped: Escaped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escaped {
    /// Not in this element.
    Never,
    Not,
    Once,
    Twice,
}

impl ElementEnd {
    pub(super) fn of(tag: &'static [u8]) -> Self {
        Self { recent: Recent::default(), tag, escaped: Escaped::Never }
    }

    pub(super) fn of_script() -> Self {
        Self { escaped: Escaped::Not, ..Self::of(SCRIPT) }
    }

    /// Whether this is the first byte behind the name in the end tag.
    pub(super) fn with(&mut self, byte: u8) -> bool {
        let ends_name = matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ' | b'/' | b'>');
        if ends_name && !self.tag.is_empty() && self.recent.are(self.tag) {
            if self.escaped != Escaped::Twice {
                return true;
            }
            self.escaped = Escaped::Once;
        } else if ends_name && self.escaped == Escaped::Once && self.recent.are(b"<script") {
            self.escaped = Escaped::Twice;
        }
        self.recent.push(byte.to_ascii_lowercase());
        match self.escaped {
            Escaped::Not if self.recent.are(b"<!--") => self.escaped = Escaped::Once,
            Escaped::Once | Escaped::Twice if self.recent.are(b"-->") => self.escaped = Escaped::Not,
            Escaped::Never | Escaped::Not | Escaped::Once | Escaped::Twice => {}
        }
        false
    }
}

/// What ends a comment, behind `<!--`.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommentEnd {
    recent: Recent,
    /// How much of it has come, as far as that matters.
    length: u8,
}

impl Default for CommentEnd {
    fn default() -> Self {
        let mut recent = Recent::default();
        b"--".iter().for_each(|dash| recent.push(*dash));
        Self { recent, length: 0 }
    }
}

impl CommentEnd {
    pub(super) fn with(&mut self, byte: u8) -> bool {
        self.recent.push(byte);
        self.length = self.length.saturating_add(1);
        // The dashes that begin it may end it, but not with an exclamation mark: `<!-->`, `<!--->`.
        self.recent.are(b"-->") || (self.length >= 4 && self.recent.are(b"--!>"))
    }
}
