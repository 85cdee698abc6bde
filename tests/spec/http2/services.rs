//! What a service of HTTP/2 may do to a request: refuse it unread, reset it, say goodbye, answer early.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::Reason;
use h2::server::Builder;
use http::Response;
use tokio::sync::Barrier;

use super::caller::{Caller, Got, request, run};
use super::frames::{self, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame};
use super::service::{self, Exchange, Service, answer};
use super::world::{Gate, plan};
use crate::client::{self, eventually};
use crate::upstream::{Connection, Upstream};
use crate::world::{LABEL, MESSAGE, PLAIN, Plan};

const ALICE: (&str, &str) = ("x-watson-metadata", "customer_id=alice");

fn message(body: &str) -> String {
    client::request(MESSAGE, &[LABEL, &format!("Content-Length: {}", body.len())], body)
}

#[test]
fn p12_streams_beyond_a_services_limit_have_connections_of_their_own() {
    const TOGETHER: usize = 7;
    let inflight = Arc::new(Barrier::new(TOGETHER));
    let handle = move |exchange: Exchange| {
        let inflight = Arc::clone(&inflight);
        async move {
            let (_, respond) = exchange.read().await;
            // None is answered before all have come: had one waited for another, none would be.
            inflight.wait().await;
            answer(respond, 200, "{}");
        }
    };
    let service = Service::start(Builder::new().max_concurrent_streams(2).clone(), handle);
    let gate = Gate::before(service.address);
    run(async {
        let caller = Caller::to(gate.address).await;
        let asked = (0..TOGETHER).map(|_| caller.post(request(MESSAGE, &[ALICE]), "{}"));
        let got: Vec<Got> = futures_util::future::join_all(asked).await;
        assert!(got.iter().all(|got| got.status == 200), "{got:?}");
    });
    assert_eq!(service.connections(), TOGETHER.div_ceil(2));
}

#[test]
fn p8_many_streams_share_a_connection() {
    let service = Service::accepting();
    let gate = Gate::before(service.address);
    run(async {
        let caller = Caller::to(gate.address).await;
        for _ in 0..5 {
            let asked = (0..20).map(|_| caller.post(request(MESSAGE, &[ALICE]), "{}"));
            let got: Vec<Got> = futures_util::future::join_all(asked).await;
            assert!(got.iter().all(|got| got.status == 200), "{got:?}");
        }
    });
    assert_eq!((service.saw(100).len(), service.connections()), (100, 1));
}

/// Begins as a service of HTTP/2 does, waits for a whole request on stream 1, and gives its body.
fn raw_request(connection: &mut Connection) -> Option<Vec<u8>> {
    connection.write(frame(SETTINGS, 0, 0, &[]));
    let mut read = Vec::new();
    loop {
        connection.take_into(&mut read)?;
        let frames = frames::all(read.get(PREFACE.len()..).unwrap_or_default());
        let on_stream = || frames.iter().filter(|(_, _, stream, _)| *stream == 1);
        if on_stream().any(|(_, flags, ..)| flags & END_STREAM != 0) {
            return Some(on_stream().filter(|(kind, ..)| *kind == DATA).flat_map(|(.., data)| data.clone()).collect());
        }
    }
}

/// `:status: 200`, by its place in the static table.
fn raw_ok() -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0x88])
}

/// What the caller gets when the first connection does this, and how many connections there were.
fn after(first: Vec<u8>, body: &str) -> (client::Answer, Vec<usize>) {
    let whole = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&whole);
    let service = Upstream::serving(move |connection| {
        let Some(body) = raw_request(connection) else { return };
        seen.lock().unwrap().push(body.len());
        connection.write(if connection.number == 0 { first.clone() } else { raw_ok() });
        connection.until_closed();
    });
    let gate = Gate::before(service.address);
    let answer = gate.client().ask(message(body));
    let whole = whole.lock().unwrap().clone();
    (answer, whole)
}

#[test]
fn p8_a_request_that_was_refused_unread_is_sent_again() {
    let refused = frame(RST_STREAM, 0, 1, &7_u32.to_be_bytes());
    let goodbye = frame(GOAWAY, 0, 0, &[0; 8]);
    for first in [refused, goodbye] {
        for body in ["{}".to_owned(), "a".repeat(40_000)] {
            let (answer, whole) = after(first.clone(), &body);
            assert_eq!((answer.status, whole), (200, vec![body.len(); 2]), "{}", answer.text());
        }
    }
}

