//! P9 and P8 of paths: nothing governed gets by under another spelling, and nothing else is stopped.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::{Classes, Endpoint, Profile, Segment, built_in, built_in_names};
use super::*;

fn assistant() -> Arc<Profile> {
    built_in("watson-assistant").unwrap()
}

fn call_of(profile: &Profile, method: &str, path: &str) -> Result<Option<String>, Ambiguous> {
    Ok(profile.classify(method, path, None, false)?.endpoint.map(|endpoint| endpoint.call().to_string()))
}

#[test]
fn p9_a_doubtful_spelling_of_a_governed_path_is_ambiguous() {
    let paths = [
        "/v1//workspaces/w/message",
        "//v1/workspaces/w/message",
        "/v1/workspaces/w/message//",
        "/v1/workspaces//w/message",
        "/v1/workspaces/w%2Fmessage",
        "/v1/workspaces/a%2Fb/message",
        "/v1%2fworkspaces/w/message",
        "/v1/workspaces/w%5Cmessage",
        "/v1/workspaces/w\\message",
        "/v1/workspaces/w/./message",
        "/v1/workspaces/w/x/../message",
        "/v1/workspaces/w/message/..",
        "/v1/workspaces/w/%2e%2e/w/message",
        "/v1/workspaces/w/x/..;/message",
        "/v1/workspaces/w;a=b/message",
        "/v1/workspaces/w/message;a=b",
        "/v1/workspaces/w/message;",
        "/v1/workspaces/w/message%3B",
        "/v1/workspaces/w/message#x",
        "/v1/workspaces/w/message%23",
        "/v1/workspaces/w/message%3Fx",
        "/v1/workspaces/w/message%00",
        "/v1/workspaces/w/message%00.png",
        "/v1/workspaces/w/mess%0aage",
        "/v1/workspaces/w/%256dessage",
        "/v1/workspaces/w%252Fmessage",
        "/v1/workspaces/w/%u006dessage",
        "/v1/workspaces/w%c0%afmessage",
        "/v1/workspaces/%ff/message",
        "/v1/workspaces/w/message%",
        "/v1/workspaces/w/MESSAGE",
        "/V1/workspaces/w/message",
        "/v1/workspaces/w/message.json",
        "/v1/workspaces/w/message%20",
        "/v1/workspaces/w/\u{ff4d}essage",
        "/v1/workspaces/w/me%C5%BFsage",
        "/v1/workspaces/w/..%2f..%2f..%2f..%2fv1/workspaces/w/message",
        "/v1/workspaces/w/message/%2e",
        "/v1/workspaces/w/intents/..%2fmessage",
        "/v1/workspaces/%20/../w/message",
    ];
    let profile = assistant();
    for path in paths {
        assert_eq!(call_of(&profile, "POST", path), Err(Ambiguous::Path), "{path}");
        let deletes = path.replace("workspaces/w/message", "user_data");
        assert_ne!(
            profile.classify("DELETE", &deletes, None, false).map(|found| found.endpoint.is_none()),
            Ok(deletes.contains("user_data")),
            "{deletes}"
        );
    }
}

#[test]
fn p9_a_labelled_call_is_refused_in_doubt_even_where_every_reading_is_labelled() {
    let speech = built_in("watson-speech-to-text").unwrap();
    for word in ["AC%2FDC", "c%23", "..", "a;b", "what%3F"] {
        let path = format!("/v1/customizations/c/words/{word}");
        assert_eq!(call_of(&speech, "PUT", &path), Err(Ambiguous::Path), "{path}");
        assert_eq!(call_of(&speech, "DELETE", &path), Ok(None), "{path}");
    }
}

#[test]
fn p9_a_method_in_another_case_does_not_slip_past() {
    let profile = assistant();
    for (method, path) in [
        ("post", "/v1/workspaces/w/message"),
        ("Delete", "/v2/user_data"),
        ("gEt", "/v1/logs"),
        ("head", "/v1/logs"),
        ("post", "/v1/workspaces/w%2fmessage"),
    ] {
        assert_eq!(call_of(&profile, method, path), Err(Ambiguous::Method), "{method} {path}");
    }
    assert_eq!(call_of(&profile, "get", "/v1/workspaces"), Ok(None));
    assert_eq!(call_of(&profile, "PATCH", "/v1/workspaces/w/message"), Ok(None));
}

