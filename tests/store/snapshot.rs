//! P5, P11: the exports that a gate takes by itself are whole or not there, and the last few are kept.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use forgetgate::config::Snapshot;
use forgetgate::store::restore;
use forgetgate::store::snapshot::{SnapshotError, newest, take};
use forgetgate::{app, config};

use crate::export::{filled, seen};
use crate::world::{World, job, later, wait};

fn to(world: &World) -> Snapshot {
    let folder = world.config.path.with_extension("snapshots");
    Snapshot { every: std::time::Duration::from_secs(60), keep: 2, folder }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn p5_p11_a_snapshot_is_whole_and_the_last_few_are_kept_and_each_of_two_can_be_restored() {
    let world = World::sled();
    let (store, to) = (filled(&world), to(&world));
    let mut paths = Vec::new();
    for number in 0..4 {
        paths.push(wait(take(Arc::clone(&store.index), &to, later(number))).unwrap());
        assert_eq!(newest(&to.folder), Some(later(number)));
        assert!(wait(store.jobs.create(job(&store.keys, 100 + u128::from(number), "customer 50", b"new"))).unwrap());
    }
    assert_eq!(names(&to.folder).len(), 2, "{:?}", names(&to.folder));
    let before = seen(&store);
    drop(store);
    for (path, since) in [(&paths[3], 1), (&paths[2], 2)] {
        fs::remove_dir_all(&world.config.path).unwrap();
        assert_eq!(restore(&world.config, path, false, false).unwrap().done_again, Some(since));
        assert_eq!(seen(&world.open()), before);
    }
}

#[test]
fn a_snapshot_that_fails_leaves_what_was_there_and_half_a_file_goes_with_the_next() {
    let world = World::sled();
    let (store, to) = (filled(&world), to(&world));
    fs::write(&to.folder, "a file").unwrap();
    let failed = wait(take(Arc::clone(&store.index), &to, later(0))).unwrap_err();
    assert!(matches!(failed, SnapshotError::Io { .. }), "{failed}");
    fs::remove_file(&to.folder).unwrap();
    fs::create_dir(&to.folder).unwrap();
    fs::write(to.folder.join("forgetgate-20270115T080001Z.export.half"), "half").unwrap();
    fs::write(to.folder.join("mine.export"), "another file").unwrap();
    assert_eq!(newest(&to.folder), None);
    wait(take(Arc::clone(&store.index), &to, later(2))).unwrap();
    assert_eq!(names(&to.folder), ["forgetgate-20270115T080002Z.export", "mine.export"]);
}

/// The first is due at once where there is none.
#[test]
fn p11_a_gate_takes_snapshots_by_itself_and_closes_its_store_in_good_order() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::at(directory.path(), config::Engine::Sled);
    drop(filled(&world));
    let text = "listen = [{ address = \"127.0.0.1:0\" }]\nadmin.address = \"127.0.0.1:0\"\n\
                store = { path = \"store\", key = { file = \"store.key\" }, snapshot = { every = \"1h\", path = \"kept\" } }\n\
                upstream = [{ name = \"one\", profile = \"watson-assistant\", url = \"http://127.0.0.1:9\", route = { path = \"/a\" } }]\n";
    let kept = directory.path().join("kept");
    let gate = app::start(config::parse(text, directory.path()).unwrap().config).unwrap();
    while newest(&kept).is_none() {
        std::thread::yield_now();
    }
    assert!(gate.stop());
    let store = world.open();
    assert!(store.ending.was_orderly());
    let before = seen(&store);
    drop(store);
    let file = kept.join(names(&kept).remove(0));
    restore(&world.config, &file, true, false).unwrap();
    assert_eq!(seen(&world.open()), before);
}
