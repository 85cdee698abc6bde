//! Storing, deleting and showing, service by service.

use forgetgate_stand_ins::Kind;

use crate::support::{MESSAGE, customers, held, say, started};
use crate::wire::{request, send};

/// One call for each service and version, how its delete is called and how that is answered.
const SERVICES: &[(Kind, &str, &str, u16, &str)] = &[
    (Kind::Assistant, MESSAGE, "/v1/user_data?version=2020-04-01&", 202, "{}"),
    (
        Kind::Assistant,
        "POST /v2/assistants/a/message?version=2020-04-01",
        "/v2/user_data?version=2020-04-01&",
        202,
        "{}",
    ),
    (Kind::SpeechToText, "POST /speech-to-text/api/v1/recognize", "/speech-to-text/api/v1/user_data?", 200, "{}"),
    (Kind::TextToSpeech, "POST /v1/synthesize", "/v1/user_data?", 200, "{}"),
    (
        Kind::VisualRecognition,
        "POST /v3/classifiers?version=2018-03-19",
        "/v3/user_data?version=2018-03-19&",
        202,
        "{}",
    ),
    (
        Kind::VisualRecognition,
        "POST /v4/collections?version=2019-02-11",
        "/v4/user_data?version=2019-02-11&",
        202,
        "{}",
    ),
    (
        Kind::Discovery,
        "POST /v1/environments/e/collections/c/documents?version=2019-04-30",
        "/v1/user_data?version=2019-04-30&",
        200,
        "",
    ),
    (
        Kind::Discovery,
        "POST /v2/projects/p/collections/c/documents?version=2020-08-30",
        "/v2/user_data?version=2020-08-30&",
        202,
        "",
    ),
];

#[test]
fn a_delete_takes_away_that_customers_data_at_that_instance_and_nothing_else() {
    for (kind, call, delete, status, body) in SERVICES {
        let (one, other) = (started(*kind), started(*kind));
        for service in [&one, &other] {
            for label in ["customer_id=ann", "customer_id=ann", "customer_id=bob"] {
                let sent = send(service.addr, request(call, &[&format!("X-Watson-Metadata: {label}")], b"{}"));
                assert!(sent.status < 300, "{call}: {}", sent.head);
            }
        }
        let answer = send(one.addr, request(&format!("DELETE {delete}customer_id=ann"), &[], b""));
        assert_eq!((answer.status, answer.body.as_slice()), (*status, body.as_bytes()), "{call}");
        assert_eq!(customers(&one), held(&[("bob", 1)]), "{call}");
        assert_eq!(customers(&other), held(&[("ann", 2), ("bob", 1)]), "{call}");
    }
}

#[test]
fn deleting_an_unknown_customer_succeeds_and_changes_nothing() {
    for (kind, call, delete, status, _) in SERVICES {
        let service = started(*kind);
        send(service.addr, request(call, &["X-Watson-Metadata: customer_id=ann"], b"{}"));
        let answer = send(service.addr, request(&format!("DELETE {delete}customer_id=nobody"), &[], b""));
        assert_eq!(answer.status, *status, "{call}");
        assert_eq!(customers(&service), held(&[("ann", 1)]));
    }
}

#[test]
fn a_delete_without_customer_or_needed_version_is_refused() {
    for (kind, _, delete, ..) in SERVICES {
        let service = started(*kind);
        assert_eq!(send(service.addr, request(&format!("DELETE {delete}"), &[], b"")).status, 400);
        assert_eq!(send(service.addr, request(&format!("DELETE {delete}customer_id="), &[], b"")).status, 400);
        if let Some((path, _)) = delete.split_once("version=") {
            let answer = send(service.addr, request(&format!("DELETE {path}customer_id=ann"), &[], b""));
            assert_eq!(answer.status, 400);
        }
    }
}

#[test]
fn what_came_without_a_label_can_never_be_deleted() {
    let service = started(Kind::SpeechToText);
    send(service.addr, request("POST /v1/recognize", &[], b"sound"));
    send(service.addr, request("POST /v1/recognize", &["X-Watson-Metadata: customer_id= "], b"sound"));
    send(service.addr, request("POST /v1/detect_language", &["X-Watson-Metadata: customer_id=ann"], b"sound"));
    for id in ["ann", "%20", "None", "null"] {
        send(service.addr, request(&format!("DELETE /v1/user_data?customer_id={id}"), &[], b""));
    }
    assert_eq!(customers(&service), [(None, 3)]);
}

#[test]
fn each_service_reads_ids_in_its_own_grammar() {
    let assistant = started(Kind::Assistant);
    say(&assistant, "campaign=x; customer_id=a%62c;customer_id=second");
    assert_eq!(customers(&assistant), held(&[("a%62c", 1)]), "the first ID only, not decoded");

    let vision = started(Kind::VisualRecognition);
    let label = "X-Watson-Metadata: customer_id=J%C3%BCrgen_1";
    send(vision.addr, request("POST /v3/classifiers?version=x", &[label], b""));
    assert_eq!(customers(&vision), held(&[("Jürgen_1", 1)]), "decoded");
    send(vision.addr, request("DELETE /v3/user_data?version=x&customer_id=J%C3%BCrgen_1", &[], b""));
    assert_eq!(customers(&vision), []);
}

