//! Several gates in one process: each with a table of its own, over members in memory, on a clock that is moved by hand.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::Poll;

use futures_util::poll;
use tokio::task::JoinHandle;

use super::*;
use crate::domain::{InstanceHash, LabelForm, PairKey, ResourceHash};
use crate::inflight::{Entered, KeptOut};
use crate::store::MemoryMembers;

const TTL: Duration = Duration::from_secs(5);
const LIFE: Duration = Duration::from_secs(30);
const HERE: UpstreamNumber = UpstreamNumber(1);
const ELSEWHERE: UpstreamNumber = UpstreamNumber(2);
const ANNA: Tag = Tag([7; 16]);
const BEN: Tag = Tag([8; 16]);

fn new_id() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u128(NEXT.fetch_add(1, SeqCst).into())
}

/// A gate that takes part, as long as it is not stopped.
struct Gate {
    replicas: Replicas,
    inflight: Arc<Inflight>,
    stopped: Arc<AtomicBool>,
    going_on: Arc<Notify>,
    work: JoinHandle<()>,
}

impl Gate {
    async fn start(members: &MemoryMembers, name: &str) -> Self {
        let inflight = Inflight::new(1000, Duration::from_secs(600), Duration::from_secs(20));
        let membership = Membership {
            members: Arc::new(members.clone()),
            name: name.to_owned(),
            ttl: TTL,
            goes_on: TTL * 12,
            straggle: Duration::from_secs(20),
            new_id,
        };
        let replicas = Replicas::together(Arc::clone(&inflight), membership);
        assert!(enter(&inflight, ANNA, HERE).is_err(), "nothing enters before it is a member");
        replicas.join().await;
        let (stopped, going_on) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        let run = Stopping {
            run: Box::pin(run(replicas.clone())),
            stopped: Arc::clone(&stopped),
            going_on: Arc::clone(&going_on),
        };
        Self { replicas, inflight, stopped, going_on, work: tokio::spawn(run.go()) }
    }

    /// As a process that gets no time any more.
    fn stop(&self) {
        self.stopped.store(true, SeqCst);
    }

    fn go_on(&self) {
        self.stopped.store(false, SeqCst);
        self.going_on.notify_one();
    }

    fn enters(&self, tag: Tag) -> bool {
        enter(&self.inflight, tag, HERE).is_ok()
    }

