//! Numbers that are a person's: of telephones, of social security, of cards, of accounts.
//!
//! Digits alone are an ID like any other. A number is taken for a person's by what stands around its digits: a `+`, a word,
//! the groups in which it is written.

use super::words;

/// Digits in an international telephone number (ITU-T E.164 allows at most 15).
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Words behind which digits are a telephone number.
const PHONE_WORDS: [&str; 10] =
    ["tel", "phone", "telephone", "mobile", "cell", "sms", "fax", "msisdn", "callto", "handy"];

/// What stands between the groups of a number. The dashes are those of Unicode, too.
fn divides(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '.' | '/' | '(' | ')' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// A run of digits and what divides them, with letters neither before nor behind it.
struct Number<'a> {
    /// The lengths of its groups of digits.
    groups: Vec<usize>,
    digits: String,
    /// What stands before its first digit in the run and before the run.
    before: &'a str,
}

/// The numbers of a text. Each character is looked at once.
fn numbers(text: &str) -> impl Iterator<Item = Number<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let rest = text.get(from..)?;
        let start = from + rest.find(|c: char| c.is_ascii_digit())?;
        let tail = text.get(start..)?;
        let length = tail.find(|c: char| !c.is_ascii_digit() && !divides(c)).unwrap_or(tail.len());
        from = start + length;
        let run = text.get(start..from)?;
        let groups: Vec<usize> = run.split(divides).map(str::len).filter(|length| *length > 0).collect();
        let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let before = text.get(..start)?;
        let touches =
            letter(before.chars().next_back()) || (!run.ends_with(divides) && letter(text.get(from..)?.chars().next()));
        let digits = if touches { String::new() } else { run.chars().filter(char::is_ascii_digit).collect() };
        Some(Number { groups, digits, before })
    })
    .filter(|number| !number.digits.is_empty())
}

pub(super) fn has_phone(text: &str) -> bool {
    numbers(text).any(|number| {
        let length = number.digits.len();
        let before = number.before.trim_end_matches(divides);
        let prefixed =
            before.strip_suffix('+').is_some_and(|before| !before.ends_with(|c: char| c.is_alphanumeric() || c == '+'));
        let named = words(number.before).last().is_some_and(|word| PHONE_WORDS.contains(&word));
        ((prefixed || named) && PHONE_DIGITS.contains(&length)) || is_national(&number)
    })
}

/// Whether it is divided as numbers are written within a country, or with its country's code behind the digits that
/// lead abroad.
fn is_national(number: &Number<'_>) -> bool {
    let digit = |at: usize| number.digits.as_bytes().get(at).copied().unwrap_or(b'0');
    let abroad = digit(0) == b'0' && digit(1) == b'0' && digit(2) != b'0' && (10..=17).contains(&number.digits.len());
    match number.groups.as_slice() {
        // North America: the area and the exchange begin with 2 to 9.
        [3, 3, 4] => digit(0) >= b'2' && digit(3) >= b'2',
        [1, 3, 3, 4] => digit(0) == b'1' && digit(1) >= b'2' && digit(4) >= b'2',
        // France and others: pairs.
        [2, rest @ ..] if rest.len() >= 4 && rest.iter().all(|length| *length == 2) => {
            digit(0) == b'0' && digit(1) != b'0'
        }
        // A date begins with two pairs of digits.
        [2, 2, ..] => false,
        // Behind a trunk's 0: the area, then the number in few groups.
        [2..=6, rest @ ..] if (1..=3).contains(&rest.len()) && digit(0) == b'0' && digit(1) != b'0' => {
            (9..=12).contains(&number.digits.len()) && rest.iter().all(|length| (3..=8).contains(length))
        }
        [_, _, ..] => abroad,
        _ => false,
    }
}

