//! Alive, ready, metrics, and the end.

use std::sync::atomic::Ordering;

use forgetgate::domain::refusal::Code;
use tokio::net::TcpStream;

use crate::caller::{LONG, call};
use crate::world::{Wish, World};

#[tokio::test]
async fn ready_says_what_is_missing_until_nothing_is_and_a_drain_ends_it() {
    let world = World::new(Wish::default()).await;
    let listeners = world.readiness.awaits("listeners");
    let reply = world.get("/readyz").await;
    assert_eq!((reply.status, &reply.json()["missing"]), (503, &serde_json::json!(["listeners"])));
    drop(listeners);
    let reply = world.get("/readyz").await;
    assert_eq!((reply.status, &reply.json()["ready"]), (200, &true.into()));
    world.writable.store(false, Ordering::SeqCst);
    assert_eq!(world.get("/readyz").await.json()["missing"], serde_json::json!(["store"]));
    world.writable.store(true, Ordering::SeqCst);
    world.readiness.drain();
    let reply = world.get("/readyz").await;
    assert_eq!((reply.status, &reply.json()["missing"]), (503, &serde_json::json!(["draining"])));
    assert_eq!(world.get("/healthz").await.status, 200);
}

/// So that a supervisor starts it anew.
#[tokio::test]
async fn p11_a_gate_whose_store_stays_broken_says_that_it_is_not_alive() {
    let world = World::new(Wish::default()).await;
    world.writable.store(false, Ordering::SeqCst);
    assert_eq!(world.get("/healthz").await.status, 200, "it may come back by itself");
    world.alive.store(false, Ordering::SeqCst);
    let reply = world.get("/healthz").await;
    assert_eq!((reply.status, &reply.json()["alive"]), (503, &false.into()));
}

#[tokio::test]
async fn head_is_answered_as_get_without_the_body() {
    let world = World::new(Wish::default()).await;
    let (head, get) = (call(world.address, "HEAD", "/healthz", &[], "").await, world.get("/healthz").await);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()));
}

#[tokio::test]
async fn metrics_are_one_whole_page_with_the_counters_and_the_stores_figures() {
    let world = World::new(Wish::default()).await;
    world.registry.worker(0).upstream(1).refused(Code::LabelMissing);
    world.labelled("someone").await;
    let reply = world.get("/metrics").await;
    assert!(reply.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(reply.body.ends_with("# EOF\n"));
    for line in [
        "forgetgate_refusals_total{upstream=\"two\",code=\"label_missing\"} 1",
        "forgetgate_store_rows 1",
        "forgetgate_store_writable 1",
        "forgetgate_ready 1",
    ] {
        assert!(reply.body.lines().any(|found| found == line), "{line}\n{}", reply.body);
    }
}

#[tokio::test]
async fn an_erasure_is_seen_in_the_metrics() {
    let world = World::new(Wish::default()).await;
    world.labelled("someone").await;
    let path = world.erasure("someone").await;
    world.until(&path, "settling").await;
    let page = world.get("/metrics").await.body;
    for line in ["forgetgate_erasures_accepted_total 1", "forgetgate_erasure_attempts_total{code=\"accepted\"} 1"] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
}

#[tokio::test]
async fn what_was_counted_is_shown_for_each_upstream() {
    let world = World::new(Wish::default()).await;
    let worker = world.registry.worker(0);
    worker.upstream(1).request();
    worker.upstream(1).refused(Code::LabelMissing);
    let reply = world.get("/api/v1/upstreams").await.json();
    assert_eq!(reply["upstreams"][0]["name"], "one");
    assert_eq!(reply["upstreams"][1]["requests"], 1);
    assert_eq!(reply["upstreams"][1]["refused"], serde_json::json!({ "label_missing": 1 }));
}

#[tokio::test]
async fn the_end_comes_although_a_caller_keeps_its_connection_open() {
    let mut world = World::new(Wish::default()).await;
    let _idle = TcpStream::connect(world.address).await.unwrap();
    assert_eq!(world.get("/healthz").await.status, 200);
    world.drain.cancel();
    tokio::time::timeout(LONG, world.serving.take().unwrap()).await.expect("it does not end").unwrap();
    assert!(TcpStream::connect(world.address).await.is_err());
}
