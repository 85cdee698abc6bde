//! Tags: where they begin and end, and what the few say that matter here.

use super::super::charset::{hides_ascii, type_hides_ascii};
use super::recent::Recent;

/// What one more byte makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing new.
    On,
    /// A comment begins behind it.
    Comment,
    /// A start tag has ended with it.
    Began,
}

/// What an element holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Tags, as most do.
    Tags,
    /// Text up to the end tag that begins so.
    Text(&'static [u8]),
    /// A script that is looked into.
    Script,
    /// A script element that holds none, or that is elsewhere.
    Data,
}

#[derive(Clone, Copy, Debug)]
enum At {
    Text,
    /// Behind `<`.
    Open,
    /// Behind `</`.
    OpenEnd,
    /// Behind `<!`, and so many bytes of what may be there.
    Declaration(usize),
    /// In what is no tag, up to `>`.
    Bogus,
    Cdata(Recent),
    Name,
    BeforeAttribute,
    Attribute,
    AfterAttribute,
    BeforeValue,
    /// In a value between these quotes.
    Quoted(u8),
    Unquoted,
    AfterValue,
    /// Behind a slash.
    Slash,
}

/// Longest name that matters.
const NAME_MAX: usize = 16;
/// Longest value that is kept: a policy may name hundreds of hashes.
const VALUE_MAX: usize = 64 * 1024;

const CDATA: &[u8] = b"[CDATA[";

/// The elements in which tags are text, in a browser that runs scripts.
const TEXTS: [(&str, &[u8]); 9] = [
    ("title", b"</title"),
    ("textarea", b"</textarea"),
    ("style", b"</style"),
    ("xmp", b"</xmp"),
    ("iframe", b"</iframe"),
    ("noembed", b"</noembed"),
    ("noframes", b"</noframes"),
    ("noscript", b"</noscript"),
    ("plaintext", b""),
];

/// The words for JavaScript (MIME Sniffing §4.6), in lower case.
const JAVASCRIPT: [&str; 16] = [
    "text/javascript",
    "application/javascript",
    "application/x-javascript",
    "application/ecmascript",
    "application/x-ecmascript",
    "text/ecmascript",
    "text/x-ecmascript",
    "text/x-javascript",
    "text/jscript",
    "text/livescript",
    "text/javascript1.0",
    "text/javascript1.1",
    "text/javascript1.2",
    "text/javascript1.3",
    "text/javascript1.4",
    "text/javascript1.5",
];

/// Whether this is the media type of JavaScript.
#[must_use]
pub fn is_javascript(kind: &[u8]) -> bool {
    JAVASCRIPT.iter().any(|each| kind.eq_ignore_ascii_case(each.as_bytes()))
}

/// Reads tags, byte by byte.
pub(super) struct Tags {
    at: At,
    is_xhtml: bool,
    /// How many of svg and math are open: there a slash at a tag's end counts, and CDATA is text.
    foreign: u32,
    is_end: bool,
    is_closed: bool,
    name: Vec<u8>,
    attribute: Vec<u8>,
    value: Vec<u8>,
    said: Said,
}

/// What the tag's attributes say.
#[derive(Default)]
struct Said {
    kind: Option<Vec<u8>>,
    has_source: bool,
    is_policy: bool,
    is_type: bool,
    charset: Option<Vec<u8>>,
    content: Option<Vec<u8>>,
    integrity: Option<Vec<u8>>,
}

impl Tags {
    pub(super) fn new(is_xhtml: bool) -> Self {
        Self {
            at: At::Text,
            is_xhtml,
            foreign: 0,
            is_end: false,
            is_closed: false,
            name: Vec::new(),
            attribute: Vec::new(),
            value: Vec::new(),
            said: Said::default(),
        }
    }

    /// What the element holds whose start tag has ended.
    pub(super) fn holds(&self) -> Holds {
        if self.is_closed && (self.is_xhtml || self.foreign > 0) {
            return Holds::Tags;
        }
        if self.name == b"script" {
            let kind = self.said.kind.as_deref().unwrap_or_default().trim_ascii();
            let is_script = kind.is_empty() || kind.eq_ignore_ascii_case(b"module") || is_javascript(kind);
            return if is_script && !self.said.has_source { Holds::Script } else { Holds::Data };
        }
        // XML knows no such elements.
        let text = TEXTS.iter().filter(|_| !self.is_xhtml).find(|(name, _)| name.as_bytes() == self.name);
        text.map_or(Holds::Tags, |(_, tag)| Holds::Text(tag))
    }

    /// The policy that the tag states.
    pub(super) fn policy(&self) -> Option<&[u8]> {
        self.said.content.as_deref().filter(|_| self.said.is_policy)
    }

    /// Whether the tag says that the page is in a charset in which bytes are not what they seem.
    pub(super) fn hides_ascii(&self) -> bool {
        let Said { is_type, charset, content, .. } = &self.said;
        let by_type = || *is_type && content.as_deref().is_some_and(type_hides_ascii);
        self.name == b"meta" && (charset.as_deref().is_some_and(hides_ascii) || by_type())
    }

    /// The hashes of what the tag asks for.
    pub(super) fn integrity(&self) -> Option<&[u8]> {
        self.said.integrity.as_deref()
    }

    /// An end tag has been read elsewhere, up to this first byte behind its name.
    pub(super) fn ends(&mut self, byte: u8) {
        self.begin(true);
        self.at = At::Name;
        self.with(byte);
    }

    fn begin(&mut self, is_end: bool) {
        (self.is_end, self.is_closed) = (is_end, false);
        self.name.clear();
        self.attribute.clear();
        self.value.clear();
        self.said = Said::default();
    }

