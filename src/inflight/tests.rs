//! P4 and P3 at their root: what the in-flight table lets in, counts and remembers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, advance};

use super::{Drain, Entered, Generation, Inflight, KeptOut};
use crate::domain::{InstanceHash, LabelForm, PairKey, ResourceHash, Tag, UpstreamNumber};

const LEASE: Duration = Duration::from_secs(600);
const STRAGGLE: Duration = Duration::from_secs(300);
const LIFE: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_millis(20);
const HERE: UpstreamNumber = UpstreamNumber(1);
const THERE: UpstreamNumber = UpstreamNumber(2);

fn tag(customer: u8) -> Tag {
    Tag([customer; 16])
}

fn key(customer: u8, upstream: UpstreamNumber) -> PairKey {
    PairKey {
        tag: tag(customer),
        upstream,
        form: LabelForm::RAW,
        resource: ResourceHash([0; 8]),
        instance: InstanceHash::DEFAULT,
    }
}

fn inflight() -> Arc<Inflight> {
    Inflight::new(10_000, LEASE, STRAGGLE)
}

fn enter(inflight: &Arc<Inflight>, customer: u8, upstream: UpstreamNumber) -> Entered {
    inflight.enter(&key(customer, upstream), Instant::now()).expect("the customer is kept out")
}

fn is_kept_out(inflight: &Arc<Inflight>, customer: u8, upstream: UpstreamNumber) -> bool {
    inflight.enter(&key(customer, upstream), Instant::now()).is_err()
}

fn passed(inflight: &Arc<Inflight>, customer: u8, upstream: UpstreamNumber) {
    let mut entered = enter(inflight, customer, upstream);
    entered.passage.recorded();
    entered.passage.forwarded();
    entered.passage.ended();
}

fn forwarded(inflight: &Arc<Inflight>, customer: u8, upstream: UpstreamNumber) -> Entered {
    let mut entered = enter(inflight, customer, upstream);
    entered.passage.recorded();
    entered.passage.forwarded();
    entered
}

#[tokio::test(start_paused = true)]
async fn p3_a_pair_is_known_only_once_it_was_recorded_and_for_one_lease_by_the_clock_that_nobody_sets() {
    let inflight = inflight();
    drop(enter(&inflight, 1, HERE));
    assert!(!enter(&inflight, 1, HERE).known, "entering alone teaches nothing");

    passed(&inflight, 1, HERE);

    assert!(enter(&inflight, 1, HERE).known);
    assert!(!enter(&inflight, 1, THERE).known, "another upstream is another fact");
    assert!(!enter(&inflight, 2, HERE).known, "another customer is another fact");
    advance(LEASE).await;
    assert!(!enter(&inflight, 1, HERE).known, "the lease is over");
}

#[tokio::test(start_paused = true)]
async fn p12_the_cache_is_bounded_and_keeps_what_is_used() {
    let inflight = Inflight::new(64 * 8, LEASE, STRAGGLE);
    let keys: Vec<_> = (0..100_u8)
        .map(|n| PairKey { tag: Tag([[n; 15].as_slice(), &[0]].concat().try_into().unwrap()), ..key(0, HERE) })
        .collect();
    for each in &keys {
        let mut entered = inflight.enter(each, Instant::now()).unwrap();
        entered.passage.recorded();
        entered.passage.ended();
    }
    let known = keys.iter().filter(|each| inflight.enter(each, Instant::now()).unwrap().known).count();
    assert!((1..=8).contains(&known), "{known} of 100 rows are kept in a shard of 8");
}

#[tokio::test(start_paused = true)]
async fn p4_a_fence_keeps_only_that_customer_out_until_it_is_lifted() {
    let inflight = inflight();
    let fence = inflight.fence(tag(1), None, LIFE);
    assert!(is_kept_out(&inflight, 1, HERE));
    assert!(!is_kept_out(&inflight, 2, HERE));

    fence.narrow(&[HERE]);
    let KeptOut::Fenced(waiting) = inflight.enter(&key(1, HERE), Instant::now()).unwrap_err() else { panic!() };
    assert!(!is_kept_out(&inflight, 1, THERE), "the fence was narrowed");

    fence.lift(HERE);
    waiting.moved().await;
    assert!(!is_kept_out(&inflight, 1, HERE));
}

