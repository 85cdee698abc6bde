//! How many connections, and streams on those of HTTP/2, there may be at once, which a new configuration may change.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

/// How many connections may be open. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct ConnectionLimit(Arc<Semaphore>);

impl ConnectionLimit {
    /// A place, once there is one. It is free again when it is dropped.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.0).acquire_owned().await.ok()
    }

    /// A place, if there is one now.
    pub(super) fn take_now(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// Makes the room larger or smaller.
#[derive(Debug)]
pub(super) struct Size {
    room: ConnectionLimit,
    places: usize,
    /// Takes places away as they become free; until it has them all, nobody else gets one.
    shrinking: Option<(u32, JoinHandle<()>)>,
}

impl Size {
    pub(super) fn new(connections_max: usize) -> Self {
        let places = connections_max.min(Semaphore::MAX_PERMITS);
        Self { room: ConnectionLimit(Arc::new(Semaphore::new(places))), places, shrinking: None }
    }

    pub(super) const fn room(&self) -> &ConnectionLimit {
        &self.room
    }

    /// From now on there may be so many. Where there are more, new ones wait until enough have ended; none is cut.
    pub(super) async fn resize(&mut self, connections_max: usize) {
        self.stop_shrinking().await;
        let wanted = connections_max.min(Semaphore::MAX_PERMITS);
        if wanted >= self.places {
            self.room.0.add_permits(wanted - self.places);
            self.places = wanted;
            return;
        }
        let surplus = u32::try_from(self.places - wanted).unwrap_or(u32::MAX);
        let semaphore = Arc::clone(&self.room.0);
        let shrink = async move {
            if let Ok(permits) = semaphore.acquire_many_owned(surplus).await {
                permits.forget();
            }
        };
        self.places = wanted;
        self.shrinking = Some((surplus, tokio::spawn(shrink)));
    }

    /// Cancelling the shrink gives back the room that it has gathered so far.
    async fn stop_shrinking(&mut self) {
        let Some((surplus, shrinking)) = self.shrinking.take() else { return };
        shrinking.abort();
        if shrinking.await.is_err() {
            self.places += usize::try_from(surplus).unwrap_or(usize::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::Size;

    #[tokio::test]
    async fn p12_room_grows_at_once_and_shrinks_as_connections_end() {
        let mut size = Size::new(2);
        let room = size.room().clone();
        let (one, two) = (room.take().await.unwrap(), room.take().await.unwrap());
        assert!(room.take().now_or_never().is_none());
        size.resize(3).await;
        let three = room.take().now_or_never().flatten().unwrap();
        size.resize(1).await;
        tokio::task::yield_now().await;
        drop((one, two));
        tokio::task::yield_now().await;
        assert!(room.take().now_or_never().is_none(), "the one that is left is the one that there may be");
        drop(three);
        let last = room.take().now_or_never().flatten().unwrap();
        assert!(room.take().now_or_never().is_none());
        drop(last);
    }

    #[tokio::test]
    async fn a_size_that_was_never_reached_is_taken_back() {
        let mut size = Size::new(3);
        let room = size.room().clone();
        let held = [room.take().await.unwrap(), room.take().await.unwrap()];
        size.resize(1).await;
        tokio::task::yield_now().await;
        assert!(room.take().now_or_never().is_none());
        size.resize(3).await;
        let third = room.take().now_or_never().flatten().unwrap();
        assert!(room.take().now_or_never().is_none());
        drop((held, third));
        let all = [room.take().await.unwrap(), room.take().await.unwrap(), room.take().await.unwrap()];
        assert!(room.take().now_or_never().is_none());
        drop(all);
    }
}
