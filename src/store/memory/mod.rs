//! The same contract with nothing behind it: for tests of everything that stands on a store. Rows are sealed here too, so
//! that what could not be opened later cannot be opened here either.

mod jobs;

use std::collections::BTreeMap;
use std::fmt;
use std::future::ready;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use super::row::StoredRow;
use super::seal::Keys;
use super::{
    Figures, INSTANCES_MAX, Index, KnownUpstream, Placement, Row, SeenInstance, StoreError, StoreFuture, StoredHold,
    StoredJob,
};
use crate::domain::erasure::NamedInstance;
use crate::domain::{CustomerId, Instance, PairKey, Tag, UnixSeconds, UpstreamNumber};

/// A job and when its last step was committed.
struct Kept {
    job: StoredJob,
    at: UnixSeconds,
}

#[derive(Default)]
struct State {
    /// Each with the number of its latest write.
    rows: BTreeMap<PairKey, (u64, StoredRow)>,
    jobs: BTreeMap<Uuid, Kept>,
    holds: BTreeMap<Uuid, StoredHold>,
    upstreams: Vec<KnownUpstream>,
    instances: Vec<SeenInstance>,
    /// What [`super::Jobs::keep_time`] was told.
    time: Option<UnixSeconds>,
    syncs: u64,
    /// The number of the latest write.
    number: u64,
}

impl State {
    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn note_instance(&mut self, upstream: UpstreamNumber, instance: &Instance, seen: UnixSeconds, answered: bool) {
        let same = |known: &Instance| known.canonical() == instance.canonical();
        if instance.is_default() {
            return;
        }
        let there = |known: &SeenInstance| known.upstream == upstream;
        let is_full = self.instances.iter().filter(|known| there(known) && known.answered == answered).count();
        let is_full = is_full >= INSTANCES_MAX;
        let known = self.instances.iter_mut().filter(|known| there(known));
        match known.into_iter().find(|known| known.instance.as_ref().is_some_and(same)) {
            Some(known) if answered && !known.answered && !is_full => (known.answered, known.last_seen) = (true, seen),
            Some(_) if answered => {}
            Some(known) => known.last_seen = seen,
            None if is_full => {}
            None => {
                let instance = Some(instance.clone());
                self.instances.push(SeenInstance { upstream, instance, answered, first_seen: seen, last_seen: seen });
            }
        }
    }
}

/// A store that forgets everything when it is dropped.
pub(super) struct MemoryStore {
    keys: Arc<Keys>,
    state: Mutex<State>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl MemoryStore {
    pub(super) fn new(keys: Arc<Keys>) -> Self {
        Self { keys, state: Mutex::default() }
    }

    fn answer<'a, T: Send + 'a>(
        &'a self,
        question: impl FnOnce(&mut State) -> Result<T, StoreError> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move { question(&mut self.state.lock()) })
    }
}

impl Index for MemoryStore {
    fn record(&self, placement: Placement) -> StoreFuture<'_, ()> {
        self.answer(move |state| {
            let row = StoredRow::seal(&self.keys, &placement)?;
            let row = match state.rows.get(&placement.key) {
                Some((_, old)) => row.after(old),
                None => row,
            };
            let number = state.next_number();
            state.rows.insert(placement.key, (number, row));
            state.note_instance(placement.key.upstream, &placement.instance, placement.seen, false);
            state.syncs += 1;
            Ok(())
        })
    }

    fn rows<'a>(&'a self, tags: &'a [Tag], id: &'a CustomerId) -> StoreFuture<'a, Vec<Row>> {
        self.answer(move |state| {
            let theirs = state.rows.iter().filter(|(key, _)| tags.contains(&key.tag));
            Ok(theirs.map(|(key, (number, row))| row.clone().open(&self.keys, id, *key, *number)).collect())
        })
    }

    fn sweep(&self, before: UnixSeconds) -> StoreFuture<'_, u64> {
        self.answer(move |state| {
            let count = state.rows.len();
            state.rows.retain(|_, (_, row)| row.erased_at.is_none_or(|at| at >= before));
            Ok((count - state.rows.len()) as u64)
        })
    }

    fn upstream_number<'a>(&'a self, name: &'a str, identity: &'a str) -> StoreFuture<'a, UpstreamNumber> {
        self.answer(move |state| {
            if let Some(known) = state.upstreams.iter_mut().find(|known| known.name == name) {
                known.identity = identity.to_owned();
                return Ok(known.number);
            }
            let number = u16::try_from(state.upstreams.len() + 1).map(UpstreamNumber);
            let number = number.map_err(|_| StoreError::TooLarge { what: "the list of upstreams" })?;
            let (name, identity) = (name.to_owned(), identity.to_owned());
            state.upstreams.push(KnownUpstream { number, name, identity, has_rows: false, named: Vec::new() });
            Ok(number)
        })
    }

    fn name_instances(&self, upstream: UpstreamNumber, named: Vec<NamedInstance>) -> StoreFuture<'_, ()> {
        self.answer(move |state| {
            let known = state.upstreams.iter_mut().find(|known| known.number == upstream);
            known.into_iter().for_each(|known| known.named.clone_from(&named));
            Ok(())
        })
    }

    fn upstreams(&self) -> StoreFuture<'_, Vec<KnownUpstream>> {
        self.answer(|state| {
            let has_rows = |number| state.rows.keys().any(|key| key.upstream == number);
            let known = state.upstreams.iter();
            Ok(known.map(|known| KnownUpstream { has_rows: has_rows(known.number), ..known.clone() }).collect())
        })
    }

    fn instances(&self) -> StoreFuture<'_, Vec<SeenInstance>> {
        self.answer(|state| Ok(state.instances.clone()))
    }

    fn answered(&self, upstream: UpstreamNumber, instance: &Instance, seen: UnixSeconds) -> StoreFuture<'static, ()> {
        self.state.lock().note_instance(upstream, instance, seen, true);
        Box::pin(ready(Ok(())))
    }

    fn figures(&self) -> StoreFuture<'_, Figures> {
        self.answer(|state| {
            Ok(Figures {
                rows: state.rows.len() as u64,
                erased_rows: state.rows.values().filter(|(_, row)| row.erased_at.is_some()).count() as u64,
                unfinished_jobs: state.jobs.values().filter(|kept| !kept.job.finished).count() as u64,
                jobs: state.jobs.len() as u64,
                bytes: 0,
                syncs: state.syncs,
                unreadable: 0,
            })
        })
    }

    fn is_writable(&self) -> bool {
        true
    }
}