#[tokio::test(start_paused = true)]
async fn p4_a_fence_ends_by_itself_unless_what_was_done_behind_it_is_being_recorded() {
    let inflight = inflight();
    let fence = inflight.fence(tag(1), Some(vec![HERE]), LIFE);
    let KeptOut::Fenced(waiting) = inflight.enter(&key(1, HERE), Instant::now()).unwrap_err() else { panic!() };
    assert!(fence.freeze(THERE).is_none(), "it never stood there");
    let frozen = fence.freeze(HERE).unwrap();
    advance(LIFE).await;
    waiting.moved().await;
    let KeptOut::Fenced(waiting) = inflight.enter(&key(1, HERE), Instant::now()).unwrap_err() else { panic!() };

    drop(frozen);
    waiting.moved().await;
    assert!(!is_kept_out(&inflight, 1, HERE));
    assert!(fence.freeze(HERE).is_none(), "somebody may have entered since");
}

#[tokio::test(start_paused = true)]
async fn p3_a_fence_never_blocks_again_what_it_had_let_in() {
    for how in ["narrowed", "lifted"] {
        let inflight = inflight();
        let fence = inflight.fence(tag(1), Some(vec![HERE, THERE]), LIFE);
        if how == "narrowed" {
            fence.narrow(&[HERE])
        } else {
            fence.lift(THERE)
        }
        passed(&inflight, 1, THERE);
        let mut open = enter(&inflight, 1, THERE);
        assert!(open.known);

        fence.narrow(&[HERE, THERE]);
        assert!(
            !is_kept_out(&inflight, 1, THERE) && fence.freeze(THERE).is_none(),
            "{how}: it may not be marked there"
        );
        assert!(is_kept_out(&inflight, 1, HERE));
        open.passage.recorded();
        drop(open);

        let again = inflight.fence(tag(1), Some(vec![THERE]), LIFE);
        drop(again);
        assert!(!enter(&inflight, 1, THERE).known, "{how}: behind a new fence it may have been marked");
    }
}

#[tokio::test(start_paused = true)]
async fn p3_an_erasure_empties_the_cache_and_late_recorders_do_not_fill_it_again() {
    let inflight = inflight();
    passed(&inflight, 1, HERE);
    let mut late = enter(&inflight, 1, THERE);

    let fence = inflight.fence(tag(1), None, LIFE);
    late.passage.recorded();
    fence.recorded().await;
    late.passage.ended();
    drop(fence);

    assert!(!enter(&inflight, 1, HERE).known);
    assert!(!enter(&inflight, 1, THERE).known);
}

#[tokio::test(start_paused = true)]
async fn p4_a_drain_waits_for_what_had_entered_before_and_only_there() {
    let inflight = inflight();
    let here = forwarded(&inflight, 1, HERE);
    let fence = inflight.fence(tag(1), None, LIFE);
    let erased = fence.generation();
    fence.recorded().await;
    fence.narrow(&[HERE, THERE]);
    assert_eq!(fence.drained(THERE, erased, LIFE).await, Drain::default());

    let short = fence.drained(HERE, erased, MOMENT).await;
    assert!(short.until.is_some() && short.in_sight, "it is still on its way: {short:?}");

    let draining = tokio::spawn(async move { fence.drained(HERE, erased, LIFE).await });
    here.passage.ended();
    assert_eq!(draining.await.unwrap(), Drain::default());
}

#[tokio::test(start_paused = true)]
async fn p4_what_entered_after_the_erasure_keeps_no_drain_open_and_only_keeps_rows_from_being_marked() {
    let inflight = inflight();
    let erased = inflight.fence(tag(1), None, LIFE).generation();
    let newer = forwarded(&inflight, 1, HERE);
    let again = inflight.fence(tag(1), Some(vec![HERE]), LIFE);

    let open = again.drained(HERE, erased, LIFE).await;
    drop(newer);
    let cut = again.drained(HERE, erased, LIFE).await;

    let newer_only = Drain { until: None, in_sight: false, newer: true };
    assert_eq!((open, cut), (newer_only, newer_only));
    advance(STRAGGLE).await;
    assert_eq!(again.drained(HERE, erased, LIFE).await, Drain::default());
}

