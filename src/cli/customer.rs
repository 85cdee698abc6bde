//! A customer's ID as it is given to a command: on the command line, or on standard input, out of shell histories and
//! process lists.

use std::io::{BufRead, Read as _};

use zeroize::Zeroizing;

use super::answer::Failure;
use crate::domain::{CustomerId, NotAnId};

/// Bytes of standard input: far more than the longest ID with its line's end.
const INPUT_BYTES_MAX: u64 = 64 * 1024;

/// By which some programs begin a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The ID that was given; `-` is the one line of `input`. What stands behind that line is never thrown away: it could be
/// another customer.
pub(super) fn customer(given: &str, input: &mut dyn BufRead) -> Result<CustomerId, Failure> {
    let refused = |why: NotAnId| Failure::usage(why.sentence().into());
    if given != "-" {
        return CustomerId::read(given).map_err(refused);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(CustomerId::BYTES_MAX));
    let read = input.take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|_| Failure::usage("standard input cannot be read".into()))?;
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    let (line, rest) = match memchr::memchr(b'\n', text).and_then(|end| text.split_at_checked(end)) {
        Some((line, rest)) => (line.strip_suffix(b"\r").unwrap_or(line), rest),
        None => (text, &b""[..]),
    };
    if !rest.trim_ascii().is_empty() || bytes.len() as u64 > INPUT_BYTES_MAX {
        let words = "standard input has more than one line: this command takes one customer's ID at a time";
        return Err(Failure::usage(words.into()));
    }
    CustomerId::read_bytes(line).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::{INPUT_BYTES_MAX, customer};
    use crate::cli::answer::{Answer, USAGE};

    fn read(text: impl AsRef<[u8]>) -> Result<String, u8> {
        let read = customer("-", &mut text.as_ref()).map(|id| id.expose().to_owned());
        read.map_err(|failure| Answer::from(Err(failure)).code)
    }

    #[test]
    fn p6_an_id_is_read_from_the_one_line_of_standard_input_without_its_end() {
        for (text, id) in [
            ("alice\n", "alice"),
            ("alice", "alice"),
            ("two words\r\n", "two words"),
            ("alice\n\n \r\n", "alice"),
            ("\u{feff}alice\n", "alice"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(id), "{text:?}");
        }
        assert_eq!(customer("bob", &mut &b""[..]).unwrap().expose(), "bob");
    }

    /// `printf 'alice-7\nbob-8\n' | forgetgate erase -` erased alice-7 alone.
    #[test]
    fn p5_what_was_not_understood_is_a_usage_error_and_never_thrown_away() {
        for text in
            ["alice\nbob\n", "\nalice\n", "alice\n\n\nbob", "alice\r\nbob", "", "  \n", " alice\n", "alice\r", "a\tb"]
        {
            assert_eq!(read(text), Err(USAGE), "{text:?}");
        }
        assert_eq!(read("x".repeat(5000)), Err(USAGE));
        let blanks = usize::try_from(INPUT_BYTES_MAX).unwrap();
        assert_eq!(read(format!("alice\n{}bob\n", "\n".repeat(blanks))), Err(USAGE));
        assert_eq!(read(b"\xff\xfea\0l\0"), Err(USAGE), "UTF-16");
        assert_eq!(read(b"a\0l\0"), Err(USAGE));
        assert!(customer("", &mut &b""[..]).is_err() && customer(" a", &mut &b""[..]).is_err());
    }
}
