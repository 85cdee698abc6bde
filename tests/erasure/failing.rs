//! While the store fails: nothing is accepted, nothing is sent, and nobody who must stay out gets in (P4, P5).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use forgetgate::config::Erasure;
use forgetgate::domain::erasure::{JobState, TargetState};
use forgetgate::domain::refusal::Code;
use forgetgate::domain::{LabelForm, Tag, UnixSeconds};
use forgetgate::erasure::{Problem, Submission, View};
use forgetgate::store::{JobWrite, Jobs, ListedJob, StoreError, StoreFuture, StoredHold, StoredJob};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::service::{Service, soon};
use crate::world::{Plan, World, erasure, open_store, pair, shared, submission, upstream};

/// How jobs cannot be written for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fails {
    Not,
    /// Nothing is written.
    Before,
    /// It is written, and nobody is told so.
    After,
    /// Holds are written, erasures are not.
    JobsOnly,
}

/// Jobs that cannot be written for a while.
#[derive(Debug)]
pub(crate) struct Failing {
    jobs: Arc<dyn Jobs>,
    pub(crate) fails: Mutex<Fails>,
    /// Does a write that fails break the engine, so that nothing is read either until it is mended?
    pub(crate) breaks: AtomicBool,
    broken: AtomicBool,
    /// So many steps find that another gate has written the job since it was read.
    overtaken: AtomicUsize,
}

impl Failing {
    /// Another gate writes the job; then this step comes.
    async fn commit_overtaken(&self, write: JobWrite) -> Result<bool, StoreError> {
        if let Some(job) = self.jobs.job(write.job.id).await? {
            let (at, also) = (write.at, None);
            assert!(self.jobs.commit(JobWrite { job, erased: Vec::new(), at, also }).await?);
        }
        self.jobs.commit(write).await
    }

    /// All is well again.
    pub(crate) fn mend(&self) {
        *self.fails.lock() = Fails::Not;
        self.broken.store(false, SeqCst);
    }

    fn read<'a, T: Send + 'a>(&'a self, read: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        if self.broken.load(SeqCst) { Box::pin(async { Err(StoreError::Broken) }) } else { read }
    }

    fn write<'a, T: Send + 'a>(&'a self, written: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        let fails = *self.fails.lock();
        if fails != Fails::Not && self.breaks.load(SeqCst) {
            self.broken.store(true, SeqCst);
        }
        Box::pin(async move {
            match fails {
                Fails::Not => written.await,
                Fails::Before | Fails::JobsOnly => Err(StoreError::Broken),
                Fails::After => written.await.and(Err(StoreError::Broken)),
            }
        })
    }
}

impl Jobs for Failing {
    fn create(&self, job: StoredJob) -> StoreFuture<'_, bool> {
        self.write(self.jobs.create(job))
    }
    fn commit(&self, write: JobWrite) -> StoreFuture<'_, bool> {
        let one_less = |left: usize| left.checked_sub(1);
        if self.overtaken.fetch_update(SeqCst, SeqCst, one_less).is_ok() {
            return Box::pin(async {
                let written = self.commit_overtaken(write).await;
                assert!(matches!(written, Err(StoreError::Conflict)), "{written:?}: the step says what it read");
                written
            });
        }
        self.write(self.jobs.commit(write))
    }
    fn job(&self, id: Uuid) -> StoreFuture<'_, Option<StoredJob>> {
        self.read(self.jobs.job(id))
    }
    fn jobs(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredJob>> {
        self.jobs.jobs(cursor, limit)
    }
    fn listed(&self, cursor: Option<(Tag, Uuid)>, limit: usize) -> StoreFuture<'_, Vec<ListedJob>> {
        self.jobs.listed(cursor, limit)
    }
    fn unfinished_of<'a>(&'a self, tags: &'a [Tag]) -> StoreFuture<'a, Vec<StoredJob>> {
        self.read(self.jobs.unfinished_of(tags))
    }
    fn keep_time(&self, at: Option<UnixSeconds>) -> StoreFuture<'_, Option<UnixSeconds>> {
        self.jobs.keep_time(at)
    }

    fn purge(&self, before: UnixSeconds) -> StoreFuture<'_, u64> {
        self.jobs.purge(before)
    }
    fn hold(&self, hold: StoredHold) -> StoreFuture<'_, ()> {
        let held = self.jobs.hold(hold);
        if *self.fails.lock() == Fails::JobsOnly { held } else { self.write(held) }
    }
    fn unhold(&self, id: Uuid) -> StoreFuture<'_, bool> {
        let ended = self.jobs.unhold(id);
        if *self.fails.lock() == Fails::JobsOnly { ended } else { self.write(ended) }
    }
    fn holds(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredHold>> {
        self.read(self.jobs.holds(cursor, limit))
    }
}

