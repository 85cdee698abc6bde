//! P11, P5: an entry that does not read is left as it is, is said, and keeps nobody else from being served.

use forgetgate::domain::PairKey;
use forgetgate::store::{Check, ListedJob, OpenError, Opened, StoreError, StoredJob, Tuning, open_with};
use uuid::Uuid;

use crate::world::{World, fact, in_its_files, job, later, rows_of, step, wait};

const NONSENSE: &[u8] = b"nonsense";
/// Generation and kind of the marks of a job's first step.
const MARKS: [u8; 9] = [0, 0, 0, 0, 0, 0, 0, 1, 1];
/// The note of a first step: layout, kind, flags, one job before it and two after it, all of them unfinished, ID, generation.
fn note(id: Uuid) -> Vec<u8> {
    let numbers = [1u64, 1, 2, 2].map(u64::to_be_bytes).concat();
    [&[1, 1, 0], numbers.as_slice(), id.as_bytes(), &MARKS[..8]].concat()
}

/// A body that takes a piece of its own.
const LARGE: [u8; 3000] = [7; 3000];

/// A store with rows of anna, bert and carl and a first erasure, whose step looks as if a crash had come before its
/// marks. Gives anna's and bert's keys, which it would mark.
fn half_done(world: &World) -> [PairKey; 2] {
    let store = world.open();
    let facts = ["anna", "bert", "carl"].map(|customer| fact(&store.keys, customer, 1, "r"));
    let [anna, bert, _] = facts.map(|fact| {
        let key = fact.key;
        wait(store.index.record(fact)).unwrap();
        key
    });
    for (number, customer) in [(1, "anna"), (2, "carl")] {
        wait(store.jobs.commit(step(job(&store.keys, number, customer, &LARGE), &[], later(5)))).unwrap();
    }
    drop(store);
    let id = Uuid::from_u128(1);
    in_its_files(world, |table| {
        table("steps").insert("latest", note(id));
        let piece = [id.as_bytes().as_slice(), &MARKS, &[0; 4]].concat();
        table("parts").insert(piece, PairKey::list_to_bytes(&[anna, bert]));
    });
    [anna, bert]
}

fn unreadable(store: &Opened) -> u64 {
    wait(store.index.figures()).unwrap().unreadable
}

fn unfinished(store: &Opened) -> Vec<ListedJob> {
    wait(store.jobs.listed(None, 10)).unwrap()
}

#[test]
fn p4_p11_a_row_that_does_not_read_says_where_data_is_and_stops_nothing() {
    let world = World::sled();
    let store = world.open();
    let facts = ["r", "s"].map(|resource| fact(&store.keys, "anna", 1, resource));
    let [first, second] = facts.map(|fact| {
        let key = fact.key;
        wait(store.index.record(fact)).unwrap();
        key
    });
    drop(store);
    in_its_files(&world, |table| {
        table("placements").insert(first.to_bytes(), NONSENSE);
        // This one reads, and what is sealed in it does not open.
        let mut row = table("placements").get(second.to_bytes()).unwrap();
        *row.last_mut().unwrap() ^= 1;
        table("placements").insert(second.to_bytes(), row);
    });
    let store = world.open_changed();
    let rows = wait(rows_of(&store, "anna"));
    let mut keys: Vec<_> = rows.iter().map(|row| (row.key, &*row.resource, row.readable)).collect();
    keys.sort_by_key(|(key, ..)| *key != first);
    assert_eq!(keys, [(first, "", false), (second, "", false)], "an erasure finds upstream and form of both");
    assert_eq!((unreadable(&store), wait(store.index.figures()).unwrap().rows), (2, 2));
    wait(store.index.record(fact(&store.keys, "anna", 1, "r"))).unwrap();
    let row = wait(rows_of(&store, "anna")).into_iter().find(|row| row.key == first).unwrap();
    assert_eq!((&*row.resource, row.readable), ("r", true), "traffic writes it anew");
    assert_eq!(wait(store.index.figures()).unwrap().rows, 2);
}

#[test]
fn p11_a_row_that_does_not_read_keeps_neither_the_store_nor_its_steps_neighbours_back() {
    let world = World::sled();
    let [anna, _] = half_done(&world);
    in_its_files(&world, |table| table("placements").insert(anna.to_bytes(), NONSENSE));
    let store = world.open_changed();
    assert_eq!(wait(rows_of(&store, "bert"))[0].erased_at, Some(later(5)), "the step was finished for the others");
    let row = &wait(rows_of(&store, "anna"))[0];
    assert_eq!((row.erased_at, row.readable), (Some(later(5)), false), "and for it");
    assert_eq!(unreadable(&store), 1);
    assert_eq!(unfinished(&store).len(), 2);
    wait(store.index.record(fact(&store.keys, "carl", 1, "s"))).unwrap();
    assert_eq!(wait(store.index.sweep(later(6))).unwrap(), 2, "what was erased goes in time, read or not");
    drop(store);
    in_its_files(&world, |table| assert_eq!(table("steps").0.len(), 1, "no step is kept"));
}

