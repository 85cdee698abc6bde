//! A connection that is opened again whenever it breaks, and the questions that are repeated on it.
//!
//! A break is nobody's failure for a while: who waits has the question asked once more on the next connection. After
//! [`PATIENCE`] all who wait are told that the store is broken, and nobody is let in until there is a server that can be written to.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::db::{Db, Fault, Then, after};
use super::fault::ServerFault;
use super::server::{ConnectError, Server};
use crate::domain::UnixSeconds;
use crate::store::{StoreError, report};

/// How long the server may be away before those who wait are told so.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts to connect, with jitter.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long one statement may take, also where the server's own limit does not hold.
const STATEMENT_LIMIT: Duration = Duration::from_secs(15);
/// How long one question may take, and how often it is asked, until it has its answer.
const QUESTION_LIMIT: Duration = Duration::from_secs(30);
const TRIES: u32 = 12;

/// Says that the server can be written to: a write that changes nothing.
const PROBE: &str = "UPDATE {s}.meta SET number = number WHERE name = 'probe'";

/// How the connection stands.
#[derive(Clone, Debug)]
enum State {
    Up(Db),
    /// It is being opened again.
    Down,
    /// It has been down for so long that nobody waits.
    Refused,
}

/// What a link does to the gate before it.
pub(super) trait Gate: Send + Sync {
    /// Throws away what waits, and lets nothing in.
    fn refuse(&self);
    /// Lets in again.
    fn accept(&self);
}

/// One connection, again and again.
pub(super) struct Link {
    server: Arc<Server>,
    schema: Arc<str>,
    state: watch::Sender<State>,
    lost: Notify,
}

impl Link {
    /// The first connection is there.
    pub(super) fn of(server: Arc<Server>, db: Db) -> Self {
        let (schema, state) = (Arc::clone(&db.schema), watch::Sender::new(State::Up(db)));
        Self { server, schema, state, lost: Notify::new() }
    }

    /// There is none yet.
    pub(super) fn down(server: Arc<Server>, schema: Arc<str>) -> Self {
        Self { server, schema, state: watch::Sender::new(State::Down), lost: Notify::new() }
    }

    /// Opens it again whenever it breaks, until the end.
    pub(super) async fn keep(&self, gate: &dyn Gate, end: &CancellationToken) {
        let mut trouble = Trouble::default();
        loop {
            let up = match &*self.state.borrow() {
                State::Up(db) => Some(db.clone()),
                State::Down | State::Refused => None,
            };
            if let Some(db) = up {
                tokio::select! {
                    _ = db.session.broken() => self.lose(&db),
                    // Perhaps of one that was lost before.
                    () = self.lost.notified() => {}
                    () = end.cancelled() => return,
                }
                continue;
            }
            tokio::select! {
                db = self.opened_again(gate, &mut trouble) => {
                    self.state.send_replace(State::Up(db));
                    if let Some(since) = trouble.refused.take() {
                        gate.accept();
                        report::recovered(since);
                    }
                }
                () = end.cancelled() => return,
            }
        }
    }

    /// However long it takes.
    async fn opened_again(&self, gate: &dyn Gate, trouble: &mut Trouble) -> Db {
        let since = Instant::now();
        trouble.last = None;
        loop {
            let attempt = self.attempt();
            tokio::pin!(attempt);
            let failure = loop {
                tokio::select! {
                    db = &mut attempt => match db {
                        Ok(db) => return db,
                        Err(failure) => break failure,
                    },
                    () = sleep_until(since + PATIENCE), if trouble.refused.is_none() => self.refuse(gate, trouble),
                }
            };
            trouble.last = Some(failure);
            if trouble.refused.is_none() && since.elapsed() > PATIENCE {
                self.refuse(gate, trouble);
            }
            sleep(trouble.pause()).await;
        }
    }

    fn refuse(&self, gate: &dyn Gate, trouble: &mut Trouble) {
        self.state.send_replace(State::Refused);
        gate.refuse();
        let why = trouble.last.take().unwrap_or(Failure::Silence);
        trouble.refused = Some(report::broken(&why));
    }

    async fn attempt(&self) -> Result<Db, Failure> {
        let session = Arc::new(self.server.connect().await?);
        let db = Db { session, schema: Arc::clone(&self.schema) };
        match timeout(STATEMENT_LIMIT, db.execute(PROBE, &[])).await {
            Ok(Ok(_)) => Ok(db),
            Ok(Err(Fault::Server(fault))) => Err(Failure::Server(fault)),
            Ok(Err(Fault::Answer(_))) | Err(_) => Err(Failure::Silence),
        }
    }

    /// The connection as it is now, or the next one.
    async fn up(&self) -> Result<Db, StoreError> {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Down)).await;
        match settled.as_deref() {
            Ok(State::Up(db)) => Ok(db.clone()),
            Ok(State::Down | State::Refused) | Err(_) => Err(StoreError::Broken),
        }
    }

    /// This connection is no use.
    fn lose(&self, used: &Db) {
        let mut is_used = false;
        self.state.send_if_modified(|state| {
            is_used = matches!(state, State::Up(db) if Arc::ptr_eq(&db.session, &used.session));
            if is_used {
                *state = State::Down;
            }
            is_used
        });
        if is_used {
            self.lost.notify_one();
        }
    }

    /// Asks until there is an answer. A question may be asked again although it was carried out: it has to say what is to be
    /// afterwards, or find out.
    pub(super) async fn ask<T, F>(&self, question: impl Fn(Db) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let until = Instant::now() + QUESTION_LIMIT;
        for tried in 0..TRIES {
            if Instant::now() > until {
                break;
            }
            let db = self.up().await?;
            let then = match timeout(STATEMENT_LIMIT, question(db.clone())).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Fault::Answer(error))) => return Err(error),
                Ok(Err(Fault::Server(fault))) => {
                    let then = after(&fault);
                    if then == Then::Fail {
                        report::warn("a statement of the store failed", Some(&fault));
                        return Err(StoreError::Broken);
                    }
                    then
                }
                Err(_) => Then::Elsewhere,
            };
            if then == Then::Elsewhere {
                self.lose(&db);
            }
            sleep(jittered(PAUSE_MIN.saturating_mul(1 << tried.min(6)).min(PAUSE_MAX))).await;
        }
        Err(StoreError::Broken)
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Server(ServerFault),
    #[error("the server does not answer")]
    Silence,
}

#[derive(Debug, Default)]
struct Trouble {
    /// Since when nobody is let in.
    refused: Option<UnixSeconds>,
    last: Option<Failure>,
    /// Attempts that failed one after another.
    failures: u32,
    /// When the last attempt failed.
    at: Option<Instant>,
}

impl Trouble {
    /// The more often it failed of late, the longer.
    fn pause(&mut self) -> Duration {
        let now = Instant::now();
        let lately = self.at.is_some_and(|at| now.duration_since(at) < 4 * PAUSE_MAX);
        self.failures = if lately { self.failures + 1 } else { 0 };
        self.at = Some(now);
        jittered(PAUSE_MIN.saturating_mul(1 << self.failures.min(10)).min(PAUSE_MAX))
    }
}

/// Between a half and the whole of it, so that many gates do not come back at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}
