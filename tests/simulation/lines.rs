//! P12: who waits where a service's rate is limited is served in the order of acceptance, and as soon as the rate allows.

use std::collections::BTreeMap;

use forgetgate::domain::erasure::Summary;
use forgetgate::store::StoredJob;
use uuid::Uuid;

use crate::contract::short;
use crate::model::Delete;
use crate::script::Millis;
use crate::world::{State, World};

/// A leg that has its turn takes less until its delete is sent, while the store is well.
const LEG_MAX: Millis = 30_000;

const MINUTE: Millis = 60_000;

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
            for place in summary.places.iter().filter(|place| place.in_line) {
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
    /// A first delete is sent. Nobody who was accepted earlier may have waited there for long; and it may not have waited
    /// itself while the service's rate was not used up.
    pub(crate) fn check_turn(&self, number: usize) {
        let now = self.clock.now();
        let state = self.state();
        let delete = &state.deletes[number];
        let (customer, upstream) = (delete.customer, delete.upstream);
        let Some(rate) = self.land.upstreams[upstream].per_minute else { return };
        let troubled = state.trouble.is_some_and(|at| at + TROUBLE_MAX > now);
        let mut before = state.deletes[..number].iter();
        let repeated = before.any(|before| (before.customer, before.upstream) == (customer, upstream));
        if troubled || delete.probe_of.is_some() || repeated {
            return;
        }
        let fault = self.passed_by(&state, number, now).or_else(|| self.waited_in_vain(&state, number, rate, now));
        drop(state);
        if let Some(what) = fault {
            self.broken("turn", what);
        }
    }

    fn is_held(state: &State, customer: usize) -> bool {
        state.holds.iter().any(|hold| hold.customer == customer)
    }

    /// Somebody whose request there was accepted earlier and waits.
    fn passed_by(&self, state: &State, number: usize, now: Millis) -> Option<String> {
        let Delete { customer, upstream, .. } = state.deletes[number];
        let tag = self.customers[customer].1;
        let place = |job: &StoredJob| {
            let summary = Summary::from_bytes(&job.summary)?;
            summary.places.into_iter().find(|place| usize::from(place.upstream.0) == upstream + 1)
        };
        // Repetitions have a line of their own, which first deletes take turns with.
        let asked = |job: &StoredJob| place(job).filter(|place| !place.repeat).map(|place| place.asked);
        let theirs = state.store.image.jobs.values().filter(|job| !job.finished && job.tag == tag);
        // This one's intention is written down by now: a start would find it under way.
        let ours = theirs.filter_map(|job| place(job).map(|place| place.asked)).min()?;
        let long_ago = |at: Option<&Millis>| at.is_none_or(|at| at + LEG_MAX < now);
        let waiting = state.lines_at.since.iter().find(|((at, id), since)| {
            let Some(job) = state.store.image.jobs.get(id) else { return false };
            let earlier = asked(job).is_some_and(|asked| asked < ours);
            let other = self.customer_of(job.tag);
            let waits = long_ago(Some(since)) && long_ago(state.lines_at.written.get(id));
            *at == upstream && other != customer && earlier && waits && !Self::is_held(state, other)
        });
        let ((_, id), since) = waiting?;
        Some(format!("d{number} for c{customer} is sent before that of {}, which waits since {since}", short(*id)))
    }

    /// Its own turn had come long ago.
    fn waited_in_vain(&self, state: &State, number: usize, rate: u32, now: Millis) -> Option<String> {
        let Delete { customer, upstream, .. } = state.deletes[number];
        let tag = self.customers[customer].1;
        let theirs = |id: &Uuid| state.store.image.jobs.get(id).is_some_and(|job| job.tag == tag);
        let mut lines = state.lines_at.since.iter().filter(|((at, id), _)| *at == upstream && theirs(id));
        let since = *lines.next()?.1;
        let counts = |at: usize, sent: Millis| at == upstream && sent + MINUTE > since && sent + LEG_MAX <= now;
        let known = |delete: &&Delete| {
            let theirs = delete.probe_of.is_none_or(|ask| !state.asks[ask].stranger);
            theirs && counts(delete.upstream, delete.sent)
        };
        let nobodies = state.nobodies.iter().filter(|(at, sent)| counts(*at, *sent)).count();
        let sent = state.deletes[..number].iter().filter(known).count() + nobodies;
        let in_vain = since + LEG_MAX + 1_000 < now && sent < usize::try_from(rate).unwrap();
        let what = || format!("d{number} for c{customer} waits since {since}, and u{upstream} was not asked for much");
        (in_vain && !Self::is_held(state, customer)).then(what)
    }
}
