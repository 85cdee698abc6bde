//! Listeners whose callers mean another host than the gate: what is refused, and what is only warned of.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::{LEAST, check, read};
use crate::config::{Interception, ListenMode, Others, load};

/// [`LEAST`] with these lines in its listener; the first stands in line 4.
fn with(lines: &str) -> String {
    LEAST.replace("8080\"\n", &format!("8080\"\n{lines}\n")).replace("path = \"/one\"", "hosts = [\"A.example.\"]")
}

#[test]
fn p11_what_a_mode_does_not_read_is_refused() {
    for (lines, line, key, phrase) in [
        ("mode = \"revers\"", 4, "mode", "did you mean \"reverse\"?"),
        ("others = \"refuse\"", 4, "others", "read by nobody where mode is \"reverse\""),
        ("mode = \"reverse\"\nca = { cert = \"a\", key = \"b\" }", 5, "ca", "read by nobody"),
        ("mode = \"forward\"\nothers = \"pass\"", 5, "others", "none of its values"),
        ("mode = \"forward\"\ntunnel_ports = [443]", 5, "tunnel_ports", "makes no tunnels on demand"),
        ("mode = \"transparent\"\nothers = \"tunnel\"\ntunnel_ports = [443]", 6, "tunnel_ports", "makes no tunnels"),
        ("mode = \"forward\"\nothers = \"tunnel\"\ntunnel_ports = []", 6, "tunnel_ports", "is empty"),
        ("mode = \"forward\"\nothers = \"tunnel\"\ntunnel_ports = [0]", 6, "tunnel_ports[1]", "is no port"),
        ("mode = \"forward\"\nothers = \"tunnel\"\ntunnel_ports = [1, 65536]", 6, "tunnel_ports[2]", "is no port"),
        ("mode = \"forward\"\nca = { cert = \"a\" }", 5, "ca.key", "is missing"),
        (
            "mode = \"forward\"\nca = { cert = \"a\", key = \"b\", kye = \"c\" }",
            5,
            "ca.kye",
            "is no key that is known here",
        ),
        ("mode = \"transparent\"\nproxy_protocol = true", 5, "proxy_protocol", "is sent by nobody"),
    ] {
        check(&with(lines), (line, &format!("listen[1].{key}"), phrase));
    }
    let unix = with("mode = \"transparent\"").replace("127.0.0.1:8080", "unix:/run/gate.sock");
    check(&unix, (3, "listen[1].address", "nothing can be redirected"));
}

#[test]
fn p11_a_listener_that_finds_no_upstream_and_one_that_is_open_to_all_are_warned_of() {
    let warnings = |text: &str| read(text).unwrap().warnings;
    assert_eq!(warnings(&with("mode = \"transparent\"")), []);
    let lost = warnings(&LEAST.replace("8080\"\n", "8080\"\nmode = \"forward\"\n"));
    assert!(lost[0].what.contains("finds no upstream") && lost.len() == 1, "{lost:?}");
    let open = with("mode = \"forward\"\nothers = \"tunnel\"");
    assert_eq!(warnings(&open), []);
    let open = warnings(&open.replace("127.0.0.1:8080", "0.0.0.0:8080"));
    assert!(open[0].what.contains("makes tunnels for anyone") && open.len() == 1, "{open:?}");
}

#[test]
fn what_is_written_is_read_and_what_is_not_is_the_strictest() {
    let listen = |lines: &str| read(&with(lines)).unwrap().config.listen.remove(0);
    let least = listen("mode = \"forward\"");
    assert_eq!((least.mode, least.interception), (ListenMode::Forward, Interception::default()));
    let all = listen(
        "mode = \"forward\"\nca = { cert = \"a\", key = \"/b\" }\nothers = \"tunnel\"\ntunnel_ports = [443, 8443]",
    );
    let Interception { ca: Some(ca), others: Others::Tunnel, tunnel_ports } = &all.interception else {
        panic!("{all:?}")
    };
    assert_eq!((ca.cert.to_str(), ca.key.to_str()), (Some("/etc/forgetgate/a"), Some("/b")));
    assert_eq!(tunnel_ports, &[443, 8443]);
    let shown = read(&with("mode = \"forward\"")).unwrap().config.describe();
    let shown = &shown["listen"][0];
    assert_eq!((&shown["mode"], &shown["others"]), (&"forward".into(), &"refuse".into()), "{shown}");
    assert_eq!(read(&with("")).unwrap().config.upstreams[0].route.hosts, ["a.example"]);
}

/// P11: what a start would refuse is refused here, at its place.
#[test]
fn p11_an_authoritys_files_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| {
        fs::write(at(name), text).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o600)).unwrap();
    };
    let key = rcgen::KeyPair::generate().unwrap();
    write("ca.pem", &rcgen::CertificateParams::default().self_signed(&key).unwrap().pem());
    write("ca.key", &key.serialize_pem());
    write("other.key", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    write("broken.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    write("open.key", &key.serialize_pem());
    fs::set_permissions(at("open.key"), fs::Permissions::from_mode(0o604)).unwrap();
    let faults = |cert: &str, key: &str| {
        let ca = format!("mode = \"forward\"\nca = {{ cert = \"{cert}\", key = \"{key}\" }}");
        fs::write(at("config.toml"), with(&ca)).unwrap();
        let faults = load(&at("config.toml")).err().unwrap_or_default();
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(faults("ca.pem", "ca.key"), "");
    for (cert, key, phrase) in [
        ("ca.pem", "other.key", "listen[1].ca: names a certificate and a key that are not each other's"),
        ("ca.pem", "broken.key", "listen[1].ca: names files that are no certificate and key"),
        ("ca.pem", "open.key", "listen[1].ca.key: names a file that others than its owner can read (mode 0604)"),
        ("ca.pem", "ca.pem", "listen[1].ca.key: names a file without a private key"),
        ("ca.key", "ca.key", "ca.key holds no certificate in PEM"),
        ("none.pem", "ca.key", "none.pem cannot be read"),
        ("ca.pem", "none.key", "listen[1].ca.key: names a file that cannot be read"),
    ] {
        let said = faults(cert, key);
        assert!(said.contains(phrase), "{phrase}: {said}");
    }
}
