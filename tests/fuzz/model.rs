//! A second reader of HTTP/1.1, simple and written on its own: it has all bytes before it, keeps nothing between two looks,
//! and takes only what RFC 9112 allows. What the product takes for a message must be that message here too.

/// A line of a head or a trailer.
pub type Line = (Vec<u8>, Vec<u8>);

/// What bytes begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading<T> {
    /// This, and so many bytes of it.
    Whole(T, usize),
    /// Something that has not ended.
    Unfinished,
    /// Nothing that is sound.
    Unsound,
}

use Reading::{Unfinished, Unsound, Whole};

/// The first line in its three parts, and the lines behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub first: [Vec<u8>; 3],
    pub lines: Vec<Line>,
}

impl Head {
    /// The values of this name.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        let named = self.lines.iter().filter(|(each, _)| each.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| &value[..]).collect()
    }

    /// Whether a list of this name holds this token.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        let values = self.all(name);
        let mut tokens = values.iter().flat_map(|value| value.split(|byte| *byte == b','));
        tokens.any(|each| each.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}

/// A message with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Vec<Line>,
}

/// How a body is framed.
enum Framing {
    Length(usize),
    Chunked,
    ToEnd,
}

/// A request.
pub fn request(bytes: &[u8]) -> Reading<Message> {
    let (head, length) = match head(bytes) {
        Whole(head, length) => (head, length),
        Unfinished => return Unfinished,
        Unsound => return Unsound,
    };
    let [method, target, version] = &head.first;
    let sound = method.iter().all(is_token_byte) && !method.is_empty() && !target.is_empty();
    let http10 = version == b"HTTP/1.0";
    if !sound || !(http10 || version == b"HTTP/1.1") {
        return Unsound;
    }
    let framing = match (&head.all("transfer-encoding")[..], &head.all("content-length")[..]) {
        ([], []) => Framing::Length(0),
        ([coding], []) if !http10 && coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        ([], [length]) => match number(length) {
            Some(length) => Framing::Length(length),
            None => return Unsound,
        },
        _ => return Unsound,
    };
    with_body(head, framing, bytes, length)
}

/// An answer. `closed`: nothing comes behind these bytes.
pub fn answer(bytes: &[u8], to_head: bool, closed: bool) -> Reading<Message> {
    let (head, length) = match head(bytes) {
        Whole(head, length) => (head, length),
        Unfinished => return Unfinished,
        Unsound => return Unsound,
    };
    let status = &head.first[1];
    let framing = match (&head.all("transfer-encoding")[..], &head.all("content-length")[..]) {
        _ if to_head || status.starts_with(b"1") || matches!(&status[..], b"204" | b"304") => Framing::Length(0),
        ([], []) => Framing::ToEnd,
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        ([], [length]) => match number(length) {
            Some(length) => Framing::Length(length),
            None => return Unsound,
        },
        _ => return Unsound,
    };
    match framing {
        Framing::ToEnd if !closed => Unfinished,
        framing => with_body(head, framing, bytes, length),
    }
}

fn with_body(head: Head, framing: Framing, bytes: &[u8], begin: usize) -> Reading<Message> {
    let rest = &bytes[begin..];
    let (body, trailers, length) = match framing {
        Framing::ToEnd => (rest.to_vec(), Vec::new(), rest.len()),
        Framing::Length(length) if length > rest.len() => return Unfinished,
        Framing::Length(length) => (rest[..length].to_vec(), Vec::new(), length),
        Framing::Chunked => match chunked(rest) {
            Whole((body, trailers), length) => (body, trailers, length),
            Unfinished => return Unfinished,
            Unsound => return Unsound,
        },
    };
    Whole(Message { head, body, trailers }, begin + length)
}

fn head(bytes: &[u8]) -> Reading<Head> {
    let (mut at, mut first, mut lines) = (0, None, Vec::new());
    loop {
        let Some(length) = bytes[at..].iter().position(|byte| *byte == b'\n') else { return Unfinished };
        let line = &bytes[at..at + length];
        at += length + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (&mut first, line) {
            // Empty lines may stand before a message (RFC 9112 §2.2).
            (None, []) => {}
            (None, line) => match in_three(line) {
                Some(parts) => first = Some(parts),
                None => return Unsound,
            },
            (Some(first), []) => return Whole(Head { first: std::mem::take(first), lines }, at),
            (Some(_), line) => match field(line) {
                Some(line) => lines.push(line),
                None => return Unsound,
            },
        }
    }
}

/// The last part may have spaces in it, or be missing: it may be a reason.
fn in_three(line: &[u8]) -> Option<[Vec<u8>; 3]> {
    let mut parts = line.splitn(3, |byte| *byte == b' ').map(<[u8]>::to_vec);
    Some([parts.next()?, parts.next()?, parts.next().unwrap_or_default()])
}

fn field(line: &[u8]) -> Option<Line> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let sound = !name.is_empty() && name.iter().all(is_token_byte);
    let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    (sound && line[colon + 1..].iter().all(is_text)).then(|| (name.to_vec(), value.to_vec()))
}

fn is_token_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

fn number(text: &[u8]) -> Option<usize> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    // What is too large for this is too large to be there.
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse::<u64>().ok().map(|number| number as usize)
}

/// A body in chunks: its data and the lines behind it.
pub fn chunked(bytes: &[u8]) -> Reading<(Vec<u8>, Vec<Line>)> {
    let (mut at, mut data) = (0, Vec::new());
    loop {
        let (line, next) = match crlf_line(bytes, at) {
            Whole(line, next) => (line, next),
            Unfinished => return Unfinished,
            Unsound => return Unsound,
        };
        let Some(size) = size(line) else { return Unsound };
        if size == 0 {
            return match trailers(bytes, next) {
                Whole(lines, end) => Whole((data, lines), end),
                Unfinished => Unfinished,
                Unsound => Unsound,
            };
        }
        let Some(chunk) = bytes.get(next..next.saturating_add(size)) else { return Unfinished };
        data.extend_from_slice(chunk);
        at = next + size;
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'\r'), Some(b'\n')) => at += 2,
            (None, _) | (Some(b'\r'), None) => return Unfinished,
            _ => return Unsound,
        }
    }
}

/// A line that ends with CR and LF and has neither in it, and where the next one begins.
fn crlf_line(bytes: &[u8], at: usize) -> Reading<&[u8]> {
    let Some(length) = bytes[at..].iter().position(|byte| *byte == b'\n') else { return Unfinished };
    match bytes[at..at + length].strip_suffix(b"\r") {
        Some(line) if !line.contains(&b'\r') => Whole(line, at + length + 1),
        _ => Unsound,
    }
}

/// Up to sixteen digits, then perhaps blanks, then perhaps an extension.
fn size(line: &[u8]) -> Option<usize> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let rest = &line[digits..];
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let ends = matches!(rest.get(blanks), None | Some(b';'));
    let digits = std::str::from_utf8(&line[..digits]).ok().filter(|digits| ends && digits.len() <= 16)?;
    u64::from_str_radix(digits, 16).ok().map(|size| size as usize)
}

fn trailers(bytes: &[u8], mut at: usize) -> Reading<Vec<Line>> {
    let mut lines = Vec::new();
    loop {
        match crlf_line(bytes, at) {
            Whole([], next) if lines.len() <= 256 => return Whole(lines, next),
            Whole(line, next) => {
                let Some(line) = field(line) else { return Unsound };
                lines.push(line);
                at = next;
            }
            Unfinished => return Unfinished,
            Unsound => return Unsound,
        }
    }
}