/// A plan whose jobs fail so.
pub(crate) fn failing(fails: Fails, plan: Plan) -> (Plan, Arc<Failing>) {
    let store = open_store(plan.folder.path(), plan.engine);
    let failing = Arc::new(Failing {
        jobs: Arc::clone(&store.jobs),
        fails: Mutex::new(fails),
        breaks: AtomicBool::new(false),
        broken: AtomicBool::new(false),
        overtaken: AtomicUsize::new(0),
    });
    (Plan { jobs: Some(Arc::clone(&failing) as Arc<dyn Jobs>), store: Some(store), ..plan }, failing)
}

#[tokio::test]
async fn p5_what_cannot_be_made_durable_is_not_accepted_and_keeps_nobody_out() {
    let (plan, failing) = failing(Fails::Before, Plan::default());
    let (world, one, _two) = pair(plan, |_| {}).await;

    let refused = world.delete("ann", "one").await.unwrap_err();
    assert_eq!((refused.refusal.code, refused.status), (Code::StoreUnavailable, 503));
    world.let_in("ann", "one").await;
    assert_eq!(one.calls().len(), 0);

    *failing.fails.lock() = Fails::Not;
    let id = world.erase("ann", "one").await;
    world.until_state(id, JobState::Settling).await;
}

/// A step that another gate overtook has written nothing; it is read and done anew, and the delete perhaps sent again.
#[tokio::test]
async fn p5_a_step_that_another_gate_has_overtaken_is_read_and_done_anew() {
    let (plan, failing) = failing(Fails::Not, Plan::default());
    let (world, one, _two) = pair(plan, |_| {}).await;
    failing.overtaken.store(3, SeqCst);
    let id = world.erase("ann", "one").await;
    for left in [2, 1, 0] {
        world.until(id, |_| failing.overtaken.load(SeqCst) == left).await;
        turns().await;
        world.pass(2);
    }
    world.until_state(id, JobState::Settling).await;
    assert!(!one.calls().is_empty());
}

#[tokio::test]
async fn p4_while_the_store_fails_nothing_is_sent_and_the_customer_stays_out_of_the_first_attempt() {
    let (plan, failing) = failing(Fails::Not, Plan::default());
    let (one, two) = (Service::start().await, Service::start().await);
    let upstreams = vec![upstream("one", &one.url), upstream("two", &two.url)];
    let mut world = World::idle(plan, upstreams).await;
    let id = world.erase("ann", "one").await;
    *failing.fails.lock() = Fails::Before;
    world.work();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(world.is_kept_out("ann", "one"));
    assert_eq!(one.calls().len(), 0, "no delete before its intention is durable");

    *failing.fails.lock() = Fails::Not;
    world.pass(1);
    world.until_state(id, JobState::Settling).await;
    assert_eq!(one.calls().len(), 1);
}

#[tokio::test]
async fn p4_an_erasure_that_was_refused_is_withdrawn_before_anything_of_it_runs_and_nobody_gets_in_until_then() {
    let (plan, failing) = failing(Fails::After, Plan::default());
    let (world, one, _two) = pair(plan, |_| {}).await;
    world.labelled("ann", "one", LabelForm::RAW).await;

    let refused = world.delete("ann", "one").await.unwrap_err();
    assert_eq!(refused.status, 503);
    let there = world.store.jobs.jobs(None, 10).await.unwrap();
    assert_eq!(there.len(), 1, "it is in the store all the same");
    turns().await;
    assert!(world.is_kept_out("ann", "one"));
    assert_eq!(one.calls().len(), 0);

    *failing.fails.lock() = Fails::Not;
    world.let_in("ann", "one").await;
    world.until_state(there[0].id, JobState::Cancelled).await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    world.pass(120);
    turns().await;
    assert_eq!(one.calls().len(), 0, "what came after the refusal stays");
}

