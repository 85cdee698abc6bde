//! What the store holds, as plain values: the contract of [`forgetgate::store`] without an engine.

use std::collections::BTreeMap;

use forgetgate::domain::{Apis, PairKey, Tag, UnixSeconds, UpstreamNumber};
use forgetgate::store::{JobWrite, KnownUpstream, ListedJob, Placement, Row, StoredHold, StoredJob};
use uuid::Uuid;

#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    pub(crate) rows: BTreeMap<PairKey, Row>,
    pub(crate) jobs: BTreeMap<Uuid, StoredJob>,
    committed: BTreeMap<Uuid, UnixSeconds>,
    upstreams: Vec<KnownUpstream>,
    holds: BTreeMap<Uuid, StoredHold>,
    /// The number of the latest write.
    number: u64,
}

impl Image {
    pub(crate) fn record(&mut self, placement: Placement) {
        let Placement { key, resource, instance, wire, api, seen, id: _ } = placement;
        let (apis, instance) = (Apis::of(api), Some(instance));
        let (first_seen, last_seen, erased_at) = (seen, seen, None);
        self.number += 1;
        let (written, readable) = (self.number, true);
        let new = Row { key, first_seen, last_seen, erased_at, written, apis, resource, instance, wire, readable };
        let row = match self.rows.get(&key) {
            Some(old) => Row {
                first_seen: if old.erased_at.is_some() { seen } else { old.first_seen },
                last_seen: seen.max(old.last_seen),
                apis: apis.with(old.apis),
                ..new
            },
            None => new,
        };
        self.rows.insert(key, row);
    }

    pub(crate) fn rows_of(&self, tags: &[Tag]) -> Vec<Row> {
        self.rows.values().filter(|row| tags.contains(&row.key.tag)).cloned().collect()
    }

    pub(crate) fn sweep(&mut self, before: UnixSeconds) -> u64 {
        let count = self.rows.len();
        self.rows.retain(|_, row| row.erased_at.is_none_or(|at| at >= before));
        (count - self.rows.len()) as u64
    }

    pub(crate) fn upstream_number(&mut self, name: &str, identity: &str) -> UpstreamNumber {
        if let Some(known) = self.upstreams.iter_mut().find(|known| known.name == name) {
            identity.clone_into(&mut known.identity);
            return known.number;
        }
        let number = UpstreamNumber(u16::try_from(self.upstreams.len() + 1).unwrap());
        let (name, identity) = (name.to_owned(), identity.to_owned());
        self.upstreams.push(KnownUpstream { number, name, identity, has_rows: false, named: Vec::new() });
        number
    }

    pub(crate) fn upstreams(&self) -> Vec<KnownUpstream> {
        let has_rows = |number| self.rows.keys().any(|key| key.upstream == number);
        let known = self.upstreams.iter();
        known.map(|known| KnownUpstream { has_rows: has_rows(known.number), ..known.clone() }).collect()
    }

    pub(crate) fn create(&mut self, job: StoredJob) -> bool {
        let free = !self.jobs.contains_key(&job.id);
        if free {
            self.keep(job.received, job);
        }
        free
    }

    pub(crate) fn commit(&mut self, write: JobWrite) -> bool {
        if write.also.as_ref().is_some_and(|also| self.jobs.contains_key(&also.id)) {
            return false;
        }
        for key in &write.erased {
            if let Some(row) = self.rows.get_mut(key) {
                row.erased_at = Some(write.at.max(UnixSeconds(1)));
            }
        }
        for job in write.also.into_iter().chain([write.job]) {
            self.keep(write.at, job);
        }
        true
    }

    fn keep(&mut self, at: UnixSeconds, job: StoredJob) {
        self.number += 1;
        let accepted = self.jobs.get(&job.id).map_or(self.number, |old| old.accepted);
        self.committed.insert(job.id, at);
        let version = self.jobs.get(&job.id).map_or(0, |old| old.version) + 1;
        self.jobs.insert(job.id, StoredJob { accepted, version, ..job });
    }

    pub(crate) fn jobs_after(&self, cursor: Option<Uuid>, limit: usize) -> Vec<StoredJob> {
        let after = self.jobs.iter().filter(|(id, _)| cursor.is_none_or(|cursor| **id > cursor));
        after.take(limit).map(|(_, job)| job.clone()).collect()
    }

    pub(crate) fn listed(&self, cursor: Option<(Tag, Uuid)>, limit: usize) -> Vec<ListedJob> {
        let unfinished = self.jobs.values().filter(|job| !job.finished);
        let mut after: Vec<_> = unfinished.filter(|job| cursor.is_none_or(|at| (job.tag, job.id) > at)).collect();
        after.sort_by_key(|job| (job.tag, job.id));
        let listed = |job: &StoredJob| ListedJob { id: job.id, tag: job.tag, summary: job.summary.clone() };
        after.into_iter().take(limit).map(listed).collect()
    }

    pub(crate) fn unfinished_of(&self, tags: &[Tag]) -> Vec<StoredJob> {
        self.jobs.values().filter(|job| !job.finished && tags.contains(&job.tag)).cloned().collect()
    }

    pub(crate) fn purge(&mut self, before: UnixSeconds) -> u64 {
        let over = |job: &StoredJob| job.finished && self.committed.get(&job.id).is_some_and(|at| *at < before);
        let gone: Vec<Uuid> =
            self.jobs.values().filter(|job| job.of.is_none() && over(job)).map(|job| job.id).collect();
        self.jobs.retain(|id, job| !gone.contains(id) && job.of.is_none_or(|of| !gone.contains(&of)));
        gone.len() as u64
    }

    pub(crate) fn hold(&mut self, hold: StoredHold) {
        self.holds.insert(hold.id, hold);
    }

    pub(crate) fn unhold(&mut self, id: Uuid) -> bool {
        self.holds.remove(&id).is_some()
    }

    pub(crate) fn holds_after(&self, cursor: Option<Uuid>, limit: usize) -> Vec<StoredHold> {
        let after = self.holds.values().filter(|hold| cursor.is_none_or(|cursor| hold.id > cursor));
        after.take(limit).cloned().collect()
    }
}
