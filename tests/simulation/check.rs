//! What must hold at each step, and what must hold when all is over.

use std::collections::BTreeMap;

use forgetgate::domain::PairKey;
use forgetgate::domain::erasure::{JobState, TargetState};
use forgetgate::erasure::{TargetView, TargetWord, View};
use tokio::time::Instant;
use uuid::Uuid;

use crate::contract::short;
use crate::life::{Life, key};
use crate::model::{Ask, Message, Origin, Outcome};
use crate::world::World;

impl Life {
    /// P3, P4: what the in-flight table believes to be durable is durable, and is not marked erased.
    pub(crate) fn check_known(&self, key: &PairKey) {
        let row = self.world.state().store.image.rows.get(key).map(|row| row.erased_at.is_some());
        let what = match row {
            Some(false) => return,
            Some(true) => "a row that is marked erased",
            None => "a row that does not exist",
        };
        self.world.broken("believed", format!("the inflight believes in {what}: {}", self.world.key_name(key)));
    }

    /// P3: the fact is durable before the first byte leaves, and is not marked while its exchange is open.
    pub(crate) fn check_forwarded(&self, key: &PairKey) {
        let row = self.world.state().store.image.rows.get(key).map(|row| row.erased_at.is_some());
        if row != Some(false) {
            self.world.broken("recorded", format!("forwarded with the row {row:?}: {}", self.world.key_name(key)));
        }
    }

    /// P4: only customers for whom somebody asked wait.
    pub(crate) fn check_fenced(&self, customer: usize) {
        let asked = self.world.state().asks.iter().any(|ask| ask.customer == customer);
        if !asked {
            self.world.broken("others", format!("c{customer} waits at a fence, and nobody asked for its erasure"));
        }
    }

    /// P10: each request has its own ID, so that an answer does not tell whether somebody asked before.
    pub(crate) fn check_named(&self, ask: usize, id: Uuid) {
        let state = self.world.state();
        let by_admin = state.asks[ask].admin;
        let again =
            state.asks.iter().enumerate().any(|(nth, a)| nth != ask && !a.admin && a.outcome == Outcome::Accepted(id));
        drop(state);
        if again && !by_admin {
            self.world
                .tainted("own name", format!("a{ask} was answered with the ID of another request, {}", short(id)));
        }
    }
}

impl World {
    /// A delete that leaves follows from a request that was not refused, and no hold forbids it.
    pub(crate) fn check_sent(&self, number: usize) {
        self.check_follows(number);
        self.check_turn(number);
        let mut state = self.state();
        state.adopts();
        let delete = &state.deletes[number];
        let held = state.holds.iter().any(|hold| {
            let here = hold.upstream.is_none_or(|upstream| upstream == delete.upstream);
            hold.customer == delete.customer && here && hold.set && !hold.over
        });
        let theirs = || state.asks.iter().filter(|ask| ask.customer == delete.customer);
        let justified = delete.probe_of.is_some() || theirs().any(|ask| ask.justifies(delete.upstream));
        let of = format!("d{number} for c{} to u{}", delete.customer, delete.upstream);
        let waits = theirs().any(|ask| ask.awaiting);
        drop(state);
        if held {
            self.broken("hold", format!("{of} is sent while the customer is on legal hold"));
        } else if !justified {
            let promise = if waits { "approval" } else { "refused" };
            self.broken(promise, format!("{of} follows from no request that was accepted"));
        }
    }
}

/// All erasures as they stand at the end.
pub(crate) struct Views(BTreeMap<Uuid, View>);

impl Views {
    fn of(&self, ask: &Ask) -> Option<&View> {
        let Outcome::Accepted(id) = ask.outcome else { return None };
        self.0.get(&id)
    }
}

/// Is nothing more to be expected unless a person does something?
fn rests(view: &View) -> bool {
    match view.state {
        JobState::Done | JobState::Cancelled | JobState::Held | JobState::AwaitingApproval => true,
        JobState::ActionRequired => view.targets.iter().all(|target| !is_under_way(target)),
        JobState::Accepted | JobState::Running | JobState::Settling => false,
    }
}

