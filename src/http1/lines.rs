//! The lines of a head as they came. Kept as one text and places in it: no map, no copy a line.

use std::fmt;

use super::LINES_MAX;

/// A number in decimal digits and nothing else, as `Content-Length` has it.
#[must_use]
pub fn decimal(text: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(*byte - b'0'));
    let number = text.iter().try_fold(0_u64, |number, byte| number.checked_mul(10)?.checked_add(digit(byte)?))?;
    (!text.is_empty()).then_some(number)
}

/// Header lines in the order in which they came. Its memory is used again for the next head.
#[derive(Clone, Default)]
pub struct Lines {
    text: Vec<u8>,
    places: Vec<Place>,
}

#[derive(Clone, Copy)]
struct Place {
    name: u32,
    name_end: u32,
    value: u32,
    value_end: u32,
}

/// One line.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    /// A token, in the case in which it came.
    pub name: &'a [u8],
    /// Without white space around it.
    pub value: &'a [u8],
}

impl Line<'_> {
    /// Whether this is the line's name, in any case.
    #[must_use]
    pub const fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

// Lines hold customers' IDs and secrets: they are never shown (P7).
impl fmt::Debug for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("count", &self.places.len()).finish_non_exhaustive()
    }
}

/// Copies lines as they came. Those that stand one behind the other are copied at once: write nothing in between without
/// [`Self::finish`].
#[derive(Debug)]
pub struct LineCopy<'l> {
    lines: &'l Lines,
    from: u32,
    to: u32,
}

impl<'l> LineCopy<'l> {
    /// For these lines.
    #[must_use]
    pub const fn of(lines: &'l Lines) -> Self {
        Self { lines, from: 0, to: 0 }
    }

    /// Copies the line of this number. `false`: it has to be written anew, since it is not written as the gate writes lines.
    pub fn copies(&mut self, number: usize, out: &mut Vec<u8>) -> bool {
        let Some((from, to)) = self.lines.whole(number) else { return false };
        if from != self.to {
            self.finish(out);
            self.from = from;
        }
        self.to = to;
        true
    }

    /// What was copied stands in `out` now.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.lines.part(self.from, self.to));
        self.from = self.to;
    }
}

impl Lines {
    /// Takes over what was read from `text`: the headers point into it.
    pub(super) fn take(&mut self, text: &[u8], headers: &[httparse::Header<'_>]) {
        self.text.clear();
        self.text.extend_from_slice(text);
        self.places.clear();
        let start = text.as_ptr().addr();
        // A head is at most some megabytes long.
        let place = |part: &[u8]| u32::try_from(part.as_ptr().addr().wrapping_sub(start)).unwrap_or(u32::MAX);
        let length = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX);
        self.places.extend(headers.iter().map(|header| {
            let (name, value) = (place(header.name.as_bytes()), place(header.value));
            Place {
                name,
                name_end: name.saturating_add(length(header.name.as_bytes())),
                // An empty value may point anywhere.
                value: if header.value.is_empty() { 0 } else { value },
                value_end: if header.value.is_empty() { 0 } else { value.saturating_add(length(header.value)) },
            }
        }));
    }

    /// Reads lines up to the empty one. `None` if they are no header lines, or too many.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; LINES_MAX];
        let Ok(httparse::Status::Complete((_, headers))) = httparse::parse_headers(text, &mut headers) else {
            return None;
        };
        let mut lines = Self::default();
        lines.take(text, headers);
        Some(lines)
    }

    /// Lines of the gate's own making. A name that is no token, or a value with a control character in it, makes a line
    /// that a peer would refuse: the caller's business.
    pub fn of<'a>(lines: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut all = Self::default();
        let end = |text: &Vec<u8>| u32::try_from(text.len()).unwrap_or(u32::MAX);
        for (name, value) in lines {
            let from = end(&all.text);
            all.text.extend_from_slice(name);
            let name_end = end(&all.text);
            all.text.extend_from_slice(value);
            let value_end = end(&all.text);
            all.places.push(Place { name: from, name_end, value: name_end, value_end });
        }
        all
    }

    /// Bytes that it keeps for the next.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.text.capacity() + self.places.capacity() * size_of::<Place>()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// All lines, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Line<'_>> {
        self.places.iter().map(|place| Line {
            name: self.part(place.name, place.name_end),
            value: self.part(place.value, place.value_end),
        })
    }

    /// The values of all lines of this name, in any case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        // Nearly every line is ruled out by its length, which is seen without looking at its name.
        let long = self.places.iter().filter(move |place| (place.name_end - place.name) as usize == name.len());
        let named =
            long.filter(move |place| self.part(place.name, place.name_end).eq_ignore_ascii_case(name.as_bytes()));
        named.map(|place| self.part(place.value, place.value_end))
    }

    /// The value of the first line of this name.
    #[must_use]
    pub fn first<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Where the line of this number stands, its end included, if it is written as the gate writes lines.
    fn whole(&self, number: usize) -> Option<(u32, u32)> {
        let Place { name, name_end, value, value_end } = *self.places.get(number)?;
        let end = value_end.checked_add(2)?;
        (self.part(name_end, value) == b": " && self.part(value_end, end) == b"\r\n").then_some((name, end))
    }

    pub(super) fn part(&self, from: u32, to: u32) -> &[u8] {
        self.text.get(from as usize..to as usize).unwrap_or_default()
    }
}
