//! IBM's SDKs and the JDK's client in the three ways in which applications name their customers: by the label, not at all, by other means.

use std::collections::BTreeMap;

use forgetgate_stand_ins::{Running, Seen};

use crate::gate::{Gate, Services, eventually};
use crate::program::{Answer, Language, Program, digest_of_audio, run};

const REFUSE: &str = "missing = \"refuse\"";
const DERIVE: &str = "missing = \"derive\"\nderive = [{ header = \"X-User-Id\" }, \
    { json = \"/context/metadata/user_id\" }, { json = \"/user_id\" }]";

/// A call that brings a customer's data: its name, where it goes, the end of its target, the status of a success.
type Call = (&'static str, fn(&Services) -> &Running, &'static str, u16);

const CALLS: [Call; 10] = [
    ("message_v1", |s| &s.assistant, "POST /v1/workspaces/ws-1/message", 200),
    ("message_v2", |s| &s.assistant, "POST /v2/assistants/as-1/environments/env-1/sessions/*/message", 200),
    ("message_v2_stateless", |s| &s.assistant, "POST /v2/assistants/as-1/environments/env-1/message", 200),
    ("recognize", |s| &s.speech, "POST /v1/recognize", 200),
    ("recognize_chunked", |s| &s.speech, "POST /v1/recognize", 200),
    ("add_corpus", |s| &s.speech, "POST /v1/customizations/cu-1/corpora/co-1", 201),
    ("add_words", |s| &s.speech, "POST /v1/customizations/cu-1/words", 201),
    ("add_word", |s| &s.speech, "PUT /v1/customizations/cu-1/words/IEEE", 201),
    ("synthesize", |s| &s.voice, "POST /v1/synthesize", 200),
    ("add_document", |s| &s.discovery, "POST /v2/projects/pr-1/collections/co-1/documents", 202),
];

/// What comes after those: log queries and deletes, with the status that the addressed service answers.
const AFTERWARDS: [(&str, u16); 7] = [
    ("logs_before", 200),
    ("delete_assistant", 202),
    ("logs_after", 200),
    ("delete_awkward", 202),
    ("delete_speech", 200),
    ("delete_voice", 200),
    ("delete_discovery", 202),
];

/// P1, P2, P8: labelled calls of the Python SDK arrive as they were sent, with one label and opted out; its delete
/// reaches every service that holds data of the customer (P5).
#[test]
fn python_labelled() {
    judge_labelled(Language::Python, "labelled", REFUSE);
}

/// P1, P2, P5, P8: the same of the Node SDK.
#[test]
fn node_labelled() {
    judge_labelled(Language::Node, "labelled", REFUSE);
}

/// P1, P2, P5, P8: the same of the JDK's client, which asks each time to go on in HTTP/2.
#[test]
fn java_labelled() {
    judge_labelled(Language::Java, "labelled", REFUSE);
}

/// P1: an application that knows no labels is labelled by what it sends anyway, with the Python SDK.
#[test]
fn python_derived() {
    judge_labelled(Language::Python, "derived", DERIVE);
}

/// P1: the same with the Node SDK.
#[test]
fn node_derived() {
    judge_labelled(Language::Node, "derived", DERIVE);
}

/// P1: the same with the JDK's client.
#[test]
fn java_derived() {
    judge_labelled(Language::Java, "derived", DERIVE);
}

/// P1: unlabelled calls of the Python SDK reach no service, and its user reads why.
#[test]
fn python_unlabelled() {
    judge_unlabelled(Language::Python);
}

/// P1: the same of the Node SDK, which of an answer that is a stream shows the reason phrase only.
#[test]
fn node_unlabelled() {
    judge_unlabelled(Language::Node);
}

/// P1: the same of the JDK's client.
#[test]
fn java_unlabelled() {
    judge_unlabelled(Language::Java);
}

fn judge_labelled(language: Language, way: &str, policy: &str) {
    let gate = Gate::start(policy);
    let person = language.person();

    let answers = run(language, Program::Client, &gate.base, way);

    let wanted = CALLS.iter().map(|(call, .., status)| (*call, *status)).chain(AFTERWARDS);
    let wanted: BTreeMap<&str, u16> = wanted.collect();
    let statuses: BTreeMap<&str, u16> = answers.iter().map(|(call, answer)| (call.as_str(), answer.status)).collect();
    assert_eq!(statuses, wanted, "{answers:#?}\n{}", gate.log());
    for (call, service, line, _) in CALLS {
        let received: Vec<Seen> = service(&gate.services).seen().into_iter().filter(|seen| is_at(seen, line)).collect();
        assert!(!received.is_empty(), "{call}: the service received no {line}");
        received.iter().for_each(|seen| judge_governed(call, seen, person));
    }
    judge_bodies(&gate.services);
    assert_eq!(text(&answers, "logs_before"), "3 logs");
    assert_eq!(text(&answers, "logs_after"), "0 logs");
    judge_deletes(&gate.services, person);
    eventually("no service holds data of the erased customer", || gate.services.holds(person) == 0);
    gate.judge_end(person);
}