    fn fence(&self) -> Fence {
        self.replicas.fence(ANNA, None, LIFE)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn run(replicas: Replicas) {
    replicas.run().await;
}

struct Stopping {
    run: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
    stopped: Arc<AtomicBool>,
    going_on: Arc<Notify>,
}

impl Stopping {
    async fn go(mut self) {
        std::future::poll_fn(|context| {
            if self.stopped.load(SeqCst) {
                let going_on = Arc::clone(&self.going_on);
                let waker = context.waker().clone();
                tokio::spawn(async move {
                    going_on.notified().await;
                    waker.wake();
                });
                return Poll::Pending;
            }
            self.run.as_mut().poll(context)
        })
        .await;
    }
}

fn enter(inflight: &Arc<Inflight>, tag: Tag, upstream: UpstreamNumber) -> Result<Entered, KeptOut> {
    let (resource, instance) = (ResourceHash([0; 8]), InstanceHash::DEFAULT);
    let key = PairKey { tag, upstream, form: LabelForm::RAW, resource, instance };
    inflight.enter(&key, Instant::now())
}

fn covered(fence: &Fence) -> Covered {
    Covered { here: Some(fence.generation()), number: fence.number() }
}

/// Lets time pass in small steps, so that everybody has turns.
async fn pass(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn p4_a_fence_of_one_gate_keeps_the_customer_out_at_all_until_it_falls() {
    let members = MemoryMembers::default();
    let (a, b, c) =
        (Gate::start(&members, "a").await, Gate::start(&members, "b").await, Gate::start(&members, "c").await);
    assert!(a.enters(ANNA) && b.enters(ANNA) && c.enters(ANNA));
    let fence = a.fence();
    fence.everywhere().await.unwrap();
    assert!(fence.number() > 0);
    for gate in [&a, &b, &c] {
        assert!(!gate.enters(ANNA) && gate.enters(BEN));
    }
    fence.narrow(&[ELSEWHERE]);
    pass(TTL / 5).await;
    for gate in [&a, &b, &c] {
        assert!(gate.enters(ANNA) && enter(&gate.inflight, ANNA, ELSEWHERE).is_err());
    }
    drop(fence);
    pass(TTL / 5).await;
    assert!([&a, &b, &c].iter().all(|gate| enter(&gate.inflight, ANNA, ELSEWHERE).is_ok()));
}

#[tokio::test(start_paused = true)]
async fn p4_an_erasure_waits_for_what_is_recorded_and_on_its_way_at_other_gates_and_for_nothing_newer() {
    let members = MemoryMembers::default();
    let (a, b) = (Gate::start(&members, "a").await, Gate::start(&members, "b").await);
    let mut passage = enter(&b.inflight, ANNA, HERE).unwrap().passage;
    let fence = a.fence();
    fence.everywhere().await.unwrap();
    {
        let mut recorded = std::pin::pin!(fence.recorded());
        pass(TTL).await;
        assert!(poll!(recorded.as_mut()).is_pending(), "its row is being written at the other gate");
        passage.recorded();
        recorded.await.unwrap();
    }
    passage.forwarded();
    let first = covered(&fence);
    let found = fence.drained(HERE, first, TTL).await;
    assert!(found.until.is_some_and(|until| until > Instant::now()) && found.newer, "it has not ended");
    passage.ended();
    drop(fence);
    pass(TTL).await;
    // What enters now is no concern of an erasure that was accepted before.
    let _newer = enter(&b.inflight, ANNA, HERE).unwrap();
    let again = a.replicas.fence_where_let_in(ANNA, vec![HERE], LIFE).unwrap();
    again.everywhere().await.unwrap();
    let found = again.drained(HERE, first, TTL).await;
    assert_eq!((found.until, found.in_sight, found.newer), (None, false, true));
    let all = again.drained(HERE, covered(&again), TTL).await;
    assert!(all.until.is_some(), "for a newer one it is");
}

#[tokio::test(start_paused = true)]
async fn p4_a_gate_that_stops_lets_nobody_in_by_the_time_that_it_is_counted_as_gone() {
    let members = MemoryMembers::default();
    let (a, b) = (Gate::start(&members, "a").await, Gate::start(&members, "b").await);
    let passage = enter(&b.inflight, ANNA, HERE).unwrap().passage;
    b.stop();
    let (from, fence) = (Instant::now(), a.fence());
    fence.everywhere().await.unwrap();
    assert!(from.elapsed() <= TTL * 3, "{:?}", from.elapsed());
    assert!(!b.inflight.is_open() && !b.enters(BEN));
    assert!(a.enters(BEN));
    let found = fence.drained(HERE, covered(&fence), TTL).await;
    let until = found.until.expect("what it had on its way may still be stored");
    // It goes on for so long at most, and what it sends last may take as long again to be stored.
    assert!(until >= from + TTL * 12 + Duration::from_secs(20) - TTL);
    pass(TTL * 12).await;
    assert!(!passage.may_go_on());
    b.go_on();
    pass(TTL).await;
    assert!(b.enters(BEN) && !passage.may_go_on());
    assert_eq!(a.replicas.others().iter().filter(|member| member.state == MemberState::Up).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn p4_a_gate_that_starts_or_comes_back_hears_what_stands_before_it_opens() {
    let members = MemoryMembers::default();
    let (a, b) = (Gate::start(&members, "a").await, Gate::start(&members, "b").await);
    b.stop();
    let fence = a.replicas.fence(ANNA, None, TTL * 20);
    fence.everywhere().await.unwrap();
    let c = Gate::start(&members, "c").await;
    assert!(!c.enters(ANNA) && c.enters(BEN));
    b.go_on();
    while !b.inflight.is_open() {
        pass(Duration::from_millis(100)).await;
    }
    assert!(!b.enters(ANNA) && b.enters(BEN));
    fence.recorded().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn p3_without_its_database_a_gate_lets_nothing_in_and_recovers_by_itself_with_an_empty_cache() {
    let members = MemoryMembers::default();
    let (a, b) = (Gate::start(&members, "a").await, Gate::start(&members, "b").await);
    enter(&a.inflight, BEN, HERE).unwrap().passage.recorded();
    assert!(enter(&a.inflight, BEN, HERE).unwrap().known);
    members.set_broken(true);
    pass(TTL).await;
    assert!(!a.enters(BEN) && !b.enters(BEN));
    let fence = a.replicas.fence(ANNA, None, TTL);
    assert!(fence.everywhere().await.is_err(), "nobody can be told");
    members.set_broken(false);
    pass(TTL * 3).await;
    assert!(b.enters(BEN));
    assert!(!enter(&a.inflight, BEN, HERE).unwrap().known);
    a.fence().everywhere().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn p5_an_orderly_end_is_waited_for_by_nobody_and_says_what_is_still_late() {
    let members = MemoryMembers::default();
    let (a, b) = (Gate::start(&members, "a").await, Gate::start(&members, "b").await);
    pass(TTL / 5).await;
    assert!(!a.replicas.is_alone());
    b.stop();
    b.replicas.leave(Duration::from_secs(9)).await;
    assert!(!b.enters(BEN));
    let (from, fence) = (Instant::now(), a.fence());
    fence.everywhere().await.unwrap();
    assert!(from.elapsed() < TTL);
    let found = fence.drained(HERE, covered(&fence), TTL).await;
    assert!(found.until.is_some_and(|until| until > from + Duration::from_secs(8)));
    pass(TTL * 2).await;
    assert!(a.replicas.is_alone() && a.replicas.late_until().is_none());
}

#[tokio::test(start_paused = true)]
async fn p4_holds_count_everywhere_when_they_have_been_told() {
    let members = MemoryMembers::default();
    let (a, b) = (Gate::start(&members, "a").await, Gate::start(&members, "b").await);
    let (reads, readable) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, can) = (Arc::clone(&reads), Arc::clone(&readable));
    b.replicas.on_holds(Arc::new(move || {
        counted.fetch_add(1, SeqCst);
        let is_read = can.load(SeqCst);
        Box::pin(async move { is_read })
    }));
    let mut told = Box::pin(a.replicas.tell_of_holds());
    assert!(poll!(told.as_mut()).is_pending());
    pass(Duration::from_secs(1)).await;
    assert!(poll!(told.as_mut()).is_pending() && reads.load(SeqCst) > 0, "the other could not read them");
    readable.store(true, SeqCst);
    told.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn p4_whatever_stops_and_comes_back_nobody_enters_anywhere_under_a_fence_that_stands_everywhere() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut fenced = 0;
    for _ in 0..40 {
        let members = MemoryMembers::default();
        let mut gates = Vec::new();
        for name in ["a", "b", "c"] {
            gates.push(Gate::start(&members, name).await);
        }
        for _ in 0..12 {
            let owner = random.usize(..gates.len());
            gates[owner].go_on();
            let other = (owner + random.usize(1..gates.len())) % gates.len();
            if random.bool() {
                gates[other].stop()
            } else {
                gates[other].go_on()
            }
            members.set_broken(random.u8(..8) == 0);
            members.set_lossy(random.u8(..4) == 0);
            if random.u8(..6) == 0 && gates.len() < 5 {
                members.set_broken(false);
                members.set_lossy(false);
                gates.push(Gate::start(&members, "new").await);
            }
            pass(Duration::from_millis(random.u64(..8_000))).await;
            members.set_broken(false);
            let is_lossy = random.bool();
            members.set_lossy(is_lossy);
            let still = members.clone();
            tokio::spawn(async move {
                pass(Duration::from_millis(700)).await;
                still.set_lossy(false);
            });
            let fence = gates[owner].fence();
            if fence.everywhere().await.is_err() {
                continue;
            }
            fenced += 1;
            for _ in 0..20 {
                let at = random.usize(..gates.len());
                match random.u8(..4) {
                    0 => gates[at].stop(),
                    1 => gates[at].go_on(),
                    2 => members.set_broken(random.bool()),
                    _ => {}
                }
                pass(Duration::from_millis(random.u64(..700))).await;
                let stands = fence.freeze(HERE).is_some();
                assert!(!stands || gates.iter().all(|gate| !gate.enters(ANNA)));
            }
            members.set_broken(false);
            gates.iter().for_each(Gate::go_on);
        }
    }
    assert!(fenced > 200, "{fenced}");
}

#[tokio::test(start_paused = true)]
async fn p5_a_gate_at_which_nothing_was_on_its_way_is_not_waited_for_when_it_goes_and_neither_is_one_that_came_later() {
    let members = MemoryMembers::default();
    let (a, b) = (Gate::start(&members, "a").await, Gate::start(&members, "b").await);
    let fence = a.fence();
    fence.everywhere().await.unwrap();
    let all = covered(&fence);
    assert_eq!(fence.drained(HERE, all, TTL).await.until, None);
    let c = Gate::start(&members, "c").await;
    drop(fence);
    for gone in [&b, &c] {
        gone.stop();
    }
    pass(TTL * 3).await;
    let again = a.replicas.fence_where_let_in(ANNA, vec![HERE], LIFE).unwrap();
    again.everywhere().await.unwrap();
    assert_eq!(again.drained(HERE, all, TTL).await.until, None);
    let newer = covered(&again);
    assert!(again.drained(HERE, newer, TTL).await.until.is_some(), "for what it covers they were not asked");
}

#[tokio::test(start_paused = true)]
async fn p4_a_fence_whose_writing_was_answered_by_nobody_stands_everywhere_all_the_same() {
    let members = MemoryMembers::default();
    let (a, b) = (Gate::start(&members, "a").await, Gate::start(&members, "b").await);
    members.set_lossy(true);
    let (from, fence) = (Instant::now(), a.fence());
    pass(TTL / 5).await;
    members.set_lossy(false);
    fence.everywhere().await.unwrap();
    assert!(from.elapsed() < TTL, "{:?}", from.elapsed());
    assert!(!b.enters(ANNA));
}
