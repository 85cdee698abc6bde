//! Several instances behind one upstream: what stands before the service's path, whose key it is, and which versions of the
//! API were used all decide where a delete goes (P3, P4, P10).

use std::sync::mpsc::channel;

use crate::client::{eventually, request};
use crate::disconnects::reset;
use crate::forward;
use crate::upstream::{OK, Reply, Seen, Upstream};
use crate::websocket::{RECOGNIZE, accepting, handshake, speech};
use crate::world::{LABEL, MESSAGE, Plan, World};

const BODY: &str = "Content-Length: 2";

/// The deletes that the service has seen, once there are so many, in order of their paths.
#[track_caller]
fn deletes(world: &World, count: usize) -> Vec<Seen> {
    let is_delete = |seen: &Seen| seen.line().starts_with("DELETE ");
    eventually("every delete was sent", || {
        world.upstream.seen().iter().filter(|seen| is_delete(seen)).count() >= count
    });
    let mut all: Vec<Seen> = world.upstream.seen().into_iter().filter(is_delete).collect();
    all.sort_by(|one, other| one.line().cmp(other.line()));
    all
}

fn paths(deletes: &[Seen]) -> Vec<String> {
    deletes.iter().map(|seen| seen.line().split('?').next().unwrap().to_owned()).collect()
}

#[test]
fn p4_a_delete_at_one_instance_goes_to_every_other_that_holds_something() {
    let world = World::start();
    for instance in ["G1", "G2"] {
        let call = format!("POST /api/instances/{instance}/v1/workspaces/w/message?version=2021-06-14");
        let seen = world.forwarded(request(&call, &[LABEL, BODY], "{}"));
        assert!(seen.line().starts_with(&format!("POST /instances/{instance}/v1/")), "{}", seen.line());
    }
    let delete = "DELETE /api/instances/G1/v1/user_data?customer_id=alice&version=2021-06-14";
    assert_eq!(world.ask(request(delete, &[], "")).status, 200);
    let sent = paths(&deletes(&world, 2));
    assert_eq!(sent, ["DELETE /instances/G1/v1/user_data", "DELETE /instances/G2/v1/user_data"]);
}

#[test]
fn p4_in_forward_mode_the_host_finds_the_upstream_and_the_path_the_instance() {
    let world = World::of(forward::plan(""));
    let host = forward::HOST;
    for instance in ["G1", "G2"] {
        let target = format!("http://{host}/instances/{instance}/v1/workspaces/w/message?version=2021-06-14");
        world.forwarded(format!("POST {target} HTTP/1.1\r\nHost: {host}\r\n{LABEL}\r\n{BODY}\r\n\r\n{{}}"));
    }
    let target = format!("http://{host}/instances/G2/v1/user_data?customer_id=alice&version=2021-06-14");
    assert_eq!(world.ask(format!("DELETE {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).status, 200);
    let sent = paths(&deletes(&world, 2));
    assert_eq!(sent, ["DELETE /instances/G1/v1/user_data", "DELETE /instances/G2/v1/user_data"]);
}

#[test]
fn p4_every_version_of_the_api_that_was_used_is_deleted_by() {
    let services = [
        ("watson-visual-recognition", ["POST /api/v3/classifiers", "POST /api/v4/collections"], ["v3", "v4"]),
        (
            "watson-discovery",
            ["POST /api/v1/environments/e/collections/c/documents", "POST /api/v2/projects/p/collections/c/documents"],
            ["v1", "v2"],
        ),
    ];
    for (profile, calls, versions) in services {
        let world = World::of(Plan { profile, ..Plan::default() });
        for call in calls {
            world.forwarded(request(&format!("{call}?version=2019-02-11"), &[LABEL, BODY], "{}"));
        }
        let delete = format!("DELETE /api/{}/user_data?customer_id=alice&version=2019-02-11", versions[1]);
        assert_eq!(world.ask(request(&delete, &[], "")).status, 200);
        let expected = versions.map(|version| format!("DELETE /{version}/user_data"));
        assert_eq!(paths(&deletes(&world, 2)), expected, "{profile}");
    }
}

/// The cache knows a pair, and not yet that it was used under another version.
#[test]
fn p3_a_version_of_the_api_is_recorded_although_the_pair_is_known() {
    let world = World::of(Plan { profile: "watson-visual-recognition", ..Plan::default() });
    for _ in 0..2 {
        world.forwarded(request("POST /api/v3/classifiers", &[LABEL, BODY], "{}"));
    }
    let recorded = "forgetgate_pairs_recorded_total{upstream=\"service\"}";
    assert_eq!(world.metric(recorded), 1);
    world.forwarded(request("POST /api/v4/collections", &[LABEL, BODY], "{}"));
    assert_eq!(world.metric(recorded), 2);
}

#[test]
fn p4_a_key_that_is_named_opens_its_own_instance_and_a_delete_with_it_reaches_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let entry = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, name).unwrap();
        format!("{{ name = \"team-{name}\", credentials = {{ apikey = {{ file = {path:?} }} }} }}")
    };
    let upstream = format!("instance = [{}, {}]\ninstances = \"closed\"", entry("a"), entry("b"));
    let world = World::of(Plan { upstream, ..Plan::default() });
    // apikey:a and apikey:b.
    let keys = ["Authorization: Basic YXBpa2V5OmE=", "Authorization: Basic YXBpa2V5OmI="];
    let message = "POST /api/v1/workspaces/w/message?version=2021-06-14";
    for key in keys {
        world.forwarded(request(message, &[LABEL, BODY, key], "{}"));
    }
    let before = world.upstream.seen().len();
    for stranger in ["Authorization: Basic YXBpa2V5OmM=", "Authorization: Bearer abc", "X-Other: none"] {
        let answer = world.ask(request(message, &[LABEL, BODY, stranger], "{}"));
        answer.assert_refused(400, "instance_unknown");
    }
    let twice = world.ask(request(message, &[LABEL, BODY, keys[0], keys[1]], "{}"));
    twice.assert_refused(400, "header_ambiguous");
    for parameter in ["api_key=b", "apikey=b", "apikey=a&api_key=a", "API%4bey=b"] {
        let answer = world.ask(request(&format!("{message}&{parameter}"), &[LABEL, BODY, keys[0]], "{}"));
        answer.assert_refused(400, "header_ambiguous");
    }
    world.ask(request(&format!("{message}&apikey=c"), &[LABEL, BODY], "{}")).assert_refused(400, "instance_unknown");
    assert_eq!(world.upstream.seen().len(), before);
    // As Visual Recognition's first clients send it.
    for parameter in ["api_key=a", "apikey=b"] {
        world.forwarded(request(&format!("{message}&{parameter}"), &[LABEL, BODY], "{}"));
    }

    let delete = "DELETE /api/v1/user_data?customer_id=alice&version=2021-06-14";
    assert_eq!(world.ask(request(delete, &[keys[1]], "")).status, 200);
    let mut shown: Vec<String> = deletes(&world, 2).iter().flat_map(|seen| seen.values("authorization")).collect();
    shown.sort();
    assert_eq!(shown, ["Basic YXBpa2V5OmE=", "Basic YXBpa2V5OmI="]);
    assert_eq!(world.metric("forgetgate_instances"), 2);
    assert_eq!(world.metric("forgetgate_instances_without_credentials"), 0);
}

