//! What the embedded engine does about its files: closing, opening again, one owner at a time, P7 on disk.

use std::fs;

use forgetgate::domain::CustomerId;
use forgetgate::store::{OpenError, Placement, open};

use crate::child;
use crate::world::{Unnumbered, World, fact, files_under, id, in_its_files, job, later, rows_of, step, wait};

#[test]
fn everything_is_there_after_opening_again_and_so_are_the_figures() {
    let world = World::sled();
    let store = world.open();
    let number = wait(store.index.upstream_number("one", "https://one")).unwrap();
    for customer in ["anna", "bert"] {
        wait(store.index.record(fact(&store.keys, customer, number.0, "r"))).unwrap();
    }
    let erased = fact(&store.keys, "anna", number.0, "r").key;
    let job = job(&store.keys, 1, "anna", &[7; 10_000]);
    wait(store.jobs.commit(step(job.clone(), &[erased], later(5)))).unwrap();
    let before = (wait(rows_of(&store, "anna")), wait(store.index.upstreams()).unwrap());
    let figures = wait(store.index.figures()).unwrap();
    drop(store);
    let store = world.open();
    assert_eq!((wait(rows_of(&store, "anna")), wait(store.index.upstreams()).unwrap()), before);
    assert_eq!(wait(store.jobs.unfinished_of(&[job.tag])).unwrap().unnumbered(), [job]);
    let after = wait(store.index.figures()).unwrap();
    assert_eq!((after.rows, after.erased_rows), (figures.rows, figures.erased_rows));
    assert_eq!((after.jobs, after.unfinished_jobs), (1, 1));
    assert_eq!(wait(store.index.upstream_number("two", "")).unwrap().0, number.0 + 1, "numbers are not given again");
}

#[test]
fn a_store_that_is_dropped_has_written_what_was_in_line() {
    let world = World::sled();
    let store = world.open();
    for number in 0..100 {
        drop(store.index.record(fact(&store.keys, "anna", 1, &number.to_string())));
    }
    drop(store);
    assert_eq!(wait(rows_of(&world.open(), "anna")).len(), 100);
}

#[test]
fn a_second_opener_is_refused_with_words() {
    let world = World::sled();
    if child::is_child() {
        let refused = open(&World::at(&child::directory(), world.config.engine).config).unwrap_err();
        child::say(&refused.to_string());
        return;
    }
    let first = world.open();
    assert!(matches!(open(&world.config), Err(OpenError::InUse { .. })), "within one process");
    let directory = world.config.path.parent().unwrap();
    let said = child::output(&mut child::command("durable::a_second_opener_is_refused_with_words", directory));
    assert!(said.contains("is in use by another process"), "{said}");
    wait(first.index.record(fact(&first.keys, "anna", 1, "r"))).unwrap();
    drop(first);
    assert_eq!(wait(rows_of(&world.open(), "anna")).len(), 1);
}

#[test]
fn a_first_start_that_was_cut_short_is_made_again() {
    let world = World::sled();
    fs::create_dir_all(world.config.path.join("blobs")).unwrap();
    fs::write(world.config.path.join("creating"), "").unwrap();
    fs::write(world.config.path.join("conf"), "segment_size: 52").unwrap();
    fs::write(world.config.path.join("db"), [7; 5000]).unwrap();
    let store = world.open();
    wait(store.index.record(fact(&store.keys, "anna", 1, "r"))).unwrap();
    drop(store);
    assert_eq!(wait(rows_of(&world.open(), "anna")).len(), 1);
}

/// sled takes a snapshot that was still being generated for a whole one and would never open again.
#[test]
fn a_snapshot_that_was_cut_short_does_not_keep_the_store_shut() {
    let world = World::sled();
    let store = world.open();
    wait(store.index.record(fact(&store.keys, "anna", 1, "r"))).unwrap();
    drop(store);
    fs::write(world.config.path.join("snap.00000000FFFFFFFF.generating"), [7; 100]).unwrap();
    assert_eq!(wait(rows_of(&world.open(), "anna")).len(), 1);
}

type Damage = fn(Vec<u8>) -> Vec<u8>;

/// P11: what cannot be read is never taken for an empty index.
#[test]
fn a_damaged_store_is_refused_with_words() {
    let damages: [(&str, Damage); 4] = [
        ("db", |_| Vec::new()),
        ("db", |bytes| vec![0; bytes.len()]),
        ("db", |bytes| bytes[..bytes.len() / 2].to_vec()),
        ("conf", |bytes| String::from_utf8_lossy(&bytes).replace("524288", "262144").into_bytes()),
    ];
    for (file, damage) in damages {
        let world = World::sled();
        drop(world.open());
        let path = world.config.path.join(file);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, damage(whole)).unwrap();
        let refused = open(&world.config).unwrap_err();
        assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
    }
    let world = World::sled();
    drop(world.open());
    fs::remove_file(world.config.path.join("db")).unwrap();
    assert!(matches!(open(&world.config), Err(OpenError::Io { .. })), "without its data");
}

#[test]
fn p11_a_store_of_another_format_is_refused_with_words() {
    for other in [1, 2, 4] {
        let world = World::sled();
        drop(world.open());
        in_its_files(&world, |table| table("meta").insert("format", u32::to_be_bytes(other)));
        let refused = open(&world.config).unwrap_err();
        assert!(matches!(refused, OpenError::Format { found, .. } if found == other), "{refused}");
        let said = refused.to_string();
        assert!(said.contains(&format!("format {other}")) && said.contains("the version that made it"), "{said}");
    }
}

/// The canary is searched for as it is, and so is each of its halves, in every byte of every file.
#[test]
fn p7_neither_customer_nor_resource_is_anywhere_in_the_files() {
    let world = World::sled();
    let store = world.open();
    for number in 0..300 {
        let canary = format!("canary-customer-{number}");
        let seen = Placement {
            wire: Some(format!("canary-wire-{number}").into()),
            ..fact(&store.keys, &canary, 1, &format!("canary-resource-{number}"))
        };
        let (key, id) = (seen.key, id(&canary));
        wait(store.index.record(seen)).unwrap();
        let sealed = store.keys.seal_job(uuid::Uuid::from_u128(number), id.expose().as_bytes()).unwrap();
        let job = job(&store.keys, number, &canary, &sealed);
        wait(store.jobs.commit(step(job, &[key], later(1)))).unwrap();
    }
    let store = {
        drop(store);
        world.open()
    };
    assert_eq!(wait(rows_of(&store, "canary-customer-7"))[0].resource.as_ref(), "canary-resource-7");
    drop(store);
    let files = files_under(world.config.path.parent().unwrap());
    assert!(files.iter().any(|file| file.ends_with("store/db")));
    for file in files {
        let bytes = fs::read(&file).unwrap();
        for needle in ["canary", "customer-", "resource-", "wire-"] {
            assert!(memchr::memmem::find(&bytes, needle.as_bytes()).is_none(), "{needle} in {}", file.display());
        }
    }
}

/// The grep above would find what is there.
#[test]
fn the_search_for_canaries_finds_a_row_that_was_not_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let db = sled::open(directory.path()).unwrap();
    db.insert("key", CustomerId::new("canary-customer").unwrap().expose()).unwrap();
    drop(db);
    let found = |file: &std::path::PathBuf| memchr::memmem::find(&fs::read(file).unwrap(), b"canary").is_some();
    assert!(files_under(directory.path()).iter().any(found));
}

#[test]
fn only_the_owner_can_look_into_the_stores_directory() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::sled();
    drop(world.open());
    assert_eq!(fs::metadata(&world.config.path).unwrap().permissions().mode() & 0o077, 0);
}
