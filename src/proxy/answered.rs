//! Of an instance of an upstream it is noted once that the service has taken something there: only such an instance says
//! anything of others, since anybody can show a key that opens nothing.
//!
//! A key or path that was never answered but with a refusal (3xx, 4xx) is none. Where it is not known what became of a
//! request that was sent whole, data may be there: that counts. What its caller broke off says nothing, or one such
//! request would do. The row says its own key and path in any case, so that a crash in between loses nothing.

use std::sync::Arc;

use tokio::task::spawn_local;

use super::Gate;
use super::route::Destination;
use crate::domain::{Instance, UnixSeconds};
use crate::store::Index;

/// A request for an instance that is not known to be answered.
#[derive(Debug)]
pub(super) struct Unanswered {
    index: Arc<dyn Index>,
    destination: Arc<Destination>,
    instance: Instance,
    now: UnixSeconds,
    /// Whether data may be there, as far as is known now.
    counts: bool,
}

impl Unanswered {
    /// `None`: it is known.
    pub(super) fn of(gate: &Gate, destination: &Arc<Destination>, instance: &Instance) -> Option<Self> {
        let is_known = destination.site.instances.is_answered(instance);
        (!is_known).then(|| Self {
            index: gate.shared_index(),
            destination: Arc::clone(destination),
            instance: instance.clone(),
            now: gate.unix_now(),
            counts: false,
        })
    }

    /// Whether the request is sent whole. While its answer is not known it counts then.
    pub(super) const fn sent(&mut self, whole: bool) {
        self.counts = whole;
    }

    /// This is the answer.
    pub(super) fn answered(mut self, status: u16) {
        // A redirection and a refusal say that nothing was stored.
        self.counts = !matches!(status, 300..500);
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if !self.counts {
            return;
        }
        let (destination, instance) = (Arc::clone(&self.destination), std::mem::take(&mut self.instance));
        destination.site.instances.answered(&instance);
        let noted = self.index.answered(destination.site.number, &instance, self.now);
        spawn_local(async move {
            if noted.await.is_err() {
                // The next answer tries again.
                destination.site.instances.unanswered(&instance);
            }
        });
    }
}
