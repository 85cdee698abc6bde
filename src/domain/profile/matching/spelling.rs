//! How a path is spelled: as everyone reads it, with harmless escapes, or so that two readers may disagree.
//!
//! Harmless means: whoever decodes it and whoever does not see the same separators. Everything else is doubtful, and
//! what is doubtful is never resolved here, because the bytes that go on are the caller's (P8) and the upstream's
//! reading of them is not ours to know (P9).

use smallvec::SmallVec;

use crate::domain::careless;

/// What a look at the bytes of a path says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Nothing but plain segments: the path is its own normal form.
    Clean,
    /// Escapes or characters beyond the plain ones, none of which can be taken for anything but data.
    Escaped,
    /// Empty or dot segments, parameters, backslashes, control characters, escaped separators, double escapes,
    /// escapes that are none, or bytes that are no UTF-8.
    Doubtful,
}

/// The segments of a path as it was sent, without the slash before the first and one slash after the last, which old
/// SDKs write.
pub(super) fn segments(path: &str) -> SmallVec<[&str; 16]> {
    let mut segments = SmallVec::new();
    let path = path.strip_prefix('/').unwrap_or(path);
    let body = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return segments;
    }
    let mut begun = 0;
    // Byte by byte: segments are too short for anything else to pay.
    for (at, byte) in body.bytes().enumerate() {
        if byte == b'/' {
            segments.push(body.get(begun..at).unwrap_or_default());
            begun = at + 1;
        }
    }
    segments.push(body.get(begun..).unwrap_or_default());
    segments
}

/// Where a slash stands, from the last to the first. Byte by byte, as above.
pub(super) fn slashes_from_the_end(body: &str) -> impl Iterator<Item = usize> {
    body.as_bytes().iter().enumerate().rev().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at)
}

/// One of [`segments`], counted from the last; empty where there is none.
pub(in super::super) fn from_the_end(path: &str, back: usize) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    let body = path.strip_suffix('/').unwrap_or(path);
    let mut slashes = slashes_from_the_end(body);
    let end = back.checked_sub(1).map_or(Some(body.len()), |between| slashes.nth(between));
    let begin = slashes.next().map_or(0, |slash| slash + 1);
    end.and_then(|end| body.get(begin..end)).unwrap_or_default()
}

impl Spelling {
    /// Looks at a path as the caller sent it, and at its [`segments`].
    pub(super) fn of(path: &str, segments: &[&str]) -> Self {
        // No early end: the whole path is compared in strides, which is faster than stopping at the first odd byte.
        let plain = path.bytes().fold(true, |plain, byte| plain & is_plain(byte));
        if segments.iter().any(|segment| segment.bytes().all(|byte| byte == b'.')) {
            return Self::Doubtful;
        }
        if plain {
            return Self::Clean;
        }
        let harmless = |segment: &&str| {
            !has_broken_escape(segment)
                && percent_encoding::percent_decode_str(segment).decode_utf8().is_ok_and(|text| is_data(&text))
        };
        if segments.iter().all(harmless) { Self::Escaped } else { Self::Doubtful }
    }
}

/// Characters that stand for themselves with every reader, and the slash.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b'!' | b'$' | b'&'..=b':' | b'=' | b'@'..=b'Z' | b'_' | b'a'..=b'z' | b'~')
}

fn has_broken_escape(segment: &str) -> bool {
    segment.split('%').skip(1).any(|after| !begins_with_hex_pair(after))
}

fn begins_with_hex_pair(text: &str) -> bool {
    matches!(text.as_bytes(), [one, two, ..] if one.is_ascii_hexdigit() && two.is_ascii_hexdigit())
}

/// Whether this decoded segment can be nothing but data: no separator, parameter, control character or second escape,
/// and more than dots and blanks, which some reader leaves out.
fn is_data(text: &str) -> bool {
    if text.contains(char::is_control) {
        return false;
    }
    let read: String = text.chars().filter(|c| !careless::is_dropped(*c)).map(careless::twin).collect();
    let second_escape =
        read.split('%').skip(1).any(|after| begins_with_hex_pair(after) || begins_with_unicode_escape(after));
    let nothing = read.chars().all(|c| c == '.' || c.is_whitespace());
    !read.contains(['/', '\\', ';', '#', '?']) && !second_escape && !nothing
}

