//! P5, P11: a way back. An export holds the whole store as it was at one moment, and a restore makes it again, or changes nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;
use forgetgate::cli::{self, IndexArgs};
use forgetgate::config::Engine;
use forgetgate::domain::UpstreamNumber;
use forgetgate::store::{Export, OpenError, Opened, RestoreError, StoredHold, compact, open, restore};
use forgetgate::{app, config};
use uuid::Uuid;

use crate::campaign;
use crate::world::{Unnumbered, World, fact, id, job, later, rows_of, step, wait};

/// A store with rows, erasures and a legal hold.
pub(crate) fn filled(world: &World) -> Opened {
    let store = world.open();
    wait(store.index.upstream_number("one", "http://127.0.0.1:9")).unwrap();
    for number in 0..700 {
        drop(store.index.record(fact(&store.keys, &format!("customer {}", number % 100), 1, &number.to_string())));
    }
    let erased = wait(rows_of(&store, "customer 7")).iter().map(|row| row.key).collect::<Vec<_>>();
    for number in 0..20 {
        let customer = format!("customer {number}");
        let job = job(&store.keys, number, &customer, &vec![7; usize::try_from(number).unwrap() * 500]);
        let erased = if number == 7 { erased.as_slice() } else { &[] };
        wait(store.jobs.commit(step(job, erased, later(5)))).unwrap();
    }
    let (tag, upstream) = (store.keys.tag(&id("customer 9")), Some(UpstreamNumber(1)));
    wait(store.jobs.hold(StoredHold { id: Uuid::from_u128(1), tag, upstream, body: vec![1, 2, 3] })).unwrap();
    store
}

/// Everything that can be asked.
pub(crate) fn seen(store: &Opened) -> String {
    wait(async {
        let mut rows = Vec::new();
        for number in 0..100 {
            rows.extend(rows_of(store, &format!("customer {number}")).await);
        }
        rows.extend(rows_of(store, "late").await);
        let jobs = store.jobs.jobs(None, 1000).await.unwrap().unnumbered();
        let listed = store.jobs.listed(None, 1000).await.unwrap();
        let holds = store.jobs.holds(None, 1000).await.unwrap();
        let upstreams = store.index.upstreams().await.unwrap();
        let figures = store.index.figures().await.unwrap();
        let figures = (figures.rows, figures.erased_rows, figures.jobs, figures.unfinished_jobs, figures.unreadable);
        let tags: Vec<_> = rows.iter().map(|row| row.key.to_bytes()).collect();
        format!("{rows:?} {tags:?} {jobs:?} {listed:?} {holds:?} {upstreams:?} {figures:?}")
    })
}

/// Takes one, and says so; `between` is done after each piece but the last.
pub(crate) fn exported(store: &Opened, to: &Path, between: impl FnMut()) {
    wait(taken(store, to, between).is_safe()).unwrap();
}

/// Takes one, of which the store does not know whether it arrived.
pub(crate) fn taken(store: &Opened, to: &Path, mut between: impl FnMut()) -> Export {
    let mut export = Export::of(Arc::clone(&store.index));
    let mut whole = Vec::new();
    while let Some(piece) = wait(export.next()).unwrap() {
        whole.extend_from_slice(&piece);
        let is_last = format!("{export:?}").contains("Done");
        if !is_last && whole.len() < 400_000 {
            between();
        }
    }
    fs::write(to, whole).unwrap();
    export
}

/// Another place with the same key, and no store.
fn elsewhere(world: &World) -> World {
    let other = World::sled();
    fs::copy(&world.config.key_file, &other.config.key_file).unwrap();
    other
}

#[test]
fn p5_p11_a_restored_store_holds_everything_that_the_exported_one_did() {
    let world = World::sled();
    let (store, file) = (filled(&world), world.config.path.with_extension("export"));
    exported(&store, &file, || ());
    let other = elsewhere(&world);
    let restored = restore(&other.config, &file, false, false).unwrap();
    assert_eq!((restored.rows, restored.jobs, restored.replaced), (700, 20, None));
    let again = other.open();
    assert_eq!(seen(&again), seen(&store));
    wait(again.index.record(fact(&again.keys, "late", 1, "r"))).unwrap();
    drop(again);
    assert_eq!(wait(rows_of(&other.open(), "late")).len(), 1, "and goes on working");
}

