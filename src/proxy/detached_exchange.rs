//! An exchange that goes on without its caller: a task of its own reads it to its end.
//! See docs/decisions/006-exchange-outlives-caller.md.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use http::Method;
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

use super::Gate;
use super::answered::Unanswered;
use super::entry::Entry;
use super::forward::Passages;
use super::service::Service;
use crate::upstream::Place;

/// An exchange whose request was sent whole.
#[derive(Debug)]
pub(super) struct Remains {
    pub(super) gate: Rc<Gate>,
    pub(super) slot: usize,
    pub(super) method: Method,
    pub(super) passages: Passages,
    pub(super) unanswered: Option<Unanswered>,
    pub(super) service: Option<Service>,
    pub(super) place: Option<Place>,
    /// How long its service is waited for.
    pub(super) limit: Duration,
    /// It is in flight as long as this is held.
    pub(super) entry: Option<Entry>,
}

impl Remains {
    /// Both bodies have come to their ends: the connection can be used again, and an erasure need not wait for it.
    pub(super) fn complete(mut self) {
        let now = Instant::now();
        for passage in self.passages {
            passage.ended();
        }
        if let Some(service) = self.service.filter(|service| service.reusable) {
            let (opened, kept) = (service.opened, service.kept());
            self.gate.pool(self.slot).put_back(service.link, opened, kept, now);
        }
        if let Some(entry) = &mut self.entry {
            entry.ended_at(now);
        }
        // The next one finds the connection.
        drop(self.place);
        drop(self.entry);
    }

    /// Reads the answer to its end, at most for the upstream's `response_timeout`.
    pub(super) fn outlive(mut self) {
        spawn_local(async move {
            if timeout(self.limit, self.read_to_end()).await == Ok(true) {
                self.complete();
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
