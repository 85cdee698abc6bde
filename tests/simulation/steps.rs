//! What must hold at each step, besides what is in `check`: whose word counts, who is kept out and for how long, what a
//! delete is sent for, and what rows are marked for.

use forgetgate::domain::PairKey;
use forgetgate::store::JobWrite;

use crate::contract::short;
use crate::life::{BARRIER_TIMEOUT, Life};
use crate::model::{Ask, Outcome, Text};
use crate::script::{Authority, Millis};
use crate::world::{State, World};

/// How long after the store's trouble it may not be known what has become of something.
pub(crate) const DOUBT_MAX: Millis = 2_000;

/// Whose credentials were refused less often than this within a minute is asked about.
const FAILURES_FEW: usize = 8;
const FAILURES_COUNT_FOR: Millis = 75_000;

/// From a fence's end until who waits has heard of it.
const HEARD: Millis = 500;

impl Life {
    /// P10: whose authority is none gets nothing, and whose token is right is never taken for one of those.
    pub(crate) fn check_authorised(&self, ask: usize, outcome: Outcome, said: &str) {
        let now = self.world.clock.now();
        let state = self.world.state();
        let (stranger, probed) = (state.asks[ask].stranger, state.asks[ask].probed);
        // Those of the right credentials that have failed lately, or are still under way.
        let failed = state.deletes.iter().filter(|delete| {
            let right = delete.probe_of.is_some_and(|ask| !state.asks[ask].stranger);
            right && !delete.accepted && delete.sent + FAILURES_COUNT_FOR > now
        });
        let few_failed = failed.count() < FAILURES_FEW;
        drop(state);
        let authority = self.world.land.authority;
        let by_token = authority == Authority::Token;
        let right = !stranger && (by_token || (authority == Authority::Home && few_failed));
        let accepted = matches!(outcome, Outcome::Accepted(_));
        if stranger && accepted && (by_token || probed) {
            self.world.broken("authorised", format!("a{ask} was accepted, and nobody had allowed it"));
        } else if right && said.ends_with("by the gate") && (said.starts_with("429") || said.starts_with("401")) {
            self.world.broken("authorised", format!("a{ask} brought the right credentials and was answered {said}"));
        }
    }

    /// P4: nobody is kept out for longer than a fence lives, unless something new was asked for or decided, or the store
    /// could not say what had become of something. Gives whether it is worth looking on.
    pub(crate) fn check_let_in(&self, begun: Millis, key: &PairKey) -> bool {
        let (world, now) = (&self.world, self.world.clock.now());
        let customer = world.customer_of(key.tag);
        let state = world.state();
        let asked =
            state.asks.iter().filter(|ask| ask.customer == customer).map(|ask| ask.answered.unwrap_or(now)).max();
        let decided = state.decided.get(&customer).copied();
        let new = asked.max(decided).max(state.trouble.map(|at| at + DOUBT_MAX));
        // Where IDs are passed on from here, each of those has an attempt of its own that keeps out here.
        let fences = state.passed_on_from(&[upstream_of(key)]).len() as u64;
        drop(state);
        if new.is_some_and(|new| new >= begun) {
            return false;
        }
        let life = u64::try_from(BARRIER_TIMEOUT.as_millis()).unwrap();
        let late = now > begun + life * fences + HEARD;
        if late {
            world.broken("locked out", format!("{} is kept out since {begun}", world.key_name(key)));
        }
        !late
    }
}

pub(crate) fn upstream_of(key: &PairKey) -> usize {
    usize::from(key.upstream.0) - 1
}

pub(crate) fn text_of(key: &PairKey) -> Text {
    if key.form.is_alias() { Text::AliasOf(upstream_of(key)) } else { Text::Raw }
}

impl World {
    /// P3: rows are marked only where a delete was accepted, or where a person gives up.
    pub(crate) fn check_marks(&self, write: &JobWrite) {
        let state = self.state();
        let stray = write.erased.iter().find(|key| {
            let what = (self.customer_of(key.tag), upstream_of(key), text_of(key));
            let mut deletes = state.deletes.iter().filter(|delete| delete.accepted);
            let accepted = deletes.any(|delete| (delete.customer, delete.upstream, delete.text) == what);
            !accepted && state.closes.iter().all(|close| close.customer != what.0)
        });
        drop(state);
        if let Some(key) = stray {
            let what = format!("{} marks {}, and no delete was accepted", short(write.job.id), self.key_name(key));
            self.broken("marked", what);
        }
    }

    /// P4: what a delete is sent for has been there, as far as the gate can know, or somebody wants it sent there.
    pub(crate) fn check_follows(&self, number: usize) {
        let state = self.state();
        let delete = &state.deletes[number];
        let (customer, upstream, text) = (delete.customer, delete.upstream, delete.text);
        let follows = delete.probe_of.is_some() || self.follows(&state, customer, upstream, text);
        drop(state);
        if !follows {
            let what = format!("d{number} for c{customer} ({text:?}) goes to u{upstream}, where nothing of theirs was");
            self.broken("facts", what);
        }
    }

    fn follows(&self, state: &State, customer: usize, upstream: usize, text: Text) -> bool {
        let meant = |ask: &Ask| ask.addressed == Some(upstream) || (ask.chosen && ask.may_reach.contains(&upstream));
        let own = text == Text::Raw || text == Text::AliasOf(upstream);
        let asked = || state.asks.iter().any(|ask| ask.customer == customer && meant(ask));
        state.facts.contains(&(customer, upstream, text))
            || (own && (self.land.upstreams[upstream].held_before || asked()))
            || state.edges.iter().any(|(from, to)| *to == upstream && self.follows(state, customer, *from, text))
    }

    /// P3: a row has come from a request.
    pub(crate) fn check_rows(&self) {
        let state = self.state();
        let caused = |key: &PairKey| state.facts.contains(&(self.customer_of(key.tag), upstream_of(key), text_of(key)));
        let stray = state.store.image.rows.keys().find(|key| !caused(key)).map(|key| self.key_name(key));
        drop(state);
        if let Some(row) = stray {
            self.broken("facts", format!("{row} is a row, and no request has caused it"));
        }
    }
}
