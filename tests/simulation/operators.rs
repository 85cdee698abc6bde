//! Operators: what they ask for through the admin API, what they decide, and what a reload changes.

use std::sync::Arc;
use std::time::Duration;

use forgetgate::domain::erasure::{JobState, Verdict};
use forgetgate::erasure::{Decided, Problem, Submission, Submitted};
use forgetgate::store::{Index, StoreError};
use forgetgate::upstream::Site;
use uuid::Uuid;

use crate::contract::short;
use crate::life::{Life, draft, erasure, identity};
use crate::model::{Ask, Hold, Outcome};
use crate::script::Reload;

impl Life {
    /// A submission to the admin API.
    pub(crate) fn submit(self: &Arc<Self>, customer: usize, only: Option<&[usize]>, id: Option<u64>) {
        let all = 0..self.world.land.upstreams.len();
        let ask = self.asks(customer, only.map_or_else(|| all.collect(), <[usize]>::to_vec), true, false);
        self.world.state().asks[ask].own = id;
        let name = |upstream: &usize| format!("u{upstream}");
        let submission = Submission {
            customer_id: self.world.customers[customer].0.clone(),
            id: id.map(|id| Uuid::from_u128(0x4000_8000_0000_0000_0000 + u128::from(id))),
            submitted: None,
            upstreams: only.map(|only| only.iter().map(name).collect()),
            dry_run: false,
            reason: None,
        };
        self.world.say(&format!("a{ask}"), format_args!("submits c{customer} at {only:?} as {id:?}"));
        let life = Arc::clone(self);
        tokio::spawn(async move {
            let submitted = life.eraser.submit(submission).await;
            life.world.alive().await;
            let (outcome, said) = match submitted {
                Ok(Submitted::Accepted(view)) => (Outcome::Accepted(view.id), "202".to_owned()),
                Ok(Submitted::DryRun(_)) => unreachable!("nobody asked for a dry run"),
                // The same request again, for another customer or not.
                Err(Problem::OtherCustomer) => (Outcome::Refused, "409".to_owned()),
                Err(error) => (Outcome::Refused, error.to_string()),
            };
            life.answered(ask, outcome, &said).await;
        });
    }

