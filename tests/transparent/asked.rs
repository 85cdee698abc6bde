//! Tunnels that a client asks for by CONNECT and that pass unseen: to others, by name, and never round the gate (P9).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::gate::{Gate, HOST, Plan, ask, curl};
use crate::namespace::{Network, PATIENCE, eventually, in_its_own};
use crate::service::OTHER;

const PROXY: &str = "127.0.0.1:3128";

fn plan(limits: &'static str) -> Plan {
    let listen = "others = \"tunnel\"";
    Plan { mode: "forward", listen, addresses: &[PROXY], limits, ca: true, ..Plan::default() }
}

fn gate(network: &Network, limits: &'static str) -> Gate {
    Gate::start(network, plan(limits))
}

/// The answer to a CONNECT, and what goes on behind it.
fn connect(to: &str) -> (String, TcpStream) {
    let mut socket = TcpStream::connect(PROXY).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes()).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (String::from_utf8(head).unwrap(), socket)
}

/// TLS as a client speaks it that believes in the certificate in this file.
fn tls(socket: TcpStream, name: &str, believed: &Path) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(believed).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket)
}

#[test]
fn p9_a_tunnel_to_others_carries_tls_to_its_host_and_nothing_else() {
    in_its_own("asked::p9_a_tunnel_to_others_carries_tls_to_its_host_and_nothing_else", |network| {
        let gate = gate(&network, "");
        let theirs = network.folder.join("other.pem");
        let proxy = format!("http://{PROXY}");
        let words = ["-x", &proxy, "--cacert", theirs.to_str().unwrap(), &format!("https://{OTHER}/x")];
        let passed = curl(false, &words);
        assert_eq!((passed.exit, &*passed.status), (0, "200"), "{passed:?}");
        assert!(passed.text.contains("\nGET /x HTTP/1.1\r\n") && !passed.text.contains("\nVia"), "{passed:?}");
        assert_eq!(gate.metric("forgetgate_tunnels_opened_total"), 1);
        // A named host through the same proxy is opened.
        let opened = curl(
            false,
            &["-x", &proxy, "--cacert", gate.ca.to_str().unwrap(), &format!("https://{HOST}/v1/workspaces")],
        );
        assert!(opened.text.contains("\nVia: 1.1 forgetgate ("), "{opened:?}");

        for (what, bytes) in
            [("no TLS", &b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"[..]), ("no TLS", b"\x80\x01\x02")]
        {
            let (head, mut socket) = connect("other.test:443");
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            socket.write_all(bytes).unwrap();
            let mut rest = Vec::new();
            socket.read_to_end(&mut rest).ok();
            assert_eq!(rest, b"", "{what}");
        }
        for name in [HOST, "third.test", "10.77.2.3"] {
            let (_, socket) = connect("other.test:443");
            let mut tls = tls(socket, name, &theirs);
            assert!(tls.write_all(b"GET / HTTP/1.1\r\n\r\n").and_then(|()| tls.flush()).is_err(), "{name}");
        }
        assert_eq!(gate.metric("forgetgate_tunnels_opened_total"), 1);
    });
}

#[test]
fn p9_a_name_that_leads_to_the_machine_itself_or_to_a_host_of_an_upstream_leads_nowhere() {
    in_its_own(
        "asked::p9_a_name_that_leads_to_the_machine_itself_or_to_a_host_of_an_upstream_leads_nowhere",
        |network| {
            let _gate = gate(&network, "");
            let inner: Vec<_> = ["127.0.0.1:443", "10.77.2.1:443", "[::1]:443"]
                .map(|at| std::net::TcpListener::bind(at).unwrap())
                .into();
            for each in &inner {
                each.set_nonblocking(true).unwrap();
            }
            for host in [
                "localhost",
                "inner.test",
                "here.test",
                "10.77.2.1",
                "[fd77:2::1]",
                "metadata.test",
                "mixed.test",
                "behind.test",
                "other-name.test",
                "10.77.2.2",
                "[::ffff:10.77.2.2]",
                "[::1]",
            ] {
                let (head, _) = connect(&format!("{host}:443"));
                assert!(head.starts_with("HTTP/1.1 404 ") && head.contains("upstream_unknown"), "{host}: {head}");
            }
            assert!(inner.iter().all(|each| each.accept().is_err()), "nobody was reached");
            // An address has one spelling.
            for (to, status) in
                [("10.77.514:443", 400), ("0x0a4d0202:443", 400), ("other.test:80", 404), ("nowhere.test:443", 502)]
            {
                let (head, _) = connect(to);
                assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{to}: {head}");
            }
        },
    );
}

#[test]
fn p12_a_tunnel_that_is_idle_ends_and_a_gate_that_stops_waits_for_none() {
    in_its_own("asked::p12_a_tunnel_that_is_idle_ends_and_a_gate_that_stops_waits_for_none", |network| {
        let mut gate = gate(&network, "idle_timeout = \"1s\"\ndrain_timeout = \"10m\"");
        let theirs = network.folder.join("other.pem");
        let open = || {
            let mut tls = tls(connect("other.test:443").1, OTHER, &theirs);
            tls.write_all(b"GET /x HTTP/1.1\r\n\r\n").unwrap();
            let mut byte = [0];
            tls.read_exact(&mut byte).unwrap();
            tls
        };
        let ends = |mut tls: StreamOwned<ClientConnection, TcpStream>| tls.sock.read_to_end(&mut Vec::new());
        drop(ends(open()));
        eventually("the tunnel's line is there", || gate.log().contains("ended=\"timed_out\""));
        let line = gate.log().lines().find(|line| line.contains("timed_out")).unwrap().to_owned();
        assert!(line.contains("call=\"other.test\" status=200") && !line.contains("bytes_out=0 "), "{line}");
        let tunnel = open();
        gate.stop();
        drop(ends(tunnel));
        assert!(gate.log().contains("drained"), "{}", gate.log());
        assert_eq!(ask(PROXY, ""), None, "nobody listens any more");
    });
}

/// A client that keeps its connection would pass the gate unseen for as long as it likes.
#[test]
fn p9_a_tunnel_ends_when_an_upstream_names_its_host_from_now_on() {
    in_its_own("asked::p9_a_tunnel_ends_when_an_upstream_names_its_host_from_now_on", |network| {
        let gate = gate(&network, "");
        let mut tunnel = tls(connect("other.test:443").1, OTHER, &network.folder.join("other.pem"));
        tunnel.write_all(b"GET /x HTTP/1.1\r\n\r\n").unwrap();
        tunnel.read_exact(&mut [0]).unwrap();
        gate.turn_to(Plan { host: OTHER, ..plan("") });
        tunnel.sock.read_to_end(&mut Vec::new()).ok();
        eventually("the tunnel's line is there", || gate.log().contains("call=\"other.test\" status=200"));
        let line = gate.log().lines().find(|line| line.contains("call=\"other.test\" status=200")).unwrap().to_owned();
        assert!(line.contains("ended=\"refused\""), "{line}");
    });
}