#[tokio::test]
async fn p4_a_request_whose_joining_is_in_doubt_is_carried_out_with_the_customer_kept_out_since() {
    let (plan, failing) = failing(Fails::Not, Plan::default());
    let (world, one, _two) = pair(plan, |_| {}).await;
    let id = world.erase("ann", "one").await;
    world.until_state(id, JobState::Settling).await;
    world.labelled("ann", "one", LabelForm::RAW).await;

    *failing.fails.lock() = Fails::After;
    assert_eq!(world.delete("ann", "one").await.unwrap_err().status, 503);
    turns().await;
    assert!(world.is_kept_out("ann", "one"));

    *failing.fails.lock() = Fails::Not;
    world.pass(60);
    one.saw(2).await;
    world.until_state(id, JobState::Settling).await;
    assert!(world.marked("ann").await[0].2);
}

#[tokio::test]
async fn p3_a_delete_whose_acceptance_cannot_be_recorded_lifts_nothing_and_no_marked_row_is_believed() {
    for fails in [Fails::Before, Fails::After] {
        let (plan, failing) = failing(Fails::Not, Plan::default());
        let (world, one, _two) = pair(plan, |_| {}).await;
        world.labelled("ann", "one", LabelForm::RAW).await;
        let answer = one.will_wait();
        let id = world.erase("ann", "one").await;
        one.saw(1).await;
        *failing.fails.lock() = fails;
        answer.send(crate::service::status(200)).unwrap();
        turns().await;
        assert!(world.is_kept_out("ann", "one"), "{fails:?}");

        *failing.fails.lock() = Fails::Not;
        world.pass(1);
        world.until_state(id, JobState::Settling).await;
        assert!(world.marked("ann").await[0].2, "{fails:?}");
        world.let_in("ann", "one").await;
        let again = world.forward("ann", "one", LabelForm::RAW).await;
        assert!(!world.marked("ann").await[0].2, "{fails:?}: the request wrote its row again");
        again.ended();
    }
}

/// A request was refused, is in the store all the same, and is asked for again as soon as the store answers.
async fn asked_again(name: Option<Uuid>, meanwhile: Fails) {
    let (plan, failing) = failing(Fails::After, Plan::default());
    let (world, one, _two) = pair(plan, |_| {}).await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    let asked = || Submission { id: name, ..submission("ann") };
    assert!(matches!(world.submit(asked()).await, Err(Problem::Store(StoreError::Broken))));
    *failing.fails.lock() = meanwhile;
    turns().await;

    *failing.fails.lock() = Fails::Not;
    let accepted = async {
        loop {
            match world.submit(asked()).await {
                Ok(view) => return view.id,
                Err(Problem::Store(StoreError::Broken)) => tokio::task::yield_now().await,
                Err(other) => panic!("{other:?}"),
            }
        }
    };
    let id = soon(accepted).await;
    world.until_state(id, JobState::Settling).await;
    assert_eq!(one.calls().len(), 1);
    assert!(world.marked("ann").await[0].2);
}

/// A delete whose answer never comes, and a store that cannot write that down. Gives the erasure's ID.
async fn unanswered_and_unrecorded(world: &World, one: &Service, failing: &Failing) -> Uuid {
    let answer = one.will_wait();
    let id = world.erase("ann", "one").await;
    one.saw(1).await;
    *failing.fails.lock() = Fails::Before;
    drop(answer);
    turns().await;
    *failing.fails.lock() = Fails::Not;
    id
}

