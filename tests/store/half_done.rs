//! P5: each moment of a step at which a crash could come, laid into the files of a closed store: at the next opening the step
//! is there as a whole or not at all. Power cuts (`power`) find such moments by chance; here none is left to it.

use forgetgate::store::{JobWrite, Opened, StoredJob};
use sled::IVec;
use uuid::Uuid;

use crate::world::{Unnumbered, World, fact, in_its_files, job, later, name_of, rows_of, wait};

const TABLES: [&str; 9] = ["placements", "marked", "jobs", "parts", "steps", "unfinished", "ended", "names", "meta"];

/// All rows of all tables.
type Rows = Vec<(&'static str, IVec, IVec)>;

fn rows(world: &World) -> Rows {
    let mut rows = Vec::new();
    in_its_files(world, |table| {
        for name in TABLES {
            rows.extend(table(name).0.iter().map(|row| row.unwrap()).map(|(key, value)| (name, key, value)));
        }
    });
    rows
}

/// One change of a row: `None` for a row that goes.
type Change = (&'static str, IVec, Option<IVec>);

/// What leads from one state of the files to another, in the order in which the store writes it: note, pieces, heads, and
/// then everything else.
fn changes(before: &Rows, after: &Rows) -> Vec<Change> {
    let new = after.iter().filter(|row| !before.contains(row));
    let mut changes: Vec<Change> = new.map(|(table, key, value)| (*table, key.clone(), Some(value.clone()))).collect();
    let gone =
        before.iter().filter(|(table, key, _)| !after.iter().any(|(other, its, _)| (other, its) == (table, key)));
    changes.extend(gone.map(|(table, key, _)| (*table, key.clone(), None)));
    let place = |(table, key, value): &Change| match (*table, value) {
        ("steps", _) => 0,
        ("parts", Some(_)) => 1,
        // The other name before the job, which has the smaller ID.
        ("jobs", Some(_)) => 1000 - usize::from(*key.last().unwrap()),
        ("jobs", None) => 1001,
        _ => 1002,
    };
    changes.sort_by_key(place);
    changes
}

fn lay(world: &World, changes: &[Change]) {
    in_its_files(world, |table| {
        for (name, key, value) in changes {
            match value {
                Some(value) => drop(table(name).0.insert(key, value).unwrap()),
                None => table(name).remove(key),
            }
        }
    });
}

/// All that can be asked.
fn seen(store: &Opened) -> (Vec<StoredJob>, Vec<Uuid>, Vec<bool>, [u64; 3]) {
    let jobs = wait(store.jobs.jobs(None, 100)).unwrap().unnumbered();
    let listed = wait(store.jobs.listed(None, 100)).unwrap().into_iter().map(|job| job.id).collect();
    let marked = wait(rows_of(store, "anna")).iter().map(|row| row.erased_at.is_some()).collect();
    let figures = wait(store.index.figures()).unwrap();
    (jobs, listed, marked, [figures.jobs, figures.unfinished_jobs, figures.unreadable])
}

/// The marks of a job's second step, which are gone again when it is done.
fn marks(world: &World, number: u128) -> [Change; 2] {
    let store = world.open_changed();
    let marks = fact(&store.keys, "anna", 1, "r").key.to_bytes();
    drop(store);
    let key: IVec =
        [Uuid::from_u128(number).as_bytes().as_slice(), &[0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0]].concat().into();
    // With what stands behind each value.
    let value = [&*marks, &[0; 16]].concat();
    [("parts", key.clone(), Some(value.into())), ("parts", key, None)]
}

/// Does `act` on a store, and then lays each beginning of what it wrote into the files as they were before.
fn at_each_moment(marked: Option<u128>, act: impl Fn(&Opened)) {
    let world = World::sled();
    let store = world.open_changed();
    wait(store.index.record(fact(&store.keys, "anna", 1, "r"))).unwrap();
    for (number, size, finished) in [(1, 900, false), (2, 9000, false), (3, 9000, true)] {
        let job = StoredJob { finished, ..job(&store.keys, number, "anna", &vec![1; size]) };
        let also = (number == 3).then(|| name_of(&job, 30));
        assert!(wait(store.jobs.commit(JobWrite { job, erased: Vec::new(), at: later(1), also })).unwrap());
    }
    let whole = seen(&store);
    drop(store);
    let before = rows(&world);
    let store = world.open_changed();
    act(&store);
    let done = seen(&store);
    assert_ne!(whole, done, "it does something");
    drop(store);
    let after = rows(&world);
    let mut forth = changes(&before, &after);
    if let Some([first, last]) = marked.map(|number| marks(&world, number)) {
        forth.insert(1, first);
        forth.push(last);
    }
    let mut outcomes = Vec::new();
    for moment in 0..=forth.len() {
        lay(&world, &changes(&rows(&world), &before));
        lay(&world, &forth[..moment]);
        let store = world.open_changed();
        let now = seen(&store);
        assert!(now == whole || now == done, "half of it is there after {moment} of {} rows", forth.len());
        outcomes.push(now == done);
        // Nothing is left of it that retention would not find.
        for mut job in now.0.into_iter().filter(|job| !job.finished) {
            job.finished = true;
            assert!(wait(store.jobs.commit(crate::world::step(job, &[], later(2)))).unwrap());
        }
        wait(store.jobs.purge(later(1000))).unwrap();
        drop(store);
        let left =
            rows(&world).into_iter().filter(|(table, ..)| !["placements", "marked", "steps", "meta"].contains(table));
        assert_eq!(left.count(), 0, "after {moment} rows");
    }
    assert!(outcomes.is_sorted() && outcomes[0] != outcomes[forth.len()], "there is one moment at which it counts");
}

#[test]
fn p5_a_new_job_is_there_or_not() {
    for size in [900, 9000] {
        at_each_moment(None, |store| {
            assert!(wait(store.jobs.create(job(&store.keys, 4, "anna", &vec![4; size]))).unwrap())
        });
    }
}

#[test]
fn p5_a_step_with_marks_and_another_name_is_there_or_not() {
    for (number, size) in [(1, 900), (1, 9000), (2, 900), (2, 9000)] {
        at_each_moment(Some(number), |store| {
            let key = fact(&store.keys, "anna", 1, "r").key;
            let job = StoredJob { summary: vec![9; 9], ..job(&store.keys, number, "anna", &vec![4; size]) };
            let also = Some(StoredJob { body: vec![5; size], ..name_of(&job, 40) });
            let write = JobWrite { job, erased: vec![key], at: later(5), also };
            assert!(wait(store.jobs.commit(write)).unwrap());
        });
    }
}

#[test]
fn p5_a_finished_and_a_reopened_job_are_listed_as_they_are() {
    for (number, finished) in [(1, true), (2, true), (3, false)] {
        at_each_moment(None, |store| {
            let job = StoredJob { finished, ..job(&store.keys, number, "anna", &[4; 900]) };
            assert!(wait(store.jobs.commit(crate::world::step(job, &[], later(5)))).unwrap());
        });
    }
}
