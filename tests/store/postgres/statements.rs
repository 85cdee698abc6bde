//! P3, P5: a statement whose answer is lost, refused for a moment or made in vain has one effect, and its asker the right answer.

use std::fs;

use forgetgate::config::Engine;
use forgetgate::domain::UpstreamNumber;
use forgetgate::store::{JobWrite, Opened, StoreError, StoredHold, StoredJob};
use uuid::Uuid;

use crate::server::Postgres;
use crate::wire::{Act, Wire};
use crate::world::{NOW, World, fact, job, later, name_of, rows_of, step, wait};

const ROWS: &str = ".placements AS old";
const CREATE: &str = "ON CONFLICT (id) DO NOTHING";
const COMMIT: &str = "WITH done AS";

/// What happens to statements that are carried out in the end. One that was executed may have been answered in part.
const PASSING: [Act; 14] = [
    Act::Refuse("40001"),
    Act::Refuse("40P01"),
    Act::Refuse("55P03"),
    Act::Refuse("57014"),
    Act::Refuse("25006"),
    Act::Refuse("53300"),
    Act::Fatal("57P01"),
    Act::RefuseAfter("40003"),
    Act::RefuseAfter("57P02"),
    Act::CutRequest(0),
    Act::CutRequest(40),
    Act::CutAnswer(0),
    Act::CutAnswer(3),
    Act::CutAnswer(17),
];

/// A store behind a proxy.
fn behind() -> (Wire, World, Opened) {
    let wire = Wire::before(Postgres::shared().port());
    let world = World::new(Engine::Postgres);
    fs::write(world.config.key_file.with_file_name("url"), Postgres::shared().url_at(&wire.host())).unwrap();
    let store = world.open();
    (wire, world, store)
}

fn read(store: &Opened, number: u128) -> StoredJob {
    wait(store.jobs.job(Uuid::from_u128(number))).unwrap().unwrap()
}

#[test]
fn p3_a_row_is_written_whatever_happens_to_its_statement() {
    let (wire, _world, store) = behind();
    for (number, act) in PASSING.iter().enumerate() {
        wire.once(ROWS, act.clone());
        let before = wire.seen(ROWS);
        let customer = number.to_string();
        wait(store.index.record(fact(&store.keys, &customer, 1, "r"))).unwrap();
        assert_eq!(wait(rows_of(&store, &customer)).len(), 1, "{act:?}");
        assert_eq!(wire.seen(ROWS) - before, 2, "{act:?}: twice");
    }
    assert!(store.index.is_writable());
}

#[test]
fn p5_a_job_whose_creation_has_no_answer_is_created_once_and_no_other_is_taken_for_it() {
    let (wire, _world, store) = behind();
    for (number, act) in (1_u128..).zip(PASSING) {
        wire.once(CREATE, act.clone());
        assert!(wait(store.jobs.create(job(&store.keys, number, "anna", b"a"))).unwrap(), "{act:?}");
        assert!(!wait(store.jobs.create(job(&store.keys, number, "bert", b"b"))).unwrap(), "{act:?}: it is anna's");
        wire.once(CREATE, act.clone());
        assert!(!wait(store.jobs.create(job(&store.keys, number, "bert", b"b"))).unwrap(), "{act:?}: it stays hers");
        let there = read(&store, number);
        assert_eq!(
            (there.tag, there.body.as_slice(), there.version),
            (store.keys.tag(&crate::world::id("anna")), &b"a"[..], 1)
        );
    }
}

#[test]
fn p5_a_step_whose_answer_is_lost_is_one_step_with_its_marks_and_its_name() {
    let (wire, _world, store) = behind();
    for (number, act) in (1_u128..).zip(PASSING) {
        let placed = fact(&store.keys, &number.to_string(), 1, "r");
        wait(store.index.record(placed.clone())).unwrap();
        assert!(wait(store.jobs.create(job(&store.keys, number, "anna", b"first"))).unwrap());
        let first = read(&store, number);
        let second = StoredJob { body: b"second".to_vec(), ..first.clone() };
        let write = JobWrite { also: Some(name_of(&first, 100 + number)), ..step(second, &[placed.key], later(5)) };
        wire.once(COMMIT, act.clone());
        assert!(wait(store.jobs.commit(write.clone())).unwrap(), "{act:?}");
        let there = read(&store, number);
        assert_eq!(
            (there.version, there.body.as_slice(), there.accepted),
            (2, &b"second"[..], first.accepted),
            "{act:?}"
        );
        assert_eq!(read(&store, 100 + number).of, Some(first.id));
        assert_eq!(wait(rows_of(&store, &number.to_string()))[0].erased_at, Some(later(5)), "{act:?}");
        // The same once more is another's step, over what is not there any more.
        wire.once(COMMIT, act.clone());
        assert!(!wait(store.jobs.commit(write.clone())).unwrap(), "{act:?}: its name is taken");
        wire.once(COMMIT, act.clone());
        let late = wait(store.jobs.commit(JobWrite { also: None, ..write }));
        assert!(matches!(late, Err(StoreError::Conflict)), "{act:?}: {late:?}");
        assert_eq!(read(&store, number), there, "{act:?}");
    }
}

