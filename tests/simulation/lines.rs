//! P12: who waits where a service's rate is limited is served in the order of acceptance.

use std::collections::BTreeMap;

use forgetgate::domain::erasure::Summary;
use uuid::Uuid;

use crate::contract::short;
use crate::script::Millis;
use crate::world::{State, World};

/// A leg that has its turn takes less until its delete is sent, while the store is well.
const LEG_MAX: Millis = 30_000;

/// After trouble in the store an erasure is taken up again within this time.
const TROUBLE_MAX: Millis = 90_000;

/// Since when an erasure stands in line at an upstream, as the store has it, and when it was last written.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    since: BTreeMap<(usize, Uuid), Millis>,
    written: BTreeMap<Uuid, Millis>,
}

impl State {
    /// Erasures were written.
    pub(crate) fn look_at_lines(&mut self, now: Millis) {
        let mut lines = Lines::default();
        for (id, job) in self.store.image.jobs.iter().filter(|(_, job)| !job.finished) {
            let Some(summary) = Summary::from_bytes(&job.summary) else { continue };
            for place in summary
                .places
                .iter()
                .filter(|place| place.in_line && summary.next.is_none_or(|at| at <= summary.stamp.at))
            {
                let at = (usize::from(place.upstream.0) - 1, *id);
                lines.since.insert(at, self.lines_at.since.get(&at).copied().unwrap_or(now));
            }
        }
        lines.written = std::mem::take(&mut self.lines_at.written);
        self.lines_at = lines;
    }

    pub(crate) fn was_written(&mut self, id: Uuid, now: Millis) {
        self.lines_at.written.insert(id, now);
    }
}

impl World {
    /// A first delete is sent. Nobody who was accepted earlier may have waited there for long.
    pub(crate) fn check_turn(&self, number: usize) {
        let now = self.clock.now();
        let state = self.state();
        let delete = &state.deletes[number];
        let (customer, upstream) = (delete.customer, delete.upstream);
        let limited = self.land.upstreams[upstream].per_minute.is_some();
        let troubled = state.trouble.is_some_and(|at| at + TROUBLE_MAX > now);
        if !limited || troubled || delete.probe_of.is_some() {
            return;
        }
        let tag = self.customers[customer].1;
        let theirs = state.store.image.jobs.values().filter(|job| !job.finished && job.tag == tag);
        let Some(received) = theirs.filter_map(|job| Summary::from_bytes(&job.summary)).map(|job| job.received).min()
        else {
            return;
        };
        let mut before = state.deletes[..number].iter();
        if before.any(|before| (before.customer, before.upstream) == (customer, upstream)) {
            return;
        }
        let long_ago = |at: Option<&Millis>| at.is_none_or(|at| at + LEG_MAX < now);
        let passed_by = state.lines_at.since.iter().find(|((at, id), since)| {
            let Some(job) = state.store.image.jobs.get(id) else { return false };
            let earlier = Summary::from_bytes(&job.summary).is_some_and(|summary| summary.received < received);
            let other = self.customer_of(job.tag);
            let held = state.holds.iter().any(|hold| hold.customer == other);
            let waits = long_ago(Some(since)) && long_ago(state.lines_at.written.get(id));
            *at == upstream && other != customer && earlier && waits && !held
        });
        let passed_by = passed_by.map(|((_, id), since)| (*id, *since));
        drop(state);
        if let Some((id, since)) = passed_by {
            let what =
                format!("d{number} for c{customer} is sent before that of {}, which waits since {since}", short(id));
            self.broken("turn", what);
        }
    }
}
