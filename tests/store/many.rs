//! P5, P12: very many erasures cost a start little. What stands in their rows is not looked at, neither at opening, after
//! whatever end, nor when they are listed; and what is removed is removed from every table.

use std::collections::BTreeSet;

use forgetgate::store::{JobWrite, Opened, StoredHold};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::world::{NOW, World, in_its_files, job, later, name_of, wait};

const MANY: u128 = 20_000;

/// All list entries, in pages as large as those of a start.
async fn listed(store: &Opened) -> BTreeSet<u128> {
    let (mut found, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = store.jobs.listed(cursor, 1000).await.unwrap();
        cursor = page.last().map(|job| (job.tag, job.id));
        for job in &page {
            assert_eq!(job.summary, format!("{:040}", job.id.as_u128()).into_bytes());
            assert!(found.insert(job.id.as_u128()), "no entry comes twice");
        }
        if page.len() < 1000 {
            return found;
        }
    }
}

/// Their heads, with the bodies in them, are made unreadable: whoever looked at one would have said so.
#[test]
fn p5_p12_very_many_jobs_are_opened_counted_and_listed_without_reading_one() {
    let world = World::sled();
    let store = world.open();
    for first in (0..MANY).step_by(500) {
        let created = (first..first + 500)
            .map(|number| store.jobs.create(job(&store.keys, number, &(number / 3).to_string(), &[7; 900])));
        assert!(wait(join_all(created)).into_iter().all(Result::unwrap));
    }
    drop(store);
    in_its_files(&world, |table| {
        let jobs = table("jobs");
        assert_eq!(jobs.0.len(), MANY as usize);
        for id in jobs.0.iter().keys() {
            jobs.insert(id.unwrap(), b"nonsense");
        }
        assert_eq!(table("parts").0.len(), 0, "small bodies stand in their heads");
        // The latest step is looked at, and no other.
        jobs.remove(Uuid::from_u128(MANY - 1).as_bytes());
    });
    for crashed in [false, true] {
        if crashed {
            in_its_files(&world, |table| table("meta").remove("closed"));
        }
        let store = world.open_changed();
        let figures = wait(store.index.figures()).unwrap();
        assert_eq!(figures.unreadable, 0, "crashed: {crashed}");
        assert!(wait(listed(&store)).is_superset(&(0..MANY - 1).collect()));
        assert_eq!(wait(store.index.figures()).unwrap().unreadable, 0);
        assert!(wait(store.jobs.job(Uuid::from_u128(1))).is_err(), "they do not read, indeed");
    }
}

#[test]
fn figures_of_jobs_are_exact_after_a_crash() {
    let world = World::sled();
    let store = world.open();
    for number in 0..10 {
        assert!(wait(store.jobs.create(job(&store.keys, number, "anna", b""))).unwrap());
    }
    drop(store);
    in_its_files(&world, |table| table("meta").remove("closed"));
    let figures = wait(world.open_changed().index.figures()).unwrap();
    assert_eq!((figures.jobs, figures.unfinished_jobs), (10, 10));
    // Where no note says it, they are counted.
    in_its_files(&world, |table| table("steps").remove("latest"));
    let figures = wait(world.open_changed().index.figures()).unwrap();
    assert_eq!((figures.jobs, figures.unfinished_jobs, figures.unreadable), (10, 10, 0));
    in_its_files(&world, |table| table("steps").insert("latest", b"nonsense"));
    let figures = wait(world.open_changed().index.figures()).unwrap();
    assert_eq!((figures.jobs, figures.unfinished_jobs, figures.unreadable), (10, 10, 1));
}

#[test]
fn p7_a_purge_leaves_no_row_of_a_job_in_any_table() {
    let world = World::sled();
    let store = world.open();
    for (number, size) in [(1, 10), (2, 20_000), (3, 10)] {
        let mut anna = job(&store.keys, number, "anna", &vec![1; size]);
        assert!(wait(store.jobs.create(anna.clone())).unwrap());
        anna.finished = number != 3;
        let also = Some(name_of(&anna, 10 + number));
        let write = JobWrite { job: anna, erased: Vec::new(), at: later(1), also };
        assert!(wait(store.jobs.commit(write)).unwrap());
    }
    assert_eq!(wait(store.jobs.purge(later(2))).unwrap(), 2);
    drop(store);
    let sizes = |world: &World| {
        let mut sizes = Vec::new();
        in_its_files(world, |table| {
            let tables = ["jobs", "parts", "unfinished", "ended", "names"];
            sizes.extend(tables.map(|name| (name, table(name).0.len())));
        });
        sizes
    };
    let left = [("jobs", 2), ("parts", 0), ("unfinished", 1), ("ended", 0), ("names", 1)];
    assert_eq!(sizes(&world), left, "the unfinished one, and its other name");
    let store = world.open();
    let mut last = wait(store.jobs.job(Uuid::from_u128(3))).unwrap().unwrap();
    last.finished = true;
    assert!(wait(store.jobs.commit(crate::world::step(last, &[], NOW))).unwrap());
    assert_eq!(wait(store.jobs.purge(later(2))).unwrap(), 1);
    drop(store);
    assert!(sizes(&world).iter().all(|(_, rows)| *rows == 0));
}

#[test]
fn p5_holds_are_there_after_opening_again() {
    let world = World::sled();
    let store = world.open();
    let tag = store.keys.tag(&crate::world::id("anna"));
    let holds =
        [1, 2, 3].map(|number| StoredHold { id: Uuid::from_u128(number), tag, upstream: None, body: vec![7; 50] });
    for hold in &holds {
        wait(store.jobs.hold(hold.clone())).unwrap();
    }
    assert!(wait(store.jobs.unhold(holds[1].id)).unwrap());
    drop(store);
    let store = world.open();
    assert_eq!(wait(store.jobs.holds(None, 10)).unwrap(), [holds[0].clone(), holds[2].clone()]);
    drop(store);
    in_its_files(&world, |table| table("holds").insert(holds[0].id.as_bytes(), b"nonsense"));
    let refused = wait(world.open_changed().jobs.holds(None, 10)).unwrap_err();
    assert!(refused.to_string().contains("a legal hold"), "it is never taken for no hold: {refused}");
}