/// One label, opted out, credentials kept, and nothing cut off.
fn judge_governed(call: &str, seen: &Seen, person: &str) {
    assert_eq!(seen.values("x-watson-metadata"), [format!("customer_id={person}")], "{call}");
    assert_eq!(seen.values("x-watson-learning-opt-out"), ["true"], "{call}");
    assert_eq!(seen.values("authorization"), ["Basic YXBpa2V5OktFWQ=="], "{call}");
    assert!(seen.values("via").iter().any(|via| via.contains("1.1 forgetgate")), "{call}");
    assert!(seen.complete, "{call}");
}

/// The sound arrives byte for byte, whether its length was told or it came in chunks.
fn judge_bodies(services: &Services) {
    let sounds: Vec<Seen> =
        services.speech.seen().into_iter().filter(|seen| is_at(seen, "POST /v1/recognize")).collect();
    let digests: Vec<&str> = sounds.iter().map(|seen| seen.body_sha256.as_str()).collect();
    let digest = digest_of_audio();
    assert_eq!(digests, [&digest, &digest]);
    let lengths: Vec<Vec<String>> = sounds.iter().map(|seen| seen.values("content-length")).collect();
    assert_eq!(lengths, [vec!["300000".to_owned()], vec![]]);
}

/// Each service received the deletes that were meant for it, and no other.
fn judge_deletes(services: &Services, person: &str) {
    let person_everywhere = |service: &Running, others: &[&str]| {
        eventually("the delete of the customer has come", || deleted(service).iter().any(|id| id == person));
        let mut ids = deleted(service);
        ids.retain(|id| id != person);
        // A delete may be sent again, which changes nothing.
        ids.dedup();
        assert_eq!(ids, others, "{}", service.kind.name());
    };
    person_everywhere(&services.assistant, &["a b+c/d&e"]);
    person_everywhere(&services.speech, &["nobody"]);
    person_everywhere(&services.voice, &["nobody"]);
    person_everywhere(&services.discovery, &["nobody"]);
    // It holds nothing of anybody.
    assert_eq!(deleted(&services.vision), [""; 0]);
}

/// The customers whose data a service was told to delete, in order.
fn deleted(service: &Running) -> Vec<String> {
    let deletes = service.seen().into_iter().filter(|seen| seen.method() == "DELETE");
    deletes.map(|seen| parameter(&seen.target(), "customer_id")).collect()
}

fn parameter(target: &str, wanted: &str) -> String {
    let query = target.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let value = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == wanted);
    let raw = value.map(|(_, value)| value).unwrap_or_default();
    percent_encoding::percent_decode_str(raw).decode_utf8_lossy().into_owned()
}

fn judge_unlabelled(language: Language) {
    let gate = Gate::start(REFUSE);

    let answers = run(language, Program::Client, &gate.base, "unlabelled");

    assert_eq!(answers.len(), CALLS.len());
    for (call, answer) in &answers {
        assert_eq!(answer.status, 400, "{call}: {answer:?}");
        // The sentence says what is wrong and what to send.
        let is_told = answer.text.contains("must say whose") && answer.text.contains("X-Watson-Metadata");
        assert!(is_told, "{call}: the user is not told: {answer:?}");
    }
    // A session is opened before the first message; it holds nobody's data.
    let mut received = gate.services.seen();
    received.retain(|seen| !is_at(seen, "POST /v2/assistants/as-1/environments/env-1/sessions"));
    assert_eq!(received, []);
    gate.judge_end(language.person());
}

fn text<'a>(answers: &'a BTreeMap<String, Answer>, call: &str) -> &'a str {
    answers.get(call).map(|answer| answer.text.as_str()).unwrap_or_default()
}

/// Is it this method and path, whatever the query? `*` stands for any one segment.
fn is_at(seen: &Seen, line: &str) -> bool {
    let target = seen.target();
    let path = target.split('?').next().unwrap_or_default();
    let received = format!("{} {path}", seen.method());
    let (received, wanted): (Vec<&str>, Vec<&str>) = (received.split('/').collect(), line.split('/').collect());
    received.len() == wanted.len() && received.iter().zip(&wanted).all(|(one, other)| *other == "*" || one == other)
}
