//! A PostgreSQL of the tests' own: on loopback and on a Unix socket, in a temporary folder, as a user without rights.
//!
//! It ends when its owner is dropped or the test program ends in whatever way: a shell that holds the other end of a pipe
//! sees to it. What it logs is read as it comes, so nothing here waits by the clock.
#![allow(dead_code, reason = "several test programs share it, and each uses a part")]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The superuser, and its password with all that a URL must encode.
pub(crate) const USER: &str = "postgres";
pub(crate) const PASSWORD: &str = "canary:7f/3a@b?c d";
const PASSWORD_IN_URL: &str = "canary%3A7f%2F3a%40b%3Fc%20d";

/// Nothing here takes so long; what does has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// A user without rights: the server refuses to be run by root.
const NOBODY: u32 = 65_534;

/// Small, and durable as a server of people's is.
const SETTINGS: &str =
    "listen_addresses = '127.0.0.1'\nshared_buffers = '16MB'\nmax_connections = 60\nmax_wal_size = '128MB'\n";

/// Runs the server at each line that comes, and ends it and all that is left of it when no more can come.
const KEEPER: &str = r#"
while read -r line; do
  "$2/postgres" -D "$1/data" 2>&1 < /dev/null &
  pid=$!
  echo "started as $pid"
done
# A shell's children ignore the first until they say otherwise, and the second does nothing to one that took the first.
[ -n "$pid" ] && kill -QUIT "$pid" 2> /dev/null && kill -TERM "$pid" 2> /dev/null
wait
rm -rf "$1"
"#;

/// A server that can be stopped, killed and started again.
pub(crate) struct Postgres {
    /// Everything of this server; removed with it.
    folder: PathBuf,
    port: u16,
    keeper: Child,
    starts: Option<ChildStdin>,
    lines: Mutex<Receiver<String>>,
    log: Arc<Mutex<Vec<String>>>,
    pid: Mutex<Option<Pid>>,
}