    /// A request for an erasure has its answer; whoever asked looks how it stands.
    pub(crate) async fn answered(&self, ask: usize, outcome: Outcome, said: &str) {
        {
            let now = self.world.clock.now();
            let mut state = self.world.state();
            let id = if let Outcome::Accepted(id) = outcome { short(id) } else { String::new() };
            state.say(now, &format!("a{ask}"), format_args!("is answered {said} {id}"));
            state.asks[ask].answered = Some(now).filter(|_| outcome != Outcome::Unknown);
            state.asks[ask].outcome = outcome;
            let (own, customer) = (state.asks[ask].own, state.asks[ask].customer);
            let same = |other: &Ask| own.is_some() && (other.own, other.customer) == (own, customer);
            let accepted = |other: &Ask| matches!(other.outcome, Outcome::Accepted(_));
            let others = state.asks.iter().enumerate().filter(|(nth, _)| *nth != ask);
            let again = others.into_iter().any(|(_, other)| same(other) && accepted(other));
            state.asks[ask].again = again;
        }
        let Outcome::Accepted(id) = outcome else { return };
        self.check_named(ask, id);
        let Ok(view) = self.eraser.show(id).await else { return };
        self.world.alive().await;
        let mut state = self.world.state();
        let seen = &mut state.asks[ask];
        seen.job = Some(view.id);
        let waits = view.state == JobState::AwaitingApproval;
        // Somebody may have approved it meanwhile; then it does not wait.
        seen.awaiting = waits && !seen.approved;
        let probed = seen.probed;
        drop(state);
        if waits && probed {
            self.world.broken("approval", format!("a{ask} waits for approval, and its probe was sent"));
        }
    }

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
            match (verdict, decided) {
                (Verdict::Hold, Ok(_)) => {
                    if let Some(hold) = hold.and_then(|hold| state.holds.get_mut(hold)) {
                        hold.set = true;
                    }
                }
                (Verdict::Cancel, Ok(view)) => {
                    state.asks.iter_mut().filter(|ask| ask.job == Some(view.id)).for_each(|ask| ask.cancelled = true);
                }
                _ => {}
            }
        });
    }

    /// From here on it may be so.
    fn begins_to_decide(&self, customer: usize, verdict: Verdict, upstream: Option<usize>) -> Option<usize> {
        let mut state = self.world.state();
        match verdict {
            Verdict::Approve => {
                for ask in state.asks.iter_mut().filter(|ask| ask.customer == customer) {
                    (ask.awaiting, ask.approved) = (false, true);
                }
            }
            Verdict::Hold => {
                state.holds.push(Hold { customer, upstream, set: false, over: false });
                return Some(state.holds.len() - 1);
            }
            Verdict::Unhold => {
                let held = |hold: &&mut Hold| hold.customer == customer && hold.upstream == upstream;
                state.holds.iter_mut().filter(held).for_each(|hold| hold.over = true);
            }
            _ => {}
        }
        None
    }

    /// The configuration is read again.
    pub(crate) fn reload(self: &Arc<Self>, reload: Reload) {
        let life = Arc::clone(self);
        tokio::spawn(async move {
            life.world.say("operator", format_args!("reloads {reload:?}"));
            let said = match reload {
                Reload::ResponseTimeout(seconds) => {
                    life.world.state().response_timeout = seconds;
                    life.put_in_force();
                    "done".to_owned()
                }
                Reload::Retire(upstream) => {
                    {
                        let mut state = life.world.state();
                        state.upstreams[upstream].retired ^= true;
                    }
                    let mut site = life.redrafted(upstream);
                    // It is the same instance: what is being recorded about it goes on.
                    Arc::get_mut(&mut site).unwrap().recordings = Arc::clone(&life.site(upstream).recordings);
                    life.sites.lock()[upstream] = site;
                    life.put_in_force();
                    "done".to_owned()
                }
                Reload::Move(upstream) => life.moves(upstream).await.unwrap_or_else(|error| error.to_string()),
            };
            life.world.say("operator", format_args!("reloads {reload:?}: {said}"));
        });
    }

    fn redrafted(&self, upstream: usize) -> Arc<Site> {
        draft(&self.world, upstream, &self.world.land.upstreams[upstream])
    }

    fn put_in_force(&self) {
        let timeout = Duration::from_secs(self.world.state().response_timeout);
        self.eraser.reconfigure(self.sites.lock().clone(), erasure(&self.world), timeout);
        self.barrier.set_straggle(timeout);
    }

    /// An upstream without anybody's data gets another address, as a reload does it.
    async fn moves(&self, upstream: usize) -> Result<String, StoreError> {
        let name = format!("u{upstream}");
        let has_rows = async || {
            let known = self.store.upstreams().await?;
            Ok::<bool, StoreError>(known.iter().any(|known| known.name == name && known.has_rows))
        };
        if has_rows().await? {
            return Ok("refused, it holds data".to_owned());
        }
        let before = self.site(upstream);
        let mut left = before.recordings.close().await;
        if has_rows().await? || self.eraser.awaits().await?.contains(&before.number) {
            return Ok("refused, it is awaited or holds data".to_owned());
        }
        left.keep();
        self.world.state().upstreams[upstream].generation += 1;
        let site = self.redrafted(upstream);
        if let Err(error) = self.store.upstream_number(&name, &identity(&site)).await {
            self.world.state().upstreams[upstream].generation -= 1;
            self.store.upstream_number(&name, &identity(&before)).await.ok();
            left.open();
            return Err(error);
        }
        self.sites.lock()[upstream] = site;
        self.put_in_force();
        Ok("moved".to_owned())
    }
}
