//! What is done on the store's thread: rows are gathered and written, questions are asked, as many at once as may be.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinSet;

use super::batch::{BATCH_BYTES, BATCH_ROWS, Batch, RowWork};
use super::link::{Gate, Link};
use crate::store::queue::{Bound, Queue, Refusal, Work};

/// Statements of rows that are under way at once. A second one that waits at the server makes both smaller: with 128 requests
/// waiting it costs a tenth of the rows.
const PIPELINED: usize = 1;
/// Questions that are under way at once.
const ASKED: usize = 128;
/// Questions that may wait, and bytes of rows or of questions.
const ASKS_MAX: usize = 4096;
const BYTES_MAX: usize = 64 << 20;

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Something that is asked of the server. Dropped, it tells its asker that the store is broken.
pub(super) struct Ask {
    pub(super) bytes: usize,
    pub(super) run: Box<dyn FnOnce(Arc<Link>) -> Running + Send>,
}

impl Work for Ask {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What the store's thread shares with those who ask.
pub(super) struct Shared {
    pub(super) rows: Queue<RowWork>,
    pub(super) asks: Queue<Ask>,
    /// Statements by which rows became durable.
    pub(super) syncs: AtomicU64,
}

impl Shared {
    pub(super) fn new(rows: usize) -> Self {
        Self {
            rows: Queue::new(Bound { works: rows, bytes: BYTES_MAX }),
            asks: Queue::new(Bound { works: ASKS_MAX.min(rows), bytes: BYTES_MAX }),
            syncs: AtomicU64::new(0),
        }
    }

    /// Lets nothing in any more; what is in line is still done.
    pub(super) fn close(&self) {
        self.rows.close();
        self.asks.close();
    }

    /// Throws away what is in line, for good.
    pub(super) fn abandon(&self) {
        self.rows.refuse(Refusal::Broken);
        self.asks.refuse(Refusal::Broken);
    }
}

impl<W: Work> Gate for Queue<W> {
    fn refuse(&self) {
        Self::refuse(self, Refusal::Broken);
    }

    fn accept(&self) {
        Self::accept(self, Refusal::Broken);
    }
}

/// Writes rows until the queue is closed and empty: whatever waits becomes one statement, and while that is under way the next
/// one gathers.
pub(super) async fn write(shared: Arc<Shared>, link: Arc<Link>) {
    let mut under_way = FuturesUnordered::new();
    let mut is_open = true;
    while is_open || !under_way.is_empty() {
        tokio::select! {
            works = shared.rows.taken(BATCH_ROWS, BATCH_BYTES), if is_open && under_way.len() < PIPELINED => {
                let Some(works) = works else {
                    is_open = false;
                    continue;
                };
                let mut batch = Batch::of(works);
                let before = std::mem::take(&mut batch.before);
                under_way.push(written(&shared, &link, batch));
                if !before.is_empty() {
                    while under_way.next().await.is_some() {}
                    before.into_iter().for_each(|done| drop(done.send(Ok(()))));
                }
            }
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
        }
    }
}

async fn written(shared: &Shared, link: &Link, batch: Batch) {
    let written = link.ask(|db| batch.write(db)).await;
    if written.is_ok() && !batch.is_empty() {
        shared.syncs.fetch_add(1, Ordering::Relaxed);
    }
    batch.tell(written.is_ok());
}

/// Asks until the queue is closed and empty.
pub(super) async fn answer(shared: Arc<Shared>, link: Arc<Link>) {
    let mut under_way = JoinSet::new();
    loop {
        while under_way.try_join_next().is_some() {}
        if under_way.len() >= ASKED {
            under_way.join_next().await;
            continue;
        }
        let Some(asks) = shared.asks.taken(ASKED - under_way.len(), usize::MAX).await else { break };
        for ask in asks {
            under_way.spawn((ask.run)(Arc::clone(&link)));
        }
    }
    while under_way.join_next().await.is_some() {}
}