#[test]
fn p9_an_escaped_fixed_segment_is_governed_as_the_decoded_one() {
    let profile = assistant();
    let message = Ok(Some("POST /v1/workspaces/{workspace}/message".to_owned()));
    for path in
        ["/v1/workspaces/w/%6dessage", "/%76%31/workspaces/w/message/", "/instances/%67/v1/workspac%65s/w/messag%65"]
    {
        assert_eq!(call_of(&profile, "POST", path), message, "{path}");
    }
    assert_eq!(call_of(&profile, "DELETE", "/v2/%75ser_data"), Ok(Some("DELETE /v2/user_data".to_owned())));
}

#[test]
fn p8_odd_ids_in_variable_segments_are_fine() {
    let profile = assistant();
    for id in [
        "a%20b",
        "caf%C3%A9",
        "é",
        "%E6%97%A5%E6%9C%AC",
        "100%25",
        "a+b",
        "x@y.z",
        "message",
        "v1",
        "logs",
        "%22quoted%22",
        "a,b=c&d",
        "~",
        "-.-",
    ] {
        let path = format!("/v1/workspaces/{id}/message");
        assert_eq!(
            call_of(&profile, "POST", &path),
            Ok(Some("POST /v1/workspaces/{workspace}/message".to_owned())),
            "{path}"
        );
    }
}

#[test]
fn p8_what_no_reading_can_govern_passes() {
    let profile = assistant();
    for path in [
        "",
        "/",
        "*",
        "//",
        "/..",
        "/a//b",
        "/favicon.ico",
        "/v1//workspaces",
        "/v1/x;y",
        "/docs/%2F",
        "/v3/message",
        "/v1/workspaces/w/unknown%00",
        "/%zz",
        "/\\",
    ] {
        assert_eq!(call_of(&profile, "GET", path), Ok(None), "{path}");
    }
    assert_eq!(call_of(&profile, "GET", "/v1/workspaces/w/messages"), Ok(None));
    assert_eq!(call_of(&profile, "POST", "/v1/workspaces/w/messages"), Ok(None));
}

#[test]
fn p8_training_texts_may_hold_any_character() {
    let profile = assistant();
    for text in ["how%20are%20you%3F", "yes%2Fno", "c%23", "50%25%20off", "a%3Bb", "...", "..", "%252F"] {
        let path = format!("/v1/workspaces/w/intents/i/examples/{text}");
        let found = profile.classify("POST", &path, None, false).unwrap();
        assert_eq!(found.classes, Classes::TRAINING, "{path}");
        assert!(profile.classify("DELETE", &path, None, false).is_ok_and(|found| found.classes.is_empty()), "{path}");
    }
}

#[test]
fn a_websocket_is_another_endpoint_than_the_same_path_without_it() {
    let speech = built_in("watson-speech-to-text").unwrap();
    assert!(speech.classify("GET", "/v1/recognize", None, true).unwrap().classes.websocket());
    assert_eq!(speech.classify("GET", "/v1/recognize", None, false), Ok(Match::UNKNOWN));
    assert_eq!(speech.classify("GET", "/v1/RECOGNIZE", None, true), Err(Ambiguous::Path));
    assert!(speech.classify("GET", "/v1/models", None, true).unwrap().endpoint.is_some());
    let synthesize = built_in("watson-text-to-speech").unwrap();
    let websocket = |asked| synthesize.classify("GET", "/v1/synthesize", None, asked).unwrap().classes.websocket();
    assert!(websocket(true) && !websocket(false));
}

#[test]
fn a_resource_is_made_of_decoded_segments() {
    let profile = assistant();
    let resource = |path: &str| profile.classify("POST", path, None, false).unwrap().resource(path);
    assert_eq!(resource("/instances/g/v2/assistants/a1/sessions/s1/message"), "assistants/a1");
    assert_eq!(resource("/v1/workspaces/caf%C3%A9%20/message/"), "workspaces/café ");
    assert_eq!(resource("/v1/workspaces/w"), "");
    assert_eq!(resource("/nothing"), "");
}

/// A profile in which calls stand in each other's way.
fn tangled() -> Profile {
    let endpoints = [
        ("POST /docs/{doc}", ""),
        ("POST /docs/search", "\"labelled\""),
        ("POST /notes/{note}", "\"labelled\""),
        ("POST /notes/index", ""),
        ("POST /transcripts", "\"labelled\""),
        ("POST /archive/transcripts", ""),
        ("POST /{tenant}/{kind}/transcripts", ""),
    ];
    let listed: String =
        endpoints.iter().map(|(call, is)| format!("[[endpoint]]\ncall = \"{call}\"\nis = [{is}]\n")).collect();
    let head = "name = \"tangled\"\nlabel = { header = \"X-L\", field = \"id\", grammar = \"watson\" }\n";
    Profile::from_toml(&format!("{head}{listed}")).unwrap()
}

