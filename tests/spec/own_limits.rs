//! P10 and P12: what an upstream says for itself goes before what is said for all.

use std::fs;
use std::time::Duration;

use crate::client::{eventually, request};
use crate::disconnects::reset;
use crate::upstream::{OK, Reply, Upstream};
use crate::world::{LABEL, MESSAGE, PLAIN, Plan, World};

fn own(limits: &'static str, own: &str) -> Plan {
    Plan { limits, upstream: own.to_owned(), ..Plan::default() }
}

/// Lets time go by: what is shown is that nothing happens in it.
fn a_while() {
    std::thread::park_timeout(Duration::from_millis(1_200));
}

#[test]
fn p12_each_upstream_is_waited_for_as_long_as_it_says() {
    let short = World::of(own("response_timeout = \"1h\"", "limits = { response_timeout = \"400ms\" }"));
    short.upstream.will(Reply::Hang);
    short.ask(request(PLAIN, &[], "")).assert_refused(504, "upstream_timeout");

    let slow = Upstream::serving(|connection| {
        while connection.request().is_some() {
            a_while();
            connection.write(OK);
        }
    });
    let long = World::before(slow, own("response_timeout = \"400ms\"", "limits = { response_timeout = \"1h\" }"));
    assert_eq!(long.ask(request(PLAIN, &[], "")).status, 200);
}

#[test]
fn p12_a_body_may_stand_still_for_as_long_as_its_upstream_says() {
    let long = World::of(own("body_stall_timeout = \"400ms\"", "limits = { body_stall_timeout = \"1h\" }"));
    let mut client = long.client();
    client.send(request(MESSAGE, &[LABEL, "Content-Length: 2"], "{"));
    a_while();
    client.send("}");
    assert_eq!(client.answer().status, 200);

    let short = World::of(own("body_stall_timeout = \"1h\"", "limits = { body_stall_timeout = \"400ms\" }"));
    let mut client = short.client();
    client.send(request(MESSAGE, &[LABEL, "Content-Length: 2"], "{"));
    eventually("the gate gives up", || short.in_flight() == 0 && short.upstream.open() == 0);
    assert!(short.upstream.seen().is_empty());
}

/// A part of an answer, and then nothing for a while, or nothing any more.
fn falls_silent(kind: &'static str, for_ever: bool) -> Upstream {
    Upstream::serving(move |connection| {
        if connection.request().is_none() {
            return;
        }
        connection.write(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 2\r\n\r\n{{"));
        if for_ever {
            return connection.until_closed();
        }
        a_while();
        connection.write("}");
    })
}

#[test]
fn p12_an_answer_and_a_stream_of_events_may_be_silent_for_as_long_as_their_upstream_says() {
    for (kind, common, short, long) in [
        (
            "application/json",
            ["answer_stall_timeout = \"1h\"", "answer_stall_timeout = \"400ms\""],
            "limits = { answer_stall_timeout = \"400ms\" }",
            "limits = { answer_stall_timeout = \"1h\" }",
        ),
        (
            "text/event-stream",
            ["event_stream_timeout = \"1h\"", "event_stream_timeout = \"400ms\""],
            "limits = { event_stream_timeout = \"400ms\" }",
            "limits = { event_stream_timeout = \"1h\" }",
        ),
    ] {
        let world = World::before(falls_silent(kind, true), own(common[0], short));
        assert!(!world.ask(request(PLAIN, &[], "")).whole, "{kind}: it is given up");
        let world = World::before(falls_silent(kind, false), own(common[1], long));
        let answer = world.ask(request(PLAIN, &[], ""));
        assert!(answer.whole && answer.text() == "{}", "{kind}: it is waited for");
    }
}

/// Its answer is read to the end without its caller, so that erasures need not reckon with it, and the connection is used again.
#[test]
fn p4_what_its_caller_has_left_is_waited_for_as_long_as_its_upstream_says() {
    let slow = Upstream::serving(|connection| {
        while connection.request().is_some() {
            a_while();
            connection.write(OK);
        }
    });
    let world = World::before(slow, own("response_timeout = \"400ms\"", "limits = { response_timeout = \"1h\" }"));
    let mut client = world.client();
    client.send(request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}"));
    world.upstream.saw(1);
    reset(client);
    eventually("it has been answered", || world.in_flight() == 0);
    assert_eq!(world.ask(request(PLAIN, &[], "")).status, 200);
    assert_eq!(world.upstream.connections(), 1);
}

/// The common rule asks the service; this upstream asks for a token of its own.
#[test]
fn p10_who_may_erase_at_an_upstream_is_what_that_upstream_says() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "s3cret\n").unwrap();
    let by_token = format!("erasure = {{ authorize = \"token\", token = {{ file = \"{}\" }} }}", token.display());
    let world = World::of(own("", &by_token));
    let delete = "DELETE /api/v2/user_data?customer_id=alice&version=2021-06-14";
    for shown in [&[][..], &["Forgetgate-Authorization: Bearer wrong"]] {
        world.ask(request(delete, shown, "")).assert_refused(400, "erasure_unauthorised");
    }
    assert_eq!(world.upstream.connections(), 0);
    let accepted = world.ask(request(delete, &["Forgetgate-Authorization: Bearer s3cret"], ""));
    assert_eq!(accepted.status, 202, "{}", accepted.text());
}