fn is_under_way(target: &TargetView) -> bool {
    match target.state {
        TargetWord::Held => false,
        TargetWord::Of(state) => match state {
            TargetState::Settled | TargetState::Refused | TargetState::NotSupported | TargetState::Closed => false,
            TargetState::Pending
            | TargetState::Fenced
            | TargetState::Draining
            | TargetState::Sent
            | TargetState::Accepted
            | TargetState::Retrying
            | TargetState::Blocked => true,
        },
    }
}

fn is_accepted(target: &TargetView) -> bool {
    matches!(target.state, TargetWord::Of(TargetState::Accepted | TargetState::Settled))
}

impl Life {
    /// Every erasure that was accepted, and every one that is in the store. `None` while some are not at rest.
    pub(crate) async fn views(&self) -> Result<Views, String> {
        let ids: Vec<Uuid> = {
            let state = self.world.state();
            let accepted = state.asks.iter().filter_map(|ask| match ask.outcome {
                Outcome::Accepted(id) => Some(id),
                Outcome::Open | Outcome::Refused | Outcome::Unknown => None,
            });
            let kept = state.store.image.jobs.keys().copied();
            accepted.chain(kept).collect()
        };
        let mut views = BTreeMap::new();
        for id in ids {
            match self.eraser.show(id).await {
                Ok(view) => drop(views.insert(id, view)),
                Err(error) => return Err(format!("{} is not shown: {error}", short(id))),
            }
        }
        Ok(Views(views))
    }

    /// All that must hold when nothing more is to be expected.
    pub(crate) fn check_end(&self, views: &Views) {
        let world = &self.world;
        let (asks, messages) = {
            let state = world.state();
            (state.asks.clone(), state.messages.clone())
        };
        world.check_rows();
        for (number, message) in messages.iter().enumerate().filter(|(_, message)| message.stored.is_some()) {
            match message.removed {
                None => {
                    self.check_left(views, &asks, number, message);
                    self.check_indexed(views, number, message);
                }
                Some((_, delete)) => self.check_removed(views, &asks, number, message, delete),
            }
        }
    }

    /// Somebody who is kept out somewhere.
    pub(crate) fn fenced(&self) -> Option<(usize, usize)> {
        let (world, now) = (&self.world, Instant::now());
        let all = (0..world.land.customers).flat_map(|c| (0..world.land.upstreams.len()).map(move |u| (c, u)));
        let is_fenced = |&(c, u): &(usize, usize)| self.inflight.enter(&key(world, c, u, 9), now).is_err();
        all.into_iter().find(is_fenced)
    }

    /// P4, P5: what was forwarded before an erasure was accepted is gone wherever that says so.
    fn check_left(&self, views: &Views, asks: &[Ask], number: usize, message: &Message) {
        for (nth, ask) in asks.iter().enumerate().filter(|(_, ask)| ask.customer == message.customer) {
            let Some(view) = views.of(ask) else { continue };
            if !ask.covers(message) || view.state == JobState::Cancelled {
                continue;
            }
            // While all is held, nothing is said of what another passes on only since then.
            if view.state == JobState::Held && matches!(message.origin, Origin::PassedOn(_)) {
                continue;
            }
            let name = format!("u{}", message.upstream);
            let mut there = view.targets.iter().filter(|target| target.upstream == name).peekable();
            let says_so = if there.peek().is_some() { there.all(is_accepted) } else { view.state == JobState::Done };
            if says_so {
                let what = format!("m{number} is at {name} although a{nth} ({}) is {:?}", short(view.id), view.state);
                self.world.broken("left behind", what);
            }
        }
    }

