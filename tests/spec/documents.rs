//! IBM's own documents, sentence by sentence, where they say what a client has to do: "Information security" of Visual
//! Recognition (2020-01-20), of Speech to Text (2018-09-16) and of Assistant (2020-06-19). The calls are those of their examples.

use crate::client::request;
use crate::websocket;
use crate::world::{Plan, World};

const VISION: &str = "/api/instances/87ff6c52-1c87-46d7-ad18-4ba7ce033760";
const JSON: &str = "Content-Type: application/json";

fn world(profile: &'static str) -> World {
    World::of(Plan { profile, ..Plan::default() })
}

fn vision() -> World {
    world("watson-visual-recognition")
}

fn speech() -> World {
    world("watson-speech-to-text")
}

fn labelled(id: &str) -> String {
    format!("X-Watson-Metadata: customer_id={id}")
}

/// The call with this line is refused without a label, and with one it arrives with that label and opted out.
#[track_caller]
fn governed(world: &World, call: &str) {
    world.ask(request(call, &["Content-Length: 2"], "{}")).assert_refused(400, "label_missing");
    let seen = world.forwarded(request(call, &[&labelled("my_ID"), "Content-Length: 2"], "{}"));
    let path = call.split(' ').nth(1).unwrap().strip_prefix("/api").unwrap();
    assert_eq!(seen.line().split(' ').nth(1), Some(path));
    assert_eq!(seen.values("x-watson-metadata"), ["customer_id=my_ID"], "{call}");
    assert_eq!(seen.values("x-watson-learning-opt-out"), ["true"], "{call}");
}

/// Visual Recognition, Labelling data: create a classifier, create a collection, update a collection.
#[test]
fn p1_visual_recognition_labels_what_its_document_says_to_label() {
    let world = vision();
    for call in [
        "v3/classifiers?version=2018-03-19",
        "v4/collections?version=2019-02-11",
        "v4/collections/c1?version=2019-02-11",
    ] {
        governed(&world, &format!("POST {VISION}/{call}"));
    }
}

/// Visual Recognition, Labelling data: the characters that are not supported.
#[test]
fn p1_visual_recognition_takes_no_character_that_its_document_excludes() {
    let world = vision();
    let call = format!("POST {VISION}/v3/classifiers?version=2018-03-19");
    for c in "\\|*{}$-[]/'`\"~?;<>()!&=%#^:.,+ ".chars() {
        let id = format!("my%{:02X}ID", u32::from(c));
        let answer = world.ask(request(&call, &[&labelled(&id), "Content-Length: 2"], "{}"));
        answer.assert_refused(400, "label_invalid");
    }
    assert_eq!(world.upstream.connections(), 0);
    // With an at sign it may be somebody's address: as all of those it leaves under an alias.
    let seen = world.forwarded(request(&call, &[&labelled("my%40ID"), "Content-Length: 2"], "{}"));
    assert!(seen.values("x-watson-metadata")[0].starts_with("customer_id=fg_"), "{:?}", seen.lines());
}

/// Visual Recognition, Labelling data: characters of several bytes are supported, URL-encoded.
#[test]
fn p6_visual_recognition_takes_the_letters_of_every_script() {
    let world = vision();
    let call = format!("POST {VISION}/v3/classifiers?version=2018-03-19");
    for id in
        ["%E6%97%A5%E6%9C%AC", "%E0%A4%B9%E0%A4%BF%E0%A4%A8%E0%A5%8D%E0%A4%A6%E0%A5%80", "%C3%A9t%C3%A9", "my_ID_7"]
    {
        let seen = world.forwarded(request(&call, &[&labelled(id), "Content-Length: 2"], "{}"));
        assert_eq!(seen.values("x-watson-metadata"), [format!("customer_id={id}")]);
    }
}

