//! How many exchanges a worker has with one upstream at once, and so how many connections: who wants one more waits in
//! line, for a bounded time. An upstream that hangs then holds its places, and not those of all the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// All places of one pool.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    patience: Duration,
}

/// One exchange's place. Dropped, it is the next one's.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// Every place is taken, and none came free in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no connection to the service came free in time")]
pub struct NoPlace;

impl Places {
    pub(super) fn new(count: usize, patience: Duration) -> Self {
        Self { free: Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS))), patience }
    }

    /// A place that is free. Whoever waits comes first.
    pub(super) fn free(&self) -> Option<Place> {
        Arc::clone(&self.free).try_acquire_owned().ok().map(|permit| Place { _permit: permit })
    }

    /// The next one, in the order in which they were asked for.
    pub(super) async fn wait(&self) -> Result<Place, NoPlace> {
        match timeout(self.patience, Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Place { _permit: permit }),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(NoPlace),
        }
    }
}
