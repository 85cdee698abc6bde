//! Callers on the data path: labelled requests, which enter, are recorded and forwarded as the gate does it, and deletes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use forgetgate::barrier::{Entered, KeptOut, Passage};
use forgetgate::domain::{Instance, PairKey};
use forgetgate::erasure::DeleteCall;
use forgetgate::store::{Index, Placement};
use forgetgate::upstream::Site;
use http::{HeaderMap, HeaderValue};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::life::{BARRIER_TIMEOUT, Life, place_of};
use crate::model::{Ask, Message, Origin, Outcome};
use crate::network::ASK;
use crate::script::{Fate, Millis, Send};
use crate::services::Event;

/// Counts a request as under way.
struct Open(Arc<Life>);

impl Open {
    fn begin(life: &Arc<Life>) -> Self {
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
        let key = self.key(send.customer, send.upstream, send.resource);
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
            match life.barrier.enter(&self.key, Instant::now()) {
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
                    };
                    if !moved {
                        self.say("503 erasure_in_progress");
                        return None;
                    }
                }
            }
        }
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
        let recorded = matches!(timeout(BARRIER_TIMEOUT, life.store.record(placement)).await, Ok(Ok(())));
        if !recorded {
            self.say("503 store_unavailable");
        }
        recorded
    }

    /// It is on its way to the service.
    async fn fares(&self, mut passage: Passage) {
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

    async fn talks(&self, passage: Passage, messages: u64, every: Millis) {
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
            begun: self.begun,
            forwarded: world.clock.now(),
            stored: None,
            removed: None,
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

impl Life {
    /// Somebody asks for an erasure.
    pub(crate) fn asks(&self, customer: usize, reach: Vec<usize>, admin: bool, waits: bool) -> usize {
        let begun = self.world.clock.now();
        let upstreams = &self.world.land.upstreams;
        let beyond =
            if admin { reach.iter().flat_map(|at| upstreams[*at].passes_to.clone()).collect() } else { Vec::new() };
        let mut state = self.world.state();
        let generations = state.upstreams.iter().map(|upstream| upstream.generation).collect();
        state.asks.push(Ask {
            customer,
            reach,
            beyond,
            begun,
            generations,
            own: None,
            again: false,
            approved: false,
            adopted: false,
            waits,
            answered: None,
            outcome: Outcome::Open,
            job: None,
            awaiting: false,
            cancelled: false,
            admin,
            probed: false,
            proved: false,
        });
        state.asks.len() - 1
    }

    /// A delete on the data path.
    pub(crate) fn delete(self: &Arc<Self>, customer: usize, upstream: usize, waits: bool, leaves: Option<Millis>) {
        let site = self.site(upstream);
        if site.upstream.retired {
            return;
        }
        let land = &self.world.land;
        let group = land.upstreams[upstream].group;
        let all = 0..land.upstreams.len();
        let reach = all.filter(|other| !land.home || land.upstreams[*other].group == group).collect();
        let ask = self.asks(customer, reach, false, waits);
        let id = self.world.customers[customer].0.expose();
        let call = DeleteCall {
            site,
            api: Some(1),
            instance: Instance::default(),
            path: "/v1/user_data".into(),
            query: Some(format!("customer_id={id}")),
            headers: HeaderMap::from_iter([(http::HeaderName::from_static(ASK), HeaderValue::from(ask))]),
            forgetgate_authorization: None,
            prefer_wait: waits.then_some(Duration::from_secs(20)),
            peer: Some([127, 0, 0, 1].into()),
        };
        self.world.say(&format!("a{ask}"), format_args!("deletes c{customer} at u{upstream}"));
        let (life, open) = (Arc::clone(self), Open::begin(self));
        tokio::spawn(async move {
            let deleting = life.eraser.delete(call);
            let answer = match leaves {
                Some(time) => timeout(Duration::from_millis(time), deleting).await,
                None => Ok(deleting.await),
            };
            life.world.alive().await;
            let id = |response: &http::Response<_>| {
                response.headers().get("forgetgate-erasure").map(|id| id.to_str().unwrap().parse().unwrap())
            };
            let (outcome, said) = match &answer {
                Ok(Ok(response)) if response.status().is_success() => match id(response) {
                    Some(id) => (Outcome::Accepted(id), response.status().to_string()),
                    None => (Outcome::Refused, "2xx without a name".to_owned()),
                },
                Ok(Ok(response)) => (Outcome::Refused, response.status().to_string()),
                Ok(Err(refused)) => (Outcome::Refused, refused.status.to_string()),
                Err(_) => (Outcome::Unknown, "the caller leaves".to_owned()),
            };
            life.answered(ask, outcome, &said).await;
            drop(open);
        });
    }
}