pub(super) fn has_ssn(text: &str) -> bool {
    numbers(text).any(|number| {
        let part = |from: usize, to: usize| number.digits.get(from..to).unwrap_or_default();
        let named = words(number.before).last() == Some("ssn");
        let divided = number.groups == [3, 2, 4];
        let given = !matches!(part(0, 3), "000" | "666") && part(3, 5) != "00" && part(5, 9) != "0000";
        number.digits.len() == 9 && (named || (divided && given && !number.digits.starts_with('9')))
    })
}

pub(super) fn has_card(text: &str) -> bool {
    numbers(text).any(|number| {
        let grouped = matches!(number.groups.as_slice(), [4, 4, 4, 4] | [4, 4, 4, 4, 3] | [4, 6, 5] | [4, 6, 4]);
        grouped && number.digits.starts_with(['3', '4', '5', '6', '2']) && luhn(&number.digits) == 0
    })
}

/// The check sum of ISO/IEC 7812-1; 0 is right.
fn luhn(digits: &str) -> u32 {
    let sum = digits.bytes().rev().enumerate().map(|(place, digit)| {
        let digit = u32::from(digit.saturating_sub(b'0'));
        match (place % 2, digit) {
            (1, 5..) => digit * 2 - 9,
            (1, _) => digit * 2,
            _ => digit,
        }
    });
    sum.sum::<u32>() % 10
}

/// How many characters an account's number has in each country (ISO 13616).
const IBAN_LENGTHS: &str = "ad24 ae23 al28 at20 az28 ba20 be16 bg22 bh22 br29 by28 ch21 cr22 cy28 cz24 de22 dk18 do28 ee20 eg29 \
    es24 fi18 fo18 fr27 gb22 ge22 gi23 gl18 gr27 gt28 hr21 hu28 ie22 il23 iq23 is26 it27 jo30 kw30 kz20 lb28 lc32 li21 lt20 \
    lu20 lv21 ly25 mc27 md24 me22 mk19 mr27 mt31 mu30 nl18 no15 pk24 pl28 ps29 pt25 qa29 ro24 rs22 sa24 sc31 se24 si19 sk24 \
    sm27 st25 sv28 tl23 tn24 tr26 ua29 va22 vg24 xk20";
/// The fewest and the most of those.
const IBAN_LENGTH_MIN: usize = 15;
const IBAN_LENGTH_MAX: usize = 34;

pub(super) fn has_iban(text: &str) -> bool {
    if text.len() < IBAN_LENGTH_MIN {
        return false;
    }
    let begins = |head: &[u8]| matches!(head, [a, b, c, d] if c.is_ascii_digit() && d.is_ascii_digit() && a.is_ascii_alphabetic() && b.is_ascii_alphabetic());
    let mut starts = text.as_bytes().windows(4).enumerate().filter(|(_, head)| begins(head));
    starts.any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(char::is_alphanumeric) && text.get(at..).is_some_and(is_iban)
    })
}

/// Whether the text begins with one, in one piece or in groups of four.
fn is_iban(text: &str) -> bool {
    let mut compact = String::with_capacity(IBAN_LENGTH_MAX);
    for group in text.split([' ', '-']) {
        let word = group.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        compact.push_str(word);
        if word.len() < group.len() || word.len() != 4 || compact.len() > IBAN_LENGTH_MAX {
            break;
        }
    }
    let (Some(country), Some(head), Some(rest)) = (compact.get(..2), compact.get(..4), compact.get(4..)) else {
        return false;
    };
    let of_its_country = IBAN_LENGTHS.contains(&format!("{country}{}", compact.len()));
    of_its_country && remainder_97(rest.bytes().chain(head.bytes())) == 1
}

/// The remainder by 97, a letter counting as two digits (ISO 7064).
fn remainder_97(characters: impl Iterator<Item = u8>) -> u32 {
    characters.fold(0, |sum, character| match character {
        b'0'..=b'9' => (sum * 10 + u32::from(character - b'0')) % 97,
        _ => (sum * 100 + u32::from(character.to_ascii_lowercase().saturating_sub(b'a')) + 10) % 97,
    })
}
