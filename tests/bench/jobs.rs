//! How long a store with very many unfinished erasures takes to open, and how much memory: after a clean close, after a kill, and
//! once more. Each opening is a process of its own, which also reads all list entries, as a start does.
//! `cargo bench --bench jobs -- 100000`.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock itself")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use forgetgate::domain::{Tag, UnixSeconds};
use forgetgate::store::{JobWrite, Opened, StoredJob, open};
use futures_util::{StreamExt, stream};
use uuid::Uuid;

use crate::support::{config, copied, runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BODY: usize = 900;
const SUMMARY: usize = 40;
const AT_ONCE: usize = 512;
const PAGE: usize = 1000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["fill", directory, jobs] => fill(Path::new(directory), number(jobs)),
        ["open", directory] => reopen(Path::new(directory)),
        [jobs] => measure(number(jobs)),
        _ => measure(100_000),
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number of jobs")
}

fn measure(jobs: u64) {
    let directory = tempfile::tempdir().expect("a directory");
    let (live, killed) = (directory.path().join("live"), directory.path().join("killed"));
    let mut filling = itself(&["fill", &live.display().to_string(), &jobs.to_string()]);
    let mut filling = filling.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a child");
    let mut line = String::new();
    BufReader::new(filling.stdout.take().expect("its words")).read_line(&mut line).expect("its words");
    say(line.trim_end());
    copied(&live, &killed);
    // A kill leaves at most one batch that is not on the disk; a copy would leave all of it.
    assert!(
        Command::new("sync").arg(killed.join("store/db")).status().expect("sync").success(),
        "the copy on the disk"
    );
    drop(filling.stdin.take());
    assert!(filling.wait().expect("the child's end").success(), "the child failed");
    for (what, directory) in [("clean close", &live), ("kill", &killed)] {
        for time in ["first", "second"] {
            let opened = itself(&["open", &directory.display().to_string()]).output().expect("a child");
            assert!(opened.status.success(), "the child failed");
            say(&format!("after a {what}, {time} opening: {}", String::from_utf8_lossy(&opened.stdout).trim_end()));
        }
    }
}

fn itself(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("its own path"));
    command.args(arguments);
    command
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("stdout");
}

fn job(number: u64, step: u8) -> StoredJob {
    let mut random = fastrand::Rng::with_seed(number + 1);
    let tag = Tag(std::array::from_fn(|_| random.u8(..)));
    // As a UUIDv7: in the order of time.
    let id = Uuid::from_u128(u128::from(number) << 64 | u128::from(random.u64(..)));
    let received = UnixSeconds(1_800_000_000 + number / 100);
    let summary = vec![step; SUMMARY];
    StoredJob { id, tag, finished: false, received, of: None, summary, body: vec![step; BODY] }
}

/// Each job is created and goes through two steps, as one whose delete was accepted.
fn fill(directory: &Path, jobs: u64) {
    std::fs::create_dir_all(directory).expect("a directory");
    let store: Opened = open(&config(directory)).expect("a store");
    let start = Instant::now();
    let steps = stream::iter(0..jobs).for_each_concurrent(AT_ONCE, async |number| {
        assert!(store.jobs.create(job(number, 0)).await.expect("a job"), "a new one");
        for step in [1, 2] {
            let job = job(number, step);
            let write = JobWrite { at: job.received, job, erased: Vec::new(), also: None };
            assert!(store.jobs.commit(write).await.expect("a step"), "a step");
        }
    });
    runtime().block_on(steps);
    let figures = runtime().block_on(store.index.figures()).expect("figures");
    say(&format!("{jobs} jobs in {:?}, {} MB, {} syncs", start.elapsed(), figures.bytes >> 20, figures.syncs));
    std::io::stdin().read_line(&mut String::new()).expect("the parent");
    drop(store);
}

fn reopen(directory: &Path) {
    let start = Instant::now();
    let store = open(&config(directory)).expect("a store");
    let (opened, memory) = (start.elapsed(), memory("VmRSS"));
    let (mut cursor, mut listed) = (None, 0);
    runtime().block_on(async {
        loop {
            let page = store.jobs.listed(cursor, PAGE).await.expect("a page");
            listed += page.len();
            cursor = page.last().map(|job| (job.tag, job.id));
            if page.len() < PAGE {
                break;
            }
        }
    });
    let all = start.elapsed();
    let figures = runtime().block_on(store.index.figures()).expect("figures");
    assert_eq!(figures.unfinished_jobs, listed as u64, "the figures count what is listed");
    say(&format!(
        "open {opened:?} ({memory}), with {listed} list entries {all:?} ({} s of CPU, {} now, {} at most)",
        cpu_seconds(),
        self::memory("VmRSS"),
        self::memory("VmHWM")
    ));
}

fn memory(what: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("a figure");
    let kilobytes = line.split_whitespace().nth(1).and_then(|figure| figure.parse::<u64>().ok()).expect("a figure");
    format!("{} MiB", kilobytes >> 10)
}

/// Of this process so far; on a machine that others use as well, time alone says little.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("its times");
    let after_name = stat.rsplit(')').next().expect("its times").split_whitespace();
    // In hundredths of a second, user and system.
    after_name.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
