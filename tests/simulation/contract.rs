//! The store's two traits, each call as a step of the run's writer.

use forgetgate::domain::erasure::NamedInstance;
use forgetgate::domain::{CustomerId, Instance, Tag, UnixSeconds, UpstreamNumber};
use forgetgate::store::{
    Figures, Index, JobWrite, Jobs, KnownUpstream, ListedJob, Placement, Row, SeenInstance, StoreFuture, StoredHold,
    StoredJob,
};
use uuid::Uuid;

use crate::script::Kind;
use crate::store::Store;

/// An ID as the log shows it.
pub(crate) fn short(id: Uuid) -> String {
    let (high, low) = id.as_u64_pair();
    if id.get_version_num() == 7 {
        format!("j{}", (high >> 16) - 1_800_000_000_000)
    } else {
        format!("own{}", low & 0xff)
    }
}

impl Index for Store {
    fn record(&self, placement: Placement) -> StoreFuture<'_, ()> {
        let what = format!("record {}", self.world().key_name(&placement.key));
        self.call(what, Kind::Record, |image| image.record(placement))
    }

    fn rows<'a>(&'a self, tags: &'a [Tag], _id: &'a CustomerId) -> StoreFuture<'a, Vec<Row>> {
        let tags = tags.to_vec();
        self.read("rows".into(), move |image| image.rows_of(&tags))
    }

    fn sweep(&self, before: UnixSeconds) -> StoreFuture<'_, u64> {
        self.call(format!("sweep before {}", before.0), Kind::Any, move |image| image.sweep(before))
    }

    fn upstream_number<'a>(&'a self, name: &'a str, identity: &'a str) -> StoreFuture<'a, UpstreamNumber> {
        let (name, identity) = (name.to_owned(), identity.to_owned());
        self.call(format!("number of {name}"), Kind::Any, move |image| image.upstream_number(&name, &identity))
    }

    fn name_instances(&self, _: UpstreamNumber, _: Vec<NamedInstance>) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn upstreams(&self) -> StoreFuture<'_, Vec<KnownUpstream>> {
        self.read("upstreams".into(), |image| image.upstreams())
    }

    /// Every request is for the upstream itself here.
    fn instances(&self) -> StoreFuture<'_, Vec<SeenInstance>> {
        self.read("instances".into(), |_| Vec::new())
    }

    fn answered(&self, _: UpstreamNumber, _: &Instance, _: UnixSeconds) -> StoreFuture<'static, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn figures(&self) -> StoreFuture<'_, Figures> {
        self.read("figures".into(), |_| Figures::default())
    }

    fn is_writable(&self) -> bool {
        true
    }
}

impl Jobs for Store {
    fn create(&self, job: StoredJob) -> StoreFuture<'_, bool> {
        let what = format!("create {} of c{}", short(job.id), self.world().customer_of(job.tag));
        self.call(what, Kind::Create, |image| image.create(job))
    }

    fn commit(&self, write: JobWrite) -> StoreFuture<'_, bool> {
        self.world().check_marks(&write);
        let marks: Vec<String> = write.erased.iter().map(|key| self.world().key_name(key)).collect();
        let also = write.also.as_ref().map(|also| short(also.id)).unwrap_or_default();
        let over = if write.job.finished { ", over" } else { "" };
        let what = format!("commit {}{over}, marks {marks:?} {also}", short(write.job.id));
        let kind = if marks.is_empty() { Kind::Commit } else { Kind::Mark };
        let now = self.world().clock.now();
        self.world().state().was_written(write.job.id, now);
        self.call(what, kind, |image| image.commit(write))
    }

    fn job(&self, id: Uuid) -> StoreFuture<'_, Option<StoredJob>> {
        self.read(format!("job {}", short(id)), move |image| image.jobs.get(&id).cloned())
    }

    fn jobs(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredJob>> {
        self.read("jobs".into(), move |image| image.jobs_after(cursor, limit))
    }

    fn listed(&self, cursor: Option<(Tag, Uuid)>, limit: usize) -> StoreFuture<'_, Vec<ListedJob>> {
        self.read("listed".into(), move |image| image.listed(cursor, limit))
    }

    fn unfinished_of<'a>(&'a self, tags: &'a [Tag]) -> StoreFuture<'a, Vec<StoredJob>> {
        let tags = tags.to_vec();
        self.read("unfinished of".into(), move |image| image.unfinished_of(&tags))
    }

    fn purge(&self, before: UnixSeconds) -> StoreFuture<'_, u64> {
        self.call("purge".into(), Kind::Any, move |image| image.purge(before))
    }

    /// Every run reckons from its own clock here.
    fn keep_time(&self, _: Option<UnixSeconds>) -> StoreFuture<'_, Option<UnixSeconds>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn hold(&self, hold: StoredHold) -> StoreFuture<'_, ()> {
        let what = format!("hold {} of c{}", short(hold.id), self.world().customer_of(hold.tag));
        self.call(what, Kind::Commit, |image| image.hold(hold))
    }

    fn unhold(&self, id: Uuid) -> StoreFuture<'_, bool> {
        self.call(format!("unhold {}", short(id)), Kind::Commit, move |image| image.unhold(id))
    }

    fn holds(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredHold>> {
        self.read("holds".into(), move |image| image.holds_after(cursor, limit))
    }
}