    /// Takes one byte.
    pub(super) fn with(&mut self, byte: u8) -> Step {
        let is_blank = matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ');
        match self.at {
            At::Text | At::Open | At::OpenEnd | At::Declaration(_) | At::Bogus | At::Cdata(_) => {
                return self.outside(byte);
            }
            At::Name if !is_blank && byte != b'/' && byte != b'>' => push(&mut self.name, NAME_MAX, byte),
            At::Name => return self.between(byte, is_blank),
            At::BeforeAttribute | At::AfterValue | At::Slash => return self.between(byte, is_blank),
            At::Attribute | At::AfterAttribute if byte == b'=' => self.at = At::BeforeValue,
            At::Attribute if !is_blank && byte != b'/' && byte != b'>' => {
                push(&mut self.attribute, NAME_MAX, byte.to_ascii_lowercase());
            }
            At::Attribute if is_blank => self.at = At::AfterAttribute,
            At::AfterAttribute if is_blank => {}
            At::Attribute | At::AfterAttribute => {
                self.attribute_ends();
                return self.between(byte, is_blank);
            }
            At::BeforeValue if is_blank => {}
            At::BeforeValue => match byte {
                b'"' | b'\'' => self.at = At::Quoted(byte),
                b'>' => {
                    self.attribute_ends();
                    return self.tag_ends();
                }
                _ => {
                    push(&mut self.value, VALUE_MAX, byte);
                    self.at = At::Unquoted;
                }
            },
            At::Quoted(quote) if byte == quote => {
                self.attribute_ends();
                self.at = At::AfterValue;
            }
            At::Unquoted if is_blank || byte == b'>' => {
                self.attribute_ends();
                return self.between(byte, is_blank);
            }
            At::Quoted(_) | At::Unquoted => push(&mut self.value, VALUE_MAX, byte),
        }
        Step::On
    }

    /// What is no tag, or not yet.
    fn outside(&mut self, byte: u8) -> Step {
        match (self.at, byte) {
            (At::Text, b'<') => self.at = At::Open,
            (At::Open, b'!') => self.at = At::Declaration(0),
            (At::Open, b'/') => self.at = At::OpenEnd,
            (At::Open, b'?') => self.at = At::Bogus,
            (At::Open | At::OpenEnd, letter) if letter.is_ascii_alphabetic() => {
                self.begin(matches!(self.at, At::OpenEnd));
                push(&mut self.name, NAME_MAX, letter);
                self.at = At::Name;
            }
            (At::Open, b'<') => {}
            (At::Open, _) | (At::Bogus | At::OpenEnd | At::Declaration(_), b'>') => self.at = At::Text,
            (At::OpenEnd, _) => self.at = At::Bogus,
            (At::Declaration(0), b'-') => self.at = At::Declaration(CDATA.len()),
            (At::Declaration(seven), b'-') if seven == CDATA.len() => {
                self.at = At::Text;
                return Step::Comment;
            }
            (At::Declaration(so_far), byte) if CDATA.get(so_far) == Some(&byte) => {
                let whole = so_far + 1 == CDATA.len();
                let is_text = whole && (self.is_xhtml || self.foreign > 0);
                self.at = match whole {
                    true if is_text => At::Cdata(Recent::default()),
                    true => At::Bogus,
                    false => At::Declaration(so_far + 1),
                };
            }
            (At::Declaration(_), _) => self.at = At::Bogus,
            (At::Cdata(mut recent), byte) => {
                recent.push(byte);
                self.at = if recent.are(b"]]>") { At::Text } else { At::Cdata(recent) };
            }
            (_, _) => {}
        }
        Step::On
    }

    /// In a tag, where an attribute may begin.
    fn between(&mut self, byte: u8, is_blank: bool) -> Step {
        match byte {
            b'>' => {
                self.is_closed = matches!(self.at, At::Slash);
                return self.tag_ends();
            }
            b'/' => self.at = At::Slash,
            _ if is_blank => self.at = At::BeforeAttribute,
            _ => {
                self.attribute.clear();
                self.value.clear();
                push(&mut self.attribute, NAME_MAX, byte.to_ascii_lowercase());
                self.at = At::Attribute;
            }
        }
        Step::On
    }

    /// The first of a name counts.
    fn attribute_ends(&mut self) {
        let (said, value) = (&mut self.said, &mut self.value);
        match self.attribute.as_slice() {
            b"type" => said.kind = said.kind.take().or_else(|| Some(std::mem::take(value))),
            b"src" | b"href" | b"xlink:href" => said.has_source = true,
            b"content" => said.content = said.content.take().or_else(|| Some(std::mem::take(value))),
            b"integrity" => said.integrity = said.integrity.take().or_else(|| Some(std::mem::take(value))),
            b"charset" => said.charset = said.charset.take().or_else(|| Some(std::mem::take(value))),
            b"http-equiv" => {
                said.is_policy |= value.eq_ignore_ascii_case(b"content-security-policy");
                said.is_type |= value.eq_ignore_ascii_case(b"content-type");
            }
            _ => {}
        }
        self.attribute.clear();
        self.value.clear();
    }

    fn tag_ends(&mut self) -> Step {
        self.at = At::Text;
        self.name.make_ascii_lowercase();
        let is_foreign = self.name == b"svg" || self.name == b"math";
        if self.is_end {
            self.foreign = self.foreign.saturating_sub(u32::from(is_foreign));
            return Step::On;
        }
        self.foreign += u32::from(is_foreign && !self.is_closed);
        Step::Began
    }
}

/// What is longer is none of those that matter.
fn push(text: &mut Vec<u8>, max: usize, byte: u8) {
    if text.len() <= max {
        text.push(byte);
    }
}
