//! How the most careless reader could read a path: decoded to the end, every character that may separate taken as a
//! separator.
//!
//! Used only to refuse, never to say what a request is: if a governed call can be found in a path read like this, the
//! path is ambiguous.

use crate::domain::careless::{self, is_dropped, twin};

/// Words after which a path is taken for anything.
const WORDS_MAX: usize = 256;

/// Whether this segment could be read as that fixed one. `cut`: also if only its beginning is it, up to something that
/// a reader may cut off: an extension, a blank, a control character.
pub(super) fn reads_as(segment: &str, fixed: &str, cut: bool) -> bool {
    let mut rest = segment.chars().filter(|c| !is_dropped(*c)).map(twin).skip_while(|c| c.is_whitespace());
    for wanted in fixed.chars().map(|c| c.to_ascii_lowercase()) {
        if rest.next() != Some(wanted) {
            return false;
        }
    }
    // A dropped character may also be the end of what is read, as NUL is with some.
    let ends = match rest.next() {
        None => true,
        // Some readers trim each segment, others take dots at its end away too.
        Some(c) => (cut && !is_word(c)) || (is_trimmed(c) && rest.all(is_trimmed)),
    };
    ends || (cut && beginning_before_dropped_is(segment, fixed))
}

fn beginning_before_dropped_is(segment: &str, fixed: &str) -> bool {
    let Some(at) =
        segment.trim_start_matches(is_dropped).char_indices().find(|(_, c)| is_dropped(*c)).map(|(at, _)| at)
    else {
        return false;
    };
    segment.trim_start_matches(is_dropped).get(..at).is_some_and(|beginning| reads_as(beginning, fixed, true))
}

fn is_trimmed(c: char) -> bool {
    c == '.' || c.is_whitespace()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~') || !c.is_ascii() && !is_dropped(c)
}

/// A path decoded to the end and split wherever a reader could split it: once with the characters that some reader
/// leaves out, and once without them from the start, since they may stand inside an escape. `None`: it has no end.
pub(super) struct Loose(Option<[String; 2]>);

impl Loose {
    pub(super) fn of(path: &str) -> Self {
        let (kept, dropped) = (decoded(path, false), decoded(path, true));
        Self(kept.zip(dropped).map(|(kept, dropped)| [kept, dropped]))
    }

    /// Whether these fixed segments occur in it, in this order, whatever lies between. That is all that dropped,
    /// resolved, split and cut-off segments can leave of a call.
    pub(super) fn may_hold<'t>(&self, fixed: &(impl Iterator<Item = &'t str> + Clone)) -> bool {
        let in_order = |text: &String| {
            let mut words = words(text);
            fixed.clone().all(|wanted| words.any(|word| reads_as(word, wanted, true)))
        };
        self.0.as_ref().is_none_or(|texts| texts.iter().any(in_order))
    }
}

/// Whether a reader could find that this path leads above where it begins: then what it means is not within the service
/// that it was sent to, and no profile of that service can say what it is.
#[must_use]
pub fn climbs_out(path: &str) -> bool {
    if path.is_ascii() && memchr::memchr2(b'.', b'%', path.as_bytes()).is_none() {
        return false;
    }
    let climbs = |text: Option<String>| text.is_none_or(|text| goes_above_its_beginning(&text));
    climbs(decoded(path, false)) || climbs(decoded(path, true))
}

fn goes_above_its_beginning(path: &str) -> bool {
    let mut depth = 0_usize;
    for segment in path.split(['/', '\\']) {
        let name = segment.split([';', '#', '?']).next().unwrap_or_default().trim();
        let dots = name.bytes().all(|byte| byte == b'.');
        match (dots, name.len()) {
            (true, 0 | 1) => {}
            (true, _) if depth == 0 => return true,
            (true, _) => depth -= 1,
            (false, _) => depth += 1,
        }
    }
    false
}

/// `None` when it takes too many rounds, or leaves too many words.
fn decoded(path: &str, drop: bool) -> Option<String> {
    careless::decoded(path, drop).filter(|text| words(text).nth(WORDS_MAX).is_none())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(['/', '\\', ';', '#', '?']).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(path: &str, fixed: &[&str]) -> bool {
        Loose::of(path).may_hold(&fixed.iter().copied())
    }

    #[test]
    fn every_way_to_hide_a_segment_is_seen_through() {
        let hidden = [
            "/v1/message",
            "/v1//message",
            "/v1%2Fmessage",
            "/v1%252fmessage",
            "/v1\\message",
            "/v1/x/../message",
            "/v1/message;a=b",
            "/v1/message%3Fx",
            "/v1/%6Dessage",
            "/v1/%256dessage",
            "/v1/%u006dessage",
            "/v1/MESSAGE",
            "/v1/message.json",
            "/v1/message%00",
            "/v1/message%00.jpg",
            "/v1/mes%0asage",
            "/v1/%20message",
            "/v1/message%20",
            "/v1/\u{ff4d}essage",
            "/v1/me\u{17f}sage",
            "/v1%c0%afmessage",
            "/v1/%e0%81%adessage",
            "/v1/..;/message/..",
            "/v1/mes%00sage%00.jpg",
            "/v1/%6%0adessage",
            "/v1%ｃ0%afmessage",
            "/v1%25c0%af/%c0%25afmessage",
            "/v1/%25252525256dessage",
        ];
        for path in hidden {
            assert!(holds(path, &["v1", "message"]), "{path}");
        }
    }

    #[test]
    fn other_words_are_not_taken_for_it() {
        for path in [
            "/v1/messages",
            "/v1/xmessage",
            "/v1/mess/age",
            "/message/v1",
            "/v1/message-x",
            "/v1/messag%c3%a9",
            "/v2/message",
            "/v1/%E6%97%A5",
        ] {
            assert!(!holds(path, &["v1", "message"]), "{path}");
        }
    }

    #[test]
    fn p9_a_path_that_leads_above_its_beginning_is_known() {
        let climbing = [
            "/..",
            "/../x",
            "/a/../../x",
            "/%2e%2E/x",
            "/..;a=b/x",
            "/a/..\\..\\x",
            "/a//../../x",
            "/%252e%252e",
            "/．．/x",
            "/.\u{200b}./x",
        ];
        for path in climbing {
            assert!(climbs_out(path), "{path}");
        }
        for path in ["", "/", "/a/..", "/a/b/../../c", "/./a", "/a.b/c", "/%2e/a", "/..a", "/a%2Fb/../.."] {
            assert!(!climbs_out(path), "{path}");
        }
    }

    #[test]
    fn what_has_no_end_is_taken_for_anything() {
        assert!(holds(&format!("/%{}41", "25".repeat(9)), &["v1", "message"]));
        assert!(holds(&"/a".repeat(300), &["v1"]));
    }
}
