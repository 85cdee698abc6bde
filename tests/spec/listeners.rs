//! P1, P8: every listener is the same gate, whatever its address; P11: a place that is taken is said so.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use forgetgate::app;
use forgetgate::config::{self, Address};

use crate::client::{Client, PATIENCE, request};
use crate::world::{LABEL, MESSAGE, PLAIN, Plan, World};

/// Sends a request over a Unix socket, and gives what came until the gate closed.
fn over(path: &Path, bytes: &str) -> String {
    let mut socket = UnixStream::connect(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(bytes.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn p1_a_gate_listens_over_ipv4_ipv6_and_unix_at_once_and_judges_alike() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.sock");
    let listen = format!(
        "[[listen]]\naddress = \"[::1]:0\"\n[[listen]]\naddress = \"unix:{}\"\nsocket_mode = \"0666\"",
        path.display()
    );
    let mut world = World::of(Plan { listen, upstream: "forwarded = true".to_owned(), ..Plan::default() });
    let [v4, v6]: [SocketAddr; 2] = world.running().addresses.clone().try_into().unwrap();
    let all = vec![Address::Tcp(v4), Address::Tcp(v6), Address::Unix(path.clone())];
    assert_eq!(world.running().listeners, all);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);

    let good = request(MESSAGE, &[LABEL, "Content-Length: 2", "Connection: close"], "{}");
    let bad = request(MESSAGE, &["Content-Length: 2", "Connection: close"], "{}");
    for address in [v4, v6] {
        Client::to(address).ask(&bad).assert_refused(400, "label_missing");
        assert_eq!(Client::to(address).ask(&good).status, 200);
    }
    assert!(over(&path, &bad).contains("label_missing"));
    assert!(over(&path, &good).starts_with("HTTP/1.1 200 "));

    let seen = world.upstream.saw(3);
    let from: Vec<Vec<String>> = seen.iter().map(|seen| seen.values("x-forwarded-for")).collect();
    assert_eq!(from, [vec!["127.0.0.1".to_owned()], vec!["::1".to_owned()], vec![]]);

    assert!(world.stop());
    assert!(!path.exists(), "the socket's file is left behind");
}

#[test]
fn p11_a_socket_that_is_listened_at_and_a_file_are_refused_and_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (live, file) = (folder.path().join("live.sock"), folder.path().join("file"));
    let listener = UnixListener::bind(&live).unwrap();
    std::fs::write(&file, "precious").unwrap();
    for (path, said) in [(&live, "another process listens there"), (&file, "there is a file that is no socket")] {
        let text = format!(
            "[[listen]]\naddress = \"unix:{}\"\n[admin]\naddress = \"127.0.0.1:0\"\n[store]\nengine = \"memory\"\n\
             key = {{ file = \"index.key\" }}\n[[upstream]]\nname = \"a\"\nprofile = \"watson-assistant\"\n\
             url = \"http://127.0.0.1:1\"\nroute = {{ path = \"/\" }}",
            path.display()
        );
        let config = config::parse(&text, folder.path()).unwrap().config;
        let error = app::start(config).unwrap_err();
        let whole = forgetgate::telemetry::chain(&error);
        assert!(whole.contains(said) && whole.contains(path.to_str().unwrap()), "{whole}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    UnixStream::connect(&live).unwrap();
    drop(listener);
}

/// P12: the admin API is its owner's alone, and answers over a Unix socket.
#[test]
fn the_admin_api_may_be_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let text = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"unix:{}\"\n[store]\nengine = \"memory\"\n\
         key = {{ file = \"index.key\" }}\n[[upstream]]\nname = \"a\"\nprofile = \"watson-assistant\"\n\
         url = \"http://127.0.0.1:1\"\nroute = {{ path = \"/\" }}",
        path.display()
    );
    let gate = app::start(config::parse(&text, folder.path()).unwrap().config).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let answer = over(&path, "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(gate.stop());
    assert!(!path.exists());
}

/// A listener at which nobody calls holds no place that a caller elsewhere could have.
#[test]
fn p12_one_connection_at_a_time_comes_in_by_any_listener() {
    let second = "[[listen]]\naddress = \"127.0.0.1:0\"\n".to_owned();
    let world = World::of(Plan { listen: second, limits: "connections_max = 1", ..Plan::default() });
    for _ in 0..3 {
        for address in [world.running().addresses[1], world.running().addresses[0]] {
            assert_eq!(Client::to(address).ask(request(PLAIN, &["Connection: close"], "")).status, 200);
        }
    }
}
