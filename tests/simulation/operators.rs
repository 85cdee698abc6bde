//! Operators: what they decide about erasures and their targets, and about customers' legal holds.

use std::sync::Arc;

use forgetgate::domain::erasure::{TargetState, Verdict};
use forgetgate::erasure::{Decided, Problem, TargetWord, View};
use uuid::Uuid;

use crate::contract::short;
use crate::life::Life;
use crate::model::{Close, Hold, Outcome};
use crate::world::State;

impl Life {
    /// Somebody decides about the nth accepted request.
    pub(crate) fn decide(self: &Arc<Self>, nth: usize, verdict: Verdict, upstream: Option<usize>) {
        let accepted: Vec<(Uuid, usize)> = {
            let state = self.world.state();
            let accepted = state.asks.iter().filter_map(|ask| match ask.outcome {
                Outcome::Accepted(id) => Some((id, ask.customer)),
                Outcome::Open | Outcome::Refused | Outcome::Unknown => None,
            });
            accepted.collect()
        };
        let Some(&(id, customer)) = accepted.get(nth % accepted.len().max(1)) else { return };
        let name = upstream.map(|upstream| format!("u{upstream}"));
        let decided = Decided { verdict, by: "somebody".into(), note: "because".into(), upstream: name };
        self.world.say("operator", format_args!("{} {} at {upstream:?}", verdict.as_str(), short(id)));
        let hold = self.begins_to_decide(customer, verdict, upstream);
        let life = Arc::clone(self);
        tokio::spawn(async move {
            let decided = life.eraser.decide(id, decided).await;
            life.world.alive().await;
            let said = match &decided {
                Ok(view) => format!("{:?}", view.state),
                Err(error) => error.to_string(),
            };
            life.world.say("operator", format_args!("{} {}: {said}", verdict.as_str(), short(id)));
            let mut state = life.world.state();
            state.decided.insert(customer, life.world.clock.now());
            match (verdict, decided) {
                (Verdict::Hold, Ok(_)) => {
                    if let Some(hold) = hold.and_then(|hold| state.holds.get_mut(hold)) {
                        hold.set = true;
                    }
                }
                (Verdict::Unhold, Ok(_)) => state.ends_holds(customer, upstream),
                (Verdict::Close, Ok(view)) => state.gives_up(customer, upstream, Some(&view)),
                (Verdict::Close, Err(Problem::Store(_))) => state.gives_up(customer, upstream, None),
                (Verdict::Close, Err(_)) => state.closes.retain(|close| close.customer != customer),
                (Verdict::Cancel, Ok(view)) => {
                    state.asks.iter_mut().filter(|ask| ask.job == Some(view.id)).for_each(|ask| ask.cancelled = true);
                }
                _ => {}
            }
        });
    }

    /// From here on it may be so.
    fn begins_to_decide(&self, customer: usize, verdict: Verdict, upstream: Option<usize>) -> Option<usize> {
        let now = self.world.clock.now();
        let mut state = self.world.state();
        state.decided.insert(customer, now);
        match verdict {
            Verdict::Close => state.closes.push(Close { customer, upstream }),
            Verdict::Approve => {
                for ask in state.asks.iter_mut().filter(|ask| ask.customer == customer) {
                    (ask.awaiting, ask.approved) = (false, true);
                }
            }
            Verdict::Hold => {
                state.holds.push(Hold { id: None, customer, upstream, set: false, over: false });
                return Some(state.holds.len() - 1);
            }
            Verdict::Unhold => state.ends_holds(customer, upstream),
            Verdict::Cancel | Verdict::Retry => {}
        }
        None
    }

    /// A customer is put on legal hold, whatever was asked for.
    pub(crate) fn hold(self: &Arc<Self>, customer: usize, upstream: Option<usize>) {
        let hold = self.begins_to_decide(customer, Verdict::Hold, upstream);
        let name = upstream.map(|upstream| format!("u{upstream}"));
        let decided = Decided { verdict: Verdict::Hold, by: "counsel".into(), note: "because".into(), upstream: name };
        self.world.say("counsel", format_args!("holds c{customer} at {upstream:?}"));
        let life = Arc::clone(self);
        tokio::spawn(async move {
            let id = &life.world.customers[customer].0;
            let held = life.eraser.hold(id, decided).await;
            life.world.alive().await;
            life.world
                .say("counsel", format_args!("holds c{customer}: {:?}", held.as_ref().map(|hold| short(hold.id))));
            let mut state = life.world.state();
            if let (Ok(view), Some(hold)) = (held, hold.and_then(|hold| state.holds.get_mut(hold))) {
                (hold.set, hold.id) = (true, Some(view.id));
            }
        });
    }

    /// The nth hold that was set so is over.
    pub(crate) fn unhold(self: &Arc<Self>, nth: usize) {
        let now = self.world.clock.now();
        let id = {
            let mut guard = self.world.state();
            let state = &mut *guard;
            let mut set: Vec<&mut Hold> =
                state.holds.iter_mut().filter(|hold| hold.id.is_some() && !hold.over).collect();
            let count = set.len().max(1);
            let Some(hold) = set.get_mut(nth % count) else { return };
            hold.over = true;
            state.decided.insert(hold.customer, now);
            hold.id.unwrap()
        };
        self.world.say("counsel", format_args!("ends {}", short(id)));
        let life = Arc::clone(self);
        tokio::spawn(async move {
            let ended = life.eraser.unhold(id, "counsel".into()).await;
            life.world.alive().await;
            life.world.say("counsel", format_args!("ends {}: {ended:?}", short(id)));
        });
    }
}

impl State {
    /// From the beginning of that on, and also for what was set while it was being done.
    fn ends_holds(&mut self, customer: usize, upstream: Option<usize>) {
        let held = |hold: &&mut Hold| hold.customer == customer && hold.upstream == upstream;
        self.holds.iter_mut().filter(held).for_each(|hold| hold.over = true);
    }

    /// What was there may stay where a target was closed; where nobody knows whether it was, it may be.
    pub(crate) fn gives_up(&mut self, customer: usize, upstream: Option<usize>, view: Option<&View>) {
        let closed = |at: usize| {
            let name = format!("u{at}");
            let is = |word: TargetWord| word == TargetWord::Of(TargetState::Closed);
            view.is_none_or(|view| view.targets.iter().any(|target| target.upstream == name && is(target.state)))
        };
        self.closes.retain(|close| close.customer != customer);
        for message in self.messages.iter_mut().filter(|message| message.customer == customer) {
            message.given_up |= upstream.is_none_or(|at| at == message.upstream) && closed(message.upstream);
        }
    }
}
