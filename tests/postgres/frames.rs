//! Frames of PostgreSQL's protocol: a letter, a length that counts itself, the rest.

/// The first frame, if all of it is there: a letter, a length that counts itself, the rest.
pub(super) fn frame(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = u32::from_be_bytes(bytes.get(1..5)?.try_into().ok()?) as usize;
    (bytes.len() > length).then(|| bytes.drain(..=length).collect())
}

pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8(bytes.get(..end)?.to_vec()).ok()
}

/// Whether a packet of the start has this parameter.
pub(super) fn holds(start: &[u8], parameter: &str) -> bool {
    start.split(|b| *b == 0).any(|word| word == parameter.as_bytes())
}

pub(super) fn error(severity: &str, code: &str, message: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    for (field, value) in [(b'S', severity), (b'V', severity), (b'C', code), (b'M', message)] {
        fields.push(field);
        fields.extend_from_slice(value.as_bytes());
        fields.push(0);
    }
    fields.push(0);
    framed(b'E', &fields)
}

/// An error and the end of its group.
pub(super) fn refusal(severity: &str, code: &str, state: u8) -> Vec<u8> {
    [error(severity, code, "made up"), framed(b'Z', &[state])].concat()
}

pub(super) fn framed(letter: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[letter], length.to_be_bytes().as_slice(), body].concat()
}