#[test]
fn discovery_takes_the_label_of_the_metadata_part_unless_there_is_a_header() {
    let discovery = started(Kind::Discovery);
    let call = "POST /v2/projects/p/collections/c/documents?version=2020-08-30";
    let body =
        b"--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{\"customer_id\":\"part\"}\r\n--b--\r\n";
    let form = "Content-Type: multipart/form-data; boundary=b";
    send(discovery.addr, request(call, &[form], body));
    send(discovery.addr, request(call, &[form, "X-Watson-Metadata: customer_id=header"], body));
    assert_eq!(customers(&discovery), held(&[("header", 1), ("part", 1)]));
}

#[test]
fn only_a_question_in_natural_language_or_for_passages_is_kept_by_discovery_v1() {
    let discovery = started(Kind::Discovery);
    let call = "POST /v1/environments/e/collections/c/query?version=2019-04-30";
    let label = "X-Watson-Metadata: customer_id=ann";
    send(discovery.addr, request(call, &[label], br#"{"query":"a:b"}"#));
    assert_eq!(customers(&discovery), []);
    send(discovery.addr, request(call, &[label], br#"{"natural_language_query":"who?"}"#));
    send(discovery.addr, request(&format!("{call}&passages=true").replacen("POST", "GET", 1), &[label], b""));
    assert_eq!(customers(&discovery), held(&[("ann", 2)]));
}

#[test]
fn it_remembers_who_opted_out() {
    let assistant = started(Kind::Assistant);
    for line in ["X-Watson-Learning-Opt-Out: true", "X-Watson-Learning-Opt-Out: false", "X-Other: true"] {
        send(assistant.addr, request(MESSAGE, &["X-Watson-Metadata: customer_id=ann", line], b"{}"));
    }
    let opted_out: Vec<bool> = assistant.rows().iter().map(|row| row.opted_out).collect();
    assert_eq!(opted_out, [true, false, false]);
}

#[test]
fn the_log_query_shows_one_customers_messages() {
    let assistant = started(Kind::Assistant);
    for label in ["customer_id=ann", "customer_id=bob", "customer_id=ann"] {
        say(&assistant, label);
    }
    let matched = |path: &str| {
        let answer = send(assistant.addr, request(&format!("GET {path}"), &[], b"")).json();
        let logs = answer["logs"].as_array().cloned().unwrap_or_default();
        assert!(logs.iter().all(|log| log["request"]["input"]["text"] == "hello"));
        logs.len()
    };
    assert_eq!(matched("/v1/workspaces/w/logs?version=x&filter=customer_id::ann"), 2);
    assert_eq!(matched("/v2/assistants/a/logs?version=x&filter=customer_id::%22bob%22"), 1);
    assert_eq!(matched("/v1/logs?version=x&filter=language::en,workspace_id::w,customer_id::ann"), 2);
    assert_eq!(matched("/v1/workspaces/w/logs?version=x&filter=customer_id::ann&page_limit=1"), 1);
    assert_eq!(matched("/v1/workspaces/w/logs?version=x&filter=customer_id::ann|bob"), 3, "an operator");
    assert_eq!(matched("/v1/workspaces/w/logs?version=x&filter=customer_id::%22ann|bob%22"), 0, "a literal");
    let all = send(assistant.addr, request("GET /v1/logs?version=x&filter=customer_id::ann", &[], b""));
    assert_eq!(all.status, 400, "this call needs a language");
}

#[test]
fn spellings_that_a_lenient_server_accepts_have_their_effect() {
    let assistant = started(Kind::Assistant);
    let label = "X_Watson_Metadata: customer_id=ann";
    for path in ["/v1//workspaces/w/%6Dessage/", "/x/../v1/workspaces/w/message;a=b", "/v1\\workspaces/w/./message"] {
        assert_eq!(send(assistant.addr, request(&format!("POST {path}"), &[label], b"{}")).status, 200, "{path}");
    }
    assert_eq!(customers(&assistant), held(&[("ann", 3)]));
    let hidden = "X-HTTP-Method-Override: DELETE";
    send(assistant.addr, request("POST /v1/user_data?version=x&customer_id=ann", &[hidden], b""));
    assert_eq!(customers(&assistant), []);
}

#[test]
fn tokens_are_jwts_with_their_times() {
    let tokens = started(Kind::Tokens);
    let iam = send(tokens.addr, request("POST /identity/token", &[], b"grant_type=x")).json();
    let pak = send(tokens.addr, request("POST /v1/authorize", &[], b"{}")).json();
    for token in [&iam["access_token"], &pak["token"]] {
        let parts: Vec<&str> = token.as_str().unwrap().split('.').collect();
        let claims = data_encoding::BASE64URL_NOPAD.decode(parts[1].as_bytes()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(parts.len(), 3);
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    }
}

#[test]
fn speech_is_a_wav_file() {
    let voice = started(Kind::TextToSpeech);
    let spoken =
        send(voice.addr, request("GET /v1/synthesize?text=hello", &["X-Watson-Metadata: customer_id=ann"], b""));
    assert!(spoken.head.contains("Content-Type: audio/wav"), "{}", spoken.head);
    let size = u32::from_le_bytes(spoken.body[4..8].try_into().unwrap()) as usize;
    assert_eq!((&spoken.body[..4], size), (b"RIFF".as_slice(), spoken.body.len() - 8));
    assert_eq!(customers(&voice), held(&[("ann", 1)]));
}
