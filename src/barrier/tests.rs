//! P4 and P3 at their root: what the barrier lets in, counts and remembers.

use std::time::Duration;

use super::{Barrier, Drain};
use crate::domain::{LabelForm, PairKey, ResourceHash, Tag, UnixSeconds, UpstreamNumber};

const LEASE: Duration = Duration::from_secs(600);
const STRAGGLE: Duration = Duration::from_secs(300);
const NOW: UnixSeconds = UnixSeconds(1_000_000);
const HERE: UpstreamNumber = UpstreamNumber(1);
const THERE: UpstreamNumber = UpstreamNumber(2);

fn key(customer: u8, upstream: UpstreamNumber) -> PairKey {
    PairKey { tag: Tag([customer; 16]), upstream, form: LabelForm::RAW, resource: ResourceHash([0; 8]) }
}

fn barrier() -> std::sync::Arc<Barrier> {
    Barrier::new(10_000, LEASE, STRAGGLE)
}

fn passed(barrier: &std::sync::Arc<Barrier>, key: &PairKey) {
    let mut entered = barrier.enter(key, NOW).unwrap();
    entered.passage.recorded(NOW);
    entered.passage.forwarded();
    entered.passage.ended();
}

#[test]
fn p3_a_pair_is_known_only_once_it_was_recorded_and_for_one_lease() {
    let barrier = barrier();
    drop(barrier.enter(&key(1, HERE), NOW).unwrap());
    assert!(!barrier.enter(&key(1, HERE), NOW).unwrap().known, "entering alone teaches nothing");

    passed(&barrier, &key(1, HERE));

    assert!(barrier.enter(&key(1, HERE), NOW).unwrap().known);
    assert!(!barrier.enter(&key(1, THERE), NOW).unwrap().known, "another upstream is another fact");
    assert!(!barrier.enter(&key(2, HERE), NOW).unwrap().known, "another customer is another fact");
    assert!(!barrier.enter(&key(1, HERE), UnixSeconds(NOW.0 + LEASE.as_secs())).unwrap().known, "the lease is over");
}

#[test]
fn p12_the_cache_is_bounded_and_keeps_what_is_used() {
    let barrier = Barrier::new(64 * 8, LEASE, STRAGGLE);
    let keys: Vec<_> = (0..100_u8)
        .map(|n| PairKey { tag: Tag([[n; 15].as_slice(), &[0]].concat().try_into().unwrap()), ..key(0, HERE) })
        .collect();
    for each in &keys {
        passed(&barrier, each);
    }
    let known = keys.iter().filter(|each| barrier.enter(each, NOW).unwrap().known).count();
    assert!((1..=8).contains(&known), "{known} of 100 rows are kept in a shard of 8");
}

#[tokio::test]
async fn p4_a_fence_keeps_only_that_customer_out_until_it_is_lifted() {
    let barrier = barrier();
    let fence = barrier.fence(Tag([1; 16]));
    assert!(barrier.enter(&key(1, HERE), NOW).is_err());
    assert!(barrier.enter(&key(2, HERE), NOW).is_ok());

    fence.narrow(&[HERE]);
    let waiting = barrier.enter(&key(1, HERE), NOW).unwrap_err();
    assert!(barrier.enter(&key(1, THERE), NOW).is_ok(), "the fence was narrowed");

    fence.lift(HERE);
    waiting.moved().await;
    assert!(barrier.enter(&key(1, HERE), NOW).is_ok());
}

#[tokio::test]
async fn p3_an_erasure_empties_the_cache_and_late_recorders_do_not_fill_it_again() {
    let barrier = barrier();
    passed(&barrier, &key(1, HERE));
    let mut late = barrier.enter(&key(1, THERE), NOW).unwrap();

    let fence = barrier.fence(Tag([1; 16]));
    late.passage.recorded(NOW);
    fence.recorded().await;
    late.passage.ended();
    drop(fence);

    assert!(!barrier.enter(&key(1, HERE), NOW).unwrap().known);
    assert!(!barrier.enter(&key(1, THERE), NOW).unwrap().known);
}

#[tokio::test]
async fn p4_a_drain_waits_for_what_is_on_its_way_and_only_there() {
    let barrier = barrier();
    let mut here = barrier.enter(&key(1, HERE), NOW).unwrap();
    here.passage.recorded(NOW);
    here.passage.forwarded();
    let fence = barrier.fence(Tag([1; 16]));
    fence.recorded().await;
    fence.narrow(&[HERE, THERE]);
    assert_eq!(fence.drained(THERE, Duration::from_secs(5)).await, Drain::Clean);

    let short = fence.drained(HERE, Duration::from_millis(20)).await;
    assert!(matches!(short, Drain::NotDrained { .. }), "it is still on its way");

    let draining = tokio::spawn(async move { fence.drained(HERE, Duration::from_secs(30)).await });
    here.passage.ended();
    assert_eq!(draining.await.unwrap(), Drain::Clean);
}

#[tokio::test]
async fn p4_an_exchange_that_was_cut_is_a_straggler_and_one_never_sent_is_not() {
    let barrier = barrier();
    let mut unsent = barrier.enter(&key(1, THERE), NOW).unwrap();
    unsent.passage.recorded(NOW);
    let mut cut = barrier.enter(&key(1, HERE), NOW).unwrap();
    cut.passage.recorded(NOW);
    cut.passage.forwarded();
    assert!(!barrier.is_straggling());
    drop((unsent, cut));
    assert!(barrier.is_straggling());

    let fence = barrier.fence(Tag([1; 16]));
    assert_eq!(fence.drained(THERE, Duration::from_secs(5)).await, Drain::Clean);
    assert!(matches!(fence.drained(HERE, Duration::from_secs(5)).await, Drain::NotDrained { .. }));
}

#[test]
fn p4_a_watch_sees_a_request_that_came_and_went() {
    let barrier = barrier();
    let watch = barrier.watch(Tag([1; 16]), HERE);
    assert!(watch.quiet());
    passed(&barrier, &key(1, THERE));
    assert!(watch.quiet(), "another upstream is not watched");

    passed(&barrier, &key(1, HERE));

    assert!(!watch.quiet());
    let open = barrier.enter(&key(1, HERE), NOW).unwrap();
    let late = barrier.watch(Tag([1; 16]), HERE);
    drop(open);
    assert!(!late.quiet(), "something was on its way when this watch began");
}

#[test]
fn p12_nothing_is_remembered_of_customers_for_whom_nothing_is_going_on() {
    let barrier = barrier();
    for customer in 0..200 {
        passed(&barrier, &key(customer, HERE));
        drop(barrier.watch(Tag([customer; 16]), HERE));
        drop(barrier.fence(Tag([customer; 16])));
    }
    assert!(barrier.shards.iter().all(|shard| shard.lock().people.is_empty()));
}