#[test]
fn p11_keys_of_which_nobody_said_anything_are_counted() {
    let world = World::start();
    let message = "POST /api/v1/workspaces/w/message?version=2021-06-14";
    for (key, without) in [("YXBpa2V5OmE=", 0), ("YXBpa2V5OmI=", 2)] {
        world.forwarded(request(message, &[LABEL, BODY, &format!("Authorization: Basic {key}")], "{}"));
        assert_eq!(world.metric("forgetgate_instances_without_credentials"), without);
    }
}

const KNOWN: &str = "Authorization: Basic YXBpa2V5OmE=";
const MADE_UP: &str = "Authorization: Basic YXBpa2V5OmI=";

/// Keys whose erasures wait for credentials, once another key has been answered as well.
#[track_caller]
fn doubtful(world: &World, call: &str) -> u64 {
    assert_eq!(world.ask(request(call, &[LABEL, BODY, KNOWN], "{}")).status, 200);
    assert_eq!(world.metric("forgetgate_instances"), 2);
    world.metric("forgetgate_instances_without_credentials")
}

/// A key is made up until the service has taken something that it was shown with. The other one is doubtful from then on.
#[test]
fn p5_a_key_says_something_of_others_once_data_may_be_there_and_not_before() {
    let said = |status: u16| Reply::Bytes(format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n").into());
    let refused = [302, 400, 401, 403, 404, 413, 429].map(|status| (said(status), 1));
    let taken = [200, 201, 500, 503].map(|status| (said(status), 2));
    let cut = [Reply::ThenClose(Vec::new()), Reply::ThenReset(Vec::new())].map(|reply| (reply, 2));
    for (at, (answer, expected)) in refused.into_iter().chain(taken).chain(cut).enumerate() {
        let world = World::start();
        world.upstream.will(answer);
        world.ask(request(MESSAGE, &[LABEL, BODY, MADE_UP], "{}"));
        assert_eq!(doubtful(&world, MESSAGE), expected, "answer {at}");
    }
}

/// Whatever a service makes of it, a stranger can do this with any key.
#[test]
fn p5_what_its_caller_broke_off_says_nothing_of_others() {
    let world = World::start();
    let mut client = world.client();
    client.send(request(MESSAGE, &[LABEL, "Content-Length: 20", MADE_UP], "{"));
    eventually("the service has some of it", || world.upstream.bytes(0).ends_with(b"{"));
    drop(client);
    eventually("the exchange is over", || world.in_flight() == 0);
    assert_eq!(doubtful(&world, MESSAGE), 1);
}

/// It is read to its end without its caller.
#[test]
fn p5_the_answer_that_its_caller_did_not_wait_for_counts_as_any_other() {
    for (answer, expected) in [(OK, 2), ("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", 1)] {
        let world = World::start();
        let (tell, told) = channel();
        world.upstream.will(Reply::When(told, answer.into()));
        let mut client = world.client();
        client.send(request(MESSAGE, &[LABEL, BODY, MADE_UP], "{}"));
        world.upstream.saw(1);
        reset(client);
        tell.send(()).unwrap();
        eventually("the exchange is over", || world.in_flight() == 0);
        assert_eq!(doubtful(&world, MESSAGE), expected);
    }
}

#[test]
fn p5_a_websocket_that_was_accepted_counts_and_one_that_was_not_does_not() {
    for (answer, expected) in [(accepting(), 2), ("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".into(), 1)] {
        let world = speech(Upstream::scripted(), "");
        world.upstream.will_say(answer);
        let mut client = world.client();
        client.send(handshake(RECOGNIZE, &[LABEL, MADE_UP]));
        client.head();
        drop(client);
        eventually("the exchange is over", || world.in_flight() == 0);
        assert_eq!(doubtful(&world, "POST /api/v1/recognize"), expected);
    }
}
