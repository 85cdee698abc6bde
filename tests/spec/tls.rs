//! The service behind TLS: whoever cannot show the right certificate gets nothing of a request (P1, P8).

use crate::certificates::Authority;
use crate::client::request;
use crate::upstream::{Connection, Upstream};
use crate::world::{LABEL, MESSAGE, Plan, World};

fn believing(authority: &Authority) -> Plan {
    let upstream = format!("tls = {{ ca = \"{}\" }}", authority.ca().display());
    Plan { scheme: "https", upstream, ..Plan::default() }
}

fn service(authority: &Authority, name: &str) -> Upstream {
    authority.service(name, false, Connection::follow_script)
}

fn message() -> String {
    request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}")
}

#[test]
fn p8_a_service_with_the_right_certificate_is_spoken_to() {
    let authority = Authority::new();
    let world = World::before(service(&authority, "localhost"), believing(&authority));
    let mut client = world.client();
    for _ in 0..3 {
        let answer = client.ask(message());
        assert_eq!((answer.status, answer.text()), (200, "{}".to_owned()));
    }
    let seen = world.upstream.saw(3);
    assert!(seen.iter().all(|seen| seen.connection == 0 && seen.body == b"{}"));
    assert_eq!(seen[0].values("host"), [format!("localhost:{}", world.upstream.address.port())]);
    assert_eq!(seen[0].values("x-watson-metadata"), ["customer_id=alice"]);
}

#[test]
fn p1_a_service_that_cannot_prove_who_it_is_sees_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    for service in [service(&other, "localhost"), service(&authority, "elsewhere.test")] {
        let world = World::before(service, believing(&authority));
        world.ask(message()).assert_refused(502, "upstream_unreachable");
        assert_eq!((world.upstream.connections(), world.upstream.seen().len()), (1, 0));
        assert_eq!(world.upstream.bytes(0), b"", "no byte of a request");
    }
}

#[test]
fn p1_plain_text_is_never_spoken_instead() {
    let authority = Authority::new();
    let plain = |connection: &mut Connection| {
        connection.more();
        connection.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        connection.until_closed();
    };
    let world = World::before(Upstream::serving(plain), believing(&authority));
    world.ask(message()).assert_refused(502, "upstream_unreachable");
    let bytes = world.upstream.bytes(0);
    assert!(bytes.starts_with(&[0x16, 3]), "a TLS handshake, and nothing else");
    assert!(crate::client::find(&bytes, b"alice").is_none());
}