#[tokio::test]
async fn p4_a_delete_without_an_answer_is_remembered_also_where_that_cannot_be_recorded() {
    let (plan, failing) = failing(Fails::Not, Plan::default());
    let (world, one, _two) = pair(plan, |_| {}).await;
    let id = unanswered_and_unrecorded(&world, &one, &failing).await;

    world.pass(1);
    let view = world.until(id, |view| view.targets[0].evidence.is_some()).await;
    assert_eq!(one.calls().len(), 2);
    assert_eq!(view.state, JobState::Running, "the first may be carried out after the second");
    assert_eq!(view.targets[0].instant, None);
    world.pass(31);
    world.until_state(id, JobState::Settling).await;
    assert_eq!(one.calls().len(), 3);
}

/// And the gate is killed while the next attempt drains.
#[tokio::test]
async fn p4_a_delete_without_an_answer_that_could_not_be_recorded_is_written_down_before_the_next_one() {
    let plan = Plan { erasure: Erasure { barrier_timeout: Duration::from_secs(1), ..erasure() }, ..Plan::default() };
    let (plan, failing) = failing(Fails::Not, plan);
    let store = plan.store.as_ref().map(shared);
    let (one, two) = (Service::start().await, Service::start().await);
    let upstreams = || vec![upstream("one", &one.url), upstream("two", &two.url)];
    let world = World::new(plan, upstreams()).await;
    let open = world.forward("ann", "one", LabelForm::RAW).await;
    let id = unanswered_and_unrecorded(&world, &one, &failing).await;
    world.pass(1);
    world.until_target(id, "one", TargetState::Draining).await;
    // What still runs of the first life writes nothing any more.
    *failing.fails.lock() = Fails::Before;
    drop((world, open));

    let world = World::new(Plan { store, ..Plan::default() }, upstreams()).await;

    let told = |view: &View| view.state == JobState::Settling || view.targets[0].next_attempt.is_some();
    assert_eq!(world.until(id, told).await.state, JobState::Running, "the first may be carried out after the second");
    world.pass(31);
    world.until_state(id, JobState::Settling).await;
    assert_eq!(one.calls().len(), 3);
}

#[tokio::test]
async fn p5_a_request_that_is_accepted_while_an_earlier_one_is_in_doubt_is_not_withdrawn_with_it() {
    asked_again(None, Fails::Before).await;
    asked_again(Some(Uuid::from_u128(7)), Fails::Before).await;
}

#[tokio::test]
async fn p5_a_request_that_was_withdrawn_is_accepted_anew_under_the_same_name() {
    asked_again(Some(Uuid::from_u128(7)), Fails::After).await;
}

pub(crate) async fn turns() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

/// The hold is off, but the erasure that it held could not be found to be told.
#[tokio::test(start_paused = true)]
async fn p5_an_erasure_in_line_that_was_not_told_of_its_release_is_found_all_the_same() {
    let (plan, failing) = failing(Fails::Not, Plan::default());
    let paced = |upstream: &mut forgetgate::config::Upstream| upstream.deletes_per_minute = Some(1);
    let (world, one, _two) = pair(plan, paced).await;
    let first = world.erase("bob", "one").await;
    world.until_state(first, JobState::Settling).await;
    let id = world.erase("ann", "one").await;
    world.until(id, |view| view.targets.iter().any(|target| target.instant_after_answer.is_some())).await;
    let decided = forgetgate::erasure::Decided {
        verdict: forgetgate::domain::erasure::Verdict::Hold,
        by: "A. Person".into(),
        note: "court".into(),
        upstream: None,
    };
    let hold = world.eraser.hold(&crate::world::id("ann"), decided).await.unwrap();
    world.until_state(id, JobState::Held).await;
    turns().await;
    failing.broken.store(true, SeqCst);
    world.eraser.unhold(hold.id, "A. Person".into()).await.unwrap();
    failing.mend();

    for _ in 0..3 {
        world.pass(61);
        tokio::time::advance(Duration::from_secs(61)).await;
        turns().await;
    }
    tokio::time::resume();
    world.until_state(id, JobState::Settling).await;
    assert_eq!(one.calls().len(), 2);
}
