//! When this thread's runtime last polled its sockets.
//!
//! What came since then is not known yet, and a connection on which it came looks idle. To ask the system each time would
//! cost a tenth of a request; to know how long ago the runtime looked costs nothing that counts.
//! See docs/decisions/010-reused-connections.md.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// So long a look is good for: well below the time in which a service could be asked and answer.
const GOOD_FOR: Duration = Duration::from_millis(2);

thread_local! {
    static LOOKED: Cell<Option<(u64, Instant)>> = const { Cell::new(None) };
}

/// The runtime has looked. To be called by every runtime whose thread has a pool, whenever it has.
pub fn looked() {
    let turns = LOOKED.get().map_or(0, |(turns, _)| turns);
    LOOKED.set(Some((turns.wrapping_add(1), Instant::now())));
}

/// One look of the runtime's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look(Option<u64>);

/// The last one.
pub(super) fn last() -> Look {
    Look(LOOKED.get().map(|(turns, _)| turns))
}

impl Look {
    /// Whether the runtime has not looked since.
    pub(super) fn is_last(self) -> bool {
        self == last()
    }
}

/// Whether the runtime has looked not too long before `now`. Of a moment before it looked nothing is known: a request that
/// has waited since then asks again.
pub(super) fn is_recent(now: Instant) -> bool {
    LOOKED.get().is_some_and(|(_, at)| now.checked_duration_since(at).is_some_and(|age| age <= GOOD_FOR))
}
