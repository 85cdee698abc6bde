//! Stand-in services, and before them the gate as its users start it: the binary, with a config file.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use forgetgate_stand_ins::{Kind, Options, Running, Seen, Service};
use tempfile::TempDir;

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The services behind a gate; all let in whoever has the API key `KEY`.
pub(crate) struct Services {
    pub(crate) assistant: Running,
    pub(crate) speech: Running,
    pub(crate) voice: Running,
    pub(crate) vision: Running,
    pub(crate) discovery: Running,
}

impl Services {
    fn start() -> Self {
        let start = |kind| {
            let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            Service::start(kind, any_port, Options::basic("apikey", "KEY")).expect("a stand-in starts")
        };
        Self {
            assistant: start(Kind::Assistant),
            speech: start(Kind::SpeechToText),
            voice: start(Kind::TextToSpeech),
            vision: start(Kind::VisualRecognition),
            discovery: start(Kind::Discovery),
        }
    }

    pub(crate) fn all(&self) -> [&Running; 5] {
        [&self.assistant, &self.speech, &self.voice, &self.vision, &self.discovery]
    }

    /// Every request that any of them received.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.all().into_iter().flat_map(Running::seen).collect()
    }

    /// How many pieces of data of this customer there are.
    pub(crate) fn holds(&self, customer: &str) -> usize {
        self.all().into_iter().map(|service| service.holds(customer)).sum()
    }
}

/// A gate that runs, and the services behind it.
pub(crate) struct Gate {
    pub(crate) services: Services,
    /// What stands before the services' prefixes, such as `http://127.0.0.1:8080`.
    pub(crate) base: String,
    admin: SocketAddr,
    folder: TempDir,
    child: Child,
}

impl Gate {
    /// Starts the services and a gate whose upstreams have these lines in their policy, and waits until it is ready.
    pub(crate) fn start(policy: &str) -> Self {
        let services = Services::start();
        let addresses = services.all().map(|service| service.addr);
        Self::before(services, addresses, policy)
    }

    /// The same, but something else is reached under the name of Speech to Text.
    pub(crate) fn with_speech_at(speech: SocketAddr, policy: &str) -> Self {
        let services = Services::start();
        let is_speech = |service: &Running| service.kind == Kind::SpeechToText;
        let addresses = services.all().map(|service| if is_speech(service) { speech } else { service.addr });
        Self::before(services, addresses, policy)
    }

    fn before(services: Services, addresses: [SocketAddr; 5], policy: &str) -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder can be made");
        let (address, admin) = (free_address(), free_address());
        let key = folder.path().join("key");
        fs::write(&key, "KEY\n").expect("the key can be written");
        fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("the key can be made private");
        let config = folder.path().join("config.toml");
        let names = services.all().map(|service| service.kind.name());
        fs::write(&config, config_text(address, admin, names.into_iter().zip(addresses), policy))
            .expect("the config can be written");
        let log = File::create(folder.path().join("log")).expect("the log can be made");
        let child = Command::new(env!("CARGO_BIN_EXE_forgetgate"))
            .arg("run")
            .arg("--config")
            .arg(&config)
            .stdout(log.try_clone().expect("the log can be shared"))
            .stderr(log)
            .spawn()
            .expect("the gate starts");
        let mut gate = Self { services, base: format!("http://{address}"), admin, folder, child };
        gate.wait_until_ready();
        gate
    }

    fn wait_until_ready(&mut self) {
        let admin = self.admin;
        eventually("the gate is ready", || {
            let ended = self.child.try_wait().expect("the gate can be asked");
            assert!(ended.is_none(), "the gate ended at once: {}", self.log());
            status(admin, "/readyz") == Some(200)
        });
    }

    /// What the gate has written so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("the log can be read")
    }

    /// Stops the gate as an orchestrator does; its exit status and everything that it wrote, the last line included.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill can be run");
        assert!(sent.success(), "the gate had ended before it was stopped: {}", self.log());
        let mut outcome = None;
        eventually("the gate ends after SIGTERM", || {
            outcome = self.child.try_wait().expect("the gate can be asked");
            outcome.is_some()
        });
        (outcome.expect("it has ended"), self.log())
    }

    /// P7: it ends well when it is told to, and wrote no customer's ID into its log.
    pub(crate) fn judge_end(self, person: &str) {
        let (status, log) = self.stop();
        assert!(status.success(), "{status}: {log}");
        assert!(!log.contains(person), "the log holds a customer's ID: {log}");
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // A test that failed leaves a gate behind; one that has ended already cannot be killed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn config_text(
    address: SocketAddr,
    admin: SocketAddr,
    upstreams: impl Iterator<Item = (&'static str, SocketAddr)>,
    policy: &str,
) -> String {
    let mut text = format!(
        "[[listen]]\naddress = \"{address}\"\nmode = \"reverse\"\n\n[admin]\naddress = \"{admin}\"\n\n\
         [store]\nengine = \"sled\"\npath = \"index\"\nkey = {{ file = \"index.key\" }}\n"
    );
    for (name, at) in upstreams {
        text.push_str(&format!(
            "\n[[upstream]]\nname = \"{name}\"\nprofile = \"watson-{name}\"\nurl = \"http://{at}\"\n\
             route = {{ path = \"/{name}/api\" }}\ncredentials = {{ apikey = {{ file = \"key\" }} }}\n\
             [upstream.policy]\n{policy}\n"
        ));
    }
    text
}

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    listener.local_addr().expect("a listener has an address")
}

/// The status of a GET; `None` if nobody answers.
fn status(addr: SocketAddr, path: &str) -> Option<u16> {
    let mut socket = TcpStream::connect(addr).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(socket, "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

/// Waits until something holds, looking often, and fails when that takes too long.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let pause = Duration::from_millis(20);
    for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
        if holds() {
            return;
        }
        std::thread::sleep(pause);
    }
    panic!("waited in vain until {what}");
}

/// The folder for what tests/clients/install puts there.
pub(crate) fn installed() -> std::path::PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the folder for tests is in the target folder");
    target.join("clients")
}