/// Visual Recognition, Deleting labelled data: all data of the customer, regardless of the method by which it was added; no
/// effect where there is none.
#[test]
fn p5_visual_recognition_forgets_what_either_api_was_given() {
    let world = vision();
    let label = labelled("my_ID");
    for call in ["v3/classifiers?version=2018-03-19", "v4/collections?version=2019-02-11"] {
        world.forwarded(request(&format!("POST {VISION}/{call}"), &[&label, "Content-Length: 2"], "{}"));
    }
    let basic = "Authorization: Basic YXBpa2V5OktFWQ==";
    let delete = |id: &str| format!("DELETE {VISION}/v3/user_data?customer_id={id}&version=2018-03-19");
    let known = world.ask(request(&delete("my_ID"), &[basic], ""));
    assert_eq!(known.status, 200, "{}", known.text());
    let mut deletes: Vec<String> = world.upstream.saw(4).iter().skip(2).map(|seen| seen.line().to_owned()).collect();
    deletes.sort();
    let beginnings = [
        "DELETE /instances/87ff6c52-1c87-46d7-ad18-4ba7ce033760/v3/user_data?",
        "DELETE /instances/87ff6c52-1c87-46d7-ad18-4ba7ce033760/v4/user_data?",
    ];
    for (line, beginning) in deletes.iter().zip(beginnings) {
        assert!(line.starts_with(beginning) && line.contains("customer_id=my_ID"), "{deletes:?}");
    }
    let unknown = world.ask(request(&delete("nobody"), &[basic], ""));
    assert_eq!((unknown.status, unknown.text()), (known.status, known.text()));
}

/// Visual Recognition, Labelling data: what the label is not documented for is let through, and counted: no delete finds it.
#[test]
fn p11_visual_recognition_is_sent_data_that_cannot_be_labelled_and_it_is_counted() {
    let world = vision();
    let calls = ["v3/classify?version=2018-03-19", "v4/analyze?version=2019-02-11", "v3/classify?version=2018-03-19"];
    for call in calls {
        world.forwarded(request(&format!("POST {VISION}/{call}"), &["Content-Length: 2"], "{}"));
    }
    world.forwarded(request(&format!("GET {VISION}/v3/classifiers?version=2018-03-19"), &[], ""));
    assert_eq!(world.metric("forgetgate_requests_unlabellable_total{upstream=\"service\"}"), 3);
    assert_eq!(world.metric("forgetgate_requests_unlabelled_total{upstream=\"service\"}"), 0);
}

/// Speech to Text, Specifying a customer ID: the methods of its list that are no WebSocket.
#[test]
fn p1_speech_to_text_labels_what_its_document_says_to_label() {
    let world = speech();
    for call in [
        "POST /api/v1/recognize",
        "POST /api/v1/register_callback?callback_url=https://app.example/results",
        "POST /api/v1/recognitions",
        "POST /api/v1/customizations/c/corpora/corpus1",
        "POST /api/v1/customizations/c/words",
        "PUT /api/v1/customizations/c/words/IEEE",
        "POST /api/v1/acoustic_customizations/a/audio/audio1",
    ] {
        governed(&world, call);
    }
}

/// Speech to Text, Specifying a customer ID: the WebSocket's label is a query parameter, URL-encoded.
#[test]
fn p1_speech_to_text_labels_a_websocket_in_its_query() {
    let label = "x-watson-metadata=customer_id%3Dmy_ID";
    let head = websocket::seen(&format!("{}?{label}", websocket::RECOGNIZE), &[], "");
    let target = head.split(' ').nth(1).unwrap();
    assert!(target.contains(label) && target.contains("x-watson-learning-opt-out=true"), "{head}");
    speech().ask(websocket::handshake(websocket::RECOGNIZE, &[])).assert_refused(400, "label_missing");
}

/// Speech to Text, Specifying a customer ID: any characters except `;` and `=`.
#[test]
fn p6_speech_to_text_takes_any_character_but_two() {
    let world = speech();
    for c in "!\"#$&'()*+,-./:<>?[\\]^_`{|}~".chars() {
        let id = format!("my{c}ID");
        let seen = world.forwarded(request("POST /api/v1/recognize", &[&labelled(&id), "Content-Length: 2"], "{}"));
        assert_eq!(seen.values("x-watson-metadata"), [format!("customer_id={id}")]);
    }
    for id in ["my=ID", "my;ID"] {
        let answer = world.ask(request("POST /api/v1/recognize", &[&labelled(id), "Content-Length: 2"], "{}"));
        answer.assert_refused(400, "label_invalid");
    }
}

