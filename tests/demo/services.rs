//! Storing, deleting, showing, refusing and misbehaving, service by service.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use forgetgate::demo::services::{Kind, Options, Running, Seen, Service, Silence};

use crate::wire::{read, request, send};

fn started(kind: Kind) -> Running {
    started_with(kind, Options::default())
}

fn started_with(kind: Kind, options: Options) -> Running {
    Service::start(kind, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), options).expect("a free port")
}

const MESSAGE: &str = "POST /assistant/api/v1/workspaces/w/message?version=2020-04-01";

/// One labelled message; its status.
fn say(assistant: &Running, label: &str) -> u16 {
    let label = format!("X-Watson-Metadata: {label}");
    send(assistant.addr, request(MESSAGE, &[&label], br#"{"input":{"text":"hello"}}"#)).status
}

fn customers(service: &Running) -> Vec<(Option<String>, usize)> {
    service.holdings()
}

fn held(pairs: &[(&str, usize)]) -> Vec<(Option<String>, usize)> {
    pairs.iter().map(|(id, count)| (Some((*id).to_owned()), *count)).collect()
}

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
fn eight_mebibytes_stream_through_and_only_their_beginning_is_kept() {
    let speech = started(Kind::SpeechToText);
    let body = vec![7; 8 << 20];
    let label = "X-Watson-Metadata: customer_id=ann";
    assert_eq!(send(speech.addr, request("POST /v1/recognize", &[label], &body)).status, 200);

    let mut chunked = b"POST /v1/recognize HTTP/1.1\r\nHost: h\r\nConnection: close\r\n".to_vec();
    chunked.extend(b"X-Watson-Metadata: customer_id=ann\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in body.chunks(1 << 20) {
        chunked.extend(format!("{:x}\r\n", piece.len()).bytes().chain(piece.iter().copied()).chain(*b"\r\n"));
    }
    chunked.extend(b"0\r\n\r\n");
    assert_eq!(send(speech.addr, chunked).status, 200);

    let seen = speech.seen();
    for one in &seen {
        assert_eq!((one.body_length, one.body_start.len()), (8 << 20, Seen::BODY_START_MAX));
    }
    assert_eq!(seen[0].body_sha256, seen[1].body_sha256);
    assert_eq!(speech.rows().iter().map(|row| row.bytes).collect::<Vec<_>>(), [8 << 20, 8 << 20]);
}

#[test]
fn a_big_upload_is_asked_for_with_100_continue() {
    let speech = started(Kind::SpeechToText);
    let mut socket = TcpStream::connect(speech.addr).unwrap();
    let lines = ["Expect: 100-continue", "X-Watson-Metadata: customer_id=ann"];
    let all = request("POST /v1/recognize", &lines, b"sound");
    let (head, body) = all.split_at(all.len() - 5);
    socket.write_all(head).unwrap();
    let mut interim = [0; 25];
    socket.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(body).unwrap();
    assert_eq!(read(&mut socket).status, 200);
}

#[test]
fn header_lines_are_seen_in_their_order_and_case_on_every_request_of_a_connection() {
    let assistant = started(Kind::Assistant);
    let lines = ["x-watson-METADATA: customer_id=ann", "B: 2", "a: 1", "B: \u{a0}3"];
    let one = request(MESSAGE, &lines, b"{}");
    let kept = String::from_utf8(one.clone()).unwrap().replace("Connection: close\r\n", "").into_bytes();
    send(assistant.addr, [kept.as_slice(), kept.as_slice(), one.as_slice()].concat());
    let seen = assistant.seen();
    assert_eq!(seen.iter().map(|one| one.connection).collect::<Vec<_>>(), [1, 1, 1]);
    for request in &seen[..2] {
        assert!(kept.starts_with(&request.head), "byte for byte");
        assert_eq!((request.method(), request.target()), ("POST".to_owned(), MESSAGE[5..].to_owned()));
        let names: Vec<String> = request.lines().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Host", "x-watson-METADATA", "B", "a", "B", "Content-Length"]);
        assert_eq!(request.values("b"), ["2", "\u{a0}3"]);
        assert_eq!((request.body_start.as_slice(), request.answered), (b"{}".as_slice(), Some(200)));
    }
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
fn a_credential_is_asked_for_where_one_was_set() {
    let assistant = started_with(Kind::Assistant, Options::basic("apikey", "KEY"));
    let refused = send(assistant.addr, request(MESSAGE, &["X-Watson-Metadata: customer_id=ann"], b"{}"));
    assert_eq!((refused.status, &refused.json()["error"]), (401, &"Unauthorized".into()));
    assert_eq!(customers(&assistant), []);
    let lines = ["X-Watson-Metadata: customer_id=ann", "Authorization: Basic YXBpa2V5OktFWQ=="];
    assert_eq!(send(assistant.addr, request(MESSAGE, &lines, b"{}")).status, 200);
    assert_eq!(customers(&assistant), held(&[("ann", 1)]));
}

#[test]
fn deletes_can_be_made_to_fail_and_then_delete_nothing() {
    let assistant = started(Kind::Assistant);
    say(&assistant, "customer_id=ann");
    let delete = || send(assistant.addr, request("DELETE /v1/user_data?version=x&customer_id=ann", &[], b""));
    assistant.answer_deletes_with(503, Some(7));
    let failed = delete();
    assert_eq!(failed.status, 503);
    assert!(failed.head.contains("\r\nRetry-After: 7"), "{}", failed.head);
    assert_eq!(say(&assistant, "customer_id=ann"), 200, "other calls go on");
    assert_eq!(customers(&assistant), held(&[("ann", 2)]));
    assistant.answer_deletes_with(204, None);
    assert_eq!(delete().status, 204);
    assert_eq!(customers(&assistant), []);
    assistant.answer_as_usual();
    assert_eq!(delete().status, 202);
}

#[test]
fn a_delete_does_not_reach_a_call_that_was_still_on_its_way_when_it_came() {
    let assistant = started(Kind::Assistant);
    assistant.hang(Silence::Calls);
    std::thread::scope(|scope| {
        let late = scope.spawn(|| say(&assistant, "customer_id=ann"));
        await_request(&assistant, 1);
        let answer = send(assistant.addr, request("DELETE /v1/user_data?version=x&customer_id=ann", &[], b""));
        assert_eq!(answer.status, 202);
        assert_eq!(customers(&assistant), []);
        assistant.hang(Silence::Nobody);
        assert_eq!(late.join().unwrap(), 200);
    });
    assert_eq!(customers(&assistant), held(&[("ann", 1)]));
}

#[test]
fn a_delete_that_takes_its_time_does_not_reach_what_came_after_it() {
    let assistant = started(Kind::Assistant);
    say(&assistant, "customer_id=ann");
    assistant.hang(Silence::Deletes);
    std::thread::scope(|scope| {
        let delete = request("DELETE /v1/user_data?version=x&customer_id=ann", &[], b"");
        let slow = scope.spawn(|| send(assistant.addr, delete));
        await_request(&assistant, 2);
        say(&assistant, "customer_id=ann");
        assert_eq!(customers(&assistant), held(&[("ann", 2)]), "it has had no effect yet");
        assistant.hang(Silence::Nobody);
        assert_eq!(slow.join().unwrap().status, 202);
    });
    assert_eq!(customers(&assistant), held(&[("ann", 1)]));
}

#[test]
fn an_upload_that_is_cut_off_stores_nothing_and_is_seen_as_cut_off() {
    let speech = started(Kind::SpeechToText);
    let mut socket = TcpStream::connect(speech.addr).unwrap();
    let whole = request("POST /v1/recognize", &["X-Watson-Metadata: customer_id=ann"], &[1; 1000]);
    socket.write_all(&whole[..whole.len() - 1]).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    socket.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(speech.seen().iter().map(|seen| (seen.complete, seen.body_length)).collect::<Vec<_>>(), [(false, 999)]);
    assert_eq!(customers(&speech), []);
}

/// Waits until the service has read this many requests to their ends.
fn await_request(service: &Running, count: usize) {
    while service.seen().iter().filter(|seen| seen.complete).count() < count {
        std::thread::yield_now();
    }
}

#[test]
fn a_service_that_is_down_refuses_connections_and_comes_back_with_its_memory() {
    let assistant = started(Kind::Assistant);
    say(&assistant, "customer_id=ann");
    let mut open = TcpStream::connect(assistant.addr).unwrap();
    assistant.go_down();
    assert_eq!(open.read(&mut [0]).unwrap_or(0), 0, "open connections are cut");
    assert!(TcpStream::connect(assistant.addr).is_err());
    assistant.come_up().unwrap();
    assert_eq!(say(&assistant, "customer_id=ann"), 200);
    assert_eq!(customers(&assistant), held(&[("ann", 2)]));
}

#[test]
fn a_delay_comes_before_the_answer() {
    let assistant = started(Kind::Assistant);
    assistant.delay(Duration::from_millis(60)..Duration::from_millis(70));
    #[expect(clippy::disallowed_methods, reason = "the delay of a server on another thread is measured")]
    let before = Instant::now();
    say(&assistant, "customer_id=ann");
    assert!(before.elapsed() >= Duration::from_millis(60));
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let first = started(Kind::Assistant);
    let second = Service::start(Kind::Discovery, first.addr, Options::default());
    assert_eq!(second.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
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
fn speech_is_a_wav_file_and_an_upgrade_is_not_implemented() {
    let voice = started(Kind::TextToSpeech);
    let spoken =
        send(voice.addr, request("GET /v1/synthesize?text=hello", &["X-Watson-Metadata: customer_id=ann"], b""));
    assert!(spoken.head.contains("Content-Type: audio/wav"), "{}", spoken.head);
    let size = u32::from_le_bytes(spoken.body[4..8].try_into().unwrap()) as usize;
    assert_eq!((&spoken.body[..4], size), (b"RIFF".as_slice(), spoken.body.len() - 8));
    let upgrade = ["Upgrade: websocket", "Sec-WebSocket-Key: x"];
    assert_eq!(send(voice.addr, request("GET /v1/synthesize", &upgrade, b"")).status, 501);
    assert_eq!(customers(&voice), held(&[("ann", 1)]));
}

#[test]
fn answers_carry_the_headers_of_the_real_ones() {
    let assistant = started(Kind::Assistant);
    let lines = ["X-Watson-Metadata: customer_id=ann", "X-Global-Transaction-Id: mine"];
    let answer = send(assistant.addr, request(MESSAGE, &lines, b"{}"));
    for line in
        ["Content-Type: application/json", "X-Global-Transaction-Id: mine", "X-Request-Id: ", "X-Dp-Watson-Tran-Id: "]
    {
        assert!(answer.head.contains(line), "{line} is not in {}", answer.head);
    }
}
