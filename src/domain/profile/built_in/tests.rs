//! The tests of all profiles: each is held against a list of calls that was made apart from it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Classes, Endpoint, GrammarName, PathTemplate, Profile, Segment};
use super::*;

/// Calls whose class in the profile is knowingly another than in the list. It may only shrink.
const EXCEPTIONS: [&str; 0] = [];

struct Row {
    profile: &'static str,
    method: &'static str,
    path: &'static str,
    classes: Classes,
}

fn rows() -> Vec<Row> {
    let text = include_str!("../../../../tests/data/watson-endpoints.tsv");
    let row = |line: &'static str| {
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or_default();
        let (profile, method, path, names) = (next(), next(), next(), next());
        let classes =
            names.split(',').filter(|name| !name.is_empty()).map(|name| Classes::named(name).unwrap()).collect();
        Row { profile, method, path, classes }
    };
    text.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

fn all() -> Vec<Arc<Profile>> {
    built_in_names().map(|name| built_in(name).unwrap_or_else(|| panic!("{name} has faults"))).collect()
}

/// A path that this template matches: every variable gets a value of its own.
fn example(template: &PathTemplate) -> String {
    let part = |(index, segment): (usize, &Segment)| {
        segment.fixed().map_or_else(|| format!("/{index}f8-a.b_c~1"), |text| format!("/{text}"))
    };
    template.segments().iter().enumerate().map(part).collect()
}

fn classify<'p>(profile: &'p Profile, endpoint: &Endpoint, path: &str) -> Option<&'p Endpoint> {
    profile.classify(&endpoint.method, path, None, endpoint.classes.websocket()).unwrap().endpoint
}

#[test]
fn every_built_in_profile_is_without_a_fault_and_has_its_own_name() {
    for (name, text) in FILES {
        let profile = Profile::from_toml(text).unwrap_or_else(|faults| panic!("{name}: {faults:#?}"));
        assert_eq!(profile.name, name);
        assert!(!profile.source.is_empty() && !profile.notes.is_empty(), "{name}");
    }
    assert!(built_in("watson-nothing").is_none());
}

#[test]
fn every_listed_call_is_classed_as_listed_under_every_prefix() {
    let (mut seen, rows) = (0, rows());
    for Row { profile: name, method, path, classes } in &rows {
        if EXCEPTIONS.contains(&format!("{name} {method} {path}").as_str()) {
            continue;
        }
        let profile = built_in(name).unwrap();
        let example = path.replace('{', "0a-").replace('}', "~9");
        let prefixes =
            ["", "/instances/5c9d-guid", "/assistant/api", "/speech-to-text/4.0.1/instances/77/api", "/v1", "/api/v2"];
        for spelled in prefixes.iter().flat_map(|prefix| [format!("{prefix}{example}"), format!("{prefix}{example}/")])
        {
            let found = profile.classify(method, &spelled, None, classes.websocket()).unwrap();
            let endpoint = found.endpoint.unwrap_or_else(|| panic!("{name} does not know {method} {spelled}"));
            assert_eq!(endpoint.classes, *classes, "{name} {method} {spelled}");
            assert_eq!(
                endpoint.template.to_string().matches('{').count(),
                path.matches('{').count(),
                "{name} {method} {spelled}"
            );
            assert_eq!(found.api, path.get(2..3).and_then(|digit| digit.parse().ok()));
        }
        seen += 1;
    }
    assert_eq!(seen + EXCEPTIONS.len(), rows.len());
    assert!(seen >= 323, "the list may only grow");
}

#[test]
fn no_profile_knows_a_call_that_is_not_listed() {
    let shape = |path: &str| {
        path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
    };
    let listed: BTreeSet<_> =
        rows().iter().map(|row| (row.profile, row.method, shape(row.path), row.classes.websocket())).collect();
    let mut known = 0;
    for profile in all() {
        for endpoint in profile.endpoints() {
            let call = (
                profile.name.as_str(),
                &*endpoint.method,
                shape(&endpoint.template.to_string()),
                endpoint.classes.websocket(),
            );
            assert!(listed.contains(&call), "{call:?}");
            known += 1;
        }
    }
    assert_eq!(known, listed.len());
}

#[test]
fn every_labelled_call_is_opted_out_too() {
    for profile in all().into_iter().filter(|profile| profile.opt_out.is_some()) {
        for endpoint in profile.endpoints().iter().filter(|endpoint| endpoint.classes.labelled()) {
            assert!(endpoint.classes.opt_out(), "{} {}", profile.name, endpoint.call());
        }
    }
}

#[test]
fn every_delete_goes_to_an_erase_endpoint_of_the_same_profile() {
    for profile in all() {
        let erase = profile.erase.as_ref().unwrap();
        let deletes: Vec<_> = profile.endpoints().iter().filter(|endpoint| endpoint.classes.erase()).collect();
        assert_eq!(deletes.len(), erase.apis.len().max(1), "{}", profile.name);
        for api in [None, Some(0), Some(255)].into_iter().chain(erase.apis.iter().copied().map(Some)) {
            let found = profile.classify(&erase.method, &erase.path(api), None, false).unwrap();
            assert!(found.classes.erase(), "{} {api:?}", profile.name);
        }
        assert_eq!(erase.wants_version(), erase.default_version.is_some());
    }
}

#[test]
fn every_endpoint_is_reached_by_its_own_path_and_no_other_kind_of_request() {
    for profile in all() {
        for endpoint in profile.endpoints() {
            let path = example(&endpoint.template);
            assert_eq!(classify(&profile, endpoint, &path), Some(endpoint), "{} {}", profile.name, endpoint.call());
            if endpoint.method.as_ref() == "GET" {
                let head = profile.classify("HEAD", &path, None, endpoint.classes.websocket()).unwrap();
                assert_eq!(head.endpoint, Some(endpoint));
            }
        }
    }
}