#[tokio::test(start_paused = true)]
async fn p4_an_exchange_that_was_cut_is_a_straggler_and_one_never_sent_is_not() {
    let inflight = inflight();
    let mut unsent = enter(&inflight, 1, THERE);
    unsent.passage.recorded();
    let cut = forwarded(&inflight, 1, HERE);
    assert!(!inflight.is_straggling());
    drop((unsent, cut));
    assert!(inflight.is_straggling());

    let fence = inflight.fence(tag(1), None, LIFE);
    let erased = fence.generation();
    assert_eq!(fence.drained(THERE, erased, LIFE).await, Drain::default());
    let late = fence.drained(HERE, erased, LIFE).await;
    assert_eq!((late.until, late.in_sight), (Some(Instant::now() + STRAGGLE), false));
}

#[tokio::test(start_paused = true)]
async fn p4_cut_exchanges_of_very_many_customers_cost_bounded_memory_and_none_is_forgotten() {
    let inflight = inflight();
    let crowd = |n: u16| {
        let [high, low] = n.to_be_bytes();
        let tag = Tag([[high, low].as_slice(), &[0; 14]].concat().try_into().unwrap());
        PairKey { tag, ..key(0, HERE) }
    };
    for n in 0..3000 {
        let mut entered = inflight.enter(&crowd(n), Instant::now()).unwrap();
        entered.passage.recorded();
        entered.passage.forwarded();
        drop(entered);
    }
    let remembered: usize = inflight.shards.iter().map(|shard| shard.lock().people.len()).sum();
    assert_eq!(remembered, 1024);
    let fence = inflight.fence(crowd(2999).tag, None, LIFE);
    assert!(fence.drained(HERE, fence.generation(), LIFE).await.until.is_some());
    assert!(!inflight.watch(crowd(2998).tag, HERE).quiet());

    advance(STRAGGLE).await;
    inflight.prune();
    assert!(!inflight.is_straggling());
    assert_eq!(fence.drained(HERE, fence.generation(), LIFE).await, Drain::default());
}

