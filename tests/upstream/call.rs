//! One call: what goes out, what comes back, and what is known when nothing does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forgetgate::upstream::{Answer, BodyEnd, Bounds, CallError, ConnectError, Connector, Fault, Leave, call};
use http::{Method, Request};
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

use crate::service::{LONG, SHORT, answering, listen, plain, request, serving};

const OK: &str = "HTTP/1.1 200 OK\r\n";

fn bounds(within: Duration, body_bytes_max: usize) -> Bounds {
    Bounds { within, body_bytes_max }
}

/// Nothing has been decided against it.
pub(crate) fn always() -> Leave {
    Arc::new(|| true)
}

fn delete() -> Request<Full<Bytes>> {
    Request::delete("/v2/user_data?customer_id=x").body(Full::default()).unwrap()
}

async fn asked(connector: &Connector, body_bytes_max: usize) -> Answer {
    call(connector, delete(), bounds(LONG, body_bytes_max), always()).await.unwrap()
}

async fn failed(connector: &Connector) -> CallError {
    timeout(LONG, call(connector, delete(), bounds(LONG, 100), always())).await.unwrap().unwrap_err()
}

/// Sends `request` to a service of its own; returns what came there, in lower case, line by line.
async fn heard(sent: Request<Full<Bytes>>) -> (Vec<String>, String) {
    let (listener, url) = listen(false, "127.0.0.1").await;
    let service = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let heard = request(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        heard
    });
    call(&plain(&url), sent, bounds(LONG, 0), always()).await.unwrap();
    let text = service.await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let lines = head.replace(&url.authority, "AUTHORITY").lines().map(str::to_owned).collect();
    (lines, body.to_owned())
}

#[tokio::test]
async fn a_delete_goes_out_in_origin_form_with_one_host_and_no_body() {
    let (head, body) = heard(delete()).await;
    assert_eq!(head, ["DELETE /v2/user_data?customer_id=x HTTP/1.1", "host: AUTHORITY", "connection: close"]);
    assert_eq!(body, "");
}

#[tokio::test]
async fn p4_what_is_withheld_when_the_connection_stands_sends_not_one_byte() {
    let (listener, url) = listen(false, "127.0.0.1").await;
    let service = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        socket.read_to_end(&mut heard).await.unwrap();
        heard
    });
    let answer = call(&plain(&url), delete(), bounds(LONG, 0), Arc::new(|| false)).await;
    assert_eq!(answer.unwrap_err(), CallError::Withheld);
    assert_eq!(timeout(LONG, service).await.unwrap().unwrap(), b"");
}

/// Where the request goes and how it is framed is ours alone to say.
#[tokio::test]
async fn host_framing_and_authority_of_the_caller_do_not_count() {
    let sent = Request::builder()
        .method(Method::POST)
        .uri("http://elsewhere.test/a/%2e%2e?b=%20")
        .header("host", "evil.test")
        .header("content-length", "1")
        .header("transfer-encoding", "chunked")
        .header("connection", "keep-alive")
        .body(Full::from("four"))
        .unwrap();
    let (mut head, body) = heard(sent).await;
    assert_eq!(head.remove(0), "POST /a/%2e%2e?b=%20 HTTP/1.1");
    head.sort();
    assert_eq!(head, ["connection: close", "content-length: 4", "host: AUTHORITY"]);
    assert_eq!(body, "four");
}

#[tokio::test]
async fn an_answer_comes_whole_with_status_and_headers() {
    let connector = answering(
        "HTTP/1.1 202 Accepted\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n",
    )
    .await;
    let answer = asked(&connector, 7).await;
    assert_eq!(answer.response.status(), 202);
    assert_eq!(answer.response.headers()["date"], "Mon, 01 Jan 2024 00:00:00 GMT");
    assert_eq!((answer.response.body().as_ref(), answer.end), (&b"{\"a\":1}"[..], BodyEnd::Whole));
}

#[tokio::test]
async fn a_body_over_the_bound_keeps_its_status_and_what_fits() {
    let connector = answering(format!("{OK}Content-Length: 9\r\n\r\n123456789")).await;
    for (max, kept, end) in
        [(9, "123456789", BodyEnd::Whole), (8, "12345678", BodyEnd::TooLong), (0, "", BodyEnd::TooLong)]
    {
        let answer = asked(&connector, max).await;
        assert_eq!(answer.response.status(), 200);
        assert_eq!((answer.response.body().as_ref(), answer.end), (kept.as_bytes(), end), "{max}");
    }
}

