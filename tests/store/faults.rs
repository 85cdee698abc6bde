//! P11: when the store cannot be written it says so, and when it can be again it is by itself, with all that it had. And
//! what waits for a slow disk shares its syncs.
//!
//! A full disk is the kernel's own refusal (a limit on the size of files, lifted while the child runs); a failing sync
//! and a disk that does not answer are made by the recorder, since no disk fails on demand.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command};
use std::time::Duration;

use forgetgate::config::Engine;
use forgetgate::store::{Opened, StoreError, Tuning, open_with};
use futures_util::future::join_all;

use crate::child;
use crate::recorder;
use crate::world::{World, fact, rows_of, wait};

/// A child that answers one line to each line that it is sent.
struct Told {
    process: Child,
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Told {
    fn start(mut command: Command) -> Self {
        let mut process = command.spawn().unwrap();
        let (ask, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, ask, answers: BufReader::new(answers).lines() }
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.ask, "{line}").unwrap();
        let answer =
            self.answers.by_ref().map(Result::unwrap).find_map(|line| line.strip_prefix("> ").map(String::from));
        answer.expect("the child ended")
    }

    /// Asks until the answer is this one; each try is a store call of its own, so no time is waited for.
    fn ask_until(&mut self, line: &str, wanted: &str) -> u32 {
        let mut tries = 1;
        while self.ask(line) != wanted {
            tries += 1;
            assert!(tries < 1_000_000, "it never answers {wanted:?} to {line:?}");
        }
        tries
    }

    fn end(mut self) {
        drop(self.ask);
        assert!(self.answers.any(|line| line.unwrap().contains("1 passed")));
        assert!(self.process.wait().unwrap().success());
    }
}

/// The child's side.
fn serve(tuning: Tuning) {
    let store = open_with(&World::at(&child::directory(), Engine::Sled).config, tuning).unwrap();
    child::say("");
    let mut waiting = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let answer = match line.split_once(' ') {
            Some(("queue", count)) => {
                let first = waiting.len();
                let facts = (first..first + count.parse::<usize>().unwrap()).map(|number| number.to_string());
                waiting.extend(facts.map(|resource| store.index.record(fact(&store.keys, "anna", 1, &resource))));
                "in line".into()
            }
            _ if line == "finish" => {
                let done = wait(join_all(waiting.drain(..)));
                format!("{} done", done.iter().filter(|done| done.is_ok()).count())
            }
            _ => answer(&store, &line),
        };
        child::say(&format!("> {answer}"));
    }
}

fn answer(store: &Opened, asked: &str) -> String {
    match asked.split_once(' ') {
        Some(("record", number)) => said(wait(store.index.record(fact(&store.keys, "anna", 1, number)))),
        Some(("large", number)) => {
            let resource = format!("{number}{}", "x".repeat(5000));
            said(wait(store.index.record(fact(&store.keys, "bert", 1, &resource))))
        }
        _ if asked == "alive" => store.index.is_alive().to_string(),
        _ if asked == "writable" => store.index.is_writable().to_string(),
        _ if asked == "syncs" => wait(store.index.figures()).unwrap().syncs.to_string(),
        _ if asked == "count" => wait(rows_of(store, "anna")).len().to_string(),
        _ => panic!("the child was asked {asked:?}"),
    }
}

fn said(done: Result<(), StoreError>) -> String {
    done.map_or_else(|error| error.to_string(), |()| "done".into())
}

const BROKEN: &str = "the store is broken and is being reopened";

fn reopened_rows(directory: &Path) -> usize {
    wait(rows_of(&World::at(directory, Engine::Sled).open(), "anna")).len()
}

