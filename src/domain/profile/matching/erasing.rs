//! Deletes by label under a version of the API that the profile does not list.
//!
//! A service may know versions that its profile does not, and what it takes for a delete by label must not pass as a call
//! that nobody knows (P9, P10). So a delete by label with any number in `v{n}` is one, and every other spelling of it is
//! refused. See docs/decisions/039-any-version.md.

use super::super::endpoint::Endpoint;
use super::super::template::Segment;
use super::loose::{Loose, reads_as};
use super::tree::Index;
use crate::domain::careless;

/// What stands behind the version in the path of a delete by label: `user_data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Erasing {
    rest: Box<[Segment]>,
    /// The endpoint that stands for all versions.
    pub(super) endpoint: Index,
}

/// How close a path comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Near {
    /// Not at all.
    No,
    /// It is the delete by label of this version.
    Version(u8),
    /// It ends with it for some reader; `versioned`: behind something that could be a version.
    Maybe { versioned: bool },
}

impl Erasing {
    /// `None` for an endpoint that is no delete by label, or has no version in its path.
    pub(super) fn of(endpoint: &Endpoint, index: Index) -> Option<Self> {
        let segments = endpoint.template.segments();
        let version = segments.iter().rposition(|segment| segment.fixed().and_then(version).is_some())?;
        let rest = segments.get(version + 1..)?;
        let is_one = endpoint.classes.erase() && rest.iter().any(|segment| segment.fixed().is_some());
        is_one.then(|| Self { rest: rest.into(), endpoint: index })
    }

    /// Whether it is the same call, whatever the version.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.rest == other.rest
    }

    /// Whether this endpoint names the call, so that the profile itself says what it is.
    pub(super) fn is_named_by(&self, endpoint: &Endpoint) -> bool {
        let named = endpoint.template.segments();
        let tail = named.len().checked_sub(self.rest.len()).and_then(|at| named.get(at..)).unwrap_or_default();
        !tail.is_empty() && tail.iter().zip(&self.rest).all(|(named, own)| own.fixed().is_none_or(|_| named == own))
    }

    /// How close a path comes whose segments everyone sees alike. `exact`: decoded or not, they are the same.
    pub(super) fn near(&self, segments: &[&str], exact: bool) -> Near {
        let Some(at) = segments.len().checked_sub(self.rest.len()) else { return Near::No };
        let (before, tail) = segments.split_at_checked(at).unwrap_or_default();
        let last = tail.len().saturating_sub(1);
        let mut pairs = tail.iter().zip(&self.rest).enumerate();
        if !pairs.all(|(place, (sent, own))| own.fixed().is_none_or(|fixed| reads_as(sent, fixed, place == last))) {
            return Near::No;
        }
        let to_the_letter = tail.iter().zip(&self.rest).all(|(sent, own)| own.fixed().is_none_or(|own| own == *sent));
        let before = before.last().copied().unwrap_or_default();
        match version(before) {
            Some(api) if exact && to_the_letter => Near::Version(api),
            _ => Near::Maybe { versioned: may_be_version(before) },
        }
    }

    /// How many of these segments are the profile's own: version and rest, and what it has before them.
    pub(super) fn own(&self, segments: &[&str], endpoint: Option<&Endpoint>) -> usize {
        let behind = self.rest.len() + 1;
        let named = endpoint.map_or(&[][..], |endpoint| endpoint.template.segments());
        let before = named.len().checked_sub(behind).and_then(|count| named.get(..count)).unwrap_or_default();
        let at = segments.len().checked_sub(behind + before.len());
        let sent = at.and_then(|at| segments.get(at..at + before.len())).unwrap_or_default();
        let fits = |(named, sent): (&Segment, &&str)| named.fixed().is_none_or(|fixed| fixed == *sent);
        let all = sent.len() == before.len() && before.iter().zip(sent).all(fits);
        behind + if all { before.len() } else { 0 }
    }

    /// Whether it could be found in a path about whose segments readers may disagree.
    pub(super) fn may_be_in(&self, loose: &Loose) -> bool {
        loose.may_hold(&self.rest.iter().filter_map(Segment::fixed))
    }
}

