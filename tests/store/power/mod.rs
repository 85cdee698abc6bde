//! P3 and P5 against power cuts: every write and sync of a live run is recorded, and at random points the files are built
//! again as a disk could hold them: what was synced for sure, of the rest any pages. Each of these stores must open, hold
//! everything that had been acknowledged by then, and go on working.

mod disk;
mod trace;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use forgetgate::config::Engine;
use forgetgate::store::{Tuning, open, open_with};

use self::disk::Disk;
use self::trace::{Event, events};
use crate::campaign;
use crate::child;
use crate::recorder;
use crate::workload::{Acknowledged, Load, run, verify};
use crate::world::{World, fact, wait};

const SYNCED: &str = "power::p3_p5_what_was_acknowledged_survives_power_cuts";
const STEPS: &str = "power::p5_a_step_of_many_rows_is_all_or_nothing_when_the_power_is_cut";
const UNSYNCED: &str = "power::without_the_sync_of_the_data_file_power_cuts_lose_what_was_acknowledged";

/// Lives of the store in one recording; all but the last end with kill -9, so that opening again is cut as well.
const LIVES: u64 = 3;

#[test]
fn p3_p5_what_was_acknowledged_survives_power_cuts() {
    if child::is_child() {
        return live(Tuning::default(), load());
    }
    let findings = replay(&record(SYNCED), campaign::scaled(200));
    assert_eq!(findings, Vec::<String>::new());
}

/// Half of the moments of such a run lie within a step.
#[test]
fn p5_a_step_of_many_rows_is_all_or_nothing_when_the_power_is_cut() {
    if child::is_child() {
        return live(Tuning::default(), Load { facts: 0, jobs: 3, large_only: true, ..load() });
    }
    let findings = replay(&record(STEPS), campaign::scaled(200));
    assert_eq!(findings, Vec::<String>::new());
}

/// The proof that the test above can fail: the same run without the one sync that sled leaves out.
#[test]
fn without_the_sync_of_the_data_file_power_cuts_lose_what_was_acknowledged() {
    if child::is_child() {
        return live(Tuning { sync_data: false, ..Tuning::default() }, load());
    }
    let cuts = campaign::scaled(100);
    let findings = replay(&record(UNSYNCED), cuts);
    eprintln!("without the sync, {} of {cuts} cuts lost something", findings.len());
    assert!(!findings.is_empty(), "no loss was found, so losses cannot be found");
}

/// The child: opens, works, says that it is done, and waits to be killed or told to close.
fn live(tuning: Tuning, load: Load) {
    let directory = child::directory();
    let store = open_with(&World::at(&directory, Engine::Sled).config, tuning).unwrap();
    let acknowledgements = File::options().create(true).append(true).open(directory.join("acknowledged")).unwrap();
    let say = |line: &str| (&acknowledgements).write_all(format!("{line}\n").as_bytes()).unwrap();
    run(&store, load, &say);
    child::say("done");
    // The parent says nothing: it kills, or closes our standard input, and then the store is closed in good order.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

fn load() -> Load {
    let size = campaign::scaled(10);
    let jobs = usize::try_from(6 + 2 * size).unwrap();
    Load { run: child::number(), facts: 500 + 250 * size, jobs, large_only: false }
}

/// Records the lives of one store.
fn record(test: &str) -> Vec<Event> {
    let directory = tempfile::tempdir().unwrap();
    let (root, trace) = (directory.path().join("root"), directory.path().join("trace"));
    std::fs::create_dir(&root).unwrap();
    for life in 0..LIVES {
        let mut command = recorder::loaded(child::command(test, &root), &root);
        let mut process = command.env(recorder::TRACE, &trace).env(child::NUMBER, life.to_string()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("done")), "the child did not finish its work");
        if life + 1 == LIVES {
            drop(process.stdin.take());
            assert!(lines.any(|line| line.unwrap().contains("1 passed")));
        } else {
            process.kill().unwrap();
        }
        process.wait().unwrap();
    }
    events(&std::fs::read(trace).unwrap())
}

/// Cuts the power at `points` random moments, and says what was found wrong.
fn replay(events: &[Event], points: u64) -> Vec<String> {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut cuts: Vec<usize> = (0..points).map(|_| random.usize(0..=events.len())).collect();
    cuts.sort_unstable();
    let mut disk = Disk::default();
    let mut done = 0;
    let mut findings = Vec::new();
    for cut in cuts {
        for event in &events[done..cut] {
            disk.apply(event);
        }
        done = cut;
        if let Err(finding) = cut_here(&disk, &mut random) {
            findings.push(format!("cut after {cut} of {} events, seed {seed}: {finding}", events.len()));
        }
    }
    findings
}

/// Builds what the disk could hold, opens it and checks it.
fn cut_here(disk: &Disk, random: &mut fastrand::Rng) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    disk.build(directory.path(), random);
    let mut acknowledged = Acknowledged::default();
    acknowledged.hear(&String::from_utf8(disk.written("acknowledged")).unwrap());
    check(directory.path(), &acknowledged)
}

fn check(directory: &Path, acknowledged: &Acknowledged) -> Result<(), String> {
    let world = World::at(directory, Engine::Sled);
    let store = open(&world.config).map_err(|error| format!("it does not open: {error}"))?;
    verify(&store, acknowledged)?;
    // It must go on working, and open again.
    let write = store.index.record(fact(&store.keys, "after the cut", 1, "r"));
    wait(write).map_err(|error| error.to_string())?;
    drop(store);
    let store = open(&world.config).map_err(|error| format!("it does not open a second time: {error}"))?;
    verify(&store, acknowledged)
}
