//! What a reload of the configuration changes.

use std::sync::Arc;
use std::time::Duration;

use forgetgate::store::{Index, StoreError};
use forgetgate::upstream::Site;

use crate::life::{Life, draft, erasure, identity};
use crate::model::{Message, Origin, Outcome};
use crate::script::Reload;
use crate::world::State;

impl Life {
    /// The configuration is read again.
    pub(crate) fn reload(self: &Arc<Self>, reload: Reload) {
        let life = Arc::clone(self);
        tokio::spawn(async move {
            // One at a time, as in the gate.
            let _alone = life.reloading.lock().await;
            life.world.say("operator", format_args!("reloads {reload:?}"));
            let said = match reload {
                Reload::Move(upstream) => life.moves(upstream).await.unwrap_or_else(|error| error.to_string()),
                Reload::ResponseTimeout(seconds) => {
                    life.world.state().response_timeout = seconds;
                    life.put_in_force();
                    "done".to_owned()
                }
                Reload::Retire(upstream) => life.changes(upstream, |state| state.upstreams[upstream].retired ^= true),
                Reload::Group(upstream) => life.changes(upstream, |state| state.changes_group(upstream)),
                Reload::Passes(one, other) => life.changes(one.min(other), |state| state.passes(one, other)),
                Reload::Aliased(upstream) => life.changes(upstream, |state| state.upstreams[upstream].aliased ^= true),
            };
            life.world.say("operator", format_args!("reloads {reload:?}: {said}"));
        });
    }

    /// It is the same instance: what is being recorded about it goes on.
    fn changes(&self, upstream: usize, change: impl FnOnce(&mut State)) -> String {
        change(&mut self.world.state());
        let mut site = self.redrafted(upstream);
        Arc::get_mut(&mut site).unwrap().recordings = Arc::clone(&self.site(upstream).recordings);
        self.sites.lock()[upstream] = site;
        self.put_in_force();
        "done".to_owned()
    }

    fn redrafted(&self, upstream: usize) -> Arc<Site> {
        draft(&self.world, upstream, &self.world.land.upstreams[upstream])
    }

    fn put_in_force(&self) {
        let timeout = Duration::from_secs(self.world.state().response_timeout);
        self.eraser.reconfigure(self.sites.lock().clone(), erasure(&self.world), timeout);
        self.inflight.set_straggle(timeout);
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

impl State {
    /// Whose authority is a group's, and who is being answered, may have the one before or the one after.
    fn changes_group(&mut self, upstream: usize) {
        let now = self.upstreams[upstream].group;
        self.upstreams[upstream].group = if now == "default" { "other" } else { "default" };
        let groups: Vec<&str> = self.upstreams.iter().map(|upstream| upstream.group).collect();
        for ask in self.asks.iter_mut().filter(|ask| ask.outcome == Outcome::Open) {
            let Some(group) = ask.group else { continue };
            let within = |at: &usize| groups[*at] == group || ask.addressed == Some(*at);
            ask.may_reach.extend((0..groups.len()).filter(within));
            ask.reach.retain(within);
        }
    }

    /// Had everything that was asked for so been done by now?
    fn is_over(&self, ask: usize) -> bool {
        let job = self.asks[ask].job.and_then(|id| self.store.image.jobs.get(&id));
        job.is_some_and(|job| job.finished)
    }

    /// One begins to pass IDs on to another, or ends it. Where what it had passed on is then is for its operator to know.
    fn passes(&mut self, one: usize, other: usize) {
        let (from, to) = (one.min(other), one.max(other));
        if from == to {
            return;
        }
        let passes = &mut self.upstreams[from].passes_to;
        if passes.contains(&to) {
            passes.retain(|at| *at != to);
            let downstream = self.passed_on_from(&[to]);
            let passed_on = |message: &&mut Message| {
                matches!(message.origin, Origin::PassedOn(_)) && downstream.contains(&message.upstream)
            };
            self.messages.iter_mut().filter(passed_on).for_each(|message| message.given_up = true);
        } else {
            passes.push(to);
            self.edges.insert((from, to));
            for nth in 0..self.asks.len() {
                if self.is_over(nth) {
                    self.asks[nth].over_before.insert((from, to));
                }
                let reached: Vec<usize> = self.asks[nth].beyond.iter().copied().collect();
                self.asks[nth].beyond = self.passed_on_from(&reached).into_iter().collect();
            }
        }
    }
}
