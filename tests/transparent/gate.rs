//! The gate as a process of another user's, and curl as the client that knows nothing of it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::namespace::{Network, PATIENCE, eventually, said};

/// The user that the gate runs as: nobody.
pub(crate) const USER: u32 = 65534;

/// Hosts that the upstream names: one name, and the addresses that a client without names calls.
pub(crate) const HOST: &str = "gateway.test";
pub(crate) const ADDRESSES: [&str; 2] = ["10.77.0.1", "fd77::1"];

/// What a gate is made of. Tests change what they are about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) user: u32,
    pub(crate) mode: &'static str,
    /// Further lines of each `[[listen]]`.
    pub(crate) listen: &'static str,
    pub(crate) addresses: &'static [&'static str],
    /// A further host of the upstream's.
    pub(crate) host: &'static str,
    /// Lines of `[limits]`.
    pub(crate) limits: &'static str,
    /// Is an authority made, and given to the listeners?
    pub(crate) ca: bool,
    /// The upstreams, and what else there is in the configuration.
    pub(crate) upstreams: &'static str,
}

impl Default for Plan {
    fn default() -> Self {
        let addresses = &["127.0.0.1:15001", "[::1]:15001"];
        let (mode, host) = ("transparent", "also.test");
        Self { user: USER, mode, listen: "", addresses, host, limits: "", ca: false, upstreams: "" }
    }
}

/// A gate that runs.
pub(crate) struct Gate {
    process: Child,
    /// Where its admin API is.
    admin: &'static str,
    config: PathBuf,
    log: PathBuf,
    /// The authority that clients are to believe in.
    pub(crate) ca: PathBuf,
}

impl Gate {
    #[track_caller]
    pub(crate) fn start(network: &Network, plan: Plan) -> Self {
        Self::start_with(network, plan, &[])
    }

    /// With these variables.
    #[track_caller]
    pub(crate) fn start_with(network: &Network, plan: Plan, variables: &[(String, String)]) -> Self {
        let folder = network.folder.join("gate");
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::chown(&folder, Some(plan.user), None).unwrap();
        // The build's folder may be closed to other users.
        let program = network.folder.join("forgetgate");
        std::fs::copy(env!("CARGO_BIN_EXE_forgetgate"), &program).unwrap();
        let config = folder.join("config.toml");
        std::fs::write(&config, text(plan)).unwrap();
        let command = |log: Stdio, errors: Stdio| {
            let mut command = Command::new(&program);
            command.uid(plan.user).gid(plan.user).current_dir(&folder).stdin(Stdio::null()).stdout(log).stderr(errors);
            command.envs(variables.iter().cloned());
            command
        };
        if plan.ca {
            let made = command(Stdio::piped(), Stdio::piped()).args(["ca", "init"]).output().unwrap();
            assert!(made.status.success(), "{}", said(&made));
        }
        let log = network.folder.join("log");
        let file = std::fs::File::create(&log).unwrap();
        let process = command(file.try_clone().unwrap().into(), file.into()).arg("run").spawn().unwrap();
        let ca = folder.join("var/forgetgate-ca.pem");
        let mut gate = Self { process, admin: "127.0.0.1:8081", config, log, ca };
        eventually("the gate is ready", || {
            assert!(gate.process.try_wait().unwrap().is_none(), "{}", gate.log());
            ask(gate.admin, "GET /readyz HTTP/1.0\r\n\r\n").is_some_and(|said| said.starts_with("HTTP/1.0 200"))
        });
        gate
    }

