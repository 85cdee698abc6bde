//! The product in a process of its own: how long it takes until it says that it is ready, and how much memory it has by then.

use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(5);
/// For as long it does its work before its memory is looked at once more.
const AT_WORK: Duration = Duration::from_secs(3);
const LIMIT: Duration = Duration::from_secs(300);

/// A gate that is ready.
pub(crate) struct Gate {
    child: Child,
    took: Duration,
    figures: String,
}

impl Gate {
    /// On the store in this directory. Its upstream is not there.
    pub(crate) fn start(directory: &Path) -> Self {
        let admin = directory.join("admin.sock");
        let text = format!(
            "[[listen]]\naddress = \"unix:{at}/gate.sock\"\n[admin]\naddress = \"unix:{admin}\"\n[log]\nlevel = \"error\"\n\
             [store]\npath = \"store\"\nkey = {{ file = \"store.key\" }}\n[erasure]\nauthorize = \"open\"\n\
             [[upstream]]\nname = \"speech\"\nprofile = \"watson-speech-to-text\"\nurl = \"http://127.0.0.1:9\"\n\
             route = {{ path = \"/speech/api\" }}\nversion = \"2021-06-14\"\n",
            at = directory.display(),
            admin = admin.display(),
        );
        let config = directory.join("config.toml");
        fs::write(&config, text).expect("a configuration");
        let start = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_forgetgate"));
        let command = command.args(["run", "--config"]).arg(config).stdout(Stdio::null()).stdin(Stdio::null());
        let mut child = command.spawn().expect("a child");
        while !is_ready(&admin) {
            assert!(child.try_wait().expect("its state").is_none(), "the gate has ended");
            assert!(start.elapsed() < LIMIT, "the gate does not become ready");
            sleep(PAUSE);
        }
        let (took, process) = (start.elapsed(), child.id().to_string());
        let (cpu, now, at_most) = (cpu_seconds(&process), memory(&process, "VmRSS"), memory(&process, "VmHWM"));
        sleep(AT_WORK);
        let (later, at_most_later) = (memory(&process, "VmRSS"), memory(&process, "VmHWM"));
        let figures =
            format!("{cpu} s of CPU, {now}, {at_most} at most; {AT_WORK:?} later {later}, {at_most_later} at most");
        Self { child, took, figures }
    }
}

fn is_ready(admin: &PathBuf) -> bool {
    let Ok(mut stream) = UnixStream::connect(admin) else { return false };
    let asked = stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    asked.and_then(|()| stream.read_to_string(&mut answer)).is_ok() && answer.starts_with("HTTP/1.1 200")
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ready after {:?} ({})", self.took, self.figures)
    }
}

impl Drop for Gate {
    /// In good order.
    fn drop(&mut self) {
        let ended = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(ended.is_ok_and(|ended| ended.success()), "the gate is told to end");
        self.child.wait().expect("its end");
    }
}

/// Of a process, by its number or "self".
pub(crate) fn memory(process: &str, what: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("a figure");
    let kilobytes = line.split_whitespace().nth(1).and_then(|figure| figure.parse::<u64>().ok()).expect("a figure");
    format!("{} MiB", kilobytes >> 10)
}

/// Of a process so far; on a machine that others use as well, time alone says little.
pub(crate) fn cpu_seconds(process: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("its times");
    let after_name = stat.rsplit(')').next().expect("its times").split_whitespace();
    // In hundredths of a second, user and system.
    after_name.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
