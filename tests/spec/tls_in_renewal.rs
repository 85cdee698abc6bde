//! Sessions that are taken up again, and certificates that are renewed under a gate that runs.

use std::fs;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::certificates::{Authority, Caller, Secured, secured};
use crate::client::{eventually, request};
use crate::tls_in::{handshakes, labelled, over, plan};
use crate::upstream::Connection;
use crate::world::{PLAIN, Plan, World};

/// How many changes of files became this.
fn changes(world: &World, code: &str) -> u64 {
    world.metric(&format!("forgetgate_certificate_changes_total{{code=\"{code}\"}}"))
}

/// A connection over which a request was answered: what the gate said of its session has been read.
fn used(world: &World, config: &Arc<ClientConfig>) -> Secured {
    let mut caller = secured(world.address, "gate.test", config).unwrap();
    assert_eq!(caller.client.ask(labelled()).status, 200);
    caller
}

#[test]
fn sessions_are_taken_up_again_at_every_worker_and_across_a_renewal() {
    let authority = Authority::new();
    let gate = authority.issue("gate", &["gate.test"]);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let world = World::of(Plan { workers: 3, ..plan(&[&gate], "") });
        let config = Caller { versions: vec![version], ..Caller::believing(&authority) }.config();
        assert!(!used(&world, &config).resumed);
        // Connections are dealt out to the workers in turn.
        for _ in 0..6 {
            assert!(used(&world, &config).resumed);
        }
        authority.issue("gate", &["gate.test"]);
        eventually("the new certificate is in force", || changes(&world, "taken") >= 1);
        for _ in 0..3 {
            assert!(used(&world, &config).resumed);
        }
        assert_eq!((handshakes(&world, "done"), handshakes(&world, "resumed")), (1, 9));
    }
}

#[test]
fn p10_a_session_does_not_outlive_the_authority_that_let_it_in() {
    let (authority, next) = (Authority::new(), Authority::new());
    let gate = authority.issue("gate", &["gate.test"]);
    let clients = authority.file("clients.pem");
    fs::copy(authority.ca(), &clients).unwrap();
    let world = World::of(plan(&[&gate], &format!("client_ca = \"{}\"", clients.display())));
    let shows = Some(authority.issue("client", &["client.test"]));
    let config = Caller { shows, ..Caller::believing(&authority) }.config();
    assert!(!used(&world, &config).resumed);
    assert!(used(&world, &config).resumed);
    fs::copy(next.ca(), &clients).unwrap();
    eventually("the new authority is in force", || changes(&world, "taken") == 1);
    let refused = secured(world.address, "gate.test", &config).map(|mut caller| {
        assert!(!caller.resumed);
        drop(caller.client.try_send(labelled()));
        caller.client.until_its_end()
    });
    assert!(refused.is_err() || refused.is_ok_and(|(came, ended)| came.is_empty() && !ended));
    let shows = Some(next.issue("client", &["client.test"]));
    let mut caller = over(&world, &Caller { shows, ..Caller::believing(&authority) });
    assert_eq!(caller.client.ask(labelled()).status, 200);
}

#[test]
fn p11_a_renewed_certificate_is_shown_and_no_open_connection_sees_anything_of_it() {
    let authority = Authority::new();
    let gate = authority.issue("gate", &["gate.test"]);
    let world = World::of(plan(&[&gate], ""));
    let caller = Caller::believing(&authority);
    let mut open = over(&world, &caller);
    let renewed = authority.issue("gate", &["gate.test"]);
    assert_ne!(open.shown, renewed.chain()[0]);
    eventually("the new one is shown", || {
        assert_eq!(open.client.ask(labelled()).status, 200);
        over(&world, &caller).shown == renewed.chain()[0]
    });
    assert_eq!(open.client.ask(labelled()).status, 200);
    assert!(changes(&world, "taken") >= 1);
}

#[test]
fn p11_a_bad_file_changes_nothing_until_it_is_good() {
    let authority = Authority::new();
    let gate = authority.issue("gate", &["gate.test"]);
    let world = World::of(plan(&[&gate], ""));
    let caller = Caller::believing(&authority);
    let before = over(&world, &caller).shown;
    let stranger = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for (count, bad) in [(1, "no key at all"), (2, stranger.as_str())] {
        fs::write(&gate.key, bad).unwrap();
        eventually("it was refused", || changes(&world, "refused") == count);
        let mut now = over(&world, &caller);
        assert_eq!((now.shown == before, now.client.ask(labelled()).status), (true, 200));
    }
    fs::remove_file(&gate.cert).unwrap();
    eventually("it was refused", || changes(&world, "refused") == 3);
    assert_eq!(over(&world, &caller).shown, before);
    let good = authority.issue("gate", &["gate.test"]);
    eventually("the good one is shown", || over(&world, &caller).shown == good.chain()[0]);
}

/// Also at three in the morning: a restart with what ran before is no outage of those who do not check.
#[test]
fn p11_an_expired_certificate_is_shown_until_there_is_a_better_one_and_takes_no_good_ones_place() {
    let authority = Authority::new();
    let (gate, other) =
        (authority.issue_until("gate", &["gate.test"], 2021), authority.issue("other", &["other.test"]));
    let world = World::of(plan(&[&gate, &other], ""));
    let caller = Caller::believing(&authority);
    let shown = |name| secured(world.address, name, &caller.trusting_all()).unwrap().shown;
    assert_eq!(shown("gate.test"), gate.chain()[0]);
    let renewed = authority.issue("other", &["other.test"]);
    eventually("the other is renewed all the same", || shown("other.test") == renewed.chain()[0]);
    let taken = changes(&world, "taken");
    let renewed = authority.issue("gate", &["gate.test"]);
    eventually("it is renewed", || shown("gate.test") == renewed.chain()[0] && changes(&world, "taken") > taken);
    let good = renewed.chain()[0].clone();
    let before = changes(&world, "refused");
    authority.issue_until("gate", &["gate.test"], 2021);
    eventually("it is refused", || changes(&world, "refused") > before);
    assert_eq!(shown("gate.test"), good);
}

#[test]
fn p11_what_the_gate_shows_to_a_service_follows_its_files_too() {
    let (authority, next) = (Authority::new(), Authority::new());
    // Signed by somebody whom the service does not know.
    let shown = next.issue("client", &["forgetgate.test"]);
    let service = authority.service("localhost", true, Connection::follow_script);
    let upstream = format!("tls = {{ ca = \"{}\", {} }}", authority.ca().display(), shown.keys());
    let world = World::before(service, Plan { scheme: "https", upstream, ..Plan::default() });
    world.ask(request(PLAIN, &[], "")).assert_refused(502, "upstream_unreachable");
    let good = authority.issue("client", &["forgetgate.test"]);
    fs::copy(&good.key, &shown.key).unwrap();
    fs::copy(&good.cert, &shown.cert).unwrap();
    eventually("the new one is taken", || changes(&world, "taken") >= 1);
    assert_eq!(world.ask(request(PLAIN, &[], "")).status, 200);
    assert_eq!(world.upstream.seen().len(), 1);
}
