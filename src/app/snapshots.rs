//! The timer of `store.snapshot`: an export into a folder, again and again, while the gate runs. Nothing that serves waits for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::Snapshot;
use crate::store::{Index, snapshot};
use crate::telemetry::{Registry, chain, events, unix_now};

/// After one that failed, the next is tried so soon.
const AGAIN: Duration = Duration::from_secs(300);

/// Takes them until the gate ends. What runs before this one took counts: the first is due when the newest is old enough.
pub(super) async fn run(config: Snapshot, index: Arc<dyn Index>, registry: Arc<Registry>, ended: CancellationToken) {
    let newest = snapshot::newest(&config.folder);
    newest.iter().for_each(|newest| registry.snapshots().newest_is_of(*newest));
    let age = newest.map(|newest| Duration::from_secs(unix_now().since(newest)));
    let mut wait = age.map_or(Duration::ZERO, |age| config.every.saturating_sub(age));
    while ended.run_until_cancelled(sleep(wait)).await.is_some() {
        let now = unix_now();
        let taking = snapshot::take(Arc::clone(&index), &config, now);
        let Some(taken) = ended.run_until_cancelled(taking).await else { return };
        let counters = registry.snapshots();
        wait = match taken {
            Ok(path) => {
                counters.taken();
                counters.newest_is_of(now);
                events::SnapshotTaken { path: &path.display().to_string() }.emit();
                config.every
            }
            Err(error) => {
                let again = AGAIN.min(config.every);
                counters.failed();
                events::SnapshotFailed { error: &chain(&error), again_s: again.as_secs() }.emit();
                again
            }
        };
    }
}