#[test]
fn p4_a_request_that_may_have_been_read_is_never_sent_again() {
    let reset = |code: u32| frame(RST_STREAM, 0, 1, &code.to_be_bytes());
    // With stream 1 as the last that it looked at.
    let goodbye = [frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 2]), reset(2)].concat();
    for first in [reset(2), reset(8), goodbye] {
        let (answer, whole) = after(first, "{}");
        answer.assert_refused(502, "upstream_unreachable");
        assert_eq!(whole.len(), 1);
    }
}

#[test]
fn p12_a_request_is_not_sent_again_for_ever() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let service = Upstream::serving(move |connection| {
        if raw_request(connection).is_some() {
            count.fetch_add(1, Ordering::SeqCst);
            connection.write([frame(RST_STREAM, 0, 1, &7_u32.to_be_bytes()), frame(GOAWAY, 0, 0, &[0; 8])].concat());
            connection.until_closed();
        }
    });
    let gate = Gate::before(service.address);
    gate.client().ask(message("{}")).assert_refused(502, "upstream_unreachable");
    assert!(connections.load(Ordering::SeqCst) <= 3);
}

#[test]
fn p8_an_answer_that_the_service_resets_is_seen_to_break_off() {
    let handle = |exchange: Exchange| async move {
        let (_, mut respond) = exchange.read().await;
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(b"some"), false).unwrap();
        // It has to be on its way before the reset overtakes it.
        tokio::task::yield_now().await;
        stream.send_reset(Reason::INTERNAL_ERROR);
    };
    let service = Service::start(Builder::new(), handle);
    let gate = Gate::before(service.address);
    let answer = gate.client().ask(client::request(PLAIN, &[], ""));
    assert!(answer.status == 502 || !answer.whole, "{}", answer.head);
    run(async {
        let (answer, _) = Caller::to(gate.address).await.begin(request(PLAIN, &[]), true).await;
        let got = Got::of(answer.await.unwrap()).await;
        assert!(got.status == 502 || got.cut.is_some(), "{got:?}");
    });
}

#[test]
fn p8_a_caller_that_leaves_is_told_to_the_service_as_a_cancelled_stream() {
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let handle = move |exchange: Exchange| {
        count.fetch_add(1, Ordering::SeqCst);
        exchange.until_reset()
    };
    let service = Service::start(Builder::new(), handle);
    let gate = Gate::before(service.address);
    let mut client = gate.client();
    client.send(client::request(PLAIN, &[], ""));
    eventually("the request is on its way", || begun.load(Ordering::SeqCst) == 1);
    // One that only closes may still read.
    socket2::SockRef::from(&client.socket).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(client);
    eventually("the service is told", || service.resets() == [Reason::CANCEL]);
    run(async {
        let caller = Caller::to(gate.address).await;
        let (answer, mut stream) = caller.begin(request(PLAIN, &[]), true).await;
        while begun.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        stream.send_reset(Reason::CANCEL);
        drop(answer);
        while service.resets().len() < 2 {
            tokio::task::yield_now().await;
        }
    });
    eventually("nothing is in flight", || gate.in_flight() == 0);
}

/// An erasure must know when what was sent is over: the answer to a labelled request is read to its end without its caller,
/// and the delete that covers it comes behind. (The first delete is the proof of authority, and waits for nobody.)
#[test]
fn p4_a_labelled_request_that_was_sent_whole_outlives_its_caller_over_http_2() {
    let (release, released) = tokio::sync::watch::channel(false);
    let handle = move |exchange: Exchange| {
        let mut released = released.clone();
        async move {
            let (seen, respond) = exchange.read().await;
            if seen.head.method == "POST" {
                released.wait_for(|released| *released).await.unwrap();
            }
            answer(respond, 200, "{}");
        }
    };
    let service = Service::start(Builder::new(), handle);
    let gate = Gate::before(service.address);
    run(async {
        let caller = Caller::to(gate.address).await;
        let (_answer, mut stream) = caller.begin(request(MESSAGE, &[ALICE]), true).await;
        while service.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        stream.send_reset(Reason::CANCEL);
        // The reset has come before this does.
        assert_eq!(caller.ask(request("DELETE /api/v1/user_data?customer_id=bob", &[])).await.status, 200);
    });
    assert_eq!(gate.in_flight(), 1, "it goes on without its caller");
    let delete = "DELETE /api/v1/user_data?customer_id=alice&version=2021-06-14";
    assert_eq!(gate.client().ask(client::request(delete, &[], "")).status, 200);
    let alices = || {
        service
            .seen()
            .iter()
            .filter(|seen| seen.head.uri.query().is_some_and(|query| query.starts_with("customer_id=alice")))
            .count()
    };
    assert_eq!(alices(), 1, "only the proof");
    release.send_replace(true);
    eventually("the delete that covers it is sent", || alices() == 2);
    eventually("nothing is in flight", || gate.in_flight() == 0);
}

