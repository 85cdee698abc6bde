//! Suggests the known word that a mistyped word probably means.

/// The word of `known` nearest to `typed`, if it is near enough to be worth a guess: at most one slip in three letters.
pub(super) fn nearest<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let bound = typed.chars().count().div_ceil(3);
    known
        .into_iter()
        .map(|word| (distance(&typed.to_lowercase(), word), word))
        .filter(|(slips, _)| *slips <= bound)
        .min()
        .map(|(_, word)| word)
}

/// Levenshtein's distance: insertions, deletions and substitutions that make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.chars().zip(row.windows(2)) {
            let [diagonal, above] = above else { continue };
            left = (diagonal + usize::from(from != to)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
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
