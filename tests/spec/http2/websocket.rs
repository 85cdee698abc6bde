//! WebSockets where one side or both speak HTTP/2 (RFC 8441): the same handshake, judged by the same code, and the same
//! bytes through it.

use std::future::poll_fn;

use bytes::Bytes;
use forgetgate::domain::websocket::accept_of;
use h2::server::Builder;
use h2::{RecvStream, SendStream};
use http::{Request, Response};

use super::caller::{Caller, request, run};
use super::frames::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, block, frame};
use super::raw::Raw;
use super::service::{Exchange, Service};
use super::world::{Gate, plan};
use crate::client::{eventually, values};
use crate::upstream::{Connection, Upstream};
use crate::websocket::{KEY, RECOGNIZE, echoing, handshake};
use crate::world::Plan;

const QUERY: &str = "x-watson-metadata=customer_id%3Dalice&x-watson-learning-opt-out=true";

fn speech() -> Plan {
    Plan { profile: "watson-speech-to-text", ..Plan::default() }
}

fn extended(lines: &[(&str, &str)]) -> Request<()> {
    let mut request = request("CONNECT /api/v1/recognize", lines);
    request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    request
}

/// A service that takes WebSockets over HTTP/2, and sends back whatever comes.
fn echoing_http2() -> Service {
    Service::start(Builder::new().enable_connect_protocol().clone(), |exchange: Exchange| async move {
        let Exchange { request, mut respond, .. } = exchange;
        assert_eq!(request.method(), "CONNECT");
        assert_eq!(request.extensions().get::<h2::ext::Protocol>().unwrap().as_str(), "websocket");
        assert_eq!(request.uri().path_and_query().unwrap().as_str(), format!("/v1/recognize?{QUERY}"));
        assert_eq!(request.headers().get("sec-websocket-version").unwrap(), "13");
        for gone in ["sec-websocket-key", "upgrade", "connection", "host", "x-watson-metadata"] {
            assert!(!request.headers().contains_key(gone), "{gone}");
        }
        let head = Response::builder().header("sec-websocket-protocol", "chat").body(()).unwrap();
        let mut back = respond.send_response(head, false).unwrap();
        let mut frames = request.into_body();
        while let Some(Ok(data)) = frames.data().await {
            frames.flow_control().release_capacity(data.len()).unwrap();
            send(&mut back, data).await;
        }
        drop(back.send_data(Bytes::new(), true));
    })
}

/// The same over HTTP/1.1.
fn echoing_http1() -> Upstream {
    Upstream::serving(|connection: &mut Connection| {
        let Some(head) = connection.head() else { return };
        let key = values(&head, "sec-websocket-key").remove(0);
        assert_eq!(values(&head, "sec-websocket-version"), ["13"]);
        let accept = accept_of(key.as_bytes());
        connection.write(format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        ));
        let mut read = Vec::new();
        while connection.take_into(&mut read).is_some() {
            connection.write(std::mem::take(&mut read));
        }
        connection.socket.shutdown(std::net::Shutdown::Write).unwrap();
    })
}

async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes) {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let Some(Ok(room)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
        drop(stream.send_data(data.split_to(room.min(data.len())), false));
    }
}

async fn receive(frames: &mut RecvStream, length: usize) -> Vec<u8> {
    let mut came = Vec::new();
    while came.len() < length {
        let data = frames.data().await.expect("there is more to come").unwrap();
        frames.flow_control().release_capacity(data.len()).unwrap();
        came.extend(&data);
    }
    came
}

/// Bytes go up and come back, and the end of one side is the end of the other.
async fn echoes(caller: &Caller) {
    let (answer, mut up) = caller.begin(extended(&[("x-watson-metadata", "customer_id=alice")]), false).await;
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    for gone in ["sec-websocket-accept", "upgrade", "connection"] {
        assert!(!answer.headers().contains_key(gone), "{gone}");
    }
    let mut down = answer.into_body();
    let sound: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    for bytes in [b"a".to_vec(), sound] {
        let ((), came) = tokio::join!(send(&mut up, Bytes::from(bytes.clone())), receive(&mut down, bytes.len()));
        assert!(came == bytes);
    }
    up.send_data(Bytes::new(), true).unwrap();
    while let Some(data) = down.data().await {
        assert_eq!(data.unwrap(), Bytes::new(), "the other way has ended, too");
    }
}

