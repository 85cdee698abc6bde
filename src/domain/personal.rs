//! Does an ID look like personal data? IBM asks for random or generic IDs: never an e-mail address or a Twitter name.

use percent_encoding::percent_decode_str;

/// Digits in an international telephone number (ITU-T E.164 allows at most 15).
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Is it, or does it hold, an e-mail address, a telephone number with its `+`, or an @handle? Looked at as it is and
/// percent-decoded, since an encoded address is one all the same.
#[must_use]
#[expect(clippy::module_name_repetitions, reason = "the function is the module's question")]
pub fn looks_personal(id: &str) -> bool {
    // Nothing personal is told by an ID that has neither sign, encoded or not: the common case, decided at once.
    if !id.bytes().any(|byte| matches!(byte, b'@' | b'+' | b'%')) {
        return false;
    }
    let decoded = percent_decode_str(id).decode_utf8_lossy();
    looks_personal_as_is(id) || looks_personal_as_is(&decoded)
}

fn looks_personal_as_is(text: &str) -> bool {
    let between = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | ',' | ';' | ':' | '"' | '\'');
    text.split(between).any(|word| is_email(word) || is_handle(word)) || is_phone(text.trim())
}

fn is_email(word: &str) -> bool {
    let Some((local, domain)) = word.rsplit_once('@') else { return false };
    !local.is_empty() && domain.chars().next().is_some_and(char::is_alphanumeric)
}

fn is_handle(word: &str) -> bool {
    word.strip_prefix('@').is_some_and(|name| name.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_'))
}

fn is_phone(text: &str) -> bool {
    let Some(number) = text.strip_prefix('+') else { return false };
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    let spaced = number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b' ' | b'-' | b'.' | b'/' | b'(' | b')'));
    spaced && PHONE_DIGITS.contains(&digits)
}

#[cfg(test)]
mod tests {
    use super::looks_personal;

    #[test]
    fn p7_addresses_numbers_and_handles_are_personal() {
        for id in [
            "bob@example.com",
            "Bob <bob@example.com>",
            "mailto:bob@example.com",
            "bob%40example.com",
            "@bob",
            "+44 20 7946 0958",
            "+442079460958",
            "%2B442079460958",
            "josé@beispiel.de",
        ] {
            assert!(looks_personal(id), "{id}");
        }
    }

    #[test]
    fn generic_ids_are_not_personal() {
        for id in [
            "442079460958",
            "a+b",
            "+12",
            "user_4711",
            "50%",
            "a b+c/d&e",
            "c@",
            "550e8400-e29b-41d4-a716-446655440000",
        ] {
            assert!(!looks_personal(id), "{id}");
        }
    }
}
