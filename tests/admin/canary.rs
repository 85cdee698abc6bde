//! P7: a customer's ID goes in by every call and comes out nowhere.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use crate::caller::call;
use crate::described::{concrete, operations};
use crate::world::{Wish, World};

const CANARY: &str = "canary-7f3a9c";

/// Every log line of this process, at every level.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Sink {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn p7_an_id_that_went_through_every_call_is_in_no_log_line_metric_answer_or_problem() {
    let sink = Sink::default();
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(sink.clone()).finish();
    tracing::subscriber::set_global_default(log).unwrap();
    let world = World::new(Wish::default()).await;
    world.labelled(CANARY).await;
    let id = format!("{{\"customer_id\": \"{CANARY}\"}}");
    let mut answers = Vec::new();
    for (method, path) in operations(&world).await {
        let path = concrete(&path);
        let bodies = [
            id.clone(),
            format!("{{\"customer_id\": \"{CANARY}\", \"reason\": \"{CANARY} asked\"}}"),
            format!("{{\"customer_id\": \"{CANARY}\", \"upstreams\": [\"{CANARY}\"]}}"),
            format!("{{\"customer_id\": [\"{CANARY}\"]}}"),
            format!("{{\"{CANARY}\": 1}}"),
            format!("{{\"by\": \"{CANARY}"),
            CANARY.to_owned(),
        ];
        for body in &bodies {
            let body = if method == "POST" { body } else { "" };
            answers.push(call(world.address, &method, &path, &[], body).await);
            answers.push(call(world.address, &method, &format!("{path}?customer_id={CANARY}"), &[], body).await);
        }
        answers.push(call(world.address, &method, &format!("{path}/{CANARY}"), &[], &id).await);
        answers.push(call(world.address, CANARY, &path, &[], "").await);
        let origin = format!("Origin: http://{CANARY}.example");
        answers.push(call(world.address, &method, &path, &[&origin, &format!("Authorization: {CANARY}")], &id).await);
    }
    let erasure = world.erasure(CANARY).await;
    world.until(&erasure, "settling").await;
    for path in [erasure.as_str(), "/api/v1/erasures", "/metrics", "/api/v1/upstreams", "/api/v1/config"] {
        answers.push(world.get(path).await);
    }
    for answer in &answers {
        assert!(!answer.body.contains(CANARY) && !answer.head.contains(CANARY), "{answer:?}");
    }
    let log = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("admin call refused"), "the log was not listened to");
    assert!(!log.contains(CANARY), "{}", log.lines().find(|line| line.contains(CANARY)).unwrap());
}