fn begins_with_unicode_escape(text: &str) -> bool {
    matches!(text.as_bytes(), [b'u' | b'U', a, b, c, d, ..] if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::super::Match;
    use super::*;

    fn spelling(path: &str) -> Spelling {
        Spelling::of(path, &segments(path))
    }

    #[test]
    fn a_segment_counted_from_the_end_is_one_of_all() {
        for path in ["", "/", "//", "a", "/a", "/a/", "/a/b/c", "/a//c/", "a/b//", "///"] {
            let all = segments(path);
            for back in 0..6 {
                assert_eq!(
                    from_the_end(path, back),
                    all.iter().rev().nth(back).copied().unwrap_or_default(),
                    "{path} {back}"
                );
            }
        }
    }

    /// However it is found, it is what stands before so many segments from the end.
    #[test]
    fn p6_the_prefix_is_what_stands_before_the_profiles_own() {
        let profile = crate::domain::profile::built_in("watson-assistant").unwrap();
        let pieces = ["/", "//", "a", "instances/G", "%2F", "v2/user_data", "/x/"];
        let all = pieces.iter().flat_map(|one| pieces.iter().map(move |two| [*one, *two]));
        let paths = all.flat_map(|[one, two]| pieces.iter().map(move |three| [one, two, three].concat()));
        for path in paths.chain(["", "/", "//", "/a", "/a/", "a/b", "/a//", "//a/b"].map(str::to_owned)) {
            for own in 0..6 {
                let found = Match { endpoint: profile.endpoints().first(), own, ..Match::UNKNOWN };
                let body = path.strip_suffix('/').unwrap_or(&path);
                let pieces: Vec<&str> = body.split('/').collect();
                let before = pieces.len().checked_sub(own).filter(|before| own > 0 && *before > 0);
                let expected = before.map(|before| pieces[..before].join("/")).unwrap_or_default();
                assert_eq!(found.prefix(&path), expected, "{path} {own}");
            }
        }
    }

    #[test]
    fn what_everyone_reads_alike_is_clean() {
        for path in [
            "",
            "/",
            "/v1/recognize",
            "/v1/recognize/",
            "/a.b/c~d/e:f@g,h;".trim_end_matches(';'),
            "/v1/w/1+1=2",
            "/.well-known/x",
        ] {
            assert_eq!(spelling(path), Spelling::Clean, "{path}");
        }
    }

    #[test]
    fn odd_ids_are_only_escaped() {
        for path in [
            "/v1/w/a%20b",
            "/v1/w/caf%C3%A9",
            "/v1/w/100%25",
            "/v1/w/100%25%20sure",
            "/%6dessage",
            "/v1/w/é",
            "/v1/w/%22x%22",
            "/w/a...%20b",
        ] {
            assert_eq!(spelling(path), Spelling::Escaped, "{path}");
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_doubtful() {
        let paths = [
            "//",
            "//v1/x",
            "/v1//x",
            "/v1/x//",
            "/v1/./x",
            "/v1/../x",
            "/v1/%2e%2E/x",
            "/v1/.%2e/x",
            "/v1/..;/x",
            "/v1/x;a=1",
            "/v1/x%3Ba",
            "/v1%2Fx",
            "/v1\\x",
            "/v1%5cx",
            "/v1/x#y",
            "/v1/x%23y",
            "/v1/x%3Fy",
            "/v1/x%00",
            "/v1/x%0d%0a",
            "/v1/x%09",
            "/v1/%256dessage",
            "/v1/x%25u006d",
            "/v1/x%25ｕ006d",
            "/v1/x%25%E2%80%8B6d",
            "/v1/%u006dessage",
            "/v1/x%",
            "/v1/x%2",
            "/v1/x%zz",
            "/v1/x%c0%af",
            "/v1/x%ff",
            "/v1/x%EF%BC%8Fy",
            "/v1/%2e%20/x",
            "/v1/%20",
            "/v1/%E2%80%8B/x",
            "/v1/x\u{7f}",
            "/v1/...",
        ];
        for path in paths {
            assert_eq!(spelling(path), Spelling::Doubtful, "{path}");
        }
    }
}