    /// P3: each message that is at a service is in the index; one that was passed on, where it came from.
    fn check_indexed(&self, views: &Views, number: usize, message: &Message) {
        let state = self.world.state();
        let (name, tag) = (format!("u{}", message.upstream), self.world.customers[message.customer].1);
        let theirs = views.0.iter().filter(|(id, _)| state.store.image.jobs.get(id).is_some_and(|job| job.tag == tag));
        let mut targets = theirs.flat_map(|(_, view)| &view.targets).filter(|target| target.upstream == name);
        // An erasure that is not over yet knows where it has to go.
        let is_awaited =
            targets.any(|target| !is_accepted(target) && target.state != TargetWord::Of(TargetState::Closed));
        let row = state.store.image.rows.get(&message.key).map(|row| row.erased_at.is_some());
        // What was left at an earlier address, or where nothing is passed on to any more, is its operator's.
        let is_ours = match message.origin {
            Origin::Gate => true,
            Origin::PassedOn(from) => {
                let to = &state.upstreams[message.upstream];
                let passes = state.upstreams[from].passes_to.contains(&message.upstream);
                to.generation == message.generation && passes && !is_awaited
            }
            Origin::Before => false,
        };
        drop(state);
        if is_ours && !message.given_up && row != Some(false) {
            self.world.broken("indexed", format!("m{number} is at u{}, its row is {row:?}", message.upstream));
        }
    }

    /// P4: what was sent after the answer stays, unless the status says that the instant came later.
    fn check_removed(&self, all: &Views, asks: &[Ask], number: usize, message: &Message, delete: usize) {
        let later = asks
            .iter()
            .filter(|ask| ask.customer == message.customer)
            .any(|ask| ask.may_touch(message.upstream) && ask.answered.is_none_or(|answered| answered > message.begun));
        let (admits, own) = {
            let state = self.world.state();
            let sent = state.deletes.iter().filter(|other| other.sent >= message.begun).map(|other| other.wall.0);
            // Where the fence had ended, the instant is when the answer came.
            let answered = state.deletes.iter().filter_map(|other| other.answered);
            let answered = answered.filter(|(at, _)| *at >= message.begun).map(|(_, wall)| wall.0);
            let instants: Vec<u64> = sent.chain(answered).collect();
            let name = format!("u{}", message.upstream);
            let tag = self.world.customers[message.customer].1;
            let of_theirs = |id: &Uuid| state.store.image.jobs.get(id).is_some_and(|job| job.tag == tag);
            let views = all.0.iter().filter(|(id, _)| of_theirs(id)).flat_map(|(_, view)| &view.targets);
            let admits = views.filter(|target| target.upstream == name).any(|target| {
                let instant = target.instant.map(|instant| instant.0);
                let said = target.instant_after_answer.is_some();
                !is_accepted(target) || (said && instant.is_some_and(|instant| instants.contains(&instant)))
            });
            // A caller's own delete that came to nothing, whatever its caller was told, and no erasure that goes there has been
            // accepted since it was sent: what it removes, its caller has asked for.
            let sent = state.deletes[delete].sent;
            let own =
                state.deletes[delete].probe_of.is_some_and(|ask| !matches!(asks[ask].outcome, Outcome::Accepted(_)));
            let since = |ask: &&Ask| ask.customer == message.customer && ask.answered.is_some_and(|at| at > sent);
            let goes_there = |ask: &Ask| {
                let view = all.of(ask);
                view.is_some_and(|view| view.targets.iter().any(|target| target.upstream == name))
            };
            (admits, own && !asks.iter().filter(since).any(goes_there))
        };
        if !later && !admits && !own {
            let what =
                format!("m{number} was sent to u{} after the answer, and d{delete} removed it", message.upstream);
            self.world.broken("over-deleted", what);
        }
    }
}

impl Views {
    /// The first that is not at rest.
    pub(crate) fn restless(&self) -> Option<String> {
        let view = self.0.values().find(|view| !rests(view))?;
        Some(format!("{} is {:?}: {:?}", short(view.id), view.state, view.targets))
    }
}
