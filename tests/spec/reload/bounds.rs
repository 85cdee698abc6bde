//! Limits that change while what they bound goes on: connections to upstreams that are kept, and callers' connections.

use std::sync::mpsc::{Sender, channel};

use super::world::{BEFORE, Filed, message, upstream};
use crate::client::{Client, eventually};
use crate::upstream::{OK, Reply, Upstream};

fn limited(service: &Upstream, limits: &str) -> String {
    let before = BEFORE.replace("workers = 2", "workers = 1");
    format!("{before}[limits]\nconnect_timeout = \"300ms\"\n{limits}\n{}", upstream("one", service, ""))
}

/// A request that the service has and does not answer before it is told to.
fn held(filed: &Filed, service: &Upstream) -> (Client, Sender<()>) {
    let (tell, told) = channel();
    service.will(Reply::When(told, OK.into()));
    let (mut client, before) = (filed.client(), service.seen().len());
    client.send(message("one", "alice"));
    service.saw(before + 1);
    (client, tell)
}

fn ends((mut client, go): (Client, Sender<()>)) {
    go.send(()).unwrap();
    assert_eq!(client.answer().status, 200);
}

/// An upstream that is reached as before keeps its connections, and not its old bounds.
#[test]
fn p12_how_many_connections_an_upstream_may_have_follows_a_reload() {
    let service = Upstream::scripted();
    let filed = Filed::start(&limited(&service, "upstream_connections_max = 1"));
    let ask = || filed.client().ask(message("one", "alice"));
    let one = held(&filed, &service);
    ask().assert_refused(503, "overloaded");
    filed.turn_to(&limited(&service, "upstream_connections_max = 2"));
    let two = held(&filed, &service);
    ask().assert_refused(503, "overloaded");
    filed.turn_to(&limited(&service, "upstream_connections_max = 1"));
    ends(one);
    ask().assert_refused(503, "overloaded");
    ends(two);
    assert_eq!(ask().status, 200);
    let last = held(&filed, &service);
    ask().assert_refused(503, "overloaded");
    ends(last);
}

#[test]
fn p12_how_long_a_connection_to_an_upstream_may_be_idle_follows_a_reload() {
    let service = Upstream::scripted();
    let filed = Filed::start(&limited(&service, "upstream_idle_timeout = \"1h\""));
    assert_eq!(filed.client().ask(message("one", "alice")).status, 200);
    filed.turn_to(&limited(&service, "upstream_idle_timeout = \"100ms\""));
    assert_eq!(filed.client().ask(message("one", "alice")).status, 200);
    eventually("it has been closed", || service.open() == 0);
}