/// After the export: erasures that are accepted, go on and end, and legal holds. All of that is done again.
#[test]
fn p5_what_was_done_about_erasures_after_the_export_is_done_again_by_a_restore() {
    let world = World::sled();
    let (store, file) = (filled(&world), world.config.path.with_extension("export"));
    for _ in 0..2 {
        exported(&store, &file, || ());
    }
    let ended = forgetgate::store::StoredJob { finished: true, ..job(&store.keys, 8, "customer 8", &[9; 5000]) };
    wait(store.jobs.commit(step(ended, &[], later(50)))).unwrap();
    assert!(wait(store.jobs.create(job(&store.keys, 100, "customer 50", b"new"))).unwrap());
    let tag = store.keys.tag(&id("customer 51"));
    wait(store.jobs.hold(StoredHold { id: Uuid::from_u128(2), tag, upstream: None, body: vec![4] })).unwrap();
    assert!(wait(store.jobs.unhold(Uuid::from_u128(1))).unwrap());
    let before = seen(&store);
    drop(store);
    // Also after a further start, and with the store gone.
    drop(world.open());
    fs::remove_dir_all(&world.config.path).unwrap();
    assert_eq!(restore(&world.config, &file, false, false).unwrap().done_again, Some(4));
    assert_eq!(seen(&world.open()), before);
    let journal = world.config.path.with_extension("journal");
    assert_eq!(
        restore(&world.config, &file, true, false).unwrap().done_again,
        Some(4),
        "the new store has one of its own"
    );
    assert_eq!(seen(&world.open()), before);
    fs::remove_file(journal).unwrap();
    assert_eq!(restore(&world.config, &file, true, true).unwrap().done_again, None);
}

/// Whether customers came back is read from that order. A restore has lost what they sent since the export, and says that it is
/// not known; what is written afterwards comes after all that is there.
#[test]
fn p4_the_order_of_writes_outlives_a_start_a_compaction_and_a_restore() {
    let world = World::sled();
    let (store, file) = (filled(&world), world.config.path.with_extension("export"));
    exported(&store, &file, || ());
    assert!(wait(store.jobs.create(job(&store.keys, 100, "late", b"new"))).unwrap());
    wait(store.index.record(fact(&store.keys, "late", 1, "r"))).unwrap();
    drop(store);
    let order = |store: &Opened, number| {
        let row = wait(rows_of(store, "late")).first().map(|row| row.written);
        (wait(store.jobs.job(Uuid::from_u128(number))).unwrap().unwrap().accepted, row)
    };
    let before = order(&world.open(), 100);
    assert!(before.1.is_some_and(|written| written > before.0 && before.0 > 0));
    compact(&world.config).unwrap();
    assert_eq!(order(&world.open(), 100), before);

    restore(&world.config, &file, true, false).unwrap();
    let store = world.open();
    assert_eq!(order(&store, 100), (0, None), "its job comes from the journal");
    let unfinished: Vec<_> = wait(store.jobs.listed(None, 1000)).unwrap().iter().map(|job| job.id.as_u128()).collect();
    assert!(unfinished.len() > 1 && unfinished.iter().all(|number| order(&store, *number).0 == 0));
    assert!(wait(store.jobs.create(job(&store.keys, 101, "late", b"new"))).unwrap());
    wait(store.index.record(fact(&store.keys, "late", 1, "r"))).unwrap();
    let (accepted, written) = order(&store, 101);
    assert!(accepted > before.1.unwrap() && written.unwrap() > accepted);
}

