//! What is not understood is refused, what is too much is refused, and both as problems (P11, P12).

use forgetgate::domain::UnixSeconds;
use forgetgate::telemetry::{rfc3339, unix_now};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::caller::{call, raw};
use crate::world::{Wish, World};

#[tokio::test]
async fn what_is_not_understood_is_refused_and_nothing_is_accepted() {
    let world = World::new(Wish::default()).await;
    for (path, body, code) in [
        ("/api/v1/erasures", "", "body_invalid"),
        ("/api/v1/erasures", "customer_id=someone", "body_invalid"),
        ("/api/v1/erasures", "{}", "body_invalid"),
        ("/api/v1/erasures", "{\"customer_id\": \"x\", \"dryrun\": true}", "body_invalid"),
        ("/api/v1/erasures", "{\"customer_id\": \"x\", \"customer_id\": \"y\"}", "body_invalid"),
        ("/api/v1/erasures", "{\"customer_id\": 7}", "body_invalid"),
        ("/api/v1/erasures", "{\"customer_id\": \" \"}", "customer_id_invalid"),
        ("/api/v1/erasures", "{\"customer_id\": \"x\", \"id\": \"7\"}", "body_invalid"),
        ("/api/v1/erasures", "{\"customer_id\": \"x\", \"submitted_time\": \"yesterday\"}", "time_invalid"),
        ("/api/v1/erasures", "{\"customer_id\": \"x\", \"upstreams\": []}", "upstreams_empty"),
        ("/api/v1/erasures", "{\"customer_id\": \"x\", \"upstreams\": [\"three\"]}", "upstream_unknown"),
        ("/api/v1/erasures", "{\"customer_id\": \"cust-42\", \"reason\": \"cust-42 asked\"}", "reason_personal"),
        ("/api/v1/erasures?customer_id=x", "{\"customer_id\": \"x\"}", "query_refused"),
        ("/api/v1/recipients", "{\"customer_id\": \"x\", \"more\": 1}", "body_invalid"),
    ] {
        let reply = world.post(path, body).await;
        assert_eq!((reply.status, reply.problem().as_str()), (400, code), "{path} {body}");
    }
    for (query, code) in [
        ("state=failed", "state_invalid"),
        ("limit=0", "limit_invalid"),
        ("limit=1001", "limit_invalid"),
        ("cursor=x", "cursor_invalid"),
        ("limit=1&limit=2", "query_refused"),
        ("customer_id=x", "query_refused"),
    ] {
        let reply = world.get(&format!("/api/v1/erasures?{query}")).await;
        assert_eq!((reply.status, reply.problem().as_str()), (400, code), "{query}");
    }
    assert_eq!(world.get("/api/v1/erasures").await.json()["erasures"], serde_json::json!([]));
}

/// The deadline counts from when the customer asked: a day that is yet to come would put it off without an alarm.
#[tokio::test]
async fn p5_an_erasure_that_is_asked_for_in_the_future_is_refused() {
    let world = World::new(Wish::default()).await;
    let at = |ahead: i64| rfc3339(UnixSeconds(unix_now().0.checked_add_signed(ahead).unwrap()));
    let body = |time: &str| format!("{{\"customer_id\": \"x\", \"dry_run\": true, \"submitted_time\": \"{time}\"}}");
    for time in [at(400), at(365 * 86_400), at(4 * 365 * 86_400).replace('Z', "+00:00"), "9999-12-30T00:00:00Z".into()]
    {
        let reply = world.post("/api/v1/erasures", &body(&time)).await;
        assert_eq!((reply.status, reply.problem().as_str()), (400, "time_ahead"), "{time}");
        assert!(reply.body.contains("in the future"), "{}", reply.body);
    }
    for time in [at(0), at(-60), at(200), at(-86_400), "1971-01-01T00:00:00Z".into()] {
        assert_eq!(world.post("/api/v1/erasures", &body(&time)).await.status, 200, "{time}");
    }
}

#[tokio::test]
async fn an_erasure_that_is_not_there_is_not_found_whatever_is_asked_of_it() {
    let world = World::new(Wish::default()).await;
    for id in ["018f0000-0000-7000-8000-000000000009", "no-uuid"] {
        for (method, rest, body) in [
            ("GET", "", ""),
            ("GET", "/receipt", ""),
            ("POST", "/approve", "{\"by\": \"Ada\"}"),
            ("POST", "/retry", ""),
            ("POST", "/targets/one/confirm", "{\"by\": \"Ada\"}"),
        ] {
            let reply = call(world.address, method, &format!("/api/v1/erasures/{id}{rest}"), &[], body).await;
            assert_eq!((reply.status, reply.problem().as_str()), (404, "erasure_unknown"), "{id}{rest}");
        }
    }
}

/// P12: a body is never held beyond its bound, whether it says its length or not.
#[tokio::test]
async fn a_body_that_is_too_large_is_refused_with_and_without_a_length() {
    let world = World::new(Wish::default()).await;
    let reply = world.post("/api/v1/erasures", &format!("{{\"customer_id\": \"{}\"}}", "x".repeat(70_000))).await;
    assert_eq!((reply.status, reply.problem().as_str()), (413, "body_too_large"));
    let head =
        format!("POST /api/v1/erasures HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", world.address);
    let chunks = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000)).repeat(2);
    let reply = raw(world.address, format!("{head}{chunks}0\r\n\r\n").as_bytes()).await;
    assert_eq!((reply.status, reply.problem().as_str()), (413, "body_too_large"));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let world = World::new(Wish::default()).await;
    let long = format!("X-Long: {}", "x".repeat(40_000));
    assert_eq!(call(world.address, "GET", "/healthz", &[&long], "").await.status, 431);
    let many: Vec<_> = (0..100).map(|n| format!("X-{n}: x")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(call(world.address, "GET", "/healthz", &many, "").await.status, 431);
}

/// A kubelet would restart a gate that does not answer.
#[tokio::test]
async fn p12_health_and_metrics_answer_however_many_silent_connections_there_are() {
    let world = World::new(Wish { open_metrics: true, ..Wish::default() }).await;
    let mut silent = Vec::new();
    for number in 0..300 {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        // Some have begun a head, or a call whose body does not come.
        let said = [
            "",
            "GET /healthz HT",
            "POST /api/v1/erasures HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n",
        ];
        stream.write_all(said[number % 3].as_bytes()).await.unwrap();
        silent.push(stream);
    }
    for path in ["/healthz", "/readyz", "/metrics", "/api/v1/erasures"] {
        assert_eq!(world.get(path).await.status, 200, "{path}");
    }
    drop(silent);
}
