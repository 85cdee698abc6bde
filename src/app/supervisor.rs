//! What a service manager is told (`NOTIFY_SOCKET`): ready, reloading, stopping, and that every worker and the store are alive.
//!
//! Without a manager nothing is reported. A manager that cannot be reached does not stop the gate.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::store::Index;
use crate::telemetry::{Registry, events};

/// A worker says that it is alive five times a second: within this time each has.
const PULSE: Duration = Duration::from_secs(1);

/// The listeners are open.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again; [`ready`] says that it has been.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => failed(&error),
    }
}

/// No further callers; what is on its way is finished.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells a manager that asks for it (`WATCHDOG_USEC`) that every worker and the store are alive, as long as that is so.
pub(super) async fn keep_informed(registry: Arc<Registry>, index: Arc<dyn Index>, ended: CancellationToken) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    let mut look = interval((patience / 3).max(PULSE));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before: Option<Vec<u64>> = None;
    while ended.run_until_cancelled(look.tick()).await.is_some() {
        let now = registry.pulses();
        let turning = before.is_none_or(|before| before.iter().zip(&now).all(|(before, now)| before < now));
        if turning && index.is_alive() {
            tell(&[NotifyState::Watchdog]);
        }
        before = Some(now);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        failed(&error);
    }
}

fn failed(error: &std::io::Error) {
    events::Warned { what: &format!("the service manager could not be told: {error}") }.emit();
}
