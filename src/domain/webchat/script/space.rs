//! What JavaScript takes for a blank, and for the end of a line.

/// How long the blank is that a text begins with, if it does.
pub(super) fn space(text: &[u8]) -> Option<usize> {
    match text {
        [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, ..] => Some(1),
        // U+00A0
        [0xc2, 0xa0, ..] => Some(2),
        // The byte-order mark, U+2000 to U+200A, U+2028, U+2029, U+202F and U+3000
        [0xef, 0xbb, 0xbf, ..] | [0xe2, 0x80, 0x80..=0x8a | 0xa8 | 0xa9 | 0xaf, ..] | [0xe3, 0x80, 0x80, ..] => Some(3),
        _ => None,
    }
}

/// How long the end of a line is that a text begins with, if it does.
pub(super) fn line_end(text: &[u8]) -> Option<usize> {
    match text {
        [b'\n' | b'\r', ..] => Some(1),
        [0xe2, 0x80, 0xa8 | 0xa9, ..] => Some(3),
        _ => None,
    }
}
