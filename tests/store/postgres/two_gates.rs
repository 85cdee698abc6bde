//! P5: what two gates do at once on one schema has one outcome.

use forgetgate::config::Engine;
use forgetgate::store::{Opened, StoreError, StoredJob};
use futures_util::future::join_all;

use super::schema;
use crate::server::Postgres;
use crate::world::{NOW, World, fact, job, later, rows_of, step, wait};

fn two() -> (World, Opened, Opened) {
    let world = World::new(Engine::Postgres);
    let (one, two) = (world.open(), world.open());
    (world, one, two)
}

#[test]
fn p4_two_gates_give_one_number_to_one_name_and_no_number_twice() {
    let (_world, one, two) = two();
    let names: Vec<String> = (0..40).map(|name| format!("upstream {}", name / 2)).collect();
    let given = wait(join_all(names.iter().enumerate().map(|(place, name)| {
        let store = if place % 3 == 0 { &one } else { &two };
        store.index.upstream_number(name, "https://somewhere")
    })));
    let given: Vec<u16> = given.into_iter().map(|number| number.unwrap().0).collect();
    assert!(given.chunks(2).all(|pair| pair[0] == pair[1]), "{given:?}");
    let mut numbers: Vec<u16> = given.chunks(2).map(|pair| pair[0]).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<u16>>());
}

#[test]
fn p5_an_id_is_one_jobs_whichever_gate_creates_it() {
    let (_world, one, two) = two();
    let jobs: Vec<StoredJob> = (0..20).map(|job| self::job(&one.keys, 7, &job.to_string(), b"")).collect();
    let created = jobs.iter().enumerate().map(|(place, job)| {
        let store = if place % 2 == 0 { &one } else { &two };
        store.jobs.create(job.clone())
    });
    let created = wait(join_all(created));
    let won: Vec<_> = created.into_iter().zip(&jobs).filter(|(created, _)| *created.as_ref().unwrap()).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(wait(two.jobs.job(jobs[0].id)).unwrap().unwrap().tag, won[0].1.tag);
}

#[test]
fn p5_a_step_over_what_the_other_gate_has_written_meanwhile_is_refused_and_writes_nothing() {
    let (_world, one, two) = two();
    let anna = fact(&one.keys, "anna", 1, "r");
    wait(one.index.record(anna.clone())).unwrap();
    assert!(wait(one.jobs.create(job(&one.keys, 1, "anna", b"first"))).unwrap());
    let read = |store: &Opened| wait(store.jobs.job(uuid::Uuid::from_u128(1))).unwrap().unwrap();
    let (here, there) = (read(&one), read(&two));
    let theirs = StoredJob { body: b"theirs".to_vec(), ..there };
    assert!(wait(two.jobs.commit(step(theirs, &[], NOW))).unwrap());
    let ours = StoredJob { body: b"ours".to_vec(), finished: true, ..here };
    let refused = wait(one.jobs.commit(step(ours, &[anna.key], later(5))));
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    assert_eq!(read(&one).body, b"theirs");
    assert_eq!(wait(rows_of(&two, "anna"))[0].erased_at, None, "its marks neither");
    assert!(
        wait(one.jobs.commit(step(StoredJob { body: b"ours".to_vec(), ..read(&one) }, &[anna.key], later(5)))).unwrap()
    );
    assert_eq!(wait(rows_of(&two, "anna"))[0].erased_at, Some(later(5)));
}

/// At the same moment, so that either sees the version that it read: the server decides.
#[test]
fn p5_of_two_gates_steps_over_one_version_one_is_written() {
    let (_world, one, two) = two();
    assert!(wait(one.jobs.create(job(&one.keys, 1, "anna", b""))).unwrap());
    for round in 1..=100 {
        let read = wait(one.jobs.job(uuid::Uuid::from_u128(1))).unwrap().unwrap();
        assert_eq!(read.version, round);
        let step = |body: &[u8]| step(StoredJob { body: body.to_vec(), ..read.clone() }, &[], NOW);
        let written = futures_util::future::join(one.jobs.commit(step(b"one")), two.jobs.commit(step(b"two")));
        match wait(written) {
            (Ok(true), Err(StoreError::Conflict)) | (Err(StoreError::Conflict), Ok(true)) => {}
            both => panic!("round {round}: {both:?}"),
        }
    }
}

#[test]
fn p3_what_two_gates_record_at_once_of_the_same_customers_is_there() {
    let (_world, one, two) = two();
    let customers: Vec<String> = (0..300).map(|customer| customer.to_string()).collect();
    for round in 0..3 {
        let facts = customers.iter().flat_map(|customer| {
            [&one, &two].map(|store| {
                let fact = fact(&store.keys, customer, 1, "r");
                store.index.record(forgetgate::store::Placement { seen: later(round), ..fact })
            })
        });
        assert!(wait(join_all(facts)).into_iter().all(|recorded| recorded.is_ok()));
    }
    for customer in &customers {
        let rows = wait(rows_of(&two, customer));
        assert_eq!((rows.len(), rows[0].first_seen, rows[0].last_seen), (1, NOW, later(2)));
    }
}

#[test]
fn two_gates_that_start_at_once_make_one_schema() {
    let world = World::new(Engine::Postgres);
    let stores: Vec<Opened> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..4).map(|_| scope.spawn(|| world.open())).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    wait(stores[0].index.record(fact(&stores[0].keys, "anna", 1, "r"))).unwrap();
    assert!(stores.iter().all(|store| wait(rows_of(store, "anna")).len() == 1));
    let versions = Postgres::shared().sql(&format!("SELECT v FROM {}.schema_version", schema(&world)));
    assert_eq!(versions, forgetgate::store::SCHEMA_VERSION.to_string());
}