#[test]
fn p5_an_erasure_that_does_not_read_is_kept_and_hides_no_other() {
    let world = World::sled();
    half_done(&world);
    let id = Uuid::from_u128(1);
    in_its_files(&world, |table| table("jobs").insert(id.as_bytes(), NONSENSE));
    for _ in 0..2 {
        let store = world.open_changed();
        assert!(matches!(wait(store.jobs.job(id)), Err(StoreError::Corrupt { .. })));
        assert_eq!(unfinished(&store).len(), 2, "it is listed, so that it is known that it does not read");
        let page = wait(store.jobs.jobs(None, 10)).unwrap();
        assert_eq!(page.iter().map(|job| job.id.as_u128()).collect::<Vec<_>>(), [2]);
        assert_eq!(unreadable(&store), 1, "counted once, however often it is met");
        assert_eq!(wait(store.jobs.unfinished_of(&[page[0].tag])).unwrap(), page);
        let taken = StoredJob { id, ..page[0].clone() };
        assert!(matches!(wait(store.jobs.create(taken)), Err(StoreError::Corrupt { .. })), "its ID is not given again");
    }
    in_its_files(&world, |table| {
        assert_eq!(table("jobs").get(id.as_bytes()).unwrap(), NONSENSE);
        assert!(table("steps").get(id.as_bytes()).is_some(), "the step is still noted");
        assert_eq!(table("parts").0.scan_prefix(id.as_bytes()).count(), 2, "with its body and its marks");
    });
}

#[test]
fn p5_marks_that_do_not_read_are_kept_with_their_step() {
    let world = World::sled();
    half_done(&world);
    let piece = [Uuid::from_u128(1).as_bytes().as_slice(), &MARKS, &[0; 4]].concat();
    in_its_files(&world, |table| table("parts").insert(piece.clone(), NONSENSE));
    let store = world.open_changed();
    assert_eq!((unreadable(&store), unfinished(&store).len()), (1, 2));
    assert_eq!(wait(rows_of(&store, "bert"))[0].erased_at, None, "still a target of later erasures");
    drop(store);
    in_its_files(&world, |table| assert_eq!(table("parts").get(&piece).unwrap(), NONSENSE));
}

/// An upstream to which such a row points must not be dropped from the configuration.
#[test]
fn p11_a_row_that_does_not_read_is_a_row_of_its_upstream_and_a_key_that_does_not_is_none() {
    let world = World::sled();
    let [anna, _] = half_done(&world);
    in_its_files(&world, |table| {
        table("steps").0.clear().unwrap();
        table("placements").insert(anna.to_bytes(), NONSENSE);
        table("placements").insert(b"a", NONSENSE);
    });
    let figures = wait(world.open_changed().index.figures()).unwrap();
    assert_eq!((figures.rows, figures.erased_rows, figures.unreadable), (3, 0, 2));
}

/// Without it nobody would know to whom its number belonged.
#[test]
fn p11_an_upstream_that_does_not_read_is_refused_with_its_table_and_what_to_do() {
    let world = World::sled();
    wait(world.open().index.upstream_number("one", "")).unwrap();
    in_its_files(&world, |table| table("upstreams").insert(1u16.to_be_bytes(), NONSENSE));
    let unchecked = Tuning { check: Check::Nothing, ..Tuning::default() };
    let refused = open_with(&world.config, unchecked).unwrap_err();
    assert!(matches!(refused, OpenError::Damaged { .. }));
    let said = refused.to_string();
    assert!(said.contains("table `upstreams`") && said.contains("restore it from an export"), "{said}");
}

#[test]
fn p11_a_marked_row_that_does_not_read_does_not_stop_the_sweep() {
    let world = World::sled();
    let store = world.open();
    let facts = ["anna", "bert"].map(|customer| fact(&store.keys, customer, 1, "r"));
    let keys = facts.clone().map(|fact| fact.key);
    facts.into_iter().for_each(|fact| wait(store.index.record(fact)).unwrap());
    wait(store.jobs.commit(step(job(&store.keys, 1, "anna", b""), &keys, later(5)))).unwrap();
    drop(store);
    in_its_files(&world, |table| table("placements").insert(keys[0].to_bytes(), NONSENSE));
    let store = world.open_changed();
    assert_eq!(wait(store.index.sweep(later(6))).unwrap(), 1);
    assert_eq!((wait(store.index.sweep(later(6))).unwrap(), unreadable(&store)), (0, 1));
    drop(store);
    in_its_files(&world, |table| assert!(table("placements").get(keys[0].to_bytes()).is_some()));
}
