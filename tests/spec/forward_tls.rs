//! TLS inside a CONNECT: opened for the host that the upstream names, where all names agree (P1, P9).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use forgetgate::domain::UnixSeconds;
use forgetgate::listen::make_ca;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::client::{Client, latin1};
use crate::forward::{HOST, plan};
use crate::world::{LABEL, World};

const MESSAGE: &str = "/v1/workspaces/w/message?version=2021-06-14";

/// A gate with an authority, and clients that believe in it.
pub(crate) struct Opened {
    pub(crate) world: World,
    pub(crate) client: Arc<ClientConfig>,
    _folder: TempDir,
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

impl Opened {
    fn start() -> Self {
        Self::speaking("", "http/1.1")
    }

    /// The listener has these further lines, and its clients want this.
    pub(crate) fn speaking(listen: &str, protocol: &str) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let made = make_ca(Some(&[HOST.to_owned()]), UnixSeconds(now)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("ca.pem"), folder.path().join("ca.key"));
        std::fs::write(&cert, &made.certificate).unwrap();
        std::fs::write(&key, made.key.expose()).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let ca = format!("ca = {{ cert = \"{}\", key = \"{}\" }}", cert.display(), key.display());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(made.certificate.as_bytes()).unwrap()).unwrap();
        let mut client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Self { world: World::of(plan(&format!("{listen}\n{ca}"))), client: Arc::new(client), _folder: folder }
    }

    /// A handshake for `name` that begins behind a CONNECT to the named host, in one piece with it if `at_once`.
    fn tunnel(&self, name: &str, at_once: bool) -> Tls {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut tls = ClientConnection::new(Arc::clone(&self.client), name).unwrap();
        let mut socket = Client::to(self.world.address).socket;
        let mut first = format!("CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n").into_bytes();
        if at_once {
            tls.write_tls(&mut first).unwrap();
        }
        socket.write_all(&first).unwrap();
        // What comes behind the head belongs to the handshake.
        assert_eq!(head(&mut socket).unwrap(), "HTTP/1.1 200 Connection established\r\n\r\n");
        StreamOwned::new(tls, socket)
    }
}

/// Reads a head and not a byte more.
pub(crate) fn head(stream: &mut impl Read) -> std::io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(latin1(&head))
}

/// Sends a request without a body, and gives the head of its answer.
fn ask(tls: &mut Tls, line: &str, lines: &str) -> std::io::Result<String> {
    tls.write_all(format!("{line} HTTP/1.1\r\n{lines}Content-Length: 0\r\n\r\n").as_bytes())?;
    let head = head(tls)?;
    let length = crate::client::values(&head, "content-length").pop().map_or(0, |length| length.parse().unwrap());
    tls.read_exact(&mut vec![0; length])?;
    Ok(head)
}

#[test]
fn p1_p9_tls_in_a_tunnel_to_a_named_host_is_opened_and_judged() {
    let opened = Opened::start();
    for at_once in [false, true] {
        let mut tls = opened.tunnel(HOST, at_once);
        let line = format!("POST {MESSAGE}");
        let refused = ask(&mut tls, &line, &format!("Host: {HOST}\r\n")).unwrap();
        assert!(refused.starts_with("HTTP/1.1 400") && refused.contains("label_missing"), "{refused}");
        let passed = ask(&mut tls, &line, &format!("Host: {HOST}\r\n{LABEL}\r\n")).unwrap();
        assert!(passed.starts_with("HTTP/1.1 200"), "{passed}");
        assert_eq!(tls.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    let seen = opened.world.upstream.saw(2);
    assert!(seen.iter().all(|seen| seen.values("x-watson-metadata") == ["customer_id=alice"]));
}

#[test]
fn p9_in_a_tunnel_all_names_agree_or_nothing_passes() {
    let opened = Opened::start();
    let mut other_host = opened.tunnel(HOST, false);
    let refused = ask(&mut other_host, "GET /v1/workspaces", "Host: other.test\r\n").unwrap();
    assert!(refused.starts_with("HTTP/1.1 400") && refused.contains("header_ambiguous"), "{refused}");
    let error = ask(&mut opened.tunnel("other.test", false), "GET /", "Host: other.test\r\n").unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    assert_eq!(opened.world.upstream.connections(), 0);
}

/// A client that breaks off, or says what is no TLS, costs the gate nothing and harms no other.
#[test]
fn p12_a_handshake_that_is_none_ends_its_connection() {
    let opened = Opened::start();
    for bytes in
        [&b"\x16\x03\x01\x00\x05hello"[..], b"\x16\x03\x01\xff\xff", b"\x16\x00\x00\x00\x01\x00", &[22; 40_000]]
    {
        let mut client = Client::to(opened.world.address);
        client.send(format!("CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n"));
        assert_eq!(client.head(), "HTTP/1.1 200 Connection established");
        // The gate may have closed it already.
        client.try_send(bytes).ok();
        client.socket.shutdown(std::net::Shutdown::Write).ok();
        client.rest();
    }
    let head = ask(&mut opened.tunnel(HOST, false), "GET /v1/workspaces", &format!("Host: {HOST}\r\n")).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}
