//! Who is shown which certificate, who has to show one, and what a name in the handshake says of a request.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::ClientConfig;

use crate::certificates::{Authority, Caller, Issued, secured};
use crate::client::{latin1, request};
use crate::tls_in::{counted, handshakes, labelled, over, plan};
use crate::world::{PLAIN, Plan, World};

/// What the gate shows to one who asks for `name`, and believes whatever is shown.
fn shown_to(world: &World, name: &str, config: &Arc<ClientConfig>, among: &[&Issued]) -> usize {
    let shown = secured(world.address, name, config).unwrap().shown;
    among.iter().position(|issued| issued.chain()[0] == shown).unwrap()
}

#[test]
fn the_certificate_of_the_name_that_is_asked_for_is_shown_and_else_the_first() {
    let authority = Authority::new();
    let first = authority.issue("first", &["gate.test", "first.test"]);
    let wild = authority.issue("wild", &["*.wild.test", "gate.test"]);
    let exact = authority.issue("exact", &["API.wild.test"]);
    let all = [&first, &wild, &exact];
    let world = World::of(plan(&all, ""));
    let config = Caller::believing(&authority).trusting_all();
    for (name, expected) in [
        ("gate.test", 0),
        ("first.test", 0),
        ("other.wild.test", 1),
        ("OTHER.wild.TEST", 1),
        ("api.wild.test", 2),
        ("API.WILD.TEST", 2),
        ("a.b.wild.test", 0),
        ("wild.test", 0),
        ("unknown.test", 0),
        ("127.0.0.1", 0),
    ] {
        assert_eq!(shown_to(&world, name, &config, &all), expected, "{name}");
    }
}

#[test]
fn p1_where_hosts_are_routes_the_handshake_and_the_host_line_must_agree() {
    let authority = Authority::new();
    let gate = authority.issue("gate", &["gate.test", "other.test", "127.0.0.1"]);
    let route = "{ hosts = [\"gate.test\", \"other.test\"] }";
    let world = World::of(Plan { route, ..plan(&[&gate], "") });
    let config = Caller::believing(&authority).config();
    let get = |host: &str| format!("GET /v1/workspaces HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for (name, host) in [
        ("gate.test", "gate.test"),
        ("gate.test", "GATE.test:443"),
        ("other.test", "other.test"),
        ("127.0.0.1", "gate.test"),
    ] {
        let mut caller = secured(world.address, name, &config).unwrap().client;
        assert_eq!(caller.ask(get(host)).status, 200, "{name} {host}");
    }
    let before = world.upstream.seen().len();
    for (name, host) in [("gate.test", "other.test"), ("other.test", "gate.test:443"), ("gate.test", "nobody.test")] {
        let mut caller = secured(world.address, name, &config).unwrap().client;
        caller.ask(get(host)).assert_refused(400, "header_ambiguous");
    }
    assert_eq!(world.upstream.seen().len(), before);
}

#[test]
fn p8_where_no_route_looks_at_hosts_names_may_differ() {
    let authority = Authority::new();
    let world = World::of(plan(&[&authority.issue("gate", &["gate.test"])], ""));
    let mut caller = over(&world, &Caller::believing(&authority)).client;
    assert_eq!(caller.ask(request(PLAIN, &[], "")).status, 200, "its Host line is `gate`");
}

#[test]
fn p10_who_has_to_show_a_certificate_is_let_in_by_the_right_one_only() {
    let (authority, other) = (Authority::new(), Authority::new());
    let gate = authority.issue("gate", &["gate.test"]);
    let asks = format!("client_ca = \"{}\"", authority.ca().display());
    let world = World::of(plan(&[&gate], &asks));
    let believing = |shows: Option<Issued>| Caller { shows, ..Caller::believing(&authority) };

    let mut caller = over(&world, &believing(Some(authority.issue("client", &["client.test"])))).client;
    assert_eq!(caller.ask(labelled()).status, 200);

    let old = authority.issue_until("old", &["client.test"], 2021);
    for (shows, code) in [
        (None, "no_certificate"),
        (Some(other.issue("client", &["client.test"])), "bad_certificate"),
        (Some(old), "bad_certificate"),
    ] {
        let before = handshakes(&world, code);
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let caller = Caller { versions: vec![version], ..believing(shows.clone()) };
            // In TLS 1.3 a caller believes that it is through before its certificate has been judged.
            let refused: std::io::Result<()> =
                secured(world.address, "gate.test", &caller.config()).and_then(|mut caller| {
                    drop(caller.client.try_send(labelled()));
                    match caller.client.until_its_end() {
                        (came, false) if came.is_empty() => Err(std::io::ErrorKind::ConnectionAborted.into()),
                        (came, _) => panic!("{}", latin1(&came)),
                    }
                });
            assert!(refused.is_err(), "{code}");
        }
        counted(&world, code, before + 2);
    }
    assert_eq!(world.upstream.seen().len(), 1, "nothing of the others came through");
}

#[test]
fn p11_no_older_version_is_spoken_than_was_asked_for() {
    let authority = Authority::new();
    let gate = authority.issue("gate", &["gate.test"]);
    let only = |version| Caller { versions: vec![version], ..Caller::believing(&authority) };
    for (min, old_speaks) in [("", true), ("min_version = \"1.2\"", true), ("min_version = \"1.3\"", false)] {
        let world = World::of(plan(&[&gate], min));
        let old = secured(world.address, "gate.test", &only(&rustls::version::TLS12).config());
        assert_eq!(old.is_ok(), old_speaks, "{min}");
        counted(&world, "nothing_in_common", u64::from(!old_speaks));
        let mut new = over(&world, &only(&rustls::version::TLS13)).client;
        assert_eq!(new.ask(labelled()).status, 200);
    }
}

#[test]
fn a_protocol_that_is_not_spoken_is_not_agreed_on() {
    let authority = Authority::new();
    let gate = authority.issue("gate", &["gate.test"]);
    let both = World::of(plan(&[&gate], ""));
    let plan = plan(&[&gate], "");
    let one = World::of(Plan { listen: format!("{}\nhttp2 = false", plan.listen), ..plan });
    let offering = |protocols| Caller { protocols, ..Caller::believing(&authority) };
    for (world, offered, agreed) in [
        (&both, vec![], None),
        (&both, vec!["http/1.1"], Some("http/1.1")),
        (&both, vec!["http/1.1", "h2"], Some("h2")),
        (&one, vec!["h2", "http/1.1"], Some("http/1.1")),
        (&one, vec!["http/1.0", "http/1.1"], Some("http/1.1")),
    ] {
        let mut caller = over(world, &offering(offered));
        assert_eq!(caller.protocol.as_deref(), agreed);
        if agreed != Some("h2") {
            assert_eq!(caller.client.ask(labelled()).status, 200);
        }
    }
    assert!(secured(one.address, "gate.test", &offering(vec!["h2"]).config()).is_err());
    counted(&one, "nothing_in_common", 1);
}

#[test]
fn p12_a_refused_handshake_leaves_nothing_open() {
    let authority = Authority::new();
    let world = World::of(plan(&[&authority.issue("gate", &["gate.test"])], ""));
    for _ in 0..50 {
        let mut socket = std::net::TcpStream::connect(world.address).unwrap();
        socket.set_read_timeout(Some(crate::client::PATIENCE)).unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut came = Vec::new();
        socket.read_to_end(&mut came).ok();
    }
    crate::client::eventually("all are closed", || world.metric("forgetgate_connections_open") == 0);
    counted(&world, "not_tls", 50);
}
