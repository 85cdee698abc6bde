//! Callers' own deletes that were sent to their homes. One that was not answered may be carried out for a while, and would
//! sweep away what comes after an erasure that is accepted meanwhile: an attempt there waits for those that are under way, and
//! is repeated after those that nobody answered. In memory: after a crash the next run reckons with any.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::Eraser;
use crate::domain::erasure::Moment;
use crate::domain::{Tag, UpstreamNumber};
use crate::inflight::Generation;

/// So many at once, under way or not answered; beyond these no home is asked.
const PROBES_MAX: usize = 4096;

/// One of them.
#[derive(Debug)]
struct One {
    number: u64,
    /// The customer's, when it was sent.
    generation: Generation,
    /// Until when it may be carried out; `None` while it is under way.
    until: Option<Moment>,
}

#[derive(Debug, Default)]
struct Table {
    of: BTreeMap<(Tag, UpstreamNumber), Vec<One>>,
    count: usize,
    ever: u64,
}

impl Table {
    fn retain(&mut self, keeps: impl Fn(&One) -> bool) {
        self.of.retain(|_, all| {
            all.retain(&keeps);
            !all.is_empty()
        });
        self.count = self.of.values().map(Vec::len).sum();
    }
}

/// Those of this run.
#[derive(Debug, Default)]
pub(super) struct HomeProbes {
    table: Mutex<Table>,
    /// Rung when one is under way no more.
    ended: Notify,
}

/// One that is under way. Where it is dropped, nobody has seen its end.
pub(super) struct HomeProbe {
    eraser: Eraser,
    key: (Tag, UpstreamNumber),
    number: u64,
    is_seen: bool,
}

impl HomeProbe {
    /// It was answered, or never sent.
    pub(super) fn ended(mut self) {
        self.is_seen = true;
    }
}

impl Drop for HomeProbe {
    fn drop(&mut self) {
        let probes = &self.eraser.shared.home_probes;
        let until = self.eraser.may_run_until();
        let mut table = probes.table.lock();
        if let Some(all) = table.of.get_mut(&self.key) {
            if self.is_seen {
                all.retain(|one| one.number != self.number);
            } else if let Some(one) = all.iter_mut().find(|one| one.number == self.number) {
                one.until = Some(until);
            }
            if all.is_empty() {
                table.of.remove(&self.key);
            }
        }
        if self.is_seen {
            table.count -= 1;
        }
        drop(table);
        probes.ended.notify_waiters();
    }
}

impl Eraser {
    /// One is about to be sent, for a customer of this generation. `None`: there are as many as may be.
    pub(super) fn home_probe(&self, tag: Tag, at: UpstreamNumber, generation: Generation) -> Option<HomeProbe> {
        let now = self.now().moment;
        let mut table = self.shared.home_probes.table.lock();
        if table.count >= PROBES_MAX {
            table.retain(|one| one.until.is_none_or(|until| until > now));
        }
        if table.count >= PROBES_MAX {
            return None;
        }
        table.ever += 1;
        table.count += 1;
        let (key, number) = ((tag, at), table.ever);
        table.of.entry(key).or_default().push(One { number, generation, until: None });
        Some(HomeProbe { eraser: self.clone(), key, number, is_seen: false })
    }

    /// Waits, at most `limit`, for those of this customer that are under way there and were sent before this generation. Gives
    /// until when one that nobody answered may be carried out.
    pub(super) async fn home_probes_over(
        &self,
        (tag, at): (Tag, UpstreamNumber),
        before: Generation,
        limit: Duration,
    ) -> Option<Moment> {
        let end = Instant::now() + limit;
        loop {
            let rung = self.shared.home_probes.ended.notified();
            let until = {
                let table = self.shared.home_probes.table.lock();
                let theirs = table.of.get(&(tag, at))?.iter().filter(|one| one.generation < before);
                theirs.map(|one| one.until).collect::<Vec<_>>()
            };
            if until.iter().all(Option::is_some) || timeout_at(end, rung).await.is_err() {
                let now = self.now().moment;
                let unseen = self.ends_unseen_until();
                return until.into_iter().map(|until| until.unwrap_or(unseen)).filter(|until| *until > now).max();
            }
        }
    }

    /// Whether a caller's own delete is under way, or may still be carried out: the next run must reckon with it.
    #[must_use]
    pub fn is_straggling(&self) -> bool {
        let now = self.now().moment;
        let table = self.shared.home_probes.table.lock();
        table.of.values().flatten().any(|one| one.until.is_none_or(|until| until > now))
    }

    /// Forgets those whose time is over.
    pub(super) fn forget_home_probes(&self) {
        let now = self.now().moment;
        self.shared.home_probes.table.lock().retain(|one| one.until.is_none_or(|until| until > now));
    }
}