#[test]
fn p11_a_full_disk_is_said_and_space_again_is_found_without_help() {
    if child::is_child() {
        return serve(Tuning::default());
    }
    let directory = tempfile::tempdir().unwrap();
    let itself =
        child::command("faults::p11_a_full_disk_is_said_and_space_again_is_found_without_help", directory.path());
    // Files may grow to 3 MiB; the signal that goes with it is ignored, so that the write fails as on a full disk.
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"trap '' XFSZ; ulimit -S -f 6144 && exec "$0" "$@""#]).arg(itself.get_program());
    limited.args(itself.get_args()).envs(itself.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut told = Told::start(limited);
    for number in 0..20 {
        assert_eq!(told.ask(&format!("record {number}")), "done");
    }
    let filled = (0..5000).map(|number| told.ask(&format!("large {number}"))).find(|answer| answer != "done");
    assert_eq!(filled.as_deref(), Some(BROKEN));
    assert_eq!(told.ask("writable"), "false");
    let lifted = Command::new("prlimit")
        .args(["--fsize=unlimited:unlimited", "--pid"])
        .arg(told.process.id().to_string())
        .status()
        .expect("prlimit, of util-linux");
    assert!(lifted.success());
    told.ask_until("record 20", "done");
    assert_eq!(told.ask("writable"), "true");
    assert_eq!(told.ask("count"), "21");
    told.end();
    assert_eq!(reopened_rows(directory.path()), 21);
}

/// Which fault there is, in a file of this name.
const SWITCH: &str = "fault";

fn fault_of(directory: &Path) -> String {
    std::fs::read_to_string(directory.join(SWITCH)).unwrap()
}

/// A child with the recorder's faults, and the file that switches them.
fn with_faults(test: &str, directory: &Path) -> (Told, impl Fn(&str)) {
    let fault = directory.join(SWITCH);
    let mut command = recorder::loaded(child::command(test, directory), &directory.join("store"));
    command.env(recorder::FAULT, &fault);
    (Told::start(command), move |kind: &str| std::fs::write(&fault, kind).unwrap())
}

#[test]
fn p11_a_failing_sync_refuses_traffic_and_is_not_taken_for_done_later() {
    if child::is_child() {
        return serve(Tuning::default());
    }
    let directory = tempfile::tempdir().unwrap();
    let (mut told, switch) =
        with_faults("faults::p11_a_failing_sync_refuses_traffic_and_is_not_taken_for_done_later", directory.path());
    for number in 0..20 {
        assert_eq!(told.ask(&format!("record {number}")), "done");
    }
    switch("sync");
    assert_eq!(told.ask("record 20"), BROKEN);
    for _ in 0..50 {
        assert_eq!((told.ask("record 21").as_str(), told.ask("writable").as_str()), (BROKEN, "false"));
    }
    switch("none");
    told.ask_until("record 22", "done");
    let count: usize = told.ask("count").parse().unwrap();
    assert!((21..=22).contains(&count), "{count} rows: the one whose sync failed may be there or not");
    told.end();
    assert_eq!(reopened_rows(directory.path()), count);
}

#[test]
fn p12_a_disk_that_does_not_answer_keeps_nobody_waiting_for_ever() {
    if child::is_child() {
        return serve(Tuning { stall: Duration::from_millis(200), ..Tuning::default() });
    }
    let directory = tempfile::tempdir().unwrap();
    let (mut told, switch) =
        with_faults("faults::p12_a_disk_that_does_not_answer_keeps_nobody_waiting_for_ever", directory.path());
    assert_eq!(told.ask("record 0"), "done");
    switch("stall");
    assert_eq!(told.ask("record 1"), BROKEN, "though the write has not come back");
    assert_eq!((told.ask("record 2").as_str(), told.ask("writable").as_str()), (BROKEN, "false"));
    switch("none");
    told.ask_until("record 3", "done");
    assert_eq!(told.ask("writable"), "true");
    told.end();
    assert_eq!(reopened_rows(directory.path()), 3, "the write that came back late is there as well");
}

/// So that whoever supervises the gate starts it anew: nothing else may help.
#[test]
fn p11_a_store_that_stays_broken_is_not_alive_and_one_that_comes_back_is() {
    let dead_after = Duration::from_millis(300);
    if child::is_child() {
        return serve(Tuning { dead_after, ..Tuning::default() });
    }
    let directory = tempfile::tempdir().unwrap();
    let (mut told, switch) =
        with_faults("faults::p11_a_store_that_stays_broken_is_not_alive_and_one_that_comes_back_is", directory.path());
    assert_eq!((told.ask("record 0").as_str(), told.ask("alive").as_str()), ("done", "true"));
    switch("sync");
    assert_eq!(told.ask("record 1"), BROKEN);
    told.ask_until("alive", "false");
    switch("none");
    told.ask_until("alive", "true");
    told.ask_until("record 2", "done");
    told.end();
}

/// Puts one record in line whose sync does not come to its end.
fn hold_up_a_record(told: &mut Told, switch: &impl Fn(&str), directory: &Path) {
    assert_eq!(told.ask("writable"), "true", "it is open: the syncs of opening are not what is held up");
    switch("hold");
    assert_eq!(told.ask("queue 1"), "in line");
    let asked = (0..1_000_000).find(|_| {
        assert_eq!(told.ask("writable"), "true");
        fault_of(directory) == "held"
    });
    assert!(asked.is_some(), "no sync is made");
}

/// Rows that share a sync at most.
const BATCH: u64 = 512;

/// P3 would cost a sync for each record if they did not. The first record's sync is held up, so that what comes meanwhile
/// is known to wait together, however quick the disk is.
#[test]
fn records_that_wait_together_share_one_sync() {
    if child::is_child() {
        return serve(Tuning::default());
    }
    for (waiting, syncs) in [(1, 1), (BATCH, 1), (BATCH + 1, 2), (2 * BATCH + 1, 3)] {
        let directory = tempfile::tempdir().unwrap();
        let (mut told, switch) = with_faults("faults::records_that_wait_together_share_one_sync", directory.path());
        let before: u64 = told.ask("syncs").parse().unwrap();
        hold_up_a_record(&mut told, &switch, directory.path());
        assert_eq!(told.ask(&format!("queue {waiting}")), "in line");
        switch("none");
        assert_eq!(told.ask("finish"), format!("{} done", 1 + waiting));
        let after: u64 = told.ask("syncs").parse().unwrap();
        assert_eq!(after - before, 1 + syncs, "{waiting} records waited for the first one's sync");
        told.end();
        assert_eq!(reopened_rows(directory.path()) as u64, 1 + waiting);
    }
}

#[test]
fn p12_more_waiting_writes_than_the_bound_are_refused_and_the_rest_is_done() {
    if child::is_child() {
        return serve(Tuning { queue_bound: 4, ..Tuning::default() });
    }
    let directory = tempfile::tempdir().unwrap();
    let test = "faults::p12_more_waiting_writes_than_the_bound_are_refused_and_the_rest_is_done";
    let (mut told, switch) = with_faults(test, directory.path());
    hold_up_a_record(&mut told, &switch, directory.path());
    assert_eq!(told.ask("queue 10"), "in line");
    assert_eq!(told.ask("record 99"), "too many writes are waiting for the store");
    switch("none");
    assert_eq!(told.ask("finish"), "5 done", "the one that was held up, and four that were in line");
    assert_eq!(told.ask("record 100"), "done");
    told.end();
    assert_eq!(reopened_rows(directory.path()), 6);
}