#[test]
fn p9_of_two_calls_that_one_path_could_be_the_plainer_wins_and_else_none() {
    let profile = tangled();
    let call = |path| call_of(&profile, "POST", path).map(Option::unwrap_or_default);
    assert_eq!(call("/docs/search"), Ok("POST /docs/search".to_owned()));
    assert_eq!(call("/docs/other"), Ok("POST /docs/{doc}".to_owned()));
    assert_eq!(call("/docs/Search"), Err(Ambiguous::Path));
    assert_eq!(call("/docs/search.json"), Err(Ambiguous::Path));
    assert_eq!(call("/notes/index"), Ok("POST /notes/index".to_owned()));
    assert_eq!(call("/notes/%69ndex"), Err(Ambiguous::Path));
    assert_eq!(call("/archive/transcripts"), Ok("POST /archive/transcripts".to_owned()));
    assert_eq!(call("/x/transcripts"), Ok("POST /transcripts".to_owned()));
    assert_eq!(call("/x/y/transcripts"), Err(Ambiguous::Path));
}

/// One governed call of one built-in profile.
fn governed() -> impl Strategy<Value = (&'static str, usize)> {
    let all = built_in_names().flat_map(|name| {
        let profile = built_in(name).unwrap();
        let governed =
            profile.endpoints().iter().enumerate().filter(|(_, endpoint)| !endpoint.classes.governed().is_empty());
        governed.map(|(index, _)| (name, index)).collect::<Vec<_>>()
    });
    prop::sample::select(all.collect::<Vec<_>>())
}

/// A way to write a path differently so that some server still reads it as it was.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trick {
    EscapeByte,
    EscapePercent,
    EscapeSlash,
    BackSlash,
    DoubleSlash,
    DotSegment,
    UpAndBack,
    Parameter,
    UpperCase,
    Extension,
    Nul,
    Fragment,
    TrailingSlash,
    TrailingBlank,
    Overlong,
    Wide,
    UnicodeEscape,
    Newline,
    Prefix,
}

pub(super) const TRICKS: [Trick; 19] = [
    Trick::EscapeByte,
    Trick::EscapePercent,
    Trick::EscapeSlash,
    Trick::BackSlash,
    Trick::DoubleSlash,
    Trick::DotSegment,
    Trick::UpAndBack,
    Trick::Parameter,
    Trick::UpperCase,
    Trick::Extension,
    Trick::Nul,
    Trick::Fragment,
    Trick::TrailingSlash,
    Trick::TrailingBlank,
    Trick::Overlong,
    Trick::Wide,
    Trick::UnicodeEscape,
    Trick::Newline,
    Trick::Prefix,
];

/// Replaces the character at this place, if it is one of `which`.
fn replace(path: &str, at: usize, which: impl Fn(char) -> bool, with: impl Fn(char) -> String) -> String {
    let places: Vec<_> = path.char_indices().filter(|(_, c)| which(*c)).collect();
    let Some((place, c)) = places.get(at % places.len().max(1)) else { return path.to_owned() };
    format!("{}{}{}", &path[..*place], with(*c), &path[place + c.len_utf8()..])
}

