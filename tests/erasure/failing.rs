//! While the store fails: nothing is accepted, nothing is sent, and nobody who must stay out gets in (P4, P5).

use std::sync::Arc;

use forgetgate::domain::erasure::JobState;
use forgetgate::domain::refusal::Code;
use forgetgate::domain::{Tag, UnixSeconds};
use forgetgate::store::{JobWrite, Jobs, ListedJob, StoreError, StoreFuture, StoredHold, StoredJob};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::service::Service;
use crate::world::{Plan, World, open_store, pair, upstream};

/// Jobs that cannot be written for a while.
#[derive(Debug)]
struct Failing {
    jobs: Arc<dyn Jobs>,
    failing: Mutex<bool>,
}

impl Jobs for Failing {
    fn create(&self, job: StoredJob) -> StoreFuture<'_, bool> {
        if *self.failing.lock() { Box::pin(async { Err(StoreError::Broken) }) } else { self.jobs.create(job) }
    }
    fn commit(&self, write: JobWrite) -> StoreFuture<'_, bool> {
        if *self.failing.lock() { Box::pin(async { Err(StoreError::Broken) }) } else { self.jobs.commit(write) }
    }
    fn job(&self, id: Uuid) -> StoreFuture<'_, Option<StoredJob>> {
        self.jobs.job(id)
    }
    fn jobs(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredJob>> {
        self.jobs.jobs(cursor, limit)
    }
    fn listed(&self, cursor: Option<(Tag, Uuid)>, limit: usize) -> StoreFuture<'_, Vec<ListedJob>> {
        self.jobs.listed(cursor, limit)
    }
    fn unfinished_of<'a>(&'a self, tags: &'a [Tag]) -> StoreFuture<'a, Vec<StoredJob>> {
        self.jobs.unfinished_of(tags)
    }
    fn purge(&self, before: UnixSeconds) -> StoreFuture<'_, u64> {
        self.jobs.purge(before)
    }
    fn hold(&self, hold: StoredHold) -> StoreFuture<'_, ()> {
        self.jobs.hold(hold)
    }
    fn unhold(&self, id: Uuid) -> StoreFuture<'_, bool> {
        self.jobs.unhold(id)
    }
    fn holds(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredHold>> {
        self.jobs.holds(cursor, limit)
    }
}

#[tokio::test]
async fn p5_what_cannot_be_made_durable_is_not_accepted_and_keeps_nobody_out() {
    let plan = Plan::default();
    let store = open_store(plan.folder.path(), plan.engine);
    let failing = Arc::new(Failing { jobs: Arc::clone(&store.jobs), failing: Mutex::new(true) });
    let plan = Plan { jobs: Some(Arc::clone(&failing) as Arc<dyn Jobs>), store: Some(store), ..plan };
    let (world, one, _two) = pair(plan, |_| {}).await;

    let refused = world.delete("ann", "one").await.unwrap_err();
    assert_eq!((refused.refusal.code, refused.status), (Code::StoreUnavailable, 503));
    world.let_in("ann", "one").await;
    assert_eq!(one.calls().len(), 0);

    *failing.failing.lock() = false;
    let id = world.erase("ann", "one").await;
    world.until_state(id, JobState::Settling).await;
}

#[tokio::test]
async fn p4_while_the_store_fails_nothing_is_sent_and_the_customer_stays_out_of_the_first_attempt() {
    let plan = Plan::default();
    let store = open_store(plan.folder.path(), plan.engine);
    let failing = Arc::new(Failing { jobs: Arc::clone(&store.jobs), failing: Mutex::new(false) });
    let plan = Plan { jobs: Some(Arc::clone(&failing) as Arc<dyn Jobs>), store: Some(store), ..plan };
    let (one, two) = (Service::start().await, Service::start().await);
    let upstreams = vec![upstream("one", &one.url), upstream("two", &two.url)];
    let mut world = World::idle(plan, upstreams).await;
    let id = world.erase("ann", "one").await;
    *failing.failing.lock() = true;
    world.work();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(world.is_kept_out("ann", "one"));
    assert_eq!(one.calls().len(), 0, "no delete before its intention is durable");

    *failing.failing.lock() = false;
    world.pass(1);
    world.until_state(id, JobState::Settling).await;
    assert_eq!(one.calls().len(), 1);
}
