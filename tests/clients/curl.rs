//! The curl commands of the services' documentation, with bodies for which curl asks leave first (`Expect`).

use std::fs;
use std::process::Command;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::gate::{Gate, PATIENCE, eventually};

const REFUSE: &str = "missing = \"refuse\"";
const LABEL: &str = "X-Watson-Metadata: customer_id=my_ID";

/// What curl tells of a call: its status, and how much of the body it had to send.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    status: u16,
    uploaded: u64,
}

/// A gate, and a folder with three megabytes of sound.
struct Documentation {
    gate: Gate,
    folder: TempDir,
    sound: Vec<u8>,
}

impl Documentation {
    fn open() -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder can be made");
        let sound: Vec<u8> = (0..3_000_000_u32).filter_map(|place| u8::try_from(place * 37 % 251).ok()).collect();
        fs::write(folder.path().join("audio.wav"), &sound).expect("the sound can be written");
        Self { gate: Gate::start(REFUSE), folder, sound }
    }

    /// Runs curl with these arguments at a path of the gate.
    fn curl(&self, path: &str, arguments: &[&str]) -> Told {
        let output = Command::new("curl")
            .current_dir(self.folder.path())
            .args(["-sS", "-o", "answer", "-w", "%{http_code} %{size_upload}", "-u", "apikey:KEY"])
            .args(["--max-time", &PATIENCE.as_secs().to_string()])
            .args(arguments)
            .arg(format!("{}{path}", self.gate.base))
            .output()
            .expect("curl can be run");
        let said = String::from_utf8_lossy(&output.stdout);
        let numbers = said.split_once(' ').and_then(|(status, uploaded)| {
            Some(Told { status: status.parse().ok()?, uploaded: uploaded.trim().parse().ok()? })
        });
        numbers.unwrap_or_else(|| panic!("{path}: {said} {}", String::from_utf8_lossy(&output.stderr)))
    }

    fn answer(&self) -> String {
        fs::read_to_string(self.folder.path().join("answer")).expect("curl has written the answer")
    }
}

/// P1, P8: three megabytes arrive byte for byte with their length told, and in chunks.
#[test]
fn three_megabytes_of_sound_arrive_as_they_were_sent() {
    let open = Documentation::open();
    let recognize = "/speech-to-text/api/v1/recognize";
    let sound = ["-X", "POST", "-H", LABEL, "-H", "Content-Type: audio/flac", "--data-binary", "@audio.wav"];

    let told = open.curl(recognize, &sound);
    let chunked = open.curl(recognize, &[&sound[..], &["-H", "Transfer-Encoding: chunked"]].concat());

    assert_eq!((told.status, chunked.status), (200, 200), "{}", open.gate.log());
    let digest = HEXLOWER.encode(&Sha256::digest(&open.sound));
    let received = open.gate.services.speech.seen();
    let digests: Vec<&str> = received.iter().map(|seen| seen.body_sha256.as_str()).collect();
    assert_eq!(digests, [&digest, &digest]);
    assert!(received.iter().all(|seen| seen.values("x-watson-metadata") == ["customer_id=my_ID"]));
    assert_eq!(open.gate.services.speech.holds("my_ID"), 2);
}

/// P1: an upload without a label is refused before curl has sent any of it, and the service sees no connection.
#[test]
fn an_unlabelled_upload_is_refused_before_it_begins() {
    let open = Documentation::open();
    let sound = ["-X", "POST", "-H", "Content-Type: audio/wav", "--data-binary", "@audio.wav"];
    for framing in [&[][..], &["-H", "Transfer-Encoding: chunked"]] {
        let told = open.curl("/speech-to-text/api/v1/recognize", &[&sound[..], framing].concat());

        assert_eq!(told, Told { status: 400, uploaded: 0 }, "{framing:?}");
        let answer: serde_json::Value = serde_json::from_str(&open.answer()).expect("the refusal is JSON");
        assert_eq!(answer["errors"][0]["code"], "label_missing");
        assert_eq!(answer["code_description"], "Bad Request");
    }
    assert_eq!(open.gate.services.speech.connections(), 0);
}

