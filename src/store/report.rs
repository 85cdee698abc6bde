//! What the engines say in the log. Errors are given by their chains: kinds, paths and the system's words,
//! never a row (P7).

use std::error::Error;
use std::time::Duration;

use crate::domain::UnixSeconds;
use crate::telemetry::chain;
use crate::telemetry::{events, unix_now};

/// The store cannot be written from now on. Gives the moment, for [`recovered`].
pub(super) fn broken(error: &dyn Error) -> UnixSeconds {
    events::StoreBroken { error: &chain(error) }.emit();
    unix_now()
}

/// A batch has not come to its end for so long.
pub(super) fn stalled(stall: Duration) -> UnixSeconds {
    events::StoreBroken { error: &format!("a write has not come to its end for {stall:?}") }.emit();
    unix_now()
}

/// It can be written again.
pub(super) fn recovered(since: UnixSeconds) {
    events::StoreRecovered { after_s: unix_now().since(since) }.emit();
}

/// An entry of this table does not read.
pub(super) fn unreadable(table: &str) {
    events::StoreUnreadable { table }.emit();
}

/// Something that nobody has to do anything about yet.
pub(super) fn warn(what: &str, error: Option<&dyn Error>) {
    let what = error.map_or_else(|| what.to_owned(), |error| format!("{what}: {}", chain(error)));
    events::Warned { what: &what }.emit();
}