#[test]
fn p1_p2_p8_a_websocket_of_http_2_is_one_of_http_1_1_to_its_service() {
    let service = echoing_http1();
    let gate = Gate::of(service.address, &speech());
    run(async { echoes(&Caller::extended(gate.address).await).await });
    let head = crate::client::latin1(&service.bytes(0));
    assert!(head.starts_with(&format!("GET /v1/recognize?{QUERY} HTTP/1.1\r\n")), "{head}");
    eventually("it is over", || gate.in_flight() == 0);
}

#[test]
fn p1_p2_p8_a_websocket_of_http_1_1_is_one_of_http_2_to_its_service() {
    let service = echoing_http2();
    let gate = Gate::of(service.address, &Plan { profile: "watson-speech-to-text", ..plan() });
    let mut client = gate.client();
    client.send(handshake(RECOGNIZE, &["X-Watson-Metadata: customer_id=alice"]));
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    let lower = head.to_ascii_lowercase();
    assert!(lower.contains("\r\nupgrade: websocket") && lower.contains("\r\nconnection: upgrade"), "{head}");
    assert!(lower.contains("\r\nsec-websocket-protocol: chat"), "{head}");
    assert!(head.contains(&format!("Sec-WebSocket-Accept: {}", accept_of(KEY.as_bytes()))), "{head}");
    client.send("hello");
    assert_eq!(client.read_until("hello"), "hello");
    client.socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.rest(), b"");
    eventually("it is over", || gate.in_flight() == 0);
}

#[test]
fn p1_p2_p8_a_websocket_passes_over_http_2_on_both_sides() {
    let service = echoing_http2();
    let gate = Gate::of(service.address, &Plan { profile: "watson-speech-to-text", ..plan() });
    run(async { echoes(&Caller::extended(gate.address).await).await });
    eventually("it is over", || gate.in_flight() == 0);
}

#[test]
fn p1_a_websocket_without_a_label_is_refused_over_http_2() {
    let service = echoing();
    let gate = Gate::of(service.address, &speech());
    run(async {
        let caller = Caller::extended(gate.address).await;
        caller.ask(extended(&[])).await.assert_refused(400, "label_missing");
        let (answer, _up) = caller.begin(extended(&[("sec-websocket-version", "777")]), false).await;
        assert_eq!(answer.await.unwrap().status(), 400);
    });
    assert_eq!(service.seen().len(), 0);
}

#[test]
fn p8_a_service_that_takes_no_websocket_over_http_2_is_named_in_a_refusal() {
    let service = Service::accepting();
    let gate = Gate::of(service.address, &Plan { profile: "watson-speech-to-text", ..plan() });
    let answer = gate.client().ask(handshake(RECOGNIZE, &["X-Watson-Metadata: customer_id=alice"]));
    answer.assert_refused(502, "upstream_unreachable");
    assert!(answer.text().contains("WebSocket"), "{}", answer.text());
    assert_eq!(service.seen().len(), 0);
}

/// What says "switching" in HTTP/2 is any 2xx: an answer to something else must not be taken for it.
#[test]
fn p9_an_ordinary_answer_opens_no_tunnel() {
    let service = Upstream::scripted();
    let gate = Gate::of(service.address, &speech());
    run(async {
        let caller = Caller::extended(gate.address).await;
        let alice = [("x-watson-metadata", "customer_id=alice")];
        let (answer, _up) = caller.begin(extended(&alice), false).await;
        assert_eq!(answer.await.unwrap().status(), 502);
    });
}

/// A caller learns of a stop a little later than it begins.
#[test]
fn p8_a_websocket_that_is_opened_while_the_gate_stops_is_ended_as_those_that_were_open() {
    let service = echoing_http1();
    let mut gate = Gate::of(service.address, &speech());
    let mut raw = Raw::to(gate.address);
    let connect = |raw: &mut Raw, stream| {
        let pseudo = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http")];
        let rest = [(":authority", "gate"), (":path", "/api/v1/recognize"), ("x-watson-metadata", "customer_id=alice")];
        raw.client.send(frame(HEADERS, END_HEADERS, stream, &block(&[&pseudo[..], &rest].concat())));
        raw.until(HEADERS, stream);
    };
    connect(&mut raw, 1);
    let running = gate.take();
    let stopping = std::thread::spawn(move || running.stop());
    raw.until(GOAWAY, 0);
    connect(&mut raw, 3);
    for stream in [1, 3] {
        assert_eq!(raw.until(DATA, stream)[..4], [0x88, 2, 3, 0xe9], "1001, between two frames");
        // Both ends are told; the service's echo of the gate's word is not waited for.
        raw.client.send(frame(DATA, END_STREAM, stream, &[0x88, 0x80, 0, 0, 0, 0]));
    }
    drop(raw);
    assert!(stopping.join().unwrap(), "nothing was cut");
}