#[tokio::test]
async fn an_endless_body_is_not_read_until_its_end() {
    let connector = serving(|mut socket| async move {
        request(&mut socket).await;
        let mut sent = socket.write_all(format!("{OK}\r\n").as_bytes()).await;
        while sent.is_ok() {
            sent = socket.write_all(&[b'x'; 4096]).await;
        }
    })
    .await;
    let answer = timeout(LONG, asked(&connector, 100_000)).await.unwrap();
    assert_eq!((answer.response.body().len(), answer.end), (100_000, BodyEnd::TooLong));
}

/// P4, P13: a 2xx that was seen is not forgotten because its body broke off.
#[tokio::test]
async fn a_body_cut_short_keeps_its_status() {
    let connector = answering(format!("{OK}Content-Length: 9\r\n\r\n123")).await;
    let answer = asked(&connector, 100).await;
    assert_eq!(answer.response.status(), 200);
    assert_eq!((answer.response.body().as_ref(), answer.end), (&b"123"[..], BodyEnd::Cut));
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_keeps_its_status() {
    let connector = serving(|mut socket| async move {
        request(&mut socket).await;
        socket.write_all(format!("{OK}Content-Length: 9\r\n\r\n123").as_bytes()).await.unwrap();
        request(&mut socket).await;
    })
    .await;
    let answer = call(&connector, delete(), bounds(SHORT, 100), always()).await.unwrap();
    assert_eq!(answer.response.status(), 200);
    assert_eq!((answer.response.body().as_ref(), answer.end), (&b"123"[..], BodyEnd::Late));
}

#[tokio::test]
async fn no_head_in_time_is_a_timeout_of_a_request_that_may_have_been_sent() {
    let connector = serving(|mut socket| async move {
        request(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\nX: ").await.unwrap();
        request(&mut socket).await;
    })
    .await;
    let error = timeout(LONG / 4, call(&connector, delete(), bounds(SHORT, 100), always())).await.unwrap().unwrap_err();
    assert_eq!(error, CallError::MaybeSent(Fault::Timeout));
    assert!(error.maybe_sent());
}

#[tokio::test]
async fn nobody_listening_means_nothing_was_sent() {
    let (listener, url) = listen(false, "127.0.0.1").await;
    drop(listener);
    let error = failed(&plain(&url)).await;
    assert_eq!(error, CallError::Connect(ConnectError::Refused));
    assert!(!error.maybe_sent());
}

#[tokio::test]
async fn a_service_that_took_the_request_and_hung_up_may_have_acted_on_it() {
    assert_eq!(failed(&answering("").await).await, CallError::MaybeSent(Fault::Closed));
}

/// Whether the close or the request came first cannot be known here; that it is no answer can.
#[tokio::test]
async fn a_service_that_hangs_up_at_once_gives_no_answer() {
    let error = failed(&serving(|socket| async move { drop(socket) }).await).await;
    assert!(matches!(error, CallError::MaybeSent(Fault::Closed) | CallError::NotSent(Fault::Closed)), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_called_that() {
    for garbage in ["SSH-2.0-OpenSSH_9.6\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "\0\0\0\0\0\0\0\0"] {
        assert_eq!(failed(&answering(garbage).await).await, CallError::MaybeSent(Fault::NotHttp), "{garbage:?}");
    }
}

#[tokio::test]
async fn a_head_without_measure_is_not_read_until_its_end() {
    let long_line = format!("{OK}X: {}\r\n\r\n", "x".repeat(200_000));
    let many_lines = format!("{OK}{}\r\n", "X: 1\r\n".repeat(200));
    for head in [long_line, many_lines] {
        assert_eq!(failed(&answering(head).await).await, CallError::MaybeSent(Fault::HeadTooLarge));
    }
}

#[tokio::test]
async fn giving_up_a_call_closes_its_connection() {
    let (arrived, has_arrived) = oneshot::channel();
    let (left, has_left) = oneshot::channel();
    let signals = Arc::new(Mutex::new(Some((arrived, left))));
    let connector = serving(move |mut socket| {
        let signals = Arc::clone(&signals);
        async move {
            let (arrived, left) = signals.lock().await.take().unwrap();
            request(&mut socket).await;
            arrived.send(()).unwrap();
            let mut rest = Vec::new();
            left.send(socket.read_to_end(&mut rest).await.map(|_| rest)).unwrap();
        }
    })
    .await;
    let calling =
        tokio::spawn(async move { call(&connector, delete(), bounds(LONG, 100), always()).await.map(|_| ()) });
    has_arrived.await.unwrap();
    calling.abort();
    assert_eq!(timeout(LONG, has_left).await.unwrap().unwrap().unwrap(), b"");
}
