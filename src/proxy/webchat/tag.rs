//! ETags of changed answers: the service's own with a mark, and weak, since the bytes are others.
//!
//! The mark tells a copy that opts out from one that was kept from before, which must not be confirmed.

/// What is added. The number changes whenever what is done to a page does.
const MARK: &[u8] = b"-fgoo1";

/// The tag of what was made of an answer with this tag. `None` where it is no tag.
pub(super) fn marked(tag: &[u8]) -> Option<Vec<u8>> {
    Some([b"W/\"", opaque(tag)?, MARK, b"\""].concat())
}

/// What stands in the quotes.
fn opaque(tag: &[u8]) -> Option<&[u8]> {
    let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
    tag.strip_prefix(b"\"")?.strip_suffix(b"\"").filter(|opaque| !opaque.contains(&b'"'))
}

/// The tags of `If-None-Match`.
fn each(line: &[u8]) -> Vec<&[u8]> {
    let mut in_quotes = false;
    let parts = line.split(move |byte| {
        in_quotes ^= *byte == b'"';
        *byte == b',' && !in_quotes
    });
    parts.map(<[u8]>::trim_ascii).filter(|tag| !tag.is_empty()).collect()
}

/// `If-None-Match` as the service is asked: with its own tags in place of the marked ones. `None`: nothing is left to ask.
pub(super) fn asked(line: &[u8], only_marked: bool) -> Option<Vec<u8>> {
    let mut tags: Vec<Vec<u8>> = Vec::new();
    for tag in each(line) {
        match opaque(tag).and_then(|opaque| opaque.strip_suffix(MARK)) {
            // Which of the two it was is not known; services that compare them as texts find theirs.
            Some(own) => tags.extend([[b"\"", own, b"\""].concat(), [b"W/\"", own, b"\""].concat()]),
            None if only_marked => {}
            None => tags.push(tag.to_vec()),
        }
    }
    (!tags.is_empty()).then(|| tags.join(&b", "[..]))
}

/// Whether a marked tag is among them.
pub(super) fn has_marked(line: &[u8]) -> bool {
    each(line).into_iter().any(|tag| opaque(tag).is_some_and(|opaque| opaque.ends_with(MARK)))
}

#[cfg(test)]
mod tests {
    use super::{asked, has_marked, marked};

    #[test]
    fn p8_the_tag_of_a_changed_page_leads_back_to_the_services_own() {
        for tag in [&b"\"a,b\""[..], b"W/\"a,b\""] {
            let ours = marked(tag).unwrap();
            assert_eq!(ours, b"W/\"a,b-fgoo1\"");
            assert!(has_marked(&ours) && !has_marked(tag));
            assert_eq!(asked(&ours, true).unwrap(), b"\"a,b\", W/\"a,b\"");
        }
        assert_eq!(marked(b"a"), None);
        assert_eq!(asked(b"\"x\", W/\"a-fgoo1\" , W/\"y,z\"", false).unwrap(), b"\"x\", \"a\", W/\"a\", W/\"y,z\"");
        assert_eq!(asked(b"\"x\", W/\"y,z\", *", true), None, "a copy from before the gate is not confirmed");
        assert_eq!(asked(b"*", false).unwrap(), b"*");
    }
}
