//! Every engine against every other: the same random story gives the same answers, whatever was closed in between.

use forgetgate::config::Engine;
use forgetgate::domain::{PairKey, UnixSeconds};
use forgetgate::store::{Figures, Opened, Placement, StoredJob};
use proptest::prelude::*;

use crate::world::{NOW, World, fact, job, later, rows_of, step, wait};

const CUSTOMERS: [&str; 4] = ["anna", "bert", "carl", "dora"];

#[derive(Clone, Debug)]
enum Event {
    Record { customer: usize, upstream: u16, resource: u8 },
    Commit { number: u8, customer: usize, erased: Vec<(u16, u8)>, body: u16, finished: bool },
    Sweep { back: u64 },
    Reopen,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let customer = 0..CUSTOMERS.len();
    let pair = (1..3u16, 0..4u8);
    let record = (customer, pair.clone()).prop_map(|(customer, (upstream, resource))| Event::Record {
        customer,
        upstream,
        resource,
    });
    let commit = (0..4u8, prop::collection::vec(pair, 0..6), 0..10_000u16, any::<bool>()).prop_map(
        // A job belongs to one customer for ever: its number says to whom.
        |(number, erased, body, finished)| Event::Commit {
            number,
            customer: usize::from(number) % CUSTOMERS.len(),
            erased,
            body,
            finished,
        },
    );
    let sweep = (0..20u64).prop_map(|back| Event::Sweep { back });
    prop::collection::vec(prop_oneof![6 => record, 3 => commit, 1 => sweep, 1 => Just(Event::Reopen)], 0..60)
}

async fn tell(store: &Opened, event: &Event, now: UnixSeconds) -> u64 {
    match event {
        Event::Record { customer, upstream, resource } => {
            let fact = fact(&store.keys, CUSTOMERS[*customer], *upstream, &resource.to_string());
            store.index.record(Placement { seen: now, ..fact }).await.unwrap();
            0
        }
        Event::Commit { number, customer, erased, body, finished } => {
            let keys: Vec<PairKey> = erased
                .iter()
                .map(|(upstream, resource)| {
                    fact(&store.keys, CUSTOMERS[*customer], *upstream, &resource.to_string()).key
                })
                .collect();
            let job = job(&store.keys, u128::from(*number), CUSTOMERS[*customer], &vec![*number; usize::from(*body)]);
            store.jobs.commit(step(StoredJob { finished: *finished, ..job }, &keys, now)).await.unwrap();
            0
        }
        Event::Sweep { back } => store.index.sweep(UnixSeconds(now.0 - back)).await.unwrap(),
        Event::Reopen => 0,
    }
}

type Seen = (Vec<Vec<(UnixSeconds, UnixSeconds, Option<UnixSeconds>, Box<str>)>>, Vec<StoredJob>, Vec<u128>, Figures);

/// Everything that can be asked, without tags: the two engines have different keys.
async fn seen(store: &Opened) -> Seen {
    let mut rows = Vec::new();
    for customer in CUSTOMERS {
        let theirs = rows_of(store, customer).await.into_iter();
        let mut theirs: Vec<_> =
            theirs.map(|row| (row.first_seen, row.last_seen, row.erased_at, row.resource)).collect();
        theirs.sort();
        rows.push(theirs);
    }
    let blind = |job: StoredJob| StoredJob { tag: forgetgate::domain::Tag([0; 16]), ..job };
    let jobs = store.jobs.jobs(None, 100).await.unwrap().into_iter().map(blind).collect();
    let unfinished = store.jobs.listed(None, 1000).await.unwrap();
    let mut unfinished: Vec<u128> = unfinished.iter().map(|job| job.id.as_u128()).collect();
    unfinished.sort_unstable();
    let figures = Figures { bytes: 0, syncs: 0, ..store.index.figures().await.unwrap() };
    (rows, jobs, unfinished, figures)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_engine_gives_the_same_answers_to_the_same_story(events in events()) {
        let (sled, memory) = (World::sled(), World::new(Engine::Memory));
        let (mut one, two) = (sled.open(), memory.open());
        for (event, second) in events.iter().zip(0..) {
            if matches!(event, Event::Reopen) {
                drop(one);
                one = sled.open();
            }
            let now = later(second);
            prop_assert_eq!(wait(tell(&one, event, now)), wait(tell(&two, event, now)));
        }
        prop_assert!(NOW < later(1));
        prop_assert_eq!(wait(seen(&one)), wait(seen(&two)));
    }
}
