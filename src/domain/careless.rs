//! How the most careless reader could read a text: everything decoded until nothing is left to decode, upper and lower
//! case alike, look-alike characters taken for what they look like.
//!
//! Used only to refuse, never to say what a request is: if something governed can be found in a text that is read like
//! this, the request is ambiguous (P9). See docs/decisions/018-careless-reader.md.

use super::steps;

/// Rounds of decoding after which a text that is still changing is taken for anything.
const ROUNDS_MAX: usize = 8;

/// The plain character that a careless reader takes this one for: lower case, ASCII for its wide and look-alike forms.
pub(in crate::domain) const fn twin(c: char) -> char {
    match c {
        'A'..='Z' => c.to_ascii_lowercase(),
        '\u{ff01}'..='\u{ff5e}' => match char::from_u32(c as u32 - 0xfee0) {
            Some(narrow) => narrow.to_ascii_lowercase(),
            None => c,
        },
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        '\u{130}' | '\u{131}' => 'i',
        '\u{2044}' | '\u{2215}' | '\u{29f8}' => '/',
        '\u{2216}' | '\u{fe68}' | '\u{29f5}' => '\\',
        '\u{2024}' | '\u{fe52}' => '.',
        '\u{37e}' | '\u{fe54}' => ';',
        _ => c,
    }
}

/// Characters that some reader leaves out.
pub(in crate::domain) fn is_dropped(c: char) -> bool {
    c.is_control() || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{fffd}')
}

/// The text with nothing left to decode. `drop`: without the characters that some reader leaves out, from the start, since
/// they may stand inside an escape. `None` when it takes too many rounds.
pub(in crate::domain) fn decoded(text: &str, drop: bool) -> Option<String> {
    let mut text: String = text.chars().map(twin).collect();
    for _ in 0..ROUNDS_MAX {
        let bytes = unescaped_to_the_end(text.as_bytes(), drop)?;
        let next: String = characters(&bytes).map(twin).filter(|c| !(drop && is_dropped(*c))).collect();
        if next == text {
            return Some(text);
        }
        text = next;
    }
    None
}

/// The bytes when nothing is left to decode; `None` when that takes too many rounds. Bytes become characters only
/// after that, since one half of a character may be escaped twice and the other once.
fn unescaped_to_the_end(bytes: &[u8], drop: bool) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    for _ in 0..ROUNDS_MAX {
        let mut next = unescaped(&bytes);
        next.retain(|byte| !(drop && byte.is_ascii_control()));
        if next.len() == bytes.len() {
            return Some(bytes);
        }
        bytes = next;
    }
    None
}

fn unescaped(mut rest: &[u8]) -> Vec<u8> {
    steps::add(rest.len());
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((&byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(hex(*high) << 4 | hex(*low));
                after
            }
            (b'%', [b'u' | b'U', a, b, c, d, after @ ..]) if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) => {
                let number = [a, b, c, d].into_iter().fold(0, |number, digit| number << 4 | u32::from(hex(*digit)));
                let character = char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER);
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                after
            }
            _ => {
                bytes.push(byte);
                after
            }
        };
    }
    bytes
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).saturating_sub(b'a') + 10,
    }
}

/// UTF-8 as a reader without checks takes it: sequences that are longer than they need be are read too.
fn characters(mut rest: &[u8]) -> impl Iterator<Item = char> {
    std::iter::from_fn(move || {
        let (&first, after) = rest.split_first()?;
        let (more, bits) = match first {
            0..=0x7f => (0, first),
            0xc0..=0xdf => (1, first & 0x1f),
            0xe0..=0xef => (2, first & 0x0f),
            0xf0..=0xf7 => (3, first & 0x07),
            _ => (0, 0xff),
        };
        let sequence = after.get(..more).filter(|bytes| bytes.iter().all(|byte| byte & 0xc0 == 0x80));
        let (Some(sequence), true) = (sequence, bits != 0xff) else {
            rest = after;
            return Some(char::REPLACEMENT_CHARACTER);
        };
        rest = after.get(more..).unwrap_or_default();
        let number = sequence.iter().fold(u32::from(bits), |number, byte| number << 6 | u32::from(byte & 0x3f));
        Some(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER))
    })
}
