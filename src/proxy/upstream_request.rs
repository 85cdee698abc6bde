//! A request at its upstream: what an exchange holds of the service's side, and what goes on without the caller when that has
//! left: a task of its own reads it to its end. See docs/decisions/006-exchange-outlives-caller.md.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

use super::Gate;
use super::answered::Unanswered;
use super::entry::Entry;
use super::forward::Passages;
use super::record::Recorded;
use super::route::Destination;
use super::service::Service;
use crate::config::OwnLimits;
use crate::upstream::Place;

/// A recorded request, from before it is sent until it is known how it ended.
#[derive(Debug)]
pub(super) struct UpstreamRequest {
    pub(super) gate: Rc<Gate>,
    pub(super) destination: Arc<Destination>,
    pub(super) method: Method,
    pub(super) passages: Passages,
    pub(super) unanswered: Option<Unanswered>,
    pub(super) service: Option<Service>,
    /// Among those that the upstream has at once.
    pub(super) place: Option<Place>,
    /// The request's line in the log; it is in flight as long as this is held. `None` only at the end.
    pub(super) entry: Option<Entry>,
}

impl UpstreamRequest {
    pub(super) fn new(
        gate: &Rc<Gate>,
        destination: Arc<Destination>,
        method: Method,
        recorded: Recorded,
        entry: Entry,
    ) -> Self {
        let (passages, unanswered) = recorded.into_parts();
        let (gate, entry) = (Rc::clone(gate), Some(entry));
        Self { gate, destination, method, passages, unanswered, service: None, place: None, entry }
    }

    pub(super) fn own_limits(&self) -> &OwnLimits {
        &self.destination.site.upstream.limits
    }

    /// From the end of the request to the head of its answer.
    pub(super) fn response_timeout(&self) -> Duration {
        self.own_limits().response.unwrap_or(self.gate.limits().response_timeout)
    }

    /// What went through it, for its line in the log.
    pub(super) fn carried(&mut self, bytes_in: u64) {
        let Some(entry) = &mut self.entry else { return };
        entry.carried_in(bytes_in);
        if let Some(service) = &self.service {
            entry.carried_out(service.bytes_out);
            entry.found(service.all_findings());
        }
    }

    /// Both bodies have come to their ends: the connection can be used again, and an erasure need not wait for it.
    pub(super) fn complete(&mut self) {
        let now = Instant::now();
        for passage in self.passages.drain(..) {
            passage.ended();
        }
        if let Some(service) = self.service.take_if(|service| service.reusable) {
            let (opened, kept) = (service.opened, service.kept());
            self.gate.pool(self.destination.slot).put_back(service.link, opened, kept, now);
            service.head.put_back();
        }
        self.service = None;
        if let Some(entry) = &mut self.entry {
            entry.ended_at(now);
        }
        // The next one finds the connection.
        self.place = None;
        self.entry = None;
    }

    /// Whether it is to be read to its end although nobody waits for it any more: it is somebody's.
    pub(super) fn is_to_outlive(&self) -> bool {
        !self.passages.is_empty() && self.service.is_some()
    }

    /// Reads the answer to its end, at most for the upstream's `response_timeout`, in a task of its own. Nothing is left here.
    pub(super) fn outlive(&mut self) {
        let mut request = Self {
            gate: Rc::clone(&self.gate),
            destination: Arc::clone(&self.destination),
            method: std::mem::take(&mut self.method),
            passages: std::mem::take(&mut self.passages),
            unanswered: self.unanswered.take(),
            service: self.service.take(),
            place: self.place.take(),
            entry: self.entry.take(),
        };
        spawn_local(async move {
            if timeout(request.response_timeout(), request.read_to_end()).await == Ok(true) {
                request.complete();
            }
        });
    }

    async fn read_to_end(&mut self) -> bool {
        let Some(service) = &mut self.service else { return false };
        if service.head.status == 0 || service.head.status < 200 {
            let bytes_max = self.gate.answer_head_bytes_max();
            if poll_fn(|cx| service.poll_head(cx, &self.method, bytes_max)).await.is_err() {
                return false;
            }
            self.unanswered.take().into_iter().for_each(|request| request.answered(service.head.status));
        }
        poll_fn(|cx| service.poll_rest(cx)).await
    }
}