/// P7: it lies beside the store and holds what the store holds.
#[test]
fn p7_the_journal_holds_no_more_than_the_sealed_bodies() {
    let world = World::sled();
    let (store, file) = (filled(&world), world.config.path.with_extension("export"));
    exported(&store, &file, || ());
    let sealed = store.keys.seal_job(Uuid::from_u128(100), b"canary").unwrap();
    assert!(wait(store.jobs.create(job(&store.keys, 100, "canary", &sealed))).unwrap());
    let journal = fs::read(world.config.path.with_extension("journal")).unwrap();
    assert!(memchr::memmem::find(&journal, &sealed).is_some() && memchr::memmem::find(&journal, b"canary").is_none());
}

/// What is written while it is taken is in it as it was at its end, and nothing is half there.
#[test]
fn p5_p11_an_export_under_traffic_is_one_moment() {
    let world = World::sled();
    let (store, file) = (filled(&world), world.config.path.with_extension("export"));
    let mut number = 0;
    exported(&store, &file, || {
        number += 1;
        wait(store.index.record(fact(&store.keys, "late", 1, &number.to_string()))).unwrap();
        let late = wait(rows_of(&store, "late")).iter().map(|row| row.key).collect::<Vec<_>>();
        let finished = forgetgate::store::StoredJob { finished: number % 2 == 0, ..job(&store.keys, 3, "late", b"x") };
        wait(store.jobs.commit(step(finished, &late[..late.len() / 2], later(number)))).unwrap();
        if number % 3 == 0 {
            wait(store.index.sweep(later(number))).unwrap();
        }
    });
    assert!(number > 5, "it came in {number} pieces");
    let other = elsewhere(&world);
    restore(&other.config, &file, false, false).unwrap();
    assert_eq!(seen(&other.open()), seen(&store));
}

#[test]
fn p11_an_export_that_was_cut_or_changed_is_refused_and_nothing_is_made() {
    let world = World::sled();
    let file = world.config.path.with_extension("export");
    exported(&filled(&world), &file, || ());
    let (whole, other) = (fs::read(&file).unwrap(), elsewhere(&world));
    for _ in 0..campaign::scaled(1000) {
        let at = fastrand::usize(..whole.len());
        let mut damaged = whole[..if fastrand::bool() { at } else { whole.len() }].to_vec();
        if damaged.len() == whole.len() {
            damaged[at] ^= fastrand::u8(1..);
        }
        fs::write(&file, damaged).unwrap();
        let refused = restore(&other.config, &file, false, false).unwrap_err();
        // A byte of the head may name another key, format or kind of file.
        let at_head = at < 40 && !matches!(refused, RestoreError::Io { .. } | RestoreError::Taken { .. });
        assert!(at_head || matches!(refused, RestoreError::Export { .. }), "{at}: {refused:?}");
        assert!(!other.config.path.exists());
    }
}

#[test]
fn p11_a_store_that_is_there_is_kept_and_another_key_or_a_gate_that_runs_is_refused() {
    let world = World::sled();
    let (store, file) = (filled(&world), world.config.path.with_extension("export"));
    exported(&store, &file, || ());
    let in_use = restore(&world.config, &file, true, false).unwrap_err();
    assert!(matches!(in_use, RestoreError::Open(OpenError::InUse { .. })), "{in_use}");
    let before = seen(&store);
    wait(store.index.record(fact(&store.keys, "late", 1, "r"))).unwrap();
    let after = seen(&store);
    drop(store);
    assert!(matches!(restore(&world.config, &file, false, false), Err(RestoreError::Taken { .. })));
    assert_eq!(seen(&world.open()), after, "nothing has changed");
    let stranger = World::sled();
    drop(stranger.open());
    assert!(matches!(restore(&stranger.config, &file, true, false), Err(RestoreError::OtherKey { .. })));
    let replaced = restore(&world.config, &file, true, false).unwrap().replaced.unwrap();
    assert_eq!(seen(&world.open()), before);
    fs::remove_dir_all(&world.config.path).unwrap();
    fs::rename(&replaced, &world.config.path).unwrap();
    let refused = open(&world.config).unwrap_err();
    assert!(matches!(refused, OpenError::NoTip { .. }), "what was replaced does not come back by itself: {refused}");
    fs::rename(
        replaced.with_file_name(format!("{}.tip", replaced.file_name().unwrap().to_str().unwrap())),
        tip(&world),
    )
    .unwrap();
    assert_eq!(seen(&world.open()), after);
}

