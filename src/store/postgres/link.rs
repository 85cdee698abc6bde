//! One connection, and the task that drives it.

use std::fmt::Debug;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, Client, Connection};

use crate::store::StoreError;

/// A connection that is driven on the runtime on which it was opened. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: Client,
}

impl Link {
    /// Drives it; what the database announces over it rings the bell.
    pub(super) fn driven<S, T>(client: Client, mut connection: Connection<S, T>, rung: Arc<Notify>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(_) = message {
                    rung.notify_waiters();
                }
            }
        });
        Self { client }
    }
}

/// Opens connections.
pub(super) trait Links: Send + Sync + Debug {
    /// A new one.
    fn connect(&self, rung: Arc<Notify>) -> Pin<Box<dyn Future<Output = Result<Link, StoreError>> + Send + '_>>;
}
