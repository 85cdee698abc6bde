//! P5, P11: restoring and compacting, killed with -9 before each of their steps: the store is there, or no gate starts; and what
//! was begun can be done again, and lacks nothing then.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::thread;

use forgetgate::config::Engine;
use forgetgate::store::{OpenError, RewriteStep, compact, compact_with, open, restore_with};

use crate::child;
use crate::export::{exported, filled, seen};
use crate::world::{World, files_under, job, step, wait};

const RESTORE: &str = "rewrite::p5_p11_a_restore_that_is_killed_at_any_step_loses_nothing_and_can_be_repeated";
const COMPACTION: &str = "rewrite::p5_p11_a_compaction_that_is_killed_at_any_step_loses_nothing";

/// Stands still before the step that the parent named, until it is killed.
#[expect(clippy::infinite_loop, reason = "its end is to be killed")]
fn stand_at(steps: &'static [RewriteStep]) -> impl Fn(RewriteStep) {
    let wanted = steps[usize::try_from(child::number()).unwrap()];
    move |step| {
        if step == wanted {
            child::say("standing");
            loop {
                thread::park();
            }
        }
    }
}

/// A store that was exported, and in which erasures went on since.
struct Specimen {
    directory: tempfile::TempDir,
    seen: String,
}

impl Specimen {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let world = World::at(&directory.path().join("live"), Engine::Sled);
        fs::create_dir(directory.path().join("live")).unwrap();
        let store = filled(&world);
        exported(&store, &world.config.path.with_extension("export"), || ());
        assert!(wait(store.jobs.create(job(&store.keys, 100, "customer 50", b"new"))).unwrap());
        wait(store.index.upstream_number("two", "http://127.0.0.1:2")).unwrap();
        let last = job(&store.keys, 8, "customer 8", &[9; 5000]);
        wait(store.jobs.commit(step(last, &[], crate::world::later(50)))).unwrap();
        let seen = seen(&store);
        Self { directory, seen }
    }

    /// A copy of it, in which a child was killed at this step.
    fn killed_at(&self, test: &str, step: usize) -> (tempfile::TempDir, World) {
        let directory = tempfile::tempdir().unwrap();
        let live = self.directory.path().join("live");
        for file in files_under(&live) {
            let to = directory.path().join(file.strip_prefix(&live).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&file, &to).unwrap();
        }
        let mut process = child::command(test, directory.path()).env(child::NUMBER, step.to_string()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let stood = lines.map(Result::unwrap).any(|line| line.ends_with("standing"));
        assert!(stood, "the child came to its end before {step}");
        process.kill().unwrap();
        process.wait().unwrap();
        let world = World::at(directory.path(), Engine::Sled);
        (directory, world)
    }
}

fn export_of(world: &World) -> std::path::PathBuf {
    world.config.path.with_extension("export")
}

fn restored_in(directory: &Path, at: &dyn Fn(RewriteStep)) -> forgetgate::store::Restored {
    let world = World::at(directory, Engine::Sled);
    restore_with(&world.config, &export_of(&world), (true, false), at).unwrap()
}

#[test]
fn p5_p11_a_restore_that_is_killed_at_any_step_loses_nothing_and_can_be_repeated() {
    if child::is_child() {
        restored_in(&child::directory(), &stand_at(&RewriteStep::OF_RESTORE));
        return;
    }
    let specimen = Specimen::new();
    let mut refused = 0;
    for (nth, at) in RewriteStep::OF_RESTORE.iter().enumerate() {
        let (directory, world) = specimen.killed_at(RESTORE, nth);
        match open(&world.config) {
            Ok(store) => assert_eq!(seen(&store), specimen.seen, "{at:?}"),
            Err(OpenError::Gone { .. } | OpenError::NoTip { .. }) => refused += 1,
            Err(other) => panic!("{at:?}: {other}"),
        }
        let again = restored_in(directory.path(), &|_| ());
        assert_eq!((again.done_again, again.lacks), (Some(3), Vec::new()), "{at:?}");
        assert_eq!(seen(&world.open()), specimen.seen, "{at:?}");
    }
    assert_eq!(refused, 3, "from the moment at which the old one is away until the new one's tip is there");
}

#[test]
fn p5_p11_a_compaction_that_is_killed_at_any_step_loses_nothing() {
    if child::is_child() {
        let world = World::at(&child::directory(), Engine::Sled);
        compact_with(&world.config, &stand_at(&RewriteStep::OF_COMPACTION)).unwrap();
        return;
    }
    let specimen = Specimen::new();
    for (nth, at) in RewriteStep::OF_COMPACTION.iter().enumerate() {
        let (directory, world) = specimen.killed_at(COMPACTION, nth);
        assert_eq!(seen(&world.open()), specimen.seen, "{at:?}");
        let left = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let left = left.filter(|name| name.to_str().unwrap().contains("compact")).collect::<Vec<_>>();
        assert!(left.is_empty(), "a start clears away what is left: {left:?}");
        compact(&world.config).unwrap();
        assert_eq!(seen(&world.open()), specimen.seen, "{at:?}");
        // Tip and journal are still this store's.
        let again = restored_in(directory.path(), &|_| ());
        assert_eq!((again.done_again, again.lacks), (Some(3), Vec::new()), "{at:?}");
        assert_eq!(seen(&world.open()), specimen.seen, "{at:?}");
    }
}

#[test]
fn a_compacted_store_is_smaller_and_ends_as_the_run_before_it_did() {
    let world = World::sled();
    let store = world.open();
    for _ in 0..20 {
        let steps = (0..100).map(|number| {
            store.jobs.commit(step(job(&store.keys, number, "anna", &[7; 2000]), &[], crate::world::NOW))
        });
        assert!(wait(futures_util::future::join_all(steps)).into_iter().all(Result::unwrap));
    }
    let before = seen(&store);
    let in_use = compact(&world.config).unwrap_err();
    assert!(matches!(in_use, OpenError::InUse { .. }), "{in_use}");
    store.ending.set_orderly(false);
    drop(store);
    let done = compact(&world.config).unwrap();
    assert!(done.after * 2 < done.before, "{done:?}");
    assert_eq!((done.rows, done.jobs), (0, 100));
    let store = world.open();
    assert_eq!(seen(&store), before);
    assert!(!store.ending.was_orderly(), "a compaction is no run");
}