#[tokio::test(start_paused = true)]
async fn p12_requests_that_wait_at_fences_are_bounded_for_each_customer_and_for_all() {
    let inflight = inflight();
    inflight.set_waiting_max(8);
    let fences: Vec<_> = (1..=5).map(|customer| inflight.fence(tag(customer), None, LIFE)).collect();
    let waits = |customer| inflight.enter(&key(customer, HERE), Instant::now()).unwrap_err();

    let mut all: Vec<_> = (1..=4).flat_map(|customer| [waits(customer), waits(customer)]).collect();

    assert!(all.iter().all(|kept_out| matches!(kept_out, KeptOut::Fenced(_))));
    assert!(matches!(waits(1), KeptOut::Crowded), "one customer has a quarter of the places");
    assert!(matches!(waits(5), KeptOut::Crowded), "all places are taken");
    all.truncate(7);
    assert!(matches!(waits(5), KeptOut::Fenced(_)));
    drop((all, fences));
    advance(Duration::from_secs(1)).await;
    inflight.prune();
    assert!(inflight.shards.iter().all(|shard| shard.lock().people.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn p4_a_watch_sees_a_request_that_came_and_went_and_hears_when_what_was_there_has_gone() {
    let inflight = inflight();
    let watch = inflight.watch(tag(1), HERE);
    assert!(watch.quiet());
    passed(&inflight, 1, THERE);
    assert!(watch.quiet(), "another upstream is not watched");

    passed(&inflight, 1, HERE);

    assert!(!watch.quiet());
    let open = forwarded(&inflight, 1, HERE);
    let late = inflight.watch(tag(1), HERE);
    let gone = tokio::spawn(async move { late.gone(Generation::LAST).await });
    tokio::task::yield_now().await;
    assert!(!gone.is_finished());
    drop(open);
    gone.await.unwrap();
    assert!(!inflight.watch(tag(1), HERE).quiet(), "something was cut there");
}

#[tokio::test(start_paused = true)]
async fn p12_nothing_is_remembered_of_customers_for_whom_nothing_is_going_on() {
    let inflight = inflight();
    for customer in 0..200 {
        passed(&inflight, customer, HERE);
        drop(inflight.watch(tag(customer), HERE));
        drop(inflight.fence(tag(customer), None, LIFE));
    }
    assert!(inflight.shards.iter().all(|shard| shard.lock().people.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn p4_a_fence_that_is_handed_over_goes_on_where_it_stood_whatever_becomes_of_the_first() {
    let inflight = inflight();
    let shared = inflight.fence(tag(1), Some(vec![HERE, THERE]), LIFE);
    let twin = shared.twin(&[HERE]).unwrap();
    assert_eq!(twin.generation(), shared.generation(), "it covers the same requests");

    shared.lift(HERE);
    assert!(is_kept_out(&inflight, 1, HERE) && is_kept_out(&inflight, 1, THERE));
    twin.narrow(&[HERE]);
    assert!(is_kept_out(&inflight, 1, THERE), "what the one keeps out is not the other's to let in");
    drop(shared);
    assert!(is_kept_out(&inflight, 1, HERE) && !is_kept_out(&inflight, 1, THERE));
    advance(LIFE).await;
    assert!(!is_kept_out(&inflight, 1, HERE), "its end is the first one's");
    drop(twin);
}

#[tokio::test(start_paused = true)]
async fn p4_a_fence_that_does_not_stand_is_not_handed_over() {
    let inflight = inflight();
    let lifted = inflight.fence(tag(1), Some(vec![THERE]), LIFE);
    assert!(lifted.twin(&[HERE]).is_none());
    let over = inflight.fence(tag(2), None, LIFE);
    advance(LIFE).await;
    assert!(over.twin(&[HERE]).is_none());
}

#[tokio::test(start_paused = true)]
async fn p4_who_is_kept_out_is_let_in_before_the_next_fence_of_a_repetition() {
    let inflight = inflight();
    let again = |at: &[UpstreamNumber]| inflight.fence_where_let_in(tag(1), at.to_vec(), LIFE);
    let first = inflight.fence(tag(1), Some(vec![HERE]), LIFE);
    drop(again(&[HERE]).expect("nobody has felt the first one"));
    assert!(is_kept_out(&inflight, 1, HERE));

    let rest = Duration::from_secs(1);
    assert_eq!(again(&[THERE, HERE]).map(drop), Err(Instant::now() + rest));
    assert!(!is_kept_out(&inflight, 1, THERE), "nothing was raised");
    drop(again(&[THERE]).unwrap());
    drop(inflight.fence_where_let_in(tag(2), vec![HERE], LIFE).unwrap());
    drop(first);
    assert_eq!(again(&[HERE]).map(drop), Err(Instant::now() + rest), "there was no time to come in");

    advance(MOMENT).await;
    let before = forwarded(&inflight, 1, HERE);
    advance(rest).await;
    let next = again(&[HERE]).unwrap();
    assert!(is_kept_out(&inflight, 1, HERE));
    assert!(next.drained(HERE, next.generation(), MOMENT).await.in_sight, "who was let in is waited for");
    drop(before);
}

#[tokio::test(start_paused = true)]
async fn p4_a_fence_that_ended_by_itself_was_felt_until_then() {
    let inflight = inflight();
    let first = inflight.fence(tag(1), Some(vec![HERE]), LIFE);
    assert!(is_kept_out(&inflight, 1, HERE));
    advance(LIFE).await;
    assert!(inflight.fence_where_let_in(tag(1), vec![HERE], LIFE).is_err(), "there was no time to come in");
    advance(Duration::from_secs(1)).await;
    drop(inflight.fence_where_let_in(tag(1), vec![HERE], LIFE).unwrap());
    drop(first);
}

/// A body was waited for since then: what had come with its head is the time that it asks with.
#[tokio::test(start_paused = true)]
async fn p4_who_asks_with_an_older_time_waits_at_no_fence_whose_life_is_over() {
    let inflight = inflight();
    let _fence = inflight.fence(tag(1), Some(vec![HERE]), LIFE);
    let before = Instant::now();
    advance(LIFE).await;
    if let Err(KeptOut::Fenced(waiting)) = inflight.enter(&key(1, HERE), before) {
        tokio::time::timeout(MOMENT, waiting.moved()).await.expect("nobody would ring");
    }
    assert!(!is_kept_out(&inflight, 1, HERE));
}