impl Postgres {
    /// The one that the tests of a program share. Each works in a schema of its own there, and leaves the server as it is.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// A new one, with lines for its configuration.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::start_with(&[], settings)
    }

    /// A new one, with files in its data folder and lines for its configuration.
    pub(crate) fn start_with(files: &[(&str, &str)], settings: &[&str]) -> Self {
        let folder = folder();
        let data = folder.join("data");
        copied(template(), &data);
        for (name, text) in files {
            let path = data.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            given(&path);
        }
        Self::in_folder(folder, settings)
    }

    /// A hot standby of this one: it can be read and not written to.
    pub(crate) fn standby(&self) -> Self {
        let folder = folder();
        let from = format!("postgres://{USER}:{PASSWORD_IN_URL}@127.0.0.1:{}/postgres", self.port);
        let mut backup = as_nobody(program("pg_basebackup"));
        backup.args([
            "--wal-method=stream",
            "--checkpoint=fast",
            "--write-recovery-conf",
            "--no-sync",
            "--dbname",
            &from,
        ]);
        run(backup.arg("--pgdata").arg(folder.join("data")));
        Self::in_folder(folder, &[])
    }

    fn in_folder(folder: PathBuf, settings: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let own = format!("{SETTINGS}port = {port}\nunix_socket_directories = '{}'\n", folder.display());
        let file = folder.join("data/postgresql.conf");
        let mut text = fs::read_to_string(&file).unwrap() + &own;
        for setting in settings {
            text = text + setting + "\n";
        }
        fs::write(&file, text).unwrap();

        let mut keeper = as_nobody("sh".into());
        keeper.args(["-c", KEEPER, "keeper"]).args([&folder, &binaries()]);
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (said, lines) = channel();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (output, kept) = (keeper.stdout.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line.clone());
                if said.send(line).is_err() {
                    return;
                }
            }
        });
        let starts = keeper.stdin.take();
        let server = Self { folder, port, keeper, starts, lines: Mutex::new(lines), log, pid: Mutex::new(None) };
        server.start_again();
        server
    }

    /// Starts it once it was stopped or killed, and gives back when it takes connections.
    pub(crate) fn start_again(&self) {
        // What a killed server leaves behind may take a moment to go.
        for _ in 0..1000 {
            (&mut self.starts.as_ref().unwrap()).write_all(b"start\n").unwrap();
            let pid = self.await_line(|line| line.starts_with("started as "));
            let pid = pid.rsplit(' ').next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw).unwrap();
            *self.pid.lock().unwrap() = Some(pid);
            // Its own words: those whom a killed one leaves behind may still speak.
            let own = format!("[{}] ", pid.as_raw_nonzero());
            let line = self.await_line(|line| {
                line.contains(&own) && (line.contains("ready to accept") || line.contains("FATAL:"))
            });
            if line.contains("ready to accept") {
                return;
            }
            assert!(line.contains("shared memory") || line.contains("lock file"), "{}", self.log());
        }
        panic!("the server does not start again: {}", self.log());
    }

    /// Stops it in good order; whoever is connected is thrown out.
    pub(crate) fn stop(&self) {
        self.signal(Signal::INT);
        self.await_line(|line| line.contains("database system is shut down"));
    }

    /// Kills it, as a power cut would as far as it can see.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Makes it read its configuration again.
    pub(crate) fn reload(&self) {
        self.signal(Signal::HUP);
        self.await_line(|line| line.contains("received SIGHUP"));
    }

    /// Makes a standby a server of its own, which can be written to.
    pub(crate) fn promote(&self) {
        self.sql("SELECT pg_promote()");
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid.lock().unwrap().unwrap(), signal).unwrap();
    }

    fn await_line(&self, is_it: impl Fn(&str) -> bool) -> String {
        let lines = self.lines.lock().unwrap();
        loop {
            match lines.recv_timeout(LIMIT) {
                Ok(line) if is_it(&line) => return line,
                Ok(_) => {}
                Err(_) => panic!("the server does not say what it should: {}", self.log()),
            }
        }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its Unix socket.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its URL, over TCP on loopback.
    pub(crate) fn url(&self) -> String {
        self.url_at(&format!("127.0.0.1:{}", self.port))
    }

    /// Its URL, as if it were there.
    #[allow(clippy::unused_self, reason = "the user and the password are this server's")]
    pub(crate) fn url_at(&self, hosts: &str) -> String {
        format!("postgres://{USER}:{PASSWORD_IN_URL}@{hosts}/postgres")
    }

    /// Its URL, by its Unix socket.
    pub(crate) fn socket_url(&self) -> String {
        self.url_at(&format!("{}:{}", self.folder.display().to_string().replace('/', "%2F"), self.port))
    }

    /// Runs statements with psql and gives their rows, a line each with `|` between columns.
    pub(crate) fn sql(&self, statements: &str) -> String {
        let mut psql = Command::new(program("psql"));
        psql.env("PGPASSWORD", PASSWORD).args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"]);
        psql.args(["-U", USER, "-d", "postgres", "-p", &self.port.to_string(), "-c", statements]);
        run(&mut psql).trim_end().to_owned()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.starts.take());
        self.keeper.wait().unwrap();
    }
}

/// Where the programs are: in no `PATH` on Debian, where several versions may be there.
fn binaries() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = versions.map(|version| version.join("bin")).collect();
    found.retain(|folder| folder.join("postgres").exists());
    found.sort_by_key(|folder| folder.parent()?.file_name()?.to_str()?.parse::<u32>().ok());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let elsewhere = std::env::split_paths(&path).find(|folder| folder.join("postgres").exists());
    found.pop().or(elsewhere).expect("PostgreSQL is not installed: apt-get install postgresql (tests/run does it)")
}

fn program(name: &str) -> PathBuf {
    binaries().join(name)
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

pub(crate) fn as_nobody(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    // A folder that the user may be in.
    command.current_dir("/").env("LC_ALL", "C");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

pub(crate) fn given(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

pub(crate) fn folder() -> PathBuf {
    let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap().keep();
    given(&folder);
    folder
}

/// A data folder as `initdb` makes it. It takes seconds, so it is made once for a version and kept beside what is built.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let version = binaries().parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let owner = fs::metadata("/proc/self").unwrap().uid();
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("postgres-{version}-{owner}"));
        if !kept.exists() {
            let folder = folder();
            let words = folder.join("password");
            fs::write(&words, PASSWORD).unwrap();
            given(&words);
            let data = folder.join("data");
            let mut made = as_nobody(program("initdb"));
            made.args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--username", USER]);
            run(made.arg("--pwfile").arg(&words).arg("--pgdata").arg(&data));
            let new = kept.with_extension(std::process::id().to_string());
            copied(&data, &new);
            fs::remove_dir_all(&folder).unwrap();
            // Another program may have been quicker.
            if fs::rename(&new, &kept).is_err() {
                fs::remove_dir_all(&new).unwrap();
            }
        }
        kept
    })
}

fn copied(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-a").args([from, to]));
}

fn run(command: &mut Command) -> String {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}
