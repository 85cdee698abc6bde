//! Every engine against every other: the same random story gives the same answers, whatever was closed in between.

use forgetgate::config::Engine;
use forgetgate::domain::{PairKey, Tag, UnixSeconds, UpstreamNumber};
use forgetgate::store::{Figures, JobWrite, Opened, Placement, StoredHold, StoredJob};
use proptest::prelude::*;
use uuid::Uuid;

use crate::world::{NOW, World, fact, job, later, name_of, rows_of, step, wait};

const CUSTOMERS: [&str; 4] = ["anna", "bert", "carl", "dora"];

#[derive(Clone, Debug)]
enum Event {
    Record {
        customer: usize,
        upstream: u16,
        resource: u8,
    },
    Commit {
        number: u8,
        customer: usize,
        erased: Vec<(u16, u8)>,
        body: u16,
        summary: u8,
        finished: bool,
        also: Option<u8>,
    },
    Name {
        of: u8,
        number: u8,
    },
    Sweep {
        back: u64,
    },
    Purge {
        back: u64,
    },
    Hold {
        number: u8,
        body: u16,
    },
    Unhold {
        number: u8,
    },
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
    let also = prop::option::of(0..6u8);
    let commit = (0..4u8, prop::collection::vec(pair, 0..6), 0..10_000u16, 0..3u8, any::<bool>(), also).prop_map(
        // A job belongs to one customer for ever: its number says to whom.
        |(number, erased, body, summary, finished, also)| Event::Commit {
            number,
            customer: usize::from(number) % CUSTOMERS.len(),
            erased,
            body: if body % 2 == 0 { body } else { body % 1000 },
            summary,
            finished,
            also,
        },
    );
    let name = (0..4u8, 0..6u8).prop_map(|(of, number)| Event::Name { of, number });
    let sweep = (0..20u64).prop_map(|back| Event::Sweep { back });
    let purge = (0..20u64).prop_map(|back| Event::Purge { back });
    let hold = (0..3u8, 0..5000u16).prop_map(|(number, body)| Event::Hold { number, body });
    let unhold = (0..3u8).prop_map(|number| Event::Unhold { number });
    let event = prop_oneof![
        6 => record, 6 => commit, 2 => name, 1 => sweep, 2 => purge, 1 => hold, 1 => unhold, 1 => Just(Event::Reopen)
    ];
    prop::collection::vec(event, 0..60)
}

/// IDs of other names begin here, so that none is a job's.
const NAMES: u128 = 100;

async fn tell(store: &Opened, event: &Event, now: UnixSeconds) -> u64 {
    match event {
        Event::Record { customer, upstream, resource } => {
            let fact = fact(&store.keys, CUSTOMERS[*customer], *upstream, &resource.to_string());
            store.index.record(Placement { seen: now, ..fact }).await.unwrap();
            0
        }
        Event::Commit { number, customer, erased, body, summary, finished, also } => {
            let keys: Vec<PairKey> = erased
                .iter()
                .map(|(upstream, resource)| {
                    fact(&store.keys, CUSTOMERS[*customer], *upstream, &resource.to_string()).key
                })
                .collect();
            let job = job(&store.keys, u128::from(*number), CUSTOMERS[*customer], &vec![*number; usize::from(*body)]);
            let job = StoredJob { finished: *finished, summary: vec![*summary; 30], ..job };
            let also = also.map(|also| name_of(&job, NAMES + u128::from(also)));
            let written = store.jobs.commit(JobWrite { also, ..step(job, &keys, now) }).await.unwrap();
            u64::from(written)
        }
        Event::Name { of, number } => {
            let job = job(&store.keys, u128::from(*of), CUSTOMERS[usize::from(*of) % CUSTOMERS.len()], b"");
            let name = StoredJob { received: now, ..name_of(&job, NAMES + u128::from(*number)) };
            u64::from(store.jobs.create(name).await.unwrap())
        }
        Event::Sweep { back } => store.index.sweep(UnixSeconds(now.0 - back)).await.unwrap(),
        Event::Purge { back } => store.jobs.purge(UnixSeconds(now.0 - back)).await.unwrap(),
        Event::Hold { number, body } => {
            let hold = StoredHold {
                id: Uuid::from_u128(u128::from(*number)),
                tag: Tag([*number; 16]),
                upstream: (number % 2 == 0).then_some(UpstreamNumber(body % 3)),
                body: vec![*number; usize::from(*body)],
            };
            store.jobs.hold(hold).await.unwrap();
            0
        }
        Event::Unhold { number } => u64::from(store.jobs.unhold(Uuid::from_u128(u128::from(*number))).await.unwrap()),
        Event::Reopen => 0,
    }
}

/// First seen, last seen, marked, which resource.
type SeenRow = (UnixSeconds, UnixSeconds, Option<UnixSeconds>, Box<str>);

#[derive(Debug, PartialEq)]
struct Seen {
    rows: Vec<Vec<SeenRow>>,
    jobs: Vec<StoredJob>,
    listed: Vec<(u128, Vec<u8>)>,
    holds: Vec<StoredHold>,
    figures: Figures,
}

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
    let blind = |job: StoredJob| StoredJob { tag: Tag([0; 16]), accepted: 0, version: 0, ..job };
    let jobs = store.jobs.jobs(None, 100).await.unwrap().into_iter().map(blind).collect();
    let listed = store.jobs.listed(None, 1000).await.unwrap();
    let mut listed: Vec<_> = listed.into_iter().map(|job| (job.id.as_u128(), job.summary)).collect();
    listed.sort_unstable();
    let holds = store.jobs.holds(None, 100).await.unwrap();
    let figures = Figures { bytes: 0, syncs: 0, ..store.index.figures().await.unwrap() };
    Seen { rows, jobs, listed, holds, figures }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_engine_gives_the_same_answers_to_the_same_story(events in events()) {
        let (sled, memory, postgres) = (World::sled(), World::new(Engine::Memory), World::new(Engine::Postgres));
        let (mut one, two, mut three) = (sled.open(), memory.open(), postgres.open());
        for (event, second) in events.iter().zip(0..) {
            if matches!(event, Event::Reopen) {
                drop(one);
                one = sled.open();
                drop(three);
                three = postgres.open();
            }
            let now = later(second);
            let told = wait(tell(&two, event, now));
            prop_assert_eq!(wait(tell(&one, event, now)), told);
            prop_assert_eq!(wait(tell(&three, event, now)), told);
        }
        prop_assert!(NOW < later(1));
        let expected = wait(seen(&two));
        prop_assert_eq!(&wait(seen(&one)), &expected);
        prop_assert_eq!(&wait(seen(&three)), &expected);
    }
}
