//! P5, P11: what a restore does again was not dropped too early, lacks nothing in silence, and means the same upstreams.

use std::fs;
use std::path::PathBuf;

use forgetgate::domain::UpstreamNumber;
use forgetgate::store::{RestoreError, StoredHold, restore};
use uuid::Uuid;

use crate::export::{exported, filled, seen, taken};
use crate::world::{World, job, wait};

fn files(world: &World) -> (PathBuf, PathBuf) {
    (world.config.path.with_extension("export"), world.config.path.with_extension("journal"))
}

/// A connection that breaks leaves a gate that has sent everything and a reader that has nothing.
#[test]
fn p5_exports_that_their_readers_never_got_drop_nothing_from_the_journal() {
    let world = World::sled();
    let (store, (file, _)) = (filled(&world), files(&world));
    exported(&store, &file, || ());
    assert!(wait(store.jobs.create(job(&store.keys, 100, "customer 50", b"new"))).unwrap());
    let before = seen(&store);
    for _ in 0..3 {
        drop(taken(&store, &file.with_extension("lost"), || ()));
    }
    drop(store);
    fs::remove_dir_all(&world.config.path).unwrap();
    assert_eq!(restore(&world.config, &file, false, false).unwrap().done_again, Some(1));
    assert_eq!(seen(&world.open()), before);
}

#[test]
fn p5_p11_a_restore_refuses_a_journal_that_lacks_something_and_says_what_and_the_way_out() {
    for damage in ["its middle", "its end"] {
        let world = World::sled();
        let (store, (file, journal)) = (filled(&world), files(&world));
        exported(&store, &file, || ());
        for number in 100..110 {
            assert!(wait(store.jobs.create(job(&store.keys, number, "customer 50", &[7; 500]))).unwrap());
        }
        let before = seen(&store);
        drop(store);
        let mut bytes = fs::read(&journal).unwrap();
        let middle = bytes.len() / 2;
        if damage == "its end" {
            bytes.truncate(middle)
        } else {
            bytes[middle] ^= 1
        }
        fs::write(&journal, bytes).unwrap();
        assert_eq!(seen(&world.open()), before, "the store itself needs none of it");
        fs::remove_dir_all(&world.config.path).unwrap();
        let refused = restore(&world.config, &file, false, false).unwrap_err();
        assert!(matches!(refused, RestoreError::Journal { .. }), "{refused}");
        let said = refused.to_string();
        assert!(
            said.contains("lacks what was done about erasures from 20") && said.contains("`--incomplete`"),
            "{said}"
        );
        assert!(!world.config.path.exists(), "nothing is made");
        let restored = restore(&world.config, &file, false, true).unwrap();
        assert_eq!(restored.lacks.len(), 1, "{damage}: {restored:?}");
        let store = world.open();
        let there = (100..110).filter(|number| wait(store.jobs.job(Uuid::from_u128(*number))).unwrap().is_some());
        assert_eq!(there.count() as u64, restored.done_again.unwrap());
        assert_eq!(wait(store.jobs.job(Uuid::from_u128(109))).unwrap().is_some(), damage == "its middle");
    }
}

/// A store that was restored counts on from what its journal and its tip know, each of them alone.
#[test]
fn p5_a_number_given_after_an_export_means_no_other_upstream_after_a_restore() {
    for lost in ["nothing", "the journal"] {
        let world = World::sled();
        let (store, (file, journal)) = (filled(&world), files(&world));
        exported(&store, &file, || ());
        let two = wait(store.index.upstream_number("two", "http://127.0.0.1:2")).unwrap();
        assert_eq!(two, UpstreamNumber(2));
        let tag = store.keys.tag(&crate::world::id("customer 9"));
        let hold = StoredHold { id: Uuid::from_u128(9), tag, upstream: Some(two), body: vec![1] };
        wait(store.jobs.hold(hold)).unwrap();
        drop(store);
        fs::remove_dir_all(&world.config.path).unwrap();
        if lost == "the journal" {
            fs::remove_file(journal).unwrap();
        }
        restore(&world.config, &file, false, lost != "nothing").unwrap();
        let store = world.open();
        let three = wait(store.index.upstream_number("three", "http://127.0.0.1:3")).unwrap();
        assert_eq!(three, UpstreamNumber(3), "{lost} is lost");
        let again = wait(store.index.upstream_number("two", "http://127.0.0.1:2")).unwrap();
        assert_eq!(again, if lost == "nothing" { two } else { UpstreamNumber(4) });
    }
}
