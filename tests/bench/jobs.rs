//! How long a start takes with very many unfinished erasures, and how much memory: after a clean close, after a kill, and once
//! more. First the store alone, in a process of its own that also reads all list entries, as a start does; then the product, from
//! its start until it says that it is ready. `cargo bench --bench jobs -- 100000`.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock itself")]

mod gate;
mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use forgetgate::domain::erasure::{Intent, Job, Moment, NewJob, Scope, Stamp, Summary, Target, TargetKey, TargetState};
use forgetgate::domain::erasure::{Where, WhereId};
use forgetgate::domain::{CustomerId, LabelForm, UnixSeconds, UpstreamNumber};
use forgetgate::store::seal::Keys;
use forgetgate::store::{JobWrite, Opened, StoredJob, open};
use futures_util::{StreamExt, stream};
use uuid::Uuid;

use crate::gate::{Gate, cpu_seconds, memory};
use crate::support::{config, copied, runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const AT_ONCE: usize = 512;
const PAGE: usize = 1000;
/// One in so many was interrupted in its first attempt: its customer is to be kept out.
const FENCED_EACH: u64 = 100;

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
    std::fs::create_dir_all(&live).expect("a directory");
    // Its first start makes the store, and gives the upstream its number.
    drop(Gate::start(&live));
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
        let product = directory.with_extension("product");
        copied(directory, &product);
        for time in ["first", "second"] {
            let opened = itself(&["open", &directory.display().to_string()]).output().expect("a child");
            assert!(opened.status.success(), "the child failed");
            say(&format!("after a {what}, {time} opening: {}", String::from_utf8_lossy(&opened.stdout).trim_end()));
        }
        for time in ["first", "second"] {
            let gate = Gate::start(&product);
            say(&format!("after a {what}, {time} start of the product: {gate}"));
        }
        std::fs::remove_dir_all(product).expect("a copy that is done with");
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

/// An erasure with one upstream after so many steps: accepted; planned; and then in line there or, every second, tried in vain.
fn erasure(number: u64, step: u8) -> Job {
    let mut random = fastrand::Rng::with_seed(number + 1);
    // As a UUIDv7: in the order of time.
    let id = Uuid::from_u128(u128::from(number) << 64 | u128::from(random.u64(..)));
    let upstream = UpstreamNumber(1);
    let intent = Intent { scope: Scope::Only(vec![upstream]), addressed: None, mark: None };
    let (submitted, reason) = (None, Some("as requested".to_owned()));
    let new = NewJob { id, submitted, deadline: 2_592_000, reason, intent, mark: None, awaiting_approval: false };
    let mut job = Job::new(new, UnixSeconds(1_800_000_000 + number / 100));
    job.stamp = Stamp { run: 7, at: Moment(1_800_000_000) };
    if step > 0 {
        let key =
            TargetKey { upstream, instance: WhereId([1; 8]), form: LabelForm::RAW, label_of: upstream, api: None };
        let mut target = Target::new(key, Where::default(), "speech".to_owned(), 86_400);
        if step > 1 && !number.is_multiple_of(FENCED_EACH) {
            target.unfenced = true;
            if number.is_multiple_of(2) {
                (target.state, target.next) = (TargetState::Retrying, Some(job.stamp.at.after(3600)));
                (target.attempts, target.failures) = (1, 1);
            }
        }
        (job.covered, job.targets) = (std::mem::take(&mut job.intents), vec![target]);
    }
    job
}

/// As the gate stores it.
fn stored(keys: &Keys, number: u64, step: u8) -> StoredJob {
    let job = erasure(number, step);
    let customer = CustomerId::new(&format!("customer-{number:012}")).expect("an ID");
    let sealed = keys.seal_job(job.id, customer.expose().as_bytes()).expect("a sealed ID");
    let sealed = data_encoding::BASE64.encode(&sealed);
    let body = serde_json::json!({ "v": 3, "body": { "erasure": { "job": job, "sealed": sealed } } });
    let body = keys.seal_job(job.id, body.to_string().as_bytes()).expect("a sealed body");
    let summary = Summary::of(&job).to_bytes();
    let (id, tag, received) = (job.id, keys.tag(&customer), job.received);
    StoredJob { id, tag, finished: false, received, of: None, accepted: 0, version: 0, summary, body }
}

/// Each job is created and goes through two steps, as one that does not get on at its upstream.
fn fill(directory: &Path, jobs: u64) {
    let store: Opened = open(&config(directory)).expect("a store");
    let start = Instant::now();
    let steps = stream::iter(0..jobs).for_each_concurrent(AT_ONCE, async |number| {
        let made = store.jobs.create(stored(&store.keys, number, 0)).await.expect("a job");
        assert!(made, "a new one");
        for step in [1, 2] {
            let job = stored(&store.keys, number, step);
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
    let (opened, now) = (start.elapsed(), memory("self", "VmRSS"));
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
        "open {opened:?} ({now}), with {listed} list entries {all:?} ({} s of CPU, {} now, {} at most)",
        cpu_seconds("self"),
        memory("self", "VmRSS"),
        memory("self", "VmHWM")
    ));
}