pub(super) fn play(trick: Trick, path: &str, at: usize) -> String {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let slash = |c: char| c == '/';
    match trick {
        Trick::EscapeByte => {
            replace(path, at, |c| c.is_ascii() && c != '/' && c != '%', |c| format!("%{:02x}", c as u32))
        }
        Trick::EscapePercent => replace(path, at, |c| c == '%', |_| "%25".to_owned()),
        Trick::EscapeSlash => replace(path, at, slash, |_| "%2F".to_owned()),
        Trick::BackSlash => replace(path, at, slash, |_| "\\".to_owned()),
        Trick::DoubleSlash => replace(path, at, slash, |_| "//".to_owned()),
        Trick::DotSegment => replace(path, at, slash, |_| "/./".to_owned()),
        Trick::UpAndBack => replace(path, at, slash, |_| "/x/%2e./".to_owned()),
        Trick::Parameter => replace(path, at, slash, |_| ";p=1/".to_owned()),
        Trick::UpperCase => replace(path, at, |c| c.is_ascii_lowercase(), |c| c.to_ascii_uppercase().to_string()),
        Trick::Extension => format!("{path}.json"),
        Trick::Nul => format!("{path}%00"),
        Trick::Fragment => format!("{path}%23x"),
        Trick::TrailingSlash => format!("{path}/"),
        Trick::TrailingBlank => format!("{path}%20"),
        Trick::Overlong => replace(path, at, slash, |_| "%c0%af".to_owned()),
        Trick::Wide => replace(path, at, letter, |c| char::from_u32(c as u32 + 0xfee0).unwrap().to_string()),
        Trick::UnicodeEscape => replace(path, at, letter, |c| format!("%u{:04X}", c as u32)),
        Trick::Newline => replace(path, at, letter, |c| format!("{c}%0A")),
        Trick::Prefix => format!("/instances/x{at}{path}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    /// P9: a governed call written with any tricks is itself, a call that is governed at least as much, or refused.
    #[test]
    fn p9_no_spelling_of_a_governed_call_is_ungoverned(
        (name, index) in governed(),
        values in prop::collection::vec("[a-zA-Z0-9][a-zA-Z0-9._~-]{0,8}", 8),
        tricks in prop::collection::vec((prop::sample::select(TRICKS.to_vec()), any::<usize>()), 0..6),
    ) {
        let profile = built_in(name).unwrap();
        let endpoint = &profile.endpoints()[index];
        let mut values = values.iter();
        let part = |segment: &Segment| match segment {
            Segment::Fixed(text) => format!("/{text}"),
            Segment::Variable(_) => format!("/{}", values.next().unwrap()),
        };
        let plain: String = endpoint.template.segments().iter().map(part).collect();
        // An extension stands at the end of a name, so it comes before whatever follows the name.
        let is_name = |(trick, _): &(Trick, usize)| matches!(trick, Trick::Extension);
        let (names, others): (Vec<_>, Vec<_>) = tricks.into_iter().partition(is_name);
        let spelled = names.into_iter().chain(others).fold(plain, |path, (trick, at)| play(trick, &path, at));
        let websocket = endpoint.classes.websocket();
        if let Ok(found) = profile.classify(&endpoint.method, &spelled, Some("passages"), websocket) {
            let known = found.endpoint.map_or(Classes::NONE, |endpoint| endpoint.classes);
            let is = found.endpoint.map(Endpoint::call);
            prop_assert!(known.has(endpoint.classes.governed()), "{} as {spelled} is {is:?}", endpoint.call());
            if endpoint.classes.is_strict() {
                prop_assert_eq!(found.endpoint, Some(endpoint), "{}", spelled);
            }
        }
    }

    /// P9: what stands before a governed call does not hide it.
    #[test]
    fn p9_no_prefix_of_a_governed_call_ungoverns_it(
        (name, index) in governed(),
        words in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let profile = built_in(name).unwrap();
        let endpoint = &profile.endpoints()[index];
        let fixed: Vec<&str> = profile.endpoints().iter().flat_map(|endpoint| endpoint.template.fixed()).collect();
        let prefix: String = words.iter().map(|word| format!("/{}", word.get(&fixed))).collect();
        let part = |segment: &Segment| format!("/{}", segment.fixed().unwrap_or("id"));
        let path = format!("{prefix}{}", endpoint.template.segments().iter().map(part).collect::<String>());
        if let Ok(found) = profile.classify(&endpoint.method, &path, None, endpoint.classes.websocket()) {
            let known = found.endpoint.map_or(Classes::NONE, |endpoint| endpoint.classes);
            prop_assert!(known.has(endpoint.classes.governed()), "{path} is {:?}", found.endpoint.map(Endpoint::call));
        }
    }

    /// P12: any text at all gets an answer.
    #[test]
    fn any_request_line_is_answered(
        method in "\\PC{0,8}",
        path in "\\PC{0,200}",
        query in prop::option::of("\\PC{0,80}"),
        websocket in any::<bool>(),
    ) {
        let profile = assistant();
        let found = profile.classify(&method, &path, query.as_deref(), websocket);
        let bounded = |found: Match<'_>| found.resource(&path).len() <= path.len() * 3 + 16;
        prop_assert!(found.is_ok_and(bounded) || found.is_err());
    }
}
