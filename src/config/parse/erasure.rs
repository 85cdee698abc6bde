//! `[erasure]`

use std::time::Duration;

use super::super::file::Table;
use super::super::{Authorize, Erasure, OpenWebsockets, OwnErasure};
use super::bounded::{count, duration};
use super::external_files::{Outside, Unreadable};

pub(super) fn erasure(root: &Table<'_>, outside: &Outside<'_>) -> Erasure {
    let mut erasure = Erasure::default();
    let Some(table) = root.get("erasure").and_then(|value| value.table("[erasure]")) else {
        return erasure;
    };
    erasure.authorize = authorize(&table, outside).unwrap_or(erasure.authorize);
    let (second, minutes, years) =
        (Duration::from_secs(1), Duration::from_secs(600), Duration::from_secs(3_650 * 86_400));
    erasure.deadline = duration(&table, "deadline", erasure.deadline, &(second..=years));
    erasure.erasures_per_minute = count(&table, "erasures_per_minute", erasure.erasures_per_minute, &(0..=1_000_000));
    let inflight = Duration::from_millis(10)..=minutes;
    erasure.barrier_timeout = duration(&table, "barrier_timeout", erasure.barrier_timeout, &inflight);
    let day = Duration::from_secs(86_400);
    erasure.retention = duration(&table, "retention", erasure.retention, &(day..=10 * years));
    erasure.open_websockets = open_websockets(&table).unwrap_or_default();
    table.not_yet("webhook", "leave it out; the admin API tells what became of each erasure");
    table.not_yet("smtp", "leave it out");
    table.close();
    erasure
}

/// What an upstream's own table says instead.
pub(super) fn own_erasure(upstream: &Table<'_>, outside: &Outside<'_>) -> OwnErasure {
    let form = "erasure = { authorize = \"token\", token = { file = \"…\" } }";
    let Some(table) = upstream.get("erasure").and_then(|value| value.table(form)) else {
        return OwnErasure::default();
    };
    // A token alone is a fault, as in the common table.
    let is_said = table.has("authorize") || table.has("token");
    let own = OwnErasure {
        authorize: is_said.then(|| authorize(&table, outside)).flatten(),
        open_websockets: open_websockets(&table),
    };
    table.close();
    own
}

fn open_websockets(table: &Table<'_>) -> Option<OpenWebsockets> {
    let words = [("wait", OpenWebsockets::Wait), ("close", OpenWebsockets::Close)];
    table.get("open_websockets").and_then(|value| value.choice(&words, &[]))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Home,
    Token,
    Open,
}

fn authorize(table: &Table<'_>, outside: &Outside<'_>) -> Option<Authorize> {
    let words = [("home", By::Home), ("token", By::Token), ("open", By::Open)];
    let by = table.get("authorize").map_or(Some(By::Home), |value| value.choice(&words, &[]));
    let token = table.get("token");
    let secret = token.as_ref().and_then(|value| outside.secret(value, Unreadable::IsFault));
    match (by?, token) {
        (By::Token, Some(_)) => secret.map(Authorize::Token),
        (By::Token, None) => {
            let what = "is missing: authorize is \"token\"";
            table.report.fault(&table.place_of("token"), what, "token = { file = \"…\" }");
            None
        }
        (By::Home | By::Open, Some(token)) => {
            token.fault("is read by nobody: authorize is not \"token\"", "authorize = \"token\", or no token");
            None
        }
        (By::Home, None) => Some(Authorize::Home),
        (By::Open, None) => Some(Authorize::Open),
    }
}
