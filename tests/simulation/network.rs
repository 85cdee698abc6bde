//! The road from the gate's own calls to the services: how long they take, what is lost, what arrives late. Each delete is
//! checked against what has been asked for, when it is sent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forgetgate::upstream::{Bounds, CallError, Exchanging, Fault as Broken, Leave, Site, Transport};
use http::Request;
use http_body_util::Full;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::life::place_of;
use crate::model::{Delete, Outcome, Text};
use crate::script::{Authority, Kind, Manner};
use crate::services::{Event, Reply};
use crate::world::{Of, World};

/// The header by which a caller's own delete is known again.
pub(crate) const ASK: &str = "x-ask";

/// What a stranger is answered.
const DENIED: Manner = Manner::Status { code: 401, retry_after: None };

pub(crate) struct Roads(pub(crate) Arc<World>);

impl fmt::Debug for Roads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roads").finish_non_exhaustive()
    }
}

impl Transport for Roads {
    fn exchange<'a>(
        &'a self,
        site: &'a Site,
        request: Request<Full<Bytes>>,
        bounds: Bounds,
        leave: Leave,
    ) -> Exchanging<'a> {
        Box::pin(async move {
            self.0.alive().await;
            if !leave() {
                return Err(CallError::Withheld);
            }
            let query = request.uri().query().unwrap_or_default();
            let text = query.split('&').find_map(|pair| pair.strip_prefix("customer_id=")).unwrap();
            // A label of nobody: the gate asks what a service says to these credentials.
            let ask = request.headers().get(ASK).map(|ask| ask.to_str().unwrap().parse::<usize>().unwrap());
            let Some((customer, text)) = self.0.named(text) else {
                let is_stranger = ask.is_some_and(|ask| self.0.state().asks[ask].stranger);
                self.0.asked_about_nobody(site);
                return Reply::Status(if is_stranger { 401 } else { 200 }, None).read();
            };
            let reply = self.0.sent(site, (customer, text), ask, bounds.within);
            let answered = timeout(bounds.within, reply).await;
            self.0.alive().await;
            match answered {
                Ok(Ok(reply)) => reply.read(),
                Ok(Err(_)) | Err(_) => Err(CallError::MaybeSent(Broken::Timeout)),
            }
        })
    }
}

impl World {
    fn asked_about_nobody(&self, site: &Site) {
        let (upstream, now) = (place_of(site).0, self.clock.now());
        let mut state = self.state();
        state.nobodies.push((upstream, now));
        state.say(now, "network", format_args!("u{upstream} is asked about nobody"));
    }

    /// A delete leaves.
    fn sent(
        &self,
        site: &Site,
        (customer, text): (usize, Text),
        ask: Option<usize>,
        within: Duration,
    ) -> oneshot::Receiver<Reply> {
        let (upstream, generation) = place_of(site);
        let now = self.clock.now();
        let (answer, reply) = oneshot::channel();
        let mut state = self.state();
        let probing = |ask: &usize| state.asks[*ask].outcome == Outcome::Open && !state.asks[*ask].probed;
        let probe_of = ask.filter(probing).filter(|_| self.land.authority == Authority::Home);
        let number = state.deletes.len();
        let wall = self.wall();
        let (sent, accepted) = (now, false);
        let answered = None;
        state.deletes.push(Delete { customer, upstream, generation, text, sent, accepted, wall, answered, probe_of });
        state.waiting.insert(number, answer);
        let wrong = probe_of.is_some_and(|ask| state.asks[ask].stranger);
        let next = if wrong { None } else { state.upstreams[upstream].manners.pop_front() };
        let manner = next.unwrap_or(if wrong { DENIED } else { Manner::Well });
        let probe = if probe_of.is_some() { "probe" } else { "delete" };
        state.say(
            now,
            "network",
            format_args!("{probe} d{number} for c{customer} ({text:?}) to u{upstream}, which takes it {manner:?}"),
        );
        if let Some(ask) = probe_of {
            state.asks[ask].probed = true;
        }
        drop(state);
        self.check_sent(number);
        let dies = self.dies_with_delete();
        if dies != Some(false) {
            self.taken(number, manner, u64::try_from(within.as_millis()).unwrap());
        }
        if dies.is_some() {
            self.die();
        }
        reply
    }

    /// Is the process to die with this delete? Before it leaves, or after.
    fn dies_with_delete(&self) -> Option<bool> {
        let mut state = self.state();
        let (kind, nth, after) = state.armed.as_mut()?.on.as_mut()?;
        if *kind != Kind::Delete {
            return None;
        }
        *nth -= 1;
        (*nth == 0).then_some(*after)
    }

    fn taken(&self, number: usize, manner: Manner, within: u64) {
        let there = self.draw(Of::Network, 1, 40);
        let back = there + self.draw(Of::Network, 0, 40);
        let answer = |delay, status, after| self.after(delay, Event::Answer(number, Reply::Status(status, after)));
        match manner {
            Manner::Well => {
                self.after(there, Event::Act(number));
                answer(back, 200, None);
            }
            Manner::Slow(time) => {
                self.after(time, Event::Act(number));
                answer(time + back, 200, None);
            }
            Manner::Status { code, retry_after } => answer(back, code, retry_after),
            Manner::Refuse => self.after(there, Event::Answer(number, Reply::Refused)),
            Manner::Lost => {
                self.after(there, Event::Act(number));
                self.after(back, Event::Answer(number, Reply::Closed));
            }
            Manner::Hang { late } => {
                if let Some(late) = late {
                    self.after(within + late, Event::Act(number));
                }
            }
        }
    }
}