/// Speech to Text, Specifying a customer ID: no string that identifies a person, such as an e-mail address or Twitter ID.
#[test]
fn p7_speech_to_text_never_sees_an_address_or_a_handle() {
    let world = speech();
    for id in ["alice@example.com", "@alice"] {
        let seen = world.forwarded(request("POST /api/v1/recognize", &[&labelled(id), "Content-Length: 2"], "{}"));
        let label = seen.values("x-watson-metadata").pop().unwrap();
        assert!(label.starts_with("customer_id=fg_") && !label.contains("alice"), "{label}");
    }
}

/// Speech to Text, Deleting data: the path has no version parameter, and the caller's own credentials go with it.
#[test]
fn p5_speech_to_text_is_asked_to_delete_with_the_callers_credentials() {
    let world = speech();
    let basic = "Authorization: Basic YXBpa2V5OktFWQ==";
    world.ask(request("DELETE /api/v1/user_data?customer_id=my_ID", &[basic], ""));
    let seen = world.upstream.only();
    assert_eq!(seen.line(), "DELETE /v1/user_data?customer_id=my_ID HTTP/1.1");
    assert_eq!(seen.values("authorization"), ["Basic YXBpa2V5OktFWQ=="]);
}

const MESSAGE: &str = "POST /api/v2/assistants/a/sessions/s/message?version=2019-02-28";

/// Assistant, Opting out of log data use: on each message, whatever the application says.
#[test]
fn p2_assistant_learns_from_no_message() {
    let world = World::start();
    for said in [&[][..], &["X-Watson-Learning-Opt-Out: false"], &["x-watson-learning-opt-out: True"]] {
        let mut lines = vec![JSON, "Content-Length: 2"];
        lines.extend(said);
        let label = labelled("abc");
        lines.push(&label);
        let seen = world.forwarded(request(MESSAGE, &lines, "{}"));
        assert_eq!(seen.values("x-watson-learning-opt-out"), ["true"], "{said:?}");
    }
}

/// Assistant, Before you begin: all messages have an ID; several are pairs with semicolons between them.
#[test]
fn p1_assistant_has_an_id_on_every_message_and_several_where_its_operator_says_so() {
    let several = "X-Watson-Metadata: customer_id=abc;customer_id=xyz";
    let ask = || request(MESSAGE, &[several, "Content-Length: 2"], "{}");
    governed(&World::start(), MESSAGE);
    let first = World::start().forwarded(ask());
    assert_eq!(first.values("x-watson-metadata"), ["customer_id=abc"]);
    let all = World::with_policy("several = \"all\"").forwarded(ask());
    assert_eq!(all.values("x-watson-metadata"), ["customer_id=abc;customer_id=xyz"]);
    World::with_policy("several = \"refuse\"").refused(ask(), 400, "label_several");
}

/// Assistant, Querying user data: the filter of a log query.
#[test]
fn p8_assistant_finds_a_customers_logs_by_the_filter_of_its_document() {
    let call = "/v1/workspaces/w/logs?version=2018-09-20&filter=customer_id::my_best_customer";
    let seen = World::start().forwarded(request(&format!("GET /api{call}"), &[], ""));
    assert_eq!(seen.line(), format!("GET {call} HTTP/1.1"));
}

/// Assistant, Deleting data: an empty JSON object comes back.
#[test]
fn p8_assistant_answers_a_delete_with_an_empty_object() {
    let world = World::start();
    world.upstream.will_say("HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    let delete = "DELETE /api/v1/user_data?customer_id=abc&version=2018-09-20";
    let answer = world.ask(request(delete, &["Authorization: Basic YXBpa2V5OktFWQ=="], ""));
    assert_eq!((answer.status, answer.text()), (202, "{}".to_owned()));
    assert_eq!(answer.values("forgetgate-erasure").len(), 1);
}