fn tip(world: &World) -> PathBuf {
    world.config.path.with_extension("tip")
}

/// After each of its steps: the old store still opens, or there is none; and a restore that is begun again succeeds.
#[test]
fn p5_p11_a_restore_that_was_cut_short_loses_nothing_and_can_be_repeated() {
    let world = World::sled();
    let (store, file) = (filled(&world), world.config.path.with_extension("export"));
    exported(&store, &file, || ());
    let before = seen(&store);
    drop(store);
    let half = world.config.path.with_extension("restoring");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("db"), "half").unwrap();
    fs::write(half.join("creating"), "").unwrap();
    assert_eq!(seen(&world.open()), before, "while it was being filled");
    let away = world.config.path.with_extension("away");
    fs::rename(&world.config.path, &away).unwrap();
    assert!(matches!(open(&world.config), Err(OpenError::Gone { .. })), "between the two renamings");
    fs::remove_file(tip(&world)).unwrap();
    assert!(matches!(open(&world.config), Err(OpenError::Gone { .. })), "with the tip away as well");
    restore(&world.config, &file, false, false).unwrap();
    assert_eq!(seen(&world.open()), before);
    assert!(!half.exists());
}

#[test]
fn an_export_that_was_left_or_overtaken_gives_no_whole_file_and_holds_nothing_up() {
    let world = World::sled();
    let store = filled(&world);
    let mut left = Export::of(Arc::clone(&store.index));
    wait(left.next()).unwrap();
    drop(left);
    let mut overtaken = Export::of(Arc::clone(&store.index));
    wait(overtaken.next()).unwrap();
    exported(&store, &world.config.path.with_extension("export"), || ());
    assert!(wait(overtaken.next()).is_err());
}

#[derive(Parser)]
#[command(no_binary_name = true)]
enum Typed {
    Index(IndexArgs),
}

fn typed(line: &[&str]) -> cli::Answer {
    let Typed::Index(args) = Typed::try_parse_from(line).unwrap();
    cli::index(&args)
}

#[test]
fn p11_the_commands_export_from_a_gate_that_runs_and_from_a_closed_store_and_restore() {
    let world = World::at(tempfile::tempdir().unwrap().keep().as_path(), Engine::Sled);
    let folder = world.config.path.parent().unwrap();
    let text = "listen = [{ address = \"127.0.0.1:0\" }]\nadmin.address = \"127.0.0.1:0\"\n\
                store = { path = \"store\", key = { file = \"store.key\" } }\n\
                upstream = [{ name = \"one\", profile = \"watson-assistant\", url = \"http://127.0.0.1:9\", route = { path = \"/a\" } }]\n";
    let file = folder.join("config.toml");
    fs::write(&file, text).unwrap();
    let (config, running, closed) = (file.to_str().unwrap(), folder.join("running"), folder.join("closed"));
    drop(filled(&world));
    let gate = app::start(config::parse(text, folder).unwrap().config).unwrap();
    let admin = format!("http://{}", gate.admin);
    let done = typed(&["index", "export", "--to", running.to_str().unwrap(), "--admin", &admin]);
    assert_eq!(done.code, 0, "{}", done.complaint);
    let refused = typed(&["index", "restore", "--from", running.to_str().unwrap(), "--config", config, "--replace"]);
    assert!(refused.complaint.contains("is in use by another process"), "{}", refused.complaint);
    assert!(gate.stop());
    let done = typed(&["index", "export", "--to", closed.to_str().unwrap(), "--config", config]);
    assert!(done.code == 0 && done.text.contains("a store that nobody has open"), "{done:?}");
    let before = seen(&world.open());
    for export in [running, closed] {
        fs::remove_dir_all(&world.config.path).unwrap();
        let done = typed(&["index", "restore", "--from", export.to_str().unwrap(), "--config", config]);
        assert!(done.code == 0 && done.text.contains("700 rows, 20 erasures"), "{done:?}");
        assert_eq!(seen(&world.open()), before);
    }
    fs::remove_file(tip(&world)).unwrap();
    let done = typed(&["index", "accept", "--config", config]);
    assert!(done.code == 0 && done.text.contains("700 rows and 20 erasures"), "{done:?}");
    assert_eq!(seen(&world.open()), before);
    let done = typed(&["index", "compact", "--config", config]);
    assert!(done.code == 0 && done.text.contains("700 rows and 20 erasures, as before"), "{done:?}");
    assert_eq!(seen(&world.open()), before);
    fs::remove_dir_all(folder).unwrap();
}

