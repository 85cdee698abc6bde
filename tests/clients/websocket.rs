//! Clients' WebSockets: a dictation and a spoken text, by the unmodified SDKs and by the JDK's own client.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use forgetgate_stand_ins::Running;
use sha2::{Digest, Sha256};

use crate::gate::{Gate, eventually};
use crate::program::{Answer, Language, Program};

const REFUSE: &str = "missing = \"refuse\"";
const DERIVE: &str = "missing = \"derive\"\nderive = [{ header = \"X-User-Id\" }]";

/// P1, P2, P5, P8: the Python SDK names its customer in a header, the service reads it in the query; what it kept is
/// erased.
#[test]
fn python_dictates_labelled() {
    judge_governed(Language::Python, "labelled", REFUSE);
}

/// P1, P2, P5, P8: the Node SDK names its customer in the query.
#[test]
fn node_dictates_labelled() {
    judge_governed(Language::Node, "labelled", REFUSE);
}

/// P1, P2, P5, P8: the JDK's client names its customer in a header.
#[test]
fn java_dictates_labelled() {
    judge_governed(Language::Java, "labelled", REFUSE);
}

/// P1: a label is derived from a header that an application sends anyway.
#[test]
fn python_dictates_derived() {
    judge_governed(Language::Python, "derived", DERIVE);
}

/// P1: the same with the Node SDK.
#[test]
fn node_dictates_derived() {
    judge_governed(Language::Node, "derived", DERIVE);
}

/// P1: the same with the JDK's client.
#[test]
fn java_dictates_derived() {
    judge_governed(Language::Java, "derived", DERIVE);
}

/// P1: an unlabelled handshake reaches no service, and the user of the Python SDK reads status and sentence.
#[test]
fn python_dictates_unlabelled() {
    for answer in refused(Language::Python).values() {
        assert_eq!(answer.status, 400, "{answer:?}");
        let is_told = answer.text.contains("must say whose") && answer.text.contains("X-Watson-Metadata");
        assert!(is_told, "the user is not told: {answer:?}");
    }
}

/// P1: the same of the JDK's client.
#[test]
fn java_dictates_unlabelled() {
    for answer in refused(Language::Java).values() {
        assert_eq!(answer.status, 400, "{answer:?}");
        let is_told = answer.text.contains("must say whose") && answer.text.contains("X-Watson-Metadata");
        assert!(is_told, "the user is not told: {answer:?}");
    }
}

/// P1: the same of the Node SDK, which shows only that it was refused, whatever the answer says.
#[test]
fn node_dictates_unlabelled() {
    for answer in refused(Language::Node).values() {
        assert_eq!((answer.status, answer.text.as_str()), (0, "WebSocket connection error"));
    }
}

fn judge_governed(language: Language, way: &str, policy: &str) {
    let gate = Gate::start(policy);
    let person = language.person();
    let (speech, voice) = (&gate.services.speech, &gate.services.voice);

    let answers = run(&gate, language, way);

    let shown: Vec<(&str, u16, &str)> =
        answers.iter().map(|(call, answer)| (call.as_str(), answer.status, answer.text.trim_end())).collect();
    let first = shown.iter().map(|(call, status, text)| (*call, *status, text.get(..4).unwrap_or_default()));
    let wanted = [("recognize", 200, "hell"), ("synthesize", 200, "RIFF")];
    assert_eq!(first.collect::<Vec<_>>(), wanted, "{answers:#?}\n{}", gate.log());
    judge_socket(speech, "/v1/recognize", person, &sound(), 0);
    // Where a plain GET has the same path, a service that does not take the upgrade reads headers.
    judge_socket(voice, "/v1/synthesize", person, b"hello", 1);

    let erased = run(&gate, language, "erased");

    assert_eq!(erased.values().map(|answer| answer.status).collect::<Vec<_>>(), [200], "{erased:?}");
    eventually("both services have forgotten the customer", || gate.services.holds(person) == 0);
    gate.judge_end(person);
}

/// The service saw one handshake with one label and opted out, both in the query and so often in headers; what came over it
/// is whole and kept.
fn judge_socket(service: &Running, path: &str, person: &str, data: &[u8], in_headers: usize) {
    let received = service.seen();
    let [seen] = received.as_slice() else { panic!("{path}: one handshake, and nothing else: {received:?}") };
    let target = seen.target().to_ascii_lowercase();
    let (came_at, query) = target.split_once('?').expect("there is a query");
    assert_eq!((seen.method().as_str(), came_at, seen.answered), ("GET", path, Some(101)));
    let governed: Vec<&str> = query.split('&').filter(|pair| pair.starts_with("x-watson-")).collect();
    let label = format!("x-watson-metadata=customer_id%3d{person}");
    assert_eq!(governed, [label.as_str(), "x-watson-learning-opt-out=true"], "{target}");
    let label = format!("customer_id={person}");
    for (header, said) in [("x-watson-metadata", label.as_str()), ("x-watson-learning-opt-out", "true")] {
        assert_eq!(seen.values(header), vec![said; in_headers], "{path}: {header}");
    }
    assert_eq!(seen.values("authorization"), ["Basic YXBpa2V5OktFWQ=="]);
    assert_eq!(seen.body_sha256, HEXLOWER.encode(&Sha256::digest(data)));
    eventually("both sides have said goodbye", || service.seen().iter().all(|seen| seen.complete));
    assert_eq!(service.holdings(), [(Some(person.to_owned()), 1)]);
    assert!(service.rows().iter().all(|row| row.opted_out && row.bytes == data.len() as u64));
}

fn refused(language: Language) -> BTreeMap<String, Answer> {
    let gate = Gate::start(REFUSE);

    let answers = run(&gate, language, "unlabelled");

    assert_eq!(answers.len(), 2);
    assert!(gate.services.all().into_iter().all(|service| service.connections() == 0));
    gate.judge_end(language.person());
    answers
}

fn run(gate: &Gate, language: Language, way: &str) -> BTreeMap<String, Answer> {
    crate::program::run(language, Program::Dictation, &gate.base, way)
}

/// The sound that the programs send.
fn sound() -> Vec<u8> {
    (0..30_000_u32).filter_map(|place| u8::try_from((place * 31 + 7) % 251).ok()).collect()
}
