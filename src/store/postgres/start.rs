//! The store opened at start, and its thread from the first connection to the last.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::db::{Db, Fault};
use super::fault::ServerFault;
use super::link::Link;
use super::members::PostgresMembers;
use super::migrate::{MigrateError, migrate_on};
use super::server::{ConnectError, Server};
use super::session::Session;
use super::work::{Shared, answer, write};
use super::{PostgresStore, SeenLately};
use crate::config;
use crate::store::open::{Ending, OpenError, Opened, Together, read_or_make_key};
use crate::store::seal::Keys;
use crate::store::seal::key_file::{self, Failure as KeyFailure};
use crate::store::{Index, SharedJobs, StoreError, Tuning, report};

/// How long a server may be away at start: it may be starting, too.
const START_PATIENCE: Duration = Duration::from_secs(15);
const START_PAUSE: Duration = Duration::from_millis(300);

/// What a start found and made.
struct Started {
    keys: Arc<Keys>,
    server: Arc<Server>,
    db: Db,
    ended_well: bool,
}

/// What the thread tells whoever opens the store.
type Told = Result<(Arc<Keys>, Ending), OpenError>;

/// Opens the store, and makes its schema if it has none; blocking.
pub(in super::super) fn open(config: &config::Store, tuning: Tuning) -> Result<Opened, OpenError> {
    let io_error = |source| OpenError::Io { path: config.path.clone(), source };
    let shared = Arc::new(Shared::new(tuning.queue_bound));
    let (tell, told) = channel();
    let thread = thread::Builder::new().name("store-writer".into()).spawn({
        let (config, shared) = (config.clone(), Arc::clone(&shared));
        move || run(&config, tuning, &shared, &tell)
    });
    let thread = thread.map_err(io_error)?;
    let (keys, ending) = told.recv().unwrap_or_else(|_| Err(failed(config, "its thread ended")))?;
    let (seen, unread) = (SeenLately::default(), parking_lot::Mutex::default());
    let me = Arc::default();
    let members = config.postgres.as_ref().map(|postgres| PostgresMembers::new(postgres, Arc::clone(&me)));
    let store = Arc::new(PostgresStore { keys: Arc::clone(&keys), seen, shared, me, unread, thread: Some(thread) });
    let jobs = Arc::clone(&store) as Arc<dyn SharedJobs>;
    let together = members.map(|members| Together { members: Arc::new(members), jobs });
    Ok(Opened { keys, index: Arc::clone(&store) as Arc<dyn Index>, jobs: store, ending, together })
}

/// The thread. Whatever ends it, nobody waits for it in vain.
fn run(config: &config::Store, tuning: Tuning, shared: &Arc<Shared>, tell: &Sender<Told>) {
    struct Abandon<'a>(&'a Shared);
    impl Drop for Abandon<'_> {
        fn drop(&mut self) {
            self.0.close();
            self.0.abandon();
        }
    }
    let _abandon = Abandon(shared);
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => return drop(tell.send(Err(OpenError::Io { path: config.path.clone(), source }))),
    };
    runtime.block_on(async {
        let started = match start(config, tuning).await {
            Ok(started) => started,
            Err(error) => return drop(tell.send(Err(error))),
        };
        let ending = Ending::new(started.ended_well);
        drop(tell.send(Ok((Arc::clone(&started.keys), ending.clone()))));
        serve(shared, &started, &ending).await;
    });
}

async fn serve(shared: &Arc<Shared>, started: &Started, ending: &Ending) {
    let end = CancellationToken::new();
    let first = Arc::new(Link::of(Arc::clone(&started.server), started.db.clone()));
    // The second is opened by its own task.
    let second = Arc::new(Link::down(Arc::clone(&started.server), Arc::clone(&started.db.schema)));
    for (link, is_writer) in [(&first, false), (&second, true)] {
        let (link, shared, end) = (Arc::clone(link), Arc::clone(shared), end.clone());
        tokio::spawn(async move {
            if is_writer { link.keep(&shared.rows, &end).await } else { link.keep(&shared.asks, &end).await }
        });
    }
    let mut writes = tokio::spawn(write(Arc::clone(shared), second));
    let mut answers = tokio::spawn(answer(Arc::clone(shared), Arc::clone(&first)));
    let ended = tokio::select! {
        ended = &mut writes => ended.is_ok() && answers.await.is_ok(),
        ended = &mut answers => ended.is_ok() && writes.await.is_ok(),
    };
    if !ended {
        return report::warn("a task of the store panicked", None);
    }
    let well = ending.is_orderly();
    if let Err(error) = first.ask(|db| async move { db.end_run(well).await }).await {
        report::warn("the store did not close in good order", Some(&error));
    }
    end.cancel();
}

async fn start(config: &config::Store, tuning: Tuning) -> Result<Started, OpenError> {
    let Some(postgres) = &config.postgres else { return Err(failed(config, "nothing says where its server is")) };
    let old_key = key_file::read(&config.key_file)?;
    let server = Arc::new(Server::new(postgres));
    let session = patiently(|| server.connect()).await?;
    let db = Db { session: Arc::new(session), schema: postgres.schema.as_str().into() };
    // A schema that is not there although its key is: perhaps it was lost, or this is another database.
    let make = tuning.new_store || old_key.is_none();
    migrate_on(&db, &server, make).await.map_err(|error| match error {
        MigrateError::Gone { .. } => {
            OpenError::NoSchema { schema: postgres.schema.clone(), key_file: config.key_file.clone() }
        }
        error => OpenError::Schema(error),
    })?;
    let asked = |error| fault(config, error);
    if db.key_check().await.map_err(asked)?.is_some() && old_key.is_none() {
        return Err(KeyFailure::Missing { path: config.key_file.clone() }.into());
    }
    let keys = Arc::new(Keys::derive(&*read_or_make_key(config)?));
    if db.remember_key(&keys.check_value()).await.map_err(asked)? != keys.check_value() {
        return Err(OpenError::WrongKey { path: place(config), key_file: config.key_file.clone() });
    }
    let ended_well = db.begin_run().await.map_err(asked)?;
    Ok(Started { keys, server, db, ended_well })
}

/// A server that is not there yet is waited for a while.
async fn patiently<F>(connect: impl Fn() -> F) -> Result<Session, ConnectError>
where
    F: Future<Output = Result<Session, ConnectError>>,
{
    let until = Instant::now() + START_PATIENCE;
    loop {
        match connect().await {
            Err(ConnectError::NoHost(_)) if Instant::now() < until => sleep(START_PAUSE).await,
            connected => return connected,
        }
    }
}

/// What errors call the store.
fn place(config: &config::Store) -> PathBuf {
    let schema = config.postgres.as_ref().map_or_else(String::new, |postgres| postgres.schema.clone());
    format!("schema {schema}").into()
}

fn failed(config: &config::Store, reason: &str) -> OpenError {
    OpenError::Server { place: place(config), fault: ServerFault::other(reason) }
}

fn fault(config: &config::Store, error: Fault) -> OpenError {
    match error {
        Fault::Server(fault) => OpenError::Server { place: place(config), fault },
        Fault::Answer(StoreError::Corrupt { what }) => failed(config, &format!("{what} cannot be read")),
        Fault::Answer(error) => failed(config, &error.to_string()),
    }
}