/// P1, P5: images for Visual Recognition, which the current SDKs no longer know, are labelled and erased.
#[test]
fn a_classifier_of_visual_recognition_is_labelled_and_erased() {
    let open = Documentation::open();
    let classifiers = "/visual-recognition/api/v3/classifiers?version=2018-03-19";
    let images = ["-X", "POST", "--form", "apple_positive_examples=@audio.wav", "--form", "name=apples"];

    let refused = open.curl(classifiers, &images);
    let made = open.curl(classifiers, &[&images[..], &["-H", LABEL]].concat());

    let vision = &open.gate.services.vision;
    assert_eq!((refused.status, made.status), (400, 200), "{}", open.gate.log());
    assert_eq!((vision.seen().len(), vision.holds("my_ID")), (1, 1));

    let deleted =
        open.curl("/visual-recognition/api/v3/user_data?customer_id=my_ID&version=2018-03-19", &["-X", "DELETE"]);

    assert_eq!(deleted.status, 202);
    assert_eq!(open.answer(), "{}");
    eventually("the images are gone", || vision.holds("my_ID") == 0);
}

/// P1, P5, P6: the documentation's commands for Assistant, with two IDs in one label, of which the first counts.
#[test]
fn the_commands_for_assistant_do_what_the_documentation_says() {
    let open = Documentation::open();
    let assistant = &open.gate.services.assistant;
    let hello = ["-X", "POST", "-H", "Content-Type: application/json", "--data", "{\"input\":{\"text\":\"hello\"}}"];
    let message = "/assistant/api/v1/workspaces/w/message?version=2018-09-20";
    let logs = "/assistant/api/v1/workspaces/w/logs?version=2018-09-20&filter=customer_id::abc";

    let two = ["-H", "X-Watson-Metadata: customer_id=abc;customer_id=xyz"];
    assert_eq!(open.curl(message, &[&hello[..], &two].concat()).status, 200);
    assert_eq!((assistant.holds("abc"), assistant.holds("xyz")), (1, 0));
    assert_eq!(open.curl(message, &hello).status, 400);
    assert_eq!(open.curl(logs, &[]).status, 200);
    assert!(open.answer().contains("\"log-0\""), "{}", open.answer());

    let deleted = open.curl("/assistant/api/v1/user_data?customer_id=abc&version=2018-09-20", &["-X", "DELETE"]);
    assert_eq!(deleted.status, 202);
    eventually("the messages are gone", || assistant.holds("abc") == 0);
}

/// P1, P2: a sound that is asked for by GET is governed like any other call that stores data.
#[test]
fn text_to_speech_by_get_is_labelled_too() {
    let open = Documentation::open();
    let synthesize = "/text-to-speech/api/v1/synthesize?accept=audio/wav&text=hello";

    assert_eq!(open.curl(synthesize, &[]).status, 400);
    assert_eq!(open.curl(synthesize, &["-H", LABEL]).status, 200);

    let received = open.gate.services.voice.seen();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].target(), "/v1/synthesize?accept=audio/wav&text=hello");
    assert_eq!(received[0].values("x-watson-learning-opt-out"), ["true"]);
}

/// P10: a delete with a wrong key is answered as the service answers it, and nothing is deleted anywhere.
#[test]
fn a_delete_with_a_wrong_key_deletes_nothing() {
    let open = Documentation::open();
    let hello = ["-X", "POST", "-H", LABEL, "-H", "Content-Type: application/json", "--data", "{}"];
    assert_eq!(open.curl("/assistant/api/v1/workspaces/w/message?version=2018-09-20", &hello).status, 200);

    let delete = "/assistant/api/v1/user_data?customer_id=my_ID&version=2018-09-20";
    let refused = open.curl(delete, &["-X", "DELETE", "-u", "apikey:WRONG"]);

    assert_eq!(refused.status, 401);
    assert_eq!(open.gate.services.assistant.holds("my_ID"), 1);
}
