//! Requests that come at the same moment (P5).

use std::sync::Arc;

use forgetgate::domain::erasure::JobState;
use forgetgate::domain::{Tag, UnixSeconds};
use forgetgate::erasure::{Problem, Submission};
use forgetgate::store::{JobWrite, Jobs, ListedJob, StoreFuture, StoredHold, StoredJob};
use tokio::task::yield_now;
use uuid::Uuid;

use crate::service::{Service, soon};
use crate::world::{Plan, World, open_store, submission, upstream};

/// Jobs whose answers take long enough for others to ask meanwhile.
#[derive(Debug)]
struct Slow(Arc<dyn Jobs>);

fn after<'a, T: Send + 'a>(answer: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
    Box::pin(async {
        let answer = answer.await;
        for _ in 0..10 {
            yield_now().await;
        }
        answer
    })
}

impl Jobs for Slow {
    fn create(&self, job: StoredJob) -> StoreFuture<'_, bool> {
        after(self.0.create(job))
    }
    fn commit(&self, write: JobWrite) -> StoreFuture<'_, bool> {
        after(self.0.commit(write))
    }
    fn job(&self, id: Uuid) -> StoreFuture<'_, Option<StoredJob>> {
        after(self.0.job(id))
    }
    fn jobs(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredJob>> {
        after(self.0.jobs(cursor, limit))
    }
    fn listed(&self, cursor: Option<(Tag, Uuid)>, limit: usize) -> StoreFuture<'_, Vec<ListedJob>> {
        after(self.0.listed(cursor, limit))
    }
    fn unfinished_of<'a>(&'a self, tags: &'a [Tag]) -> StoreFuture<'a, Vec<StoredJob>> {
        after(self.0.unfinished_of(tags))
    }
    fn keep_time(&self, at: Option<UnixSeconds>) -> StoreFuture<'_, Option<UnixSeconds>> {
        after(self.0.keep_time(at))
    }

    fn purge(&self, before: UnixSeconds) -> StoreFuture<'_, u64> {
        after(self.0.purge(before))
    }
    fn hold(&self, hold: StoredHold) -> StoreFuture<'_, ()> {
        after(self.0.hold(hold))
    }
    fn unhold(&self, id: Uuid) -> StoreFuture<'_, bool> {
        after(self.0.unhold(id))
    }
    fn holds(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredHold>> {
        after(self.0.holds(cursor, limit))
    }
}

/// A world whose store is slow, in which nothing is carried out until it works.
async fn slow() -> (World, Service) {
    let plan = Plan::default();
    let store = open_store(plan.folder.path(), plan.engine);
    let jobs: Arc<dyn Jobs> = Arc::new(Slow(Arc::clone(&store.jobs)));
    let service = Service::start().await;
    let plan = Plan { jobs: Some(jobs), store: Some(store), ..plan };
    (World::idle(plan, vec![upstream("one", &service.url)]).await, service)
}

/// Whether the second customer's request would be an erasure of its own or would attach to one under way.
#[tokio::test]
async fn p5_two_customers_at_once_with_one_id_are_one_accepted_and_one_refused() {
    for bob_has_one in [false, true] {
        for ann_first in [true, false] {
            let (mut world, _one) = slow().await;
            let running = if bob_has_one { Some(world.submit(submission("bob")).await.unwrap().id) } else { None };
            let key = Uuid::from_u128(7);
            let order = if ann_first { ["ann", "bob"] } else { ["bob", "ann"] };
            let [first, second] = order.map(|customer| Submission { id: Some(key), ..submission(customer) });
            let (first, second) = soon(async { tokio::join!(world.submit(first), world.submit(second)) }).await;

            let accepted = first.unwrap();
            assert!(matches!(second, Err(Problem::OtherCustomer)), "{second:?}");
            let attached = running.filter(|_| !ann_first);
            assert_eq!((accepted.id, world.show(key).await.id), (attached.unwrap_or(key), attached.unwrap_or(key)));
            world.work();
            for id in running.into_iter().chain([key]) {
                world.until_state(id, JobState::Done).await;
            }
        }
    }
}
