//! The way to a service: through an HTTP proxy where the operator says so, and never back to the gate itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::thread;

use forgetgate::config;

use crate::client::{find, request};
use crate::upstream::Upstream;
use crate::world::{LABEL, MESSAGE, PLAIN, Plan, World, text};

/// An HTTP proxy that opens tunnels, or says this status; and the heads that came.
fn proxy(refuses: Option<u16>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, heads) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&heads);
    thread::spawn(move || {
        for caller in listener.incoming() {
            let (caller, noted) = (caller.unwrap(), Arc::clone(&noted));
            thread::spawn(move || tunnel(caller, refuses, &noted));
        }
    });
    (address, heads)
}

fn tunnel(mut caller: TcpStream, refuses: Option<u16>, noted: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while find(&head, b"\r\n\r\n").is_none() && caller.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    noted.lock().unwrap().push(head);
    if let Some(status) = refuses {
        caller.write_all(format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n").as_bytes()).unwrap();
        return;
    }
    let mut service = TcpStream::connect(target).unwrap();
    caller.write_all(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n").unwrap();
    let (mut from, mut to) = (caller.try_clone().unwrap(), service.try_clone().unwrap());
    thread::spawn(move || std::io::copy(&mut from, &mut to));
    // The gate may close first.
    std::io::copy(&mut service, &mut caller).ok();
}

fn through(proxy: SocketAddr, more: &str) -> Plan {
    Plan { upstream: format!("proxy = {{ url = \"http://{proxy}\"{more} }}"), ..Plan::default() }
}

#[test]
fn p8_a_service_is_reached_through_the_proxy_that_its_operator_names() {
    let (address, heads) = proxy(None);
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "open sesame\n").unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let login = format!(", username = \"gate\", password = {{ file = \"{}\" }}", password.display());
    let world = World::before(Upstream::scripted(), through(address, &login));
    let seen = world.forwarded(request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}"));
    assert_eq!(seen.values("x-watson-metadata"), ["customer_id=alice"]);
    assert_eq!(seen.values("proxy-authorization"), Vec::<String>::new());
    let heads = heads.lock().unwrap();
    let service = world.upstream.address;
    // gate:open sesame
    let expected = format!(
        "CONNECT {service} HTTP/1.1\r\nHost: {service}\r\nProxy-Authorization: Basic Z2F0ZTpvcGVuIHNlc2FtZQ==\r\n\r\n"
    );
    assert_eq!(heads.as_slice(), [expected]);
}

/// The token comes from where the service comes from: a machine whose only way out is the proxy has no other.
#[test]
fn p8_iam_is_reached_through_the_proxy_of_its_upstream() {
    let (address, heads) = proxy(None);
    let iam = Upstream::serving(|connection| {
        while connection.request().is_some() {
            let token = r#"{"access_token":"from-iam","expires_in":3600}"#;
            let length = token.len();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
            connection.write(format!("{head} {length}\r\n\r\n{token}"));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "k3y\n").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = format!("{{ file = \"{}\" }}", key.display());
    let mut plan = through(address, "");
    plan.upstream.push_str(&format!(
        "\ncredentials = {{ iam = {{ apikey = {file}, url = \"http://{}/identity/token\" }} }}\n\
         inject = true\nerasure = {{ authorize = \"token\", token = {file} }}",
        iam.address
    ));
    let world = World::before(Upstream::scripted(), plan);
    let seen = world.forwarded(request(PLAIN, &[], ""));
    assert_eq!(seen.values("authorization"), ["Bearer from-iam"]);
    let heads = heads.lock().unwrap();
    let mut asked: Vec<&str> = heads.iter().filter_map(|head| head.split(' ').nth(1)).collect();
    asked.sort_unstable();
    let mut both = [iam.address.to_string(), world.upstream.address.to_string()];
    both.sort_unstable();
    assert_eq!(asked, both);
}

#[test]
fn p8_a_proxy_that_opens_no_tunnel_is_the_one_that_is_named() {
    for status in [407, 403, 502] {
        let (address, _) = proxy(Some(status));
        let world = World::before(Upstream::scripted(), through(address, ""));
        world.ask(request(PLAIN, &[], "")).assert_refused(502, "upstream_unreachable");
        let told = world.admin("/api/v1/upstreams").json();
        let last = &told["upstreams"][0]["last_error"];
        assert_eq!(last["kind"], "proxy", "{told}");
        assert_eq!(last["reason"], format!("the proxy answered {status} to CONNECT"), "{told}");
        assert_eq!(world.upstream.connections(), 0);
    }
}

#[test]
fn p12_an_upstream_that_is_the_gate_itself_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let parsed = |listen: &str, upstream: &str| {
        let text = text(&Plan::default(), upstream.parse().unwrap());
        config::parse(&text.replacen("address = \"127.0.0.1:0\"", &format!("address = \"{listen}\""), 1), folder.path())
    };
    for (listen, upstream) in
        [("127.0.0.1:8080", "127.0.0.1:8080"), ("0.0.0.0:8080", "127.0.0.1:8080"), ("[::]:8080", "[::1]:8080")]
    {
        let faults = parsed(listen, upstream).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].key == "upstream[1].url" && faults[0].what.contains("the gate itself"), "{faults:?}");
    }
    for (listen, upstream) in [("127.0.0.1:8080", "127.0.0.1:8081"), ("127.0.0.1:8080", "127.0.0.2:8080")] {
        assert!(parsed(listen, upstream).is_ok(), "{listen} {upstream}");
    }
}
