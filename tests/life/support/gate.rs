//! The real program as a child process, with a folder of its own: started, killed, started again on the same store.

use std::fs;
use std::io::{BufRead, BufReader, PipeReader, Read, Write, pipe};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Answer, Call, eventually, eventually_some};

/// One upstream in the configuration; it is reached below `/NAME/api`.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    name: String,
    profile: String,
    addr: SocketAddr,
    more: String,
}

impl Site {
    pub(crate) fn new(name: &str, profile: &str, addr: SocketAddr) -> Self {
        Self { name: name.to_owned(), profile: profile.to_owned(), addr, more: String::new() }
    }

    /// The upstream that most of these tests have. Its service sets no rate for deletes.
    pub(crate) fn speech(addr: SocketAddr) -> Self {
        Self::new("speech", "watson-speech-to-text", addr)
    }

    pub(crate) fn with(mut self, lines: &str) -> Self {
        self.more.push_str(lines);
        self.more.push('\n');
        self
    }
}

/// A configuration: lines of its sections.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Of the store's files; empty for an engine that has none.
    pub(crate) path: String,
    pub(crate) process: String,
    pub(crate) log: String,
    pub(crate) store: String,
    pub(crate) policy: String,
    pub(crate) erasure: String,
    pub(crate) limits: String,
    pub(crate) sites: Vec<Site>,
    /// Whole tables at the end, such as profiles.
    pub(crate) more: String,
}

impl Setup {
    /// Two workers, anyone may erase, at any rate, and nothing special.
    pub(crate) fn new(sites: impl Into<Vec<Site>>) -> Self {
        Self {
            path: "index".to_owned(),
            process: "workers = 2\n".to_owned(),
            log: "access = false\n".to_owned(),
            store: String::new(),
            policy: String::new(),
            erasure: "authorize = \"open\"\nerasures_per_minute = 1000000\n".to_owned(),
            limits: String::new(),
            sites: sites.into(),
            more: String::new(),
        }
    }

    fn text(&self) -> String {
        let Self { path, process, log, store, policy, erasure, limits, sites, more } = self;
        let path = if path.is_empty() { String::new() } else { format!("path = \"{path}\"\n") };
        let mut text = format!(
            "[[listen]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n[process]\n{process}\
             [log]\n{log}[store]\n{path}key = {{ file = \"index.key\" }}\n{store}[policy]\n{policy}\
             [erasure]\n{erasure}[limits]\n{limits}"
        );
        for Site { name, profile, addr, more } in sites {
            text.push_str(&format!(
                "[[upstream]]\nname = \"{name}\"\nprofile = \"{profile}\"\nurl = \"http://{addr}\"\n\
                 route = {{ path = \"/{name}/api\" }}\nversion = \"2021-06-14\"\n{more}"
            ));
        }
        text + more
    }
}

/// What ends a gate at once, from any thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Killer(Arc<Mutex<Option<Child>>>);

