//! Other people's TLS against the listeners: OpenSSL by way of curl, Python and its own client.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::certificates::Authority;
use crate::tls_in::plan;
use crate::world::{Plan, World};

/// Runs a program that must be there. Gives what it printed; a failure of its own fails the test.
#[track_caller]
fn run(program: &str, arguments: &[&str]) -> String {
    let output = output(program, arguments);
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {said}{complained}");
    said.into_owned()
}

fn output(program: &str, arguments: &[&str]) -> Output {
    let command = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    command.unwrap_or_else(|error| panic!("{program} is needed here: {error}"))
}

/// What a call over curl needs to reach the gate as `gate.test`.
struct Curl {
    url: String,
    resolve: String,
    ca: String,
}

impl Curl {
    fn to(world: &World, ca: &Path) -> Self {
        let port = world.address.port();
        Self {
            url: format!("https://gate.test:{port}/api/v1/workspaces/w/message?version=2021-06-14"),
            resolve: format!("gate.test:{port}:127.0.0.1"),
            ca: ca.display().to_string(),
        }
    }

    fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let own = ["-sS", "--max-time", "20", "--cacert", &self.ca, "--resolve", &self.resolve, &self.url];
        let message =
            ["-H", "X-Watson-Metadata: customer_id=alice", "-H", "Content-Type: application/json", "-d", "{}"];
        [&own[..], &message, more].concat()
    }
}

#[test]
fn p8_curl_is_served_over_every_version_and_protocol_that_it_speaks() {
    let authority = Authority::new();
    let world = World::of(plan(&[&authority.issue("gate", &["gate.test"])], ""));
    let curl = Curl::to(&world, &authority.ca());
    let show = ["-o", "/dev/null", "-w", "%{http_code} %{http_version} %{ssl_verify_result}"];
    for (more, expected) in [
        (&["--tlsv1.3"][..], "200 2 0"),
        (&["--tls-max", "1.2"], "200 2 0"),
        (&["--http1.1"], "200 1.1 0"),
        (&["--http1.0"], "200 1 0"),
        (&["--no-alpn"], "200 1.1 0"),
    ] {
        assert_eq!(run("curl", &curl.arguments(&[&show, more].concat())), expected, "{more:?}");
    }
    let seen = world.upstream.saw(5);
    assert!(seen.iter().all(|seen| seen.values("x-watson-metadata") == ["customer_id=alice"]));
    let refused = output("curl", &curl.arguments(&["--tls-max", "1.1"]));
    assert_eq!(refused.status.code(), Some(35), "TLS 1.1 is too old");
}

#[test]
fn p10_curl_is_let_in_by_its_certificate() {
    let authority = Authority::new();
    let asks = format!("client_ca = \"{}\"", authority.ca().display());
    let world = World::of(plan(&[&authority.issue("gate", &["gate.test"])], &asks));
    let curl = Curl::to(&world, &authority.ca());
    let client = authority.issue("client", &["client.test"]);
    let (cert, key) = (client.cert.display().to_string(), client.key.display().to_string());
    assert_eq!(run("curl", &curl.arguments(&["--cert", &cert, "--key", &key])), "{}");
    let refused = output("curl", &curl.arguments(&[]));
    assert!(!refused.status.success() && refused.stdout.is_empty());
    assert_eq!(world.upstream.seen().len(), 1);
}

/// Python's `ssl`: which certificate by which name, a session of TLS 1.2 that is taken up again, and an end that is said.
const PYTHON: &str = r#"
import socket, ssl, sys
port, ca = int(sys.argv[1]), sys.argv[2]
def connect(name, version=ssl.TLSVersion.TLSv1_2, session=None, context=None):
    context = context or ssl.create_default_context(cafile=ca)
    context.minimum_version = context.maximum_version = version
    raw = socket.create_connection(("127.0.0.1", port), timeout=20)
    return context, context.wrap_socket(raw, server_hostname=name, session=session, suppress_ragged_eofs=False)
for name in ("gate.test", "a.wild.test"):
    _, tls = connect(name)
    print(name, sorted(value for _, value in tls.getpeercert()["subjectAltName"]))
context, first = connect("gate.test")
_, second = connect("gate.test", session=first.session, context=context)
print("resumed", first.session_reused, second.session_reused)
_, tls = connect("gate.test", ssl.TLSVersion.TLSv1_3)
tls.sendall(b"GET /api/v1/workspaces HTTP/1.0\r\n\r\n")
answer = b""
while piece := tls.recv(65536):
    answer += piece
print(answer.split(b"\r\n")[0].decode(), "and its end was said")
"#;

#[test]
fn p8_python_sees_names_sessions_and_ends_as_they_are() {
    let authority = Authority::new();
    let (gate, wild) = (authority.issue("gate", &["gate.test"]), authority.issue("wild", &["*.wild.test"]));
    let world = World::of(plan(&[&gate, &wild], ""));
    let (port, ca) = (world.address.port().to_string(), authority.ca().display().to_string());
    let said = run("python3", &["-c", PYTHON, &port, &ca]);
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "gate.test ['gate.test']",
            "a.wild.test ['*.wild.test']",
            "resumed False True",
            "HTTP/1.0 200 OK and its end was said",
        ]
    );
}

/// The forms in which OpenSSL writes keys.
#[test]
fn keys_of_every_form_that_openssl_writes_are_taken() {
    let authority = Authority::new();
    let at = |name: &str| authority.file(name).display().to_string();
    let (rsa, pkcs1, sec1) = (at("rsa.key"), at("pkcs1.key"), at("sec1.key"));
    run("openssl", &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &rsa]);
    run("openssl", &["rsa", "-in", &rsa, "-traditional", "-out", &pkcs1]);
    run("openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-out", &sec1]);
    run("openssl", &["genpkey", "-algorithm", "ED25519", "-out", &at("ed25519.key")]);
    for (name, begins) in [
        ("rsa", "-----BEGIN PRIVATE KEY-----"),
        ("pkcs1", "-----BEGIN RSA PRIVATE KEY-----"),
        ("sec1", "-----BEGIN EC PARAMETERS-----"),
        ("ed25519", "-----BEGIN PRIVATE KEY-----"),
    ] {
        let (key, cert) = (at(&format!("{name}.key")), at(&format!("{name}.pem")));
        assert!(std::fs::read_to_string(&key).unwrap().starts_with(begins), "{name}");
        let subject = ["-subj", "/CN=gate.test", "-addext", "subjectAltName=DNS:gate.test"];
        let leaf = ["-addext", "basicConstraints=critical,CA:FALSE", "-days", "30"];
        let request = [&["req", "-x509", "-new", "-key", &key, "-out", &cert][..], &subject, &leaf].concat();
        run("openssl", &request);
        let listen = format!("tls = {{ cert = \"{cert}\", key = \"{key}\" }}");
        let world = World::of(Plan { listen, ..Plan::default() });
        assert_eq!(run("curl", &Curl::to(&world, Path::new(&cert)).arguments(&[])), "{}", "{name}");
    }
}
