//! Suggests the known word that a mistyped word probably means.

use strsim::levenshtein;

/// The word of `known` nearest to `typed`, if it is near enough to be worth a guess: at most one slip in three letters.
pub(super) fn nearest<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let bound = typed.chars().count().div_ceil(3);
    known
        .into_iter()
        .map(|word| (levenshtein(&typed.to_lowercase(), word), word))
        .filter(|(slips, _)| *slips <= bound)
        .min()
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_pen_finds_its_word_and_a_strange_word_finds_none() {
        let known = ["address", "mode", "tls", "proxy_protocol"];

        assert_eq!(nearest("adress", known), Some("address"));
        assert_eq!(nearest("Mode", known), Some("mode"));
        assert_eq!(nearest("proxy-protocol", known), Some("proxy_protocol"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
    }
}