#[test]
fn p8_an_early_answer_reaches_its_caller_and_the_rest_of_the_request_is_not_wanted() {
    let handle = |exchange: Exchange| async move { answer(exchange.respond, 413, "too much") };
    let service = Service::start(Builder::new(), handle);
    let gate = Gate::before(service.address);
    let mut client = gate.client();
    client.send(client::request(MESSAGE, &[LABEL, "Content-Length: 1000000"], &"a".repeat(1000)));
    let answer = client.answer();
    assert_eq!((answer.status, answer.body.as_slice()), (413, &b"too much"[..]));
    run(async {
        let (answer, mut stream) = Caller::to(gate.address).await.begin(request(MESSAGE, &[ALICE]), false).await;
        stream.send_data(Bytes::from_static(b"some"), false).unwrap();
        let got = Got::of(answer.await.unwrap()).await;
        assert_eq!((got.status, got.body.as_slice(), got.cut.is_none()), (413, &b"too much"[..], true));
        let reset = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
        assert_eq!(reset.unwrap(), Reason::NO_ERROR);
    });
}

#[test]
fn p8_a_caller_that_waits_to_be_told_is_told_to_send_its_body() {
    let service = Service::accepting();
    let gate = Gate::before(service.address);
    let mut client = gate.client();
    client.send(client::request(MESSAGE, &[LABEL, "Expect: 100-continue", "Content-Length: 2"], ""));
    assert!(client.head().starts_with("HTTP/1.1 100 "));
    client.send("{}");
    assert_eq!(client.answer().status, 200);
    run(async {
        let caller = Caller::to(gate.address).await;
        let (mut answer, mut stream) =
            caller.begin(request(MESSAGE, &[ALICE, ("expect", "100-continue")]), false).await;
        let interim = std::future::poll_fn(|cx| answer.poll_informational(cx)).await;
        assert_eq!(interim.unwrap().unwrap().status(), 100);
        stream.send_data(Bytes::from_static(b"{}"), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
    });
    assert!(service.saw(2).iter().all(|seen| seen.body == b"{}" && seen.values("expect").is_empty()));
}

#[test]
fn p11_a_service_that_does_not_speak_http_2_is_not_sent_a_request() {
    let service = Upstream::scripted();
    let gate = Gate::of(service.address, &Plan { limits: "connect_timeout = \"500ms\"", ..plan() });
    let answer = gate.client().ask(message("{}"));
    assert!([502, 504].contains(&answer.status), "{}", answer.head);
    assert!(!client::latin1(&service.bytes(0)).contains("customer_id"));
}

#[test]
fn p8_the_gates_own_deletes_speak_http_2_where_the_service_speaks_nothing_else() {
    let service = Service::start(Builder::new(), service::accept);
    let gate = Gate::before(service.address);
    let delete = "DELETE /api/v1/user_data?customer_id=alice&version=2021-06-14";
    let answer = gate.client().ask(client::request(delete, &["Authorization: Bearer mine"], ""));
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"{}"[..]), "{}", answer.head);
    let seen = service.saw(1).remove(0);
    assert_eq!((seen.head.method.as_str(), seen.head.uri.path()), ("DELETE", "/v1/user_data"));
    assert_eq!(seen.values("authorization"), ["Bearer mine"]);
    assert_eq!(seen.head.uri.authority().unwrap().as_str(), service.address.to_string());
}