impl Killer {
    /// SIGKILL, and nothing of it is left when this returns.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.0.lock().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// A gate.
pub(crate) struct Gate {
    folder: Arc<TempDir>,
    killer: Killer,
    log: Arc<Mutex<String>>,
    /// A command that the program is started by, with its arguments.
    pub(crate) by: Vec<String>,
    /// Where callers come in.
    pub(crate) addr: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Gate {
    /// A gate of this configuration that takes calls.
    pub(crate) fn start(setup: &Setup) -> Self {
        let mut gate = Self::idle(setup);
        gate.restart();
        gate
    }

    /// One that does not run yet.
    pub(crate) fn idle(setup: &Setup) -> Self {
        let folder = Arc::new(TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let gate = Self {
            folder,
            killer: Killer::default(),
            log: Arc::default(),
            by: Vec::new(),
            addr: nowhere,
            admin: nowhere,
        };
        gate.configure(setup);
        gate
    }

    /// What the next start reads.
    pub(crate) fn configure(&self, setup: &Setup) {
        fs::write(self.folder.path().join("config.toml"), setup.text()).unwrap();
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A gate that takes calls, whose log nobody reads any more: also what may be written without a reader is used up.
    pub(crate) fn unread(setup: &Setup) -> (Self, PipeReader) {
        let mut gate = Self::idle(setup);
        let (mut reader, mut writer) = pipe().unwrap();
        let mut command = gate.command();
        command.stderr(writer.try_clone().unwrap());
        *gate.killer.0.lock() = Some(command.spawn().unwrap());
        drop(command);
        let mut found = None;
        while found.is_none() {
            let mut buffer = [0; 4096];
            let length = reader.read(&mut buffer).unwrap();
            gate.log.lock().push_str(std::str::from_utf8(&buffer[..length]).unwrap());
            found = gate.listening("gate").zip(gate.listening("admin"));
        }
        (gate.addr, gate.admin) = found.unwrap();
        thread::spawn(move || while writer.write_all(&[b'\n'; 4096]).is_ok() {});
        (gate, reader)
    }

    /// The program, ready to be started on this gate's folder.
    pub(crate) fn command(&self) -> Command {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_forgetgate"));
        let mut command = match self.by.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.arg("run").arg("--config").arg(self.folder.path().join("config.toml"));
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts it (again), and waits until it listens.
    pub(crate) fn restart(&mut self) {
        let mut child = self.command().spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        keep(child.stderr.take().unwrap(), &log);
        *self.killer.0.lock() = Some(child);
        self.log = log;
        let (addr, admin) = eventually_some("the gate listens", || {
            let found = (self.listening("gate"), self.listening("admin"));
            assert!(self.is_running() || found.0.is_some(), "the gate ended at once: {}", self.log());
            found.0.zip(found.1)
        });
        (self.addr, self.admin) = (addr, admin);
    }

    /// Runs a gate that must refuse to start: its exit code and what it said.
    pub(crate) fn refused(&self) -> (Option<i32>, String) {
        let output = self.command().output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn listening(&self, what: &str) -> Option<SocketAddr> {
        let log = self.log.lock();
        let is_it = |line: &&str| line.contains("listening") && line.contains(&format!("\"{what}\""));
        let line = log.lines().find(is_it)?;
        let address = line.get(line.find("127.0.0.1:")?..)?;
        address.split('"').next()?.parse().ok()
    }

    /// What it has written since it was last started.
    pub(crate) fn log(&self) -> String {
        self.log.lock().clone()
    }

    pub(crate) fn killer(&self) -> Killer {
        self.killer.clone()
    }

    pub(crate) fn kill(&self) {
        self.killer.kill();
    }

    pub(crate) fn id(&self) -> u32 {
        self.killer.0.lock().as_ref().expect("it runs").id()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.killer.0.lock().as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// SIGTERM, as an orchestrator sends it.
    pub(crate) fn ask_to_end(&self) {
        assert!(Command::new("kill").args(["-TERM", &self.id().to_string()]).status().unwrap().success());
    }

    /// Waits for its own end.
    pub(crate) fn ended(&self) -> ExitStatus {
        let status = eventually_some("the gate ends", || self.killer.0.lock().as_mut().unwrap().try_wait().unwrap());
        self.killer.0.lock().take();
        status
    }

    pub(crate) fn stop(&self) -> ExitStatus {
        self.ask_to_end();
        self.ended()
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        Call::get(target).send(self.admin).unwrap()
    }

    pub(crate) fn is_ready(&self) -> bool {
        Call::get("/readyz").send(self.admin).is_ok_and(|answer| answer.status == 200)
    }

    /// Erases by the admin API; the erasure as it was accepted.
    pub(crate) fn erase(&self, customer: &str) -> Value {
        let answer = Call::admin("/api/v1/erasures", &json!({ "customer_id": customer })).send(self.admin).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()
    }

    pub(crate) fn erasure(&self, id: &str) -> Value {
        let answer = self.get(&format!("/api/v1/erasures/{id}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Waits until an erasure looks so.
    pub(crate) fn until(&self, id: &str, what: &str, looks: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = eventually_or(&mut last, |last| {
            *last = self.erasure(id);
            looks(last)
        });
        assert!(found, "it was never {what}: {last:#}\n{}", self.log());
        last
    }

    /// Waits until every target of an erasure has accepted.
    pub(crate) fn until_accepted(&self, id: &str) -> Value {
        self.until(id, "accepted everywhere", |erasure| {
            ["settling", "done"].iter().any(|state| erasure["state"] == *state)
        })
    }

    /// Waits until no erasure is under way.
    pub(crate) fn until_all_accepted(&self) {
        eventually("every erasure is accepted", || {
            let none = |state: &str| {
                let list = self.get(&format!("/api/v1/erasures?state={state}&limit=1")).json();
                list["erasures"].as_array().unwrap().is_empty()
            };
            ["accepted", "running", "action_required"].into_iter().all(none)
        });
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.killer.kill();
    }
}

fn eventually_or<T>(state: &mut T, mut holds: impl FnMut(&mut T) -> bool) -> bool {
    let end = tokio::time::Instant::now() + super::PATIENCE;
    while !holds(state) {
        if tokio::time::Instant::now() > end {
            return false;
        }
        thread::sleep(std::time::Duration::from_millis(10));
    }
    true
}

/// Keeps what the program writes, until it ends.
fn keep(errors: ChildStderr, log: &Arc<Mutex<String>>) {
    let log = Arc::clone(log);
    thread::spawn(move || {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            let mut log = log.lock();
            log.push_str(&line);
            log.push('\n');
        }
    });
}