/// `v` and a number as numbers are written.
fn version(segment: &str) -> Option<u8> {
    let digits = segment.strip_prefix('v')?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

/// Whether a reader could take this for a version.
fn may_be_version(segment: &str) -> bool {
    let mut read = segment.chars().map(careless::twin).filter(|c| c.is_alphanumeric());
    read.next() == Some('v') && read.next().is_some_and(char::is_numeric)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::{Classes, Profile, built_in, built_in_names};
    use super::super::tests::{TRICKS, play};
    use super::super::{Ambiguous, Match};

    fn delete<'p>(profile: &'p Profile, path: &str) -> Result<Match<'p>, Ambiguous> {
        profile.classify("DELETE", path, None, false)
    }

    #[test]
    fn p10_a_delete_by_label_of_any_version_is_one() {
        for name in built_in_names() {
            let profile = built_in(name).unwrap();
            for api in [0, 1, 2, 5, 10, 255] {
                for path in
                    ["/v{}/user_data", "/v{}/user_data/", "/instances/5c9d-guid/v{}/user_data", "/v1/x/v{}/user_data"]
                {
                    let path = path.replace("{}", &api.to_string());
                    let found = delete(&profile, &path).unwrap();
                    assert!(found.classes.erase() && found.api == Some(api), "{name} {path}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn p9_every_other_spelling_of_a_delete_by_label_is_refused() {
        let speech = built_in("watson-speech-to-text").unwrap();
        let paths = [
            "/user_data",
            "/user_data/",
            "/api/user_data",
            "/x/y/user_data",
            "/v01/user_data",
            "/v1.0/user_data",
            "/v1%20/user_data",
            "/%20v2/user_data",
            "/v2%00/user_data",
            "/v256/user_data",
            "/v/user_data",
            "/v-1/user_data",
            "/v+2/user_data",
            "/V2/user_data",
            "/v2/User_Data",
            "/v2/USER_DATA",
            "/v2/user_data.json",
            "/v2/user_data%20",
            "/v2/%75ser_data",
            "/%762/user_data",
            "/v2/user%5Fdata",
            "/v2/user_data;x",
            "/v2;x/user_data",
            "/v2//user_data",
            "//v2/user_data",
            "/v2/user_data//",
            "/v2/./user_data",
            "/v2/user_data/.",
            "/v2/x/../user_data",
            "/v2%2Fuser_data",
            "/v2\\user_data",
            "/v2/user_data%00",
            "/v2/user_data%23",
            "/v2/user_data%3Fx",
            "/v2/%2575ser_data",
            "/v\u{ff12}/user_data",
            "/v2/\u{ff55}ser_data",
            "/latest/user_data",
        ];
        for path in paths {
            assert_eq!(delete(&speech, path), Err(Ambiguous::Path), "{path}");
        }
        for path in ["/v2/user_data", "/v01/user_data", "/user_data"] {
            assert_eq!(speech.classify("delete", path, None, false), Err(Ambiguous::Method), "{path}");
            assert_eq!(speech.classify("GET", path, None, false), Ok(Match::UNKNOWN), "{path}");
        }
    }

    #[test]
    fn p8_what_only_holds_the_word_is_another_call() {
        let speech = built_in("watson-speech-to-text").unwrap();
        let word = delete(&speech, "/v1/customizations/c/words/user_data").unwrap();
        assert!(word.endpoint.is_some() && !word.classes.erase());
        for path in
            ["/v2/user_data_2", "/v2/xuser_data", "/v2/user_data/x", "/v2/userdata", "/v2/users", "/user%20data"]
        {
            assert_eq!(delete(&speech, path), Ok(Match::UNKNOWN), "{path}");
        }
        let named = |calls: &[(&str, &str)]| {
            let listed = calls.iter().map(|(call, is)| format!("[[endpoint]]\ncall = \"{call}\"\nis = [{is}]\n"));
            let head = "name = \"own\"\nlabel = { header = \"X-L\", field = \"id\", grammar = \"watson\" }\n";
            let erase = "[erase]\ncall = \"DELETE /v1/people\"\nquery = { id = \"{id}\" }\n";
            Profile::from_toml(&format!("{head}{erase}{}", listed.collect::<String>())).unwrap()
        };
        let own = named(&[
            ("DELETE /v1/people", "\"erase\""),
            ("DELETE /v2/people", ""),
            ("DELETE /rooms/{room}", ""),
            ("DELETE /{a}/{b}", ""),
        ]);
        assert_eq!(delete(&own, "/v1/people").unwrap().classes, Classes::ERASE);
        assert!(delete(&own, "/v2/people").unwrap().classes.is_empty(), "the profile itself says that it is none");
        assert_eq!(delete(&own, "/rooms/people").unwrap().endpoint.unwrap().template.to_string(), "/rooms/{room}");
        for path in ["/v3/people", "/v03/people", "/v3/People", "/V1/people"] {
            assert_eq!(delete(&own, path), Err(Ambiguous::Path), "{path}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

        /// P9, P10: whatever its version and its spelling, it is an erasure or it is refused.
        #[test]
        fn p9_no_spelling_of_a_delete_by_label_is_a_call_that_nobody_knows(
            name in prop::sample::select(built_in_names().collect::<Vec<_>>()),
            before in prop_oneof!["", "/v[0-9]{1,4}", "/v[0-9]{1,2}(\\.[0-9]|beta|%20)", "/[a-z0-9]{1,6}"],
            tricks in prop::collection::vec((prop::sample::select(TRICKS.to_vec()), any::<usize>()), 0..6),
        ) {
            let profile = built_in(name).unwrap();
            // An extension stands at the end of a name, so it comes before whatever follows the name.
            let is_name = |(trick, _): &(_, usize)| format!("{trick:?}") == "Extension";
            let (names, others): (Vec<_>, Vec<_>) = tricks.into_iter().partition(is_name);
            let plain = format!("{before}/user_data");
            let spelled = names.into_iter().chain(others).fold(plain, |path, (trick, at)| play(trick, &path, at));
            let found = delete(&profile, &spelled);
            prop_assert!(found.is_err() || found.is_ok_and(|found| found.classes.erase()), "{name} {spelled}: {found:?}");
        }
    }
}
