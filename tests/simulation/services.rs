//! The services: what they hold, what they do with what arrives, and when. What is on its way to them happens, whatever
//! becomes of the process.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use forgetgate::domain::erasure::RETRY_AFTER_MAX;
use forgetgate::upstream::{Answer, BodyEnd, CallError, ConnectError, Fault as Broken};
use http::Response;
use http::response::Builder;
use tokio::time::sleep_until;

use crate::model::{Message, Origin, Text};
use crate::script::{After, LATE_MAX, Millis};
use crate::world::{State, World};

/// What happens at a service.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A message is stored.
    Store(usize),
    /// A delete is carried out.
    Act(usize),
    /// A delete is answered.
    Answer(usize, Reply),
}

/// What comes back for a delete.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Status(u16, Option<After>),
    /// With this `Retry-After`.
    Later(u16, String),
    Refused,
    Closed,
}

impl Reply {
    pub(crate) fn read(self) -> Result<Answer, CallError> {
        match self {
            Self::Status(status, _) => answer(Response::builder().status(status)),
            Self::Later(status, after) => answer(Response::builder().status(status).header("Retry-After", after)),
            Self::Refused => Err(CallError::Connect(ConnectError::Refused)),
            Self::Closed => Err(CallError::MaybeSent(Broken::Closed)),
        }
    }
}

fn answer(response: Builder) -> Result<Answer, CallError> {
    let response = response.body(Bytes::from_static(b"{}")).unwrap();
    Ok(Answer { response, end: BodyEnd::Whole })
}

impl World {
    pub(crate) fn after(&self, delay: Millis, event: Event) {
        self.at(self.clock.now() + delay, event);
    }

    pub(crate) fn at(&self, moment: Millis, event: Event) {
        let mut state = self.state();
        state.events_ever += 1;
        let number = state.events_ever;
        state.events.insert((moment, number), event);
        drop(state);
        self.pump.notify_one();
    }

    /// Data that was at the services before the gate.
    pub(crate) fn furnish(&self, key: impl Fn(usize) -> forgetgate::domain::PairKey) {
        for (upstream, place) in self.land.upstreams.iter().enumerate().filter(|(_, place)| place.held_before) {
            let _ = place;
            let before = Message {
                customer: 0,
                upstream,
                generation: 0,
                origin: Origin::Before,
                key: key(upstream),
                text: Text::Raw,
                given_up: false,
                begun: 0,
                forwarded: 0,
                stored: Some(0),
                removed: None,
            };
            self.state().messages.push(before);
        }
    }

    /// After the process is gone: what it had under way arrives within the time that services take for such things.
    pub(crate) fn cut(&self) {
        let now = self.clock.now();
        let mut state = self.state();
        state.waiting.clear();
        let events = std::mem::take(&mut state.events);
        let cut = |((at, number), event)| ((Millis::min(at, now + LATE_MAX), number), event);
        state.events = events.into_iter().map(cut).collect();
    }

    /// Lets happen what is due.
    fn happen(&self) {
        let now = self.clock.now();
        loop {
            let mut state = self.state();
            let Some(due) = state.events.first_entry().filter(|first| first.key().0 <= now) else { return };
            let ((at, _), event) = due.remove_entry();
            match event {
                Event::Store(message) => Self::stored(&mut state, at, message),
                Event::Act(delete) => Self::deleted(&mut state, at, delete),
                Event::Answer(delete, reply) => {
                    state.say(at, "service", format_args!("d{delete} is answered {reply:?}"));
                    if let Reply::Status(200, _) = &reply {
                        state.deletes[delete].accepted = true;
                        state.deletes[delete].answered = Some((at, self.wall()));
                        if let Some(ask) = state.deletes[delete].probe_of {
                            state.asks[ask].proved = true;
                        }
                    }
                    let reply = self.dated(&mut state, reply);
                    if let Some(waiting) = state.waiting.remove(&delete) {
                        waiting.send(reply).ok();
                    }
                }
            }
        }
    }

    /// `Retry-After` as it goes over the wire at this moment.
    fn dated(&self, state: &mut State, reply: Reply) -> Reply {
        match reply {
            Reply::Status(code, Some(After::Seconds(seconds))) => Reply::Later(code, seconds.to_string()),
            Reply::Status(code, Some(After::Date(seconds))) => {
                let at = UNIX_EPOCH + Duration::from_secs(self.clock.service() + seconds);
                let until = self.clock.now() + (seconds + self.clock.behind()).min(RETRY_AFTER_MAX) * 1000;
                state.put_off = state.put_off.max(until);
                Reply::Later(code, httpdate::fmt_http_date(at))
            }
            other => other,
        }
    }

    fn stored(state: &mut State, at: Millis, message: usize) {
        let stored = &mut state.messages[message];
        stored.stored = Some(at);
        let stored = stored.clone();
        state.say(at, "service", format_args!("u{} stores m{message} of c{}", stored.upstream, stored.customer));
        for to in state.upstreams[stored.upstream].passes_to.clone() {
            let generation = state.upstreams[to].generation;
            let origin = Origin::PassedOn(stored.upstream);
            let passed = Message { upstream: to, generation, origin, given_up: false, ..stored.clone() };
            let number = state.messages.len();
            state.messages.push(passed);
            state.say(at, "service", format_args!("u{to} stores m{number}, passed on"));
        }
    }

    fn deleted(state: &mut State, at: Millis, number: usize) {
        let delete = state.deletes[number].clone();
        let mut gone = Vec::new();
        for (nth, message) in state.messages.iter_mut().enumerate() {
            let there = (message.upstream, message.generation) == (delete.upstream, delete.generation);
            let theirs = message.customer == delete.customer && message.text == delete.text;
            if there && theirs && message.stored.is_some() && message.removed.is_none() {
                message.removed = Some((at, number));
                gone.push(nth);
            }
        }
        state.say(at, "service", format_args!("u{} carries out d{number}: {gone:?} gone", delete.upstream));
    }

    /// Keeps the services going as long as a life lasts.
    pub(crate) async fn pumped(self: Arc<Self>) {
        loop {
            self.happen();
            let next = self.state().events.keys().next().map(|(at, _)| *at);
            let more = self.pump.notified();
            match next {
                Some(at) => drop(tokio::time::timeout_at(self.clock.at(at), more).await),
                None => more.await,
            }
        }
    }

    /// Waits until then.
    pub(crate) async fn until(&self, moment: Millis) {
        sleep_until(self.clock.at(moment)).await;
    }
}
