//! Filters of log queries (`filter=customer_id::X`), in which an ID is replaced as it was in the label.
//!
//! Source of the language: IBM's filter reference for Assistant: `::` exact, `:` fuzzy, `!` negates, `"…"` is a literal
//! phrase, `\` escapes, `,` and, `|` or, groups in `()` and `[]`. What is written is always a quoted phrase, so that no ID
//! can be read as part of the filter.

use super::steps;

/// The filter with every customer ID replaced for which `substitute` gives another text. `None` when nothing changes:
/// then the caller's bytes go on as they are.
#[must_use]
pub fn rewritten(filter: &str, field: &str, substitute: impl Fn(&str) -> Option<Box<str>>) -> Option<String> {
    let mut written = String::with_capacity(filter.len() + 32);
    let (mut rest, mut changed) = (filter, false);
    while let Some(found) = next_value(rest, field) {
        let (before, value, behind) = found;
        written.push_str(before);
        match substitute(&unescaped(value)) {
            Some(text) => {
                push_quoted(&mut written, &text);
                changed = true;
            }
            None => written.push_str(value),
        }
        rest = behind;
    }
    written.push_str(rest);
    changed.then_some(written)
}

/// The texts that a filter compares the field with.
#[must_use]
pub fn values(filter: &str, field: &str) -> Vec<String> {
    let (mut rest, mut values) = (filter, Vec::new());
    while let Some((_, value, behind)) = next_value(rest, field) {
        values.push(unescaped(value));
        rest = behind;
    }
    values
}

/// The next value of the field: what is before it, itself as written, what is behind it.
fn next_value<'a>(filter: &'a str, field: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let mut from = 0;
    loop {
        let at = from + next_outside_quotes(filter.get(from..)?, field)?;
        let behind_name = filter.get(at + field.len()..)?;
        let behind = behind_name.trim_start();
        let before = filter.get(..at)?;
        let before_name = before.trim_end();
        steps::add(behind_name.len() - behind.len() + before.len() - before_name.len());
        let operator = ["::!", "::", ":!", ":"].into_iter().find(|op| behind.starts_with(op));
        let begins = before_name.chars().next_back().is_none_or(|c| matches!(c, ',' | '|' | '(' | '['));
        let (true, Some(operator)) = (begins, operator) else {
            from = at + field.len();
            continue;
        };
        let blanks = behind_name.len() - behind.len();
        let value_at = at + field.len() + blanks + operator.len();
        let tail = filter.get(value_at..)?;
        let (value, behind) = tail.split_at_checked(value_len(tail))?;
        return Some((filter.get(..value_at)?, value, behind));
    }
}

/// Where the field's name next stands outside of a quoted phrase.
fn next_outside_quotes(text: &str, field: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        steps::add(1);
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ if !quoted && text.get(at..).is_some_and(|tail| tail.starts_with(field)) => return Some(at),
            _ => {}
        }
    }
    None
}

/// How long a value is: a quoted phrase to its quote, anything else to the next sign of the language.
fn value_len(tail: &str) -> usize {
    let start = tail.len() - tail.trim_start().len();
    let is_quoted = tail.get(start..).is_some_and(|value| value.starts_with('"'));
    let mut escaped = false;
    for (at, c) in tail.char_indices().skip_while(|(at, _)| *at < start + usize::from(is_quoted)) {
        steps::add(1);
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' if is_quoted => return at + 1,
            ',' | '|' | ')' | ']' if !is_quoted => return at,
            _ => {}
        }
    }
    tail.len()
}

fn unescaped(value: &str) -> String {
    let value = value.trim();
    let inner = value.strip_prefix('"').map_or(value, |inner| inner.strip_suffix('"').unwrap_or(inner));
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        text.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    text
}

fn push_quoted(written: &mut String, text: &str) {
    written.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            written.push('\\');
        }
        written.push(c);
    }
    written.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::rewritten;

    #[track_caller]
    fn check(filter: &str, expected: Option<&str>) {
        let substitute = |id: &str| (id == "bob@x.org" || id == "a,b").then(|| "fg_1".into());
        assert_eq!(rewritten(filter, "customer_id", substitute).as_deref(), expected, "{filter}");
    }

    #[test]
    fn p6_an_id_in_a_filter_is_replaced_as_in_the_label() {
        check("customer_id::bob@x.org", Some("customer_id::\"fg_1\""));
        check("language::en,customer_id::\"bob@x.org\",a:b", Some("language::en,customer_id::\"fg_1\",a:b"));
        check("(customer_id::!bob@x.org|x:y)", Some("(customer_id::!\"fg_1\"|x:y)"));
        check("customer_id:: bob@x.org", Some("customer_id::\"fg_1\""));
        check(r"customer_id::a\,b", Some("customer_id::\"fg_1\""));
        check(r#"customer_id::"a,b""#, Some("customer_id::\"fg_1\""));
        check("customer_id::bob@x.org|customer_id::bob@x.org", Some("customer_id::\"fg_1\"|customer_id::\"fg_1\""));
    }

    #[test]
    fn p8_other_filters_keep_their_bytes() {
        for filter in [
            "customer_id::alice",
            "text:\"customer_id::bob@x.org\"",
            "xcustomer_id::bob@x.org",
            "customer_id",
            "customer_id<bob@x.org",
            "",
        ] {
            check(filter, None);
        }
    }

    proptest! {
        #[test]
        fn p9_what_is_substituted_cannot_be_read_as_part_of_the_filter(id in any::<String>()) {
            let written = rewritten("customer_id::X,a:b", "customer_id", |_| Some(id.clone().into())).unwrap();
            let mut again = Vec::new();
            let read = std::cell::RefCell::new(&mut again);
            let unchanged = rewritten(&written, "customer_id", |value| { read.borrow_mut().push(value.to_owned()); None });
            assert_eq!(unchanged, None);
            assert_eq!(again, [id]);
        }
    }
}