/// Facts are not in the journal: whether the customer came back after the delete, it does not say.
#[test]
fn p4_a_restore_marks_no_row_as_erased_that_was_not_so_in_the_export() {
    let world = World::sled();
    let (store, file) = (filled(&world), world.config.path.with_extension("export"));
    exported(&store, &file, || ());
    let theirs = wait(rows_of(&store, "customer 8")).iter().map(|row| row.key).collect::<Vec<_>>();
    let ended = forgetgate::store::StoredJob { finished: true, ..job(&store.keys, 8, "customer 8", b"over") };
    wait(store.jobs.commit(step(ended, &theirs, later(50)))).unwrap();
    wait(store.index.record(fact(&store.keys, "customer 8", 1, "8"))).unwrap();
    let left = |store: &Opened| wait(rows_of(store, "customer 8")).iter().filter(|row| row.erased_at.is_none()).count();
    assert_eq!(left(&store), 1);
    drop(store);
    fs::remove_dir_all(&world.config.path).unwrap();
    assert_eq!(restore(&world.config, &file, false, false).unwrap().done_again, Some(1));
    let store = world.open();
    assert!(left(&store) >= 1, "the next erasure has to go there");
    assert!(wait(store.jobs.unfinished_of(&[store.keys.tag(&id("customer 8"))])).unwrap().is_empty());
}

/// A store goes on counting where the one before it was, whichever export it was made from.
#[test]
fn p5_a_restore_from_an_older_export_and_then_from_a_newer_one_forgets_nothing_that_was_accepted_in_between() {
    let world = World::sled();
    let store = filled(&world);
    let [older, newer] = ["older", "newer"].map(|name| world.config.path.with_extension(name));
    exported(&store, &older, || ());
    for number in 0..50 {
        wait(store.index.record(fact(&store.keys, "late", 1, &number.to_string()))).unwrap();
    }
    exported(&store, &newer, || ());
    drop(store);
    restore(&world.config, &older, true, false).unwrap();
    let store = world.open();
    assert!(wait(store.jobs.create(job(&store.keys, 100, "customer 50", b"new"))).unwrap());
    drop(store);
    restore(&world.config, &newer, true, false).unwrap();
    assert!(wait(world.open().jobs.job(Uuid::from_u128(100))).unwrap().is_some(), "it was accepted");
}

#[test]
fn p5_p11_a_restore_is_refused_where_the_journal_that_the_tip_names_is_gone() {
    let world = World::sled();
    let (store, file) = (filled(&world), world.config.path.with_extension("export"));
    exported(&store, &file, || ());
    assert!(wait(store.jobs.create(job(&store.keys, 100, "customer 50", b"new"))).unwrap());
    drop(store);
    fs::remove_file(world.config.path.with_extension("journal")).unwrap();
    // A start without it does not make that good.
    drop(world.open());
    let refused = restore(&world.config, &file, true, false).unwrap_err();
    assert!(matches!(refused, RestoreError::Journal { .. }), "{refused}");
    let restored = restore(&world.config, &file, true, true).unwrap();
    assert_eq!((restored.done_again, restored.lacks.len()), (None, 1));
}
