//! Base64 as the one who reads it behind the gate reads it: one text, with its padding at the end or without any.

use data_encoding::BASE64_NOPAD;

/// Base64 with its padding, which stands at the end and nowhere else: the library reads several texts in a row.
pub(super) fn padded_base64(text: &[u8]) -> Option<Vec<u8>> {
    text.len().is_multiple_of(4).then(|| BASE64_NOPAD.decode(without_padding(text)).ok())?
}

/// Base64 without its padding, where that is as long as it must be.
pub(super) fn without_padding(text: &[u8]) -> &[u8] {
    let padding = match text {
        _ if !text.len().is_multiple_of(4) => 0,
        [.., b'=', b'='] => 2,
        [.., b'='] => 1,
        _ => 0,
    };
    text.get(..text.len() - padding).unwrap_or(text)
}
