//! One connection to a server, with the task that drives it.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio_postgres::{AsyncMessage, Client, Connection};
use tokio_util::task::AbortOnDropHandle;

use super::fault::ServerFault;
use super::server::Facts;
use crate::config::PostgresHost;

/// A connection that is open, or was. Its task ends with it.
pub struct Session {
    /// Takes statements. Only unnamed ones: a pooler in transaction mode knows no others (`query_typed`, `execute_typed`,
    /// `simple_query`), and nothing that is set for the session outlives a transaction there.
    pub client: Client,
    facts: Facts,
    host: String,
    tls: bool,
    ended: watch::Receiver<Option<ServerFault>>,
    notified: Arc<Notify>,
    _driver: AbortOnDropHandle<()>,
}

impl Session {
    /// The connection, driven by a task of its own on this runtime.
    pub(super) fn driven<S, T>(client: Client, connection: Connection<S, T>) -> Driven
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (end, ended) = watch::channel(None);
        let notified = Arc::new(Notify::new());
        let driver = AbortOnDropHandle::new(tokio::spawn(drive(connection, end, Arc::clone(&notified))));
        Driven { client, ended, notified, driver }
    }

    /// What the server is.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Which of the hosts it is.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is over TLS.
    #[must_use]
    pub const fn is_over_tls(&self) -> bool {
        self.tls
    }

    /// Waits until the connection is broken, and says why.
    pub async fn broken(&self) -> ServerFault {
        let mut ended = self.ended.clone();
        let fault = ended.wait_for(Option::is_some).await.ok().and_then(|fault| fault.clone());
        fault.unwrap_or_else(|| ServerFault::other("the connection was closed"))
    }

    /// Rung with each notification.
    pub(super) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.notified)
    }

    /// Waits for a notification on any channel that this session listens to. Several may be one.
    pub async fn notified(&self) {
        self.notified.notified().await;
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("host", &self.host).field("facts", &self.facts).finish_non_exhaustive()
    }
}

/// A connection of which nothing is known yet.
pub(super) struct Driven {
    pub(super) client: Client,
    ended: watch::Receiver<Option<ServerFault>>,
    notified: Arc<Notify>,
    driver: AbortOnDropHandle<()>,
}

impl Driven {
    pub(super) fn into_session(self, host: &PostgresHost, facts: Facts) -> Session {
        let Self { client, ended, notified, driver } = self;
        let (host, tls) = (host.to_string(), host.tls);
        Session { client, facts, host, tls, ended, notified, _driver: driver }
    }
}

/// Until the connection ends. What the server tells of its own accord but notifications says nothing that is needed.
async fn drive<S, T>(mut connection: Connection<S, T>, end: watch::Sender<Option<ServerFault>>, notified: Arc<Notify>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let fault = loop {
        match poll_fn(|cx| connection.poll_message(cx)).await {
            Some(Ok(AsyncMessage::Notification(_))) => notified.notify_one(),
            Some(Ok(_)) => {}
            Some(Err(error)) => break ServerFault::of(&error),
            None => break ServerFault::other("the connection was closed"),
        }
    };
    end.send_replace(Some(fault));
}
