//! A delete by label as callers write it: whoever reads it finds the one customer that the gate records (P6, P9, P10).

use forgetgate::domain::label::from_delete_query;
use forgetgate::domain::profile::built_in;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;

use crate::client::request;
use crate::world::{Plan, World};

const DELETE: &str = "DELETE /api/v2/user_data?customer_id=alice&version=2021-06-14";

/// PHP and others make one name of several spellings, and the last one counts.
#[test]
fn p10_a_delete_with_a_second_customer_for_some_reader_goes_nowhere() {
    let seconds = [
        "customer_id=victim",
        "customer.id=victim",
        "customer+id=victim",
        "customer%5Fid=victim",
        "customer%255Fid=victim",
        "customer_id%00=victim",
        "customer_id[]=victim",
        "CUSTOMER_ID=victim",
        "x=1;customer_id=victim",
        "x=1%26customer_id=victim",
        "x=1%26customer_id%00%3By=victim",
        "x=1%26customer_id%00;y=victim",
    ];
    for second in seconds {
        for line in [format!("{DELETE}&{second}"), DELETE.replace('?', &format!("?{second}&"))] {
            World::start().refused(request(&line, &[], ""), 400, "label_several");
        }
    }
    for second in ["version=2018-01-01", "ver.sion=2018-01-01", "x=1;version=2018-01-01", "x_watson_metadata=victim"] {
        World::start().refused(request(&format!("{DELETE}&{second}"), &[], ""), 400, "header_ambiguous");
    }
    for cut in ["alice%00", "alice%00x", "%09alice", "alice%0d%0a"] {
        let line = DELETE.replace("alice", cut);
        World::start().refused(request(&line, &[], ""), 400, "label_invalid");
    }
}

/// Services that look for parameters in headers and bodies too find none there.
#[test]
fn p10_a_delete_reaches_the_service_with_its_query_alone() {
    let world = World::start();
    let lines = [
        "X-Watson-Metadata: customer_id=victim",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Length: 18",
        "X-Kept: yes",
    ];
    let seen = world.forwarded(request(&format!("{DELETE}&x=1"), &lines, "customer_id=victim"));
    assert_eq!(seen.line(), "DELETE /v2/user_data?customer_id=alice&version=2021-06-14&x=1 HTTP/1.1");
    assert_eq!(seen.values("x-kept"), ["yes"]);
    assert_eq!(seen.values("x-watson-metadata"), Vec::<String>::new());
    assert!(!String::from_utf8_lossy(&world.upstream.bytes(0)).contains("victim"));
}

/// `authorize` would be asked of nobody if a version that the profile does not list made it another call.
#[test]
fn p10_a_delete_of_any_version_is_an_erasure_or_goes_nowhere() {
    let speech = || World::of(Plan { profile: "watson-speech-to-text", ..Plan::default() });
    for version in ["v1", "v2", "v7"] {
        let world = speech();
        let answer = world.ask(request(&format!("DELETE /api/{version}/user_data?customer_id=alice"), &[], ""));
        assert_eq!((answer.status, answer.values("forgetgate-erasure").len()), (200, 1), "{}", answer.head);
        assert!(world.upstream.seen()[0].line().starts_with(&format!("DELETE /{version}/user_data?customer_id=")));
    }
    for path in
        ["/user_data", "/v01/user_data", "/v1.0/user_data", "/v1%20/user_data", "/V2/user_data", "/v2/User_Data"]
    {
        let line = format!("DELETE /api{path}?customer_id=alice");
        speech().refused(request(&line, &[], ""), 400, "path_ambiguous");
        let lower = line.replace("DELETE", "delete");
        speech().refused(request(&lower, &[], ""), 400, "path_ambiguous");
    }
    for header in ["X-HTTP-Method-Override: DELETE", "X-Method-Override: delete"] {
        let line = "POST /api/v7/user_data?customer_id=alice";
        speech().refused(request(line, &[header, "Content-Length: 0"], ""), 400, "header_ambiguous");
    }
}

/// The pieces of which a query that means two things is made.
const PIECES: [&str; 32] = [
    "customer_id=alice",
    "customer_id%00",
    "customer_id[",
    "customer_id",
    "customer",
    "_id",
    "id",
    "version",
    "=",
    "&",
    ";",
    "me",
    "victim",
    "x=1",
    "+",
    ".",
    "-",
    "_",
    "[]",
    "[",
    "]",
    "%5F",
    "%255f",
    "%26",
    "%2526",
    "%3B",
    "%3D",
    "%253d",
    "%00",
    "%20",
    "C",
    "\u{ff43}",
];

/// The values of all parameters of this name that a reader finds.
fn found_by(query: &str, name: &str, decode_first: usize, dividers: &[char], cuts: &[char]) -> Vec<String> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let text = (0..decode_first).fold(query.to_owned(), |text, _| decoded(&text));
    let pairs = text.split(dividers).filter_map(|pair| {
        let (written, value) = pair.split_once('=').unwrap_or((pair, ""));
        let written = decoded(&written.replace('+', " ")).to_lowercase();
        let cut = written.trim().split(cuts).next().unwrap_or_default().replace(['.', ' ', '-'], "_");
        (cut == name).then(|| value.to_owned())
    });
    pairs.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    /// P6, P10: who reads an accepted delete finds one customer and no second version, however it divides, decodes, folds or cuts.
    #[test]
    fn p10_all_readers_of_an_accepted_delete_find_one_customer(
        pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 1..9),
    ) {
        let query = format!("customer_id=me&{}", pieces.concat());
        for query in [&query, &pieces.concat()] {
            let rule = &built_in("watson-speech-to-text").unwrap().label;
            let Ok(_customer) = from_delete_query(Some(query), rule) else { continue };
            for dividers in [&['&'][..], &['&', ';']] {
                for cuts in [&[][..], &['['], &['\0'], &['[', '\0']] {
                    let customers = found_by(query, "customer_id", 0, dividers, cuts);
                    prop_assert_eq!(customers.len(), 1, "{} {:?}", query, customers);
                    prop_assert!(found_by(query, "version", 0, dividers, cuts).len() <= 1, "{}", query);
                    for decode in [1, 2] {
                        let with_value = |values: Vec<String>| values.iter().filter(|value| !value.is_empty()).count();
                        prop_assert!(with_value(found_by(query, "customer_id", decode, dividers, cuts)) <= 1, "{}", query);
                        prop_assert!(with_value(found_by(query, "version", decode, dividers, cuts)) <= 1, "{}", query);
                    }
                }
            }
        }
    }
}