    /// Tells it to stop, and waits until it has.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        crate::namespace::run(&format!("kill -TERM {}", self.process.id()));
        eventually("the gate has stopped", || self.process.try_wait().unwrap().is_some());
    }

    /// Puts another configuration in the place of its own, and waits until that is in force.
    #[track_caller]
    pub(crate) fn turn_to(&self, plan: Plan) {
        let new = self.config.with_extension("new");
        std::fs::write(&new, text(plan)).unwrap();
        std::fs::rename(new, &self.config).unwrap();
        eventually("the other configuration is in force", || {
            self.metric("forgetgate_config_reloads_total{result=\"applied\"}") == 1
        });
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// What it says of its erasures.
    pub(crate) fn erasures(&self) -> String {
        ask(self.admin, "GET /api/v1/erasures HTTP/1.0\r\n\r\n").unwrap()
    }

    /// What it says of one of them.
    pub(crate) fn erasure(&self, id: &str) -> String {
        ask(self.admin, &format!("GET /api/v1/erasures/{id} HTTP/1.0\r\n\r\n")).unwrap()
    }

    /// One of its figures.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = ask(self.admin, "GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .unwrap_or_else(|| panic!("{name}: {page}"));
        line.parse().unwrap()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        if std::thread::panicking() {
            let log = self.log();
            // The harness shows it with the failure.
            std::io::stdout().write_all(log.as_bytes()).ok();
        }
    }
}

fn text(plan: Plan) -> String {
    let Plan { mode, listen, addresses, limits, ca, .. } = plan;
    let ca = if ca { "ca = { cert = \"var/forgetgate-ca.pem\", key = \"var/forgetgate-ca.key\" }" } else { "" };
    let listeners: String = addresses
        .iter()
        .map(|address| format!("[[listen]]\naddress = \"{address}\"\nmode = \"{mode}\"\n{listen}\n{ca}\n"))
        .collect();
    let upstreams = if plan.upstreams.is_empty() { one_upstream(plan.host) } else { plan.upstreams.to_owned() };
    format!(
        r#"
        {listeners}
        [process]
        workers = 2
        [store]
        path = "index"
        key = {{ file = "index.key" }}
        [limits]
        {limits}
        {upstreams}
        "#
    )
}

fn one_upstream(host: &str) -> String {
    let [v4, v6] = ADDRESSES;
    format!(
        r#"
        [[upstream]]
        name = "service"
        profile = "watson-assistant"
        url = "http://10.77.2.2/base"
        route = {{ hosts = ["{HOST}", "{v4}", "{v6}", "{host}"] }}
        policy = {{ missing = "derive", derive = [{{ header = "X-User-Id" }}] }}
        "#
    )
}

/// Sends bytes to an address, and gives all that comes back. `None` where nobody is.
pub(crate) fn ask(address: &str, bytes: &str) -> Option<String> {
    let mut socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(bytes.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let ended = socket.read_to_end(&mut answer);
    // A reset behind an answer is no matter; a connection that nobody ends is.
    let waited = ended.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    assert!(!waited, "the connection does not end: {}", String::from_utf8_lossy(&answer));
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// What curl says: its exit code, the status, and the body behind it.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) exit: i32,
    pub(crate) status: String,
    pub(crate) text: String,
}

/// A call of a legacy client: curl with these words, to which every name of the tests has an address.
pub(crate) fn curl(v6: bool, words: &[&str]) -> Said {
    let address = if v6 { "[fd77::1]" } else { "10.77.0.1" };
    let other = if v6 { "[fd77:2::3]" } else { "10.77.2.3" };
    let mut command = Command::new("curl");
    command.args(["-sS", "-i", "--max-time", "25", "-w", "\n%{http_code}"]);
    for proxy in ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    for port in [80, 443] {
        command.args(["--resolve", &format!("{HOST}:{port}:{address}")]);
        command.args(["--resolve", &format!("unknown.test:{port}:{address}")]);
        command.args(["--resolve", &format!("{}:{port}:{other}", crate::service::OTHER)]);
    }
    let output = command.args(words).output().expect("curl can be run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let status = text.rsplit('\n').next().unwrap_or_default().to_owned();
    Said { exit: output.status.code().unwrap(), status, text: text + &String::from_utf8_lossy(&output.stderr) }
}
