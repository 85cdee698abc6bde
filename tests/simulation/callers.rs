//! Callers on the data path: labelled requests, which enter, are recorded and forwarded as the gate does it, and deletes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use forgetgate::domain::policy::AliasUse;
use forgetgate::domain::{Instance, PairKey};
use forgetgate::inflight::{Entered, KeptOut, RequestGuard};
use forgetgate::store::{Index, Placement};
use forgetgate::upstream::Site;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::life::{BARRIER_TIMEOUT, Life, place_of};
use crate::model::{Message, Origin, Text};
use crate::script::{Fate, Millis, Send};
use crate::services::Event;

/// Counts a request as under way.
pub(crate) struct Open(Arc<Life>);

impl Open {
    pub(crate) fn begin(life: &Arc<Life>) -> Self {
        life.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(life))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request on its way, as its caller sees it.
struct Request {
    life: Arc<Life>,
    who: String,
    key: PairKey,
    site: Arc<Site>,
    begun: Millis,
    send: Send,
}

impl Life {
    /// A labelled request comes.
    pub(crate) fn send(self: &Arc<Self>, number: usize, send: Send) {
        let site = self.site(send.upstream);
        let aliased = site.upstream.policy.alias == AliasUse::Always;
        let key = self.key(send.customer, send.upstream, aliased, send.resource);
        let (life, begun) = (Arc::clone(self), self.world.clock.now());
        if site.upstream.retired {
            return;
        }
        let open = Open::begin(self);
        let request = Request { life, who: format!("r{number}"), key, site, begun, send };
        tokio::spawn(async move {
            request.goes().await;
            drop(open);
        });
    }
}

impl Request {
    fn say(&self, what: impl std::fmt::Display) {
        self.life.world.say(&self.who, what);
    }

    async fn goes(self) {
        let world = Arc::clone(&self.life.world);
        self.say(format_args!("comes for {}", world.key_name(&self.key)));
        let Some(Entered { mut passage, known }) = self.enters().await else { return };
        world.alive().await;
        if known {
            self.life.check_known(&self.key);
        } else if !self.recorded().await {
            return;
        }
        world.alive().await;
        passage.recorded();
        if self.send.before > 0 {
            sleep(Duration::from_millis(self.send.before)).await;
        }
        world.alive().await;
        passage.forwarded();
        self.life.check_forwarded(&self.key);
        self.fares(passage).await;
    }

    /// Waits while the customer is being erased there.
    async fn enters(&self) -> Option<Entered> {
        let life = &self.life;
        let deadline = Instant::now() + BARRIER_TIMEOUT;
        let mut waited = false;
        loop {
            match life.inflight.enter(&self.key, Instant::now()) {
                Ok(entered) => {
                    self.say(format_args!("enters, known: {}", entered.known));
                    return Some(entered);
                }
                Err(kept_out) => {
                    if !waited {
                        self.say("waits at a fence");
                        life.check_fenced(self.send.customer);
                    }
                    waited = true;
                    let moved = match kept_out {
                        KeptOut::Fenced(fenced) => timeout_at(deadline, fenced.moved()).await.is_ok(),
                        KeptOut::Crowded => false,
                        KeptOut::Closed => unreachable!("one gate alone is always open"),
                    };
                    if !moved {
                        self.say("503 erasure_in_progress");
                        self.waits_on().await;
                        return None;
                    }
                }
            }
        }
    }

    /// P4: fences end by themselves. Whoever was sent away looks on until the customer is let in.
    async fn waits_on(&self) {
        let life = &self.life;
        loop {
            match life.inflight.enter(&self.key, Instant::now()) {
                Ok(_) => return,
                Err(_) if life.check_let_in(self.begun, &self.key) => sleep(Duration::from_millis(100)).await,
                Err(_) => return,
            }
        }
    }

    const fn text(&self) -> Text {
        if self.key.form.is_alias() { Text::AliasOf(self.send.upstream) } else { Text::Raw }
    }

    async fn recorded(&self) -> bool {
        let life = &self.life;
        let placement = Placement {
            key: self.key,
            id: life.world.customers[self.send.customer].0.clone(),
            resource: format!("rooms/{}", self.send.resource).into(),
            instance: Instance::default(),
            wire: None,
            api: Some(1),
            seen: life.world.wall(),
        };
        let Some(_recording) = self.site.recordings.begin() else {
            self.say("503, its upstream has moved");
            return false;
        };
        life.world.state().facts.insert((self.send.customer, self.send.upstream, self.text()));
        let recorded = matches!(timeout(BARRIER_TIMEOUT, life.store.record(placement)).await, Ok(Ok(())));
        if !recorded {
            self.say("503 store_unavailable");
        }
        recorded
    }

    /// It is on its way to the service.
    async fn fares(&self, mut passage: RequestGuard) {
        let wait = |time| sleep(Duration::from_millis(time));
        let response_timeout = self.life.world.state().response_timeout * 1000;
        match self.send.fate {
            Fate::Whole { answer_after } => {
                self.leaves(self.send.store_after);
                wait(self.send.store_after + answer_after).await;
                passage.ended();
            }
            Fate::Cut { after, late } => {
                if let Some(late) = late {
                    self.leaves(after + late);
                }
                wait(after).await;
                self.say("is cut");
                drop(passage);
            }
            Fate::Hang { late } => {
                if let Some(late) = late {
                    self.leaves(response_timeout + late);
                }
                wait(response_timeout).await;
                self.say("is given up");
                drop(passage);
            }
            Fate::Refused => {
                wait(5).await;
                passage.unsent();
                passage.ended();
            }
            Fate::Socket { messages, every } => self.talks(passage, messages, every).await,
        }
        self.say("is over");
    }

    async fn talks(&self, passage: RequestGuard, messages: u64, every: Millis) {
        let life = &self.life;
        for _ in 0..messages {
            let closes = life.world.land.closes_sockets && passage.is_fenced();
            if closes || life.world.state().calm || *life.stopping.borrow() {
                break;
            }
            self.leaves(self.send.store_after.min(200));
            sleep(Duration::from_millis(every.max(200))).await;
            life.world.alive().await;
        }
        sleep(Duration::from_millis(200)).await;
        passage.ended();
    }

    /// A message leaves, and is stored so much later.
    fn leaves(&self, after: Millis) {
        let world = &self.life.world;
        let (upstream, generation) = place_of(&self.site);
        let message = Message {
            customer: self.send.customer,
            upstream,
            generation,
            origin: Origin::Gate,
            key: self.key,
            text: self.text(),
            begun: self.begun,
            forwarded: world.clock.now(),
            stored: None,
            removed: None,
            given_up: false,
        };
        let number = {
            let mut state = world.state();
            state.messages.push(message);
            state.messages.len() - 1
        };
        self.say(format_args!("sends m{number}"));
        world.after(after, Event::Store(number));
    }
}
