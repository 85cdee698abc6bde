//! Where a new head is written: as the bytes that go to a service, or as the map that the gate's own calls have. What is
//! written does not know which, so that neither is ever made from the other.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::http1::{Line, LineCopy};

/// Takes the lines of a head, one after the other.
pub(super) trait HeadWriter {
    /// One line.
    fn line(&mut self, name: &[u8], value: &[u8]);

    /// A line that stands ready.
    fn own(&mut self, line: &OwnLine) {
        self.line(line.name(), line.value());
    }

    /// A line of the caller's, of this number, as it came.
    fn copied(&mut self, copy: &mut LineCopy<'_>, number: usize, line: Line<'_>);

    /// What was copied stands there now. To be called before any line of another kind, and at the end.
    fn finish(&mut self, copy: &mut LineCopy<'_>);
}

/// A line of the gate's own, ready to be written.
#[derive(Debug)]
pub(super) struct OwnLine {
    text: Box<[u8]>,
    name_end: usize,
}

impl OwnLine {
    pub(super) fn new(name: &str, value: &str) -> Self {
        let text = format!("{name}: {value}\r\n");
        Self { text: text.into_bytes().into_boxed_slice(), name_end: name.len() }
    }

    fn name(&self) -> &[u8] {
        self.text.get(..self.name_end).unwrap_or_default()
    }

    fn value(&self) -> &[u8] {
        let end = self.text.len().saturating_sub(2);
        self.text.get(self.name_end + 2..end).unwrap_or_default()
    }
}

impl HeadWriter for Vec<u8> {
    fn line(&mut self, name: &[u8], value: &[u8]) {
        self.extend_from_slice(name);
        self.extend_from_slice(if value.is_empty() { b":" } else { b": " });
        self.extend_from_slice(value);
        self.extend_from_slice(b"\r\n");
    }

    fn own(&mut self, line: &OwnLine) {
        self.extend_from_slice(&line.text);
    }

    fn copied(&mut self, copy: &mut LineCopy<'_>, number: usize, line: Line<'_>) {
        if !copy.copies(number, self) {
            copy.finish(self);
            self.line(line.name, line.value);
        }
    }

    fn finish(&mut self, copy: &mut LineCopy<'_>) {
        copy.finish(self);
    }
}

impl HeadWriter for HeaderMap {
    /// What no header may be is left out: the library could not send it.
    fn line(&mut self, name: &[u8], value: &[u8]) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            self.append(name, value);
        }
    }

    fn copied(&mut self, _: &mut LineCopy<'_>, _: usize, line: Line<'_>) {
        self.line(line.name, line.value);
    }

    fn finish(&mut self, _: &mut LineCopy<'_>) {}
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::{HeaderName, HeaderValue};
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};
    use proptest::sample::select;

    use super::{HeadWriter, OwnLine};
    use crate::http1::{LineCopy, Lines};

    #[test]
    fn p1_a_head_says_the_same_as_bytes_and_as_a_map() {
        let came = Lines::read(b"X-A: 1\r\nx-b:2\r\nX-A:   3  \r\nX-Empty:\r\nX-C: 4\r\n\r\n").unwrap();
        let put = |out: &mut dyn FnMut(&mut LineCopy<'_>, usize)| {
            let mut copy = LineCopy::of(&came);
            (0..came.len()).for_each(|number| out(&mut copy, number));
        };
        let (mut bytes, mut map) = (Vec::new(), HeaderMap::new());
        put(&mut |copy, number| {
            let line = came.iter().nth(number).unwrap();
            bytes.copied(copy, number, line);
            if number == 2 {
                HeadWriter::finish(&mut bytes, copy);
                bytes.own(&OwnLine::new("Via", "1.1 forgetgate"));
            }
            if number + 1 == came.len() {
                HeadWriter::finish(&mut bytes, copy);
            }
        });
        put(&mut |copy, number| {
            let line = came.iter().nth(number).unwrap();
            map.copied(copy, number, line);
            if number == 2 {
                map.own(&OwnLine::new("Via", "1.1 forgetgate"));
            }
        });
        let expected = "X-A: 1\r\nx-b: 2\r\nX-A: 3\r\nVia: 1.1 forgetgate\r\nX-Empty:\r\nX-C: 4\r\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        let all: Vec<_> = map.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        let expected =
            [("x-a", "1"), ("x-a", "3"), ("x-b", "2"), ("via", "1.1 forgetgate"), ("x-empty", ""), ("x-c", "4")];
        assert_eq!(all, expected);
    }

    proptest! {
        /// Written as bytes, read as a service reads them and put into a map, lines are those that go into the map at once.
        #[test]
        fn p10_a_delete_has_the_lines_that_a_service_would_have_read(
            lines in vec((select(vec!["X-A", "x-a", "Connection", "X_b", "Via", "!#$%&'*+-.^_`|~"]), vec(any::<u8>(), 0..6)), 0..9),
        ) {
            let head: Vec<u8> = lines.iter().flat_map(|(name, value)| [name.as_bytes(), b":", value, b"\r\n"].concat()).collect();
            let Some(came) = Lines::read(&[&head[..], b"\r\n"].concat()) else { return Ok(()) };
            let (mut bytes, mut map) = (Vec::new(), HeaderMap::new());
            for line in came.iter() {
                bytes.line(line.name, line.value);
                map.line(line.name, line.value);
            }
            bytes.extend_from_slice(b"\r\n");
            let mut expected = HeaderMap::new();
            for line in Lines::read(&bytes).unwrap().iter() {
                let name = HeaderName::from_bytes(line.name).unwrap();
                expected.append(name, HeaderValue::from_bytes(line.value).unwrap());
            }
            assert_eq!(map, expected);
        }
    }
}