/// Only a session of the name `v1` could turn this one into a handshake under another prefix; that path is refused.
const CONTESTED: [&str; 1] = ["watson-speech-to-text GET /v1/sessions/{session}/recognize"];

#[test]
fn hardly_any_call_of_a_built_in_profile_could_be_taken_for_another_that_is_governed() {
    let contested = |profile: &Profile| {
        let calls = profile.endpoints().iter().filter(|endpoint| endpoint.contested);
        calls.map(|endpoint| format!("{} {}", profile.name, endpoint.call())).collect::<Vec<_>>()
    };
    assert_eq!(all().iter().flat_map(|profile| contested(profile)).collect::<Vec<_>>(), CONTESTED);
}

#[test]
fn a_labelled_get_is_one_that_brings_data() {
    let gets = |profile: &Arc<Profile>| {
        let labelled =
            profile.endpoints().iter().filter(|endpoint| endpoint.classes.labelled() && &*endpoint.method == "GET");
        labelled.map(|endpoint| (endpoint.template.to_string(), endpoint.classes.websocket())).collect::<Vec<_>>()
    };
    let found: BTreeMap<_, _> = all()
        .iter()
        .map(|profile| (profile.name.clone(), gets(profile)))
        .filter(|(_, gets)| !gets.is_empty())
        .collect();
    let query = "/v1/environments/{environment}/collections/{collection}/query";
    let expected = [
        ("watson-discovery", vec![(query, false)]),
        ("watson-speech-to-text", vec![("/v1/recognize", true)]),
        ("watson-text-to-speech", vec![("/v1/synthesize", true), ("/v1/synthesize", false)]),
    ];
    let owned = |gets: Vec<(&str, bool)>| {
        gets.into_iter().map(|(path, websocket)| (path.to_owned(), websocket)).collect::<BTreeSet<_>>()
    };
    let found: BTreeMap<_, BTreeSet<_>> =
        found.into_iter().map(|(name, gets)| (name, gets.into_iter().collect())).collect();
    assert_eq!(found, expected.map(|(name, gets)| (name.to_owned(), owned(gets))).into());
}

#[test]
fn a_discovery_query_is_labelled_only_with_passages_or_natural_language() {
    let profile = built_in("watson-discovery").unwrap();
    let path = "/v1/environments/e/collections/c/query";
    let classes = |query| profile.classify("GET", path, query, false).unwrap().classes;
    let labelled = Classes::LABELLED.with(Classes::OPT_OUT);
    for query in [
        "natural_language_query=x",
        "a=b&passages=true",
        "a&Passages",
        "%70assages=1",
        "a=1;passages=1",
        "+passages=1",
        "passages[]=1",
        "natural.language+query=x",
        "%2570assages=1",
        "passages%00=1",
        "a=1%26passages%3D1",
        "natural%5Flanguage%255Fquery=x",
    ] {
        assert_eq!(classes(Some(query)), labelled, "{query}");
    }
    for query in [None, Some(""), Some("query=passages"), Some("xpassages=true")] {
        assert_eq!(classes(query), Classes::CARRIES_DATA.with(Classes::OPT_OUT), "{query:?}");
    }
    assert_eq!(profile.classify("POST", path, None, false).unwrap().classes, labelled);
}

#[test]
fn the_index_remembers_whole_resources_and_no_words_of_users() {
    let allowed = [
        "workspaces/{workspace}",
        "assistants/{assistant}",
        "customizations/{customization}",
        "acoustic_customizations/{customization}",
        "collections/{collection}",
        "environments/{environment}/collections/{collection}",
        "projects/{project}",
        "projects/{project}/collections/{collection}",
    ];
    for profile in all() {
        for endpoint in profile.endpoints().iter().filter(|endpoint| endpoint.classes.labelled()) {
            let has_a_home = endpoint.template.variables().any(|name| !matches!(name, "session" | "recognition"));
            assert_eq!(endpoint.resource_template().is_some(), has_a_home, "{}", endpoint.call());
            assert!(endpoint.resource_template().is_none_or(|text| allowed.contains(&text)), "{}", endpoint.call());
        }
    }
}

#[test]
fn rules_are_those_that_ibm_documents() {
    let grammar = |name| built_in(name).unwrap().label.grammar;
    assert_eq!(grammar("watson-visual-recognition"), GrammarName::WatsonVr);
    assert_eq!(grammar("watson-discovery"), GrammarName::WatsonDiscovery);
    let assistant = built_in("watson-assistant").unwrap();
    assert_eq!((assistant.label.several, assistant.deletes_per_minute, assistant.verify.len()), (true, Some(4), 2));
    assert!(all().iter().all(|profile| profile.label.several == (profile.name == "watson-assistant")));
    assert_eq!(built_in("watson-discovery").unwrap().opt_out.as_ref().unwrap().also, ["X-Watson-Logging-Opt-Out"]);
    for profile in all() {
        assert_eq!(profile.settle.as_secs(), 24 * 3600, "{}", profile.name);
        assert_eq!((profile.label.header.as_str(), profile.label.field.as_str()), ("x-watson-metadata", "customer_id"));
        let accepts = |status: &u16| profile.erase.as_ref().unwrap().success.accepts(*status);
        assert_eq!((100..600).filter(accepts).collect::<Vec<_>>(), [200, 202, 204], "{}", profile.name);
    }
}

#[test]
fn a_feedback_delete_by_label_is_not_an_erasure_that_the_gate_runs() {
    let profile = built_in("watson-compare-comply").unwrap();
    assert_eq!(profile.classify("DELETE", "/v1/feedback", None, false).unwrap().classes, Classes::NONE);
}