#[test]
fn p5_holds_and_numbers_are_as_they_were_told_although_answers_are_lost() {
    let (wire, _world, store) = behind();
    for (number, act) in (1_u16..).zip(PASSING) {
        let (id, tag) = (Uuid::from_u128(number.into()), store.keys.tag(&crate::world::id("anna")));
        let hold = StoredHold { id, tag, upstream: Some(UpstreamNumber(7)), body: b"why".to_vec() };
        wire.once(".holds (id", act.clone());
        wait(store.jobs.hold(hold.clone())).unwrap();
        assert_eq!(wait(store.jobs.holds(None, 10)).unwrap(), [hold], "{act:?}");
        wire.once("DELETE FROM", act.clone());
        assert!(wait(store.jobs.unhold(id)).unwrap(), "{act:?}: there was one");
        assert_eq!(wait(store.jobs.holds(None, 10)).unwrap(), []);
        wire.once(".upstreams (number", act.clone());
        let name = number.to_string();
        assert_eq!(wait(store.index.upstream_number(&name, "")).unwrap(), UpstreamNumber(number), "{act:?}");
    }
}

/// P12: nothing is tried for ever, and what cannot succeed is tried once.
#[test]
fn p12_a_statement_that_keeps_failing_is_given_up() {
    let (wire, _world, store) = behind();
    let record = || wait(store.index.record(fact(&store.keys, "anna", 1, "r")));
    for (code, tries) in [("42501", 1), ("42P01", 1), ("40001", 12)] {
        wire.always(ROWS, Act::Refuse(code));
        let before = wire.seen(ROWS);
        assert!(matches!(record(), Err(StoreError::Broken)), "{code}");
        assert_eq!(wire.seen(ROWS) - before, tries, "{code}");
        wire.clear();
        record().unwrap();
    }
    assert_eq!(wait(rows_of(&store, "anna"))[0].first_seen, NOW);
}

/// P4: an erasure's targets are read once every row that was on its way before is durable, or is not there.
#[test]
fn p4_rows_are_read_after_those_that_were_on_their_way() {
    let (wire, _world, store) = behind();
    wire.always(ROWS, Act::Hold);
    let id = crate::world::id("anna");
    let recorded = store.index.record(fact(&store.keys, "anna", 1, "r"));
    let tags = [store.keys.tag(&id)];
    let rows = store.index.rows(&tags, &id);
    let found = std::thread::scope(|scope| {
        let found = scope.spawn(|| wait(futures_util::future::join(recorded, rows)));
        while wire.seen(ROWS) == 0 {
            std::thread::yield_now();
        }
        wire.release();
        found.join().unwrap()
    });
    found.0.unwrap();
    assert_eq!(found.1.unwrap().len(), 1);
}

/// P3: rows that wait while one statement is under way are written by one more, and each key once.
#[test]
fn p3_whatever_waits_becomes_one_statement() {
    let (wire, _world, store) = behind();
    wait(store.index.record(fact(&store.keys, "anna", 1, "r"))).unwrap();
    let before = wire.seen(ROWS);
    wire.always(ROWS, Act::Hold);
    let facts: Vec<_> = (0..1000).map(|number| fact(&store.keys, &(number / 2).to_string(), 1, "r")).collect();
    let recorded = facts.iter().map(|fact| store.index.record(fact.clone()));
    let recorded = futures_util::future::join_all(recorded);
    wire.release();
    assert!(wait(recorded).into_iter().all(|written| written.is_ok()));
    let statements = wire.seen(ROWS) - before;
    assert!((2..20).contains(&statements), "{statements} for 1,000 rows");
    assert_eq!(wait(store.index.figures()).unwrap().rows, 501);
}
