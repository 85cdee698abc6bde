//! P5: the list that a start reads was read once only, by the check that everything is there. It is what stands in the store all
//! the same: whatever has been written since, whoever reads it twice, and whatever in it does not read.

use forgetgate::domain::Tag;
use forgetgate::store::{ListedJob, Opened};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::world::{World, in_its_files, job, later, step, wait};

const JOBS: u128 = 600;
const PAGE: usize = 7;

type Place = (Tag, Uuid);

fn place(entry: &ListedJob) -> Place {
    (entry.tag, entry.id)
}

/// The list after this place, in small pages.
fn listed(store: &Opened, after: Option<Place>) -> Vec<ListedJob> {
    let (mut found, mut cursor) = (Vec::new(), after);
    loop {
        let page = wait(store.jobs.listed(cursor, PAGE)).unwrap();
        cursor = page.last().map(place);
        found.extend_from_slice(&page);
        if page.len() < PAGE {
            return found;
        }
    }
}

/// A store with very different customers, and the list as it is read from the table: that of a new store is never read ahead.
fn filled(world: &World) -> Vec<ListedJob> {
    let store = world.open();
    let created =
        (1..=JOBS).map(|number| store.jobs.create(job(&store.keys, number, &(number / 2).to_string(), &[7; 90])));
    assert!(wait(join_all(created)).into_iter().all(Result::unwrap));
    let list = listed(&store, None);
    assert_eq!(list.len(), JOBS as usize);
    assert!(list.is_sorted_by_key(place));
    list
}

#[test]
fn p5_what_a_start_lists_is_what_stands_in_the_store_the_first_time_and_each_time_after() {
    let world = World::sled();
    let list = filled(&world);
    let store = world.open();
    assert_eq!(listed(&store, None), list);
    assert_eq!(listed(&store, None), list);
    drop(store);
    let store = world.open();
    assert_eq!(wait(store.jobs.listed(None, PAGE)).unwrap(), list[..PAGE]);
    assert_eq!(listed(&store, None), list, "begun anew");
    drop(store);
    let store = world.open();
    assert_eq!(listed(&store, Some(place(&list[99]))), list[100..], "begun in the middle");
    assert_eq!(wait(store.jobs.listed(None, JOBS as usize)).unwrap(), list);
}

#[test]
fn p5_what_is_written_before_or_between_the_pages_of_a_start_is_listed_as_it_is_then() {
    for pages in [0, 1] {
        let world = World::sled();
        let list = filled(&world);
        let store = world.open();
        let first = pages * PAGE;
        if pages > 0 {
            assert_eq!(wait(store.jobs.listed(None, PAGE)).unwrap(), list[..first]);
        }
        let cursor = first.checked_sub(1).map(|last| place(&list[last]));
        let stored = |entry: &ListedJob| wait(store.jobs.job(entry.id)).unwrap().unwrap();
        let mut over = stored(&list[first + 20]);
        over.finished = true;
        assert!(wait(store.jobs.commit(step(over, &[], later(1)))).unwrap());
        let mut changed = stored(&list[first + 30]);
        changed.summary = b"changed".to_vec();
        assert!(wait(store.jobs.commit(step(changed, &[], later(1)))).unwrap());
        let new = (0..).map(|number| job(&store.keys, JOBS + 1, &format!("new {number}"), b""));
        let new = new.into_iter().find(|new| new.tag > list[first + 30].tag).unwrap();
        assert!(wait(store.jobs.create(new.clone())).unwrap());
        let mut expected = list[first..].to_vec();
        expected[30].summary = b"changed".to_vec();
        expected.remove(20);
        expected.push(ListedJob { id: new.id, tag: new.tag, summary: new.summary });
        expected.sort_by_key(place);
        assert_eq!(listed(&store, cursor), expected, "after {pages} pages");
    }
}

#[test]
fn p5_p11_an_entry_that_does_not_read_hides_no_other_from_a_start() {
    let world = World::sled();
    let mut list = filled(&world);
    let (tag, id) = (Tag([0x80; 16]), Uuid::from_u128(7));
    let summary = vec![7; 300];
    in_its_files(&world, |table| {
        table("unfinished").insert([tag.0, *id.as_bytes()].concat(), &summary);
        table("unfinished").insert(b"nonsense", b"nonsense");
    });
    list.push(ListedJob { id, tag, summary });
    list.sort_by_key(place);
    let store = world.open_changed();
    assert_eq!(listed(&store, None), list);
    assert_eq!(wait(store.index.figures()).unwrap().unreadable, 1);
}
