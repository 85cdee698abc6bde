//! The one place where all counters hang: workers get theirs here, and a scrape sums them here.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::counters::WorkerCounters;
use super::erasures::ErasureCounters;
use super::figures::{GateFigures, UpstreamFigures};
use super::metrics::Gauge;

/// Where further gauges come from at a scrape. It must not block.
type Source = Box<dyn Fn() -> Vec<Gauge> + Send + Sync>;

/// All counters of the process.
pub struct Registry {
    names: Box<[Arc<str>]>,
    workers: Box<[Arc<WorkerCounters>]>,
    erasures: ErasureCounters,
    access_lines_dropped: AtomicU64,
    sources: Mutex<Vec<Source>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("upstreams", &self.names).field("workers", &self.workers.len()).finish()
    }
}

impl Registry {
    /// Counters for these upstreams, in the order of the configuration, and this many workers (at least one).
    #[must_use]
    pub fn new(upstream_names: &[Arc<str>], workers: usize) -> Arc<Self> {
        let worker = |_| Arc::new(WorkerCounters::new(upstream_names.len()));
        Arc::new(Self {
            names: upstream_names.into(),
            workers: (0..workers.max(1)).map(worker).collect(),
            erasures: ErasureCounters::default(),
            access_lines_dropped: AtomicU64::new(0),
            sources: Mutex::default(),
        })
    }

    /// The counters of one worker. A number beyond the last shares with others, which costs time and loses nothing.
    #[must_use]
    pub fn worker(&self, number: usize) -> Arc<WorkerCounters> {
        let mut round = self.workers.iter().cycle().skip(number % self.workers.len().max(1));
        round.next().map_or_else(|| Arc::new(WorkerCounters::new(self.names.len())), Arc::clone)
    }

    /// The counters of erasures.
    #[must_use]
    pub const fn erasures(&self) -> &ErasureCounters {
        &self.erasures
    }

    /// Access lines that were lost to a full queue.
    pub fn access_lines_dropped(&self, count: u64) {
        self.access_lines_dropped.fetch_add(count, Relaxed);
    }

    /// Asks `source` for gauges at every scrape, such as the store's; it must not block.
    pub fn add_gauges(&self, source: impl Fn() -> Vec<Gauge> + Send + Sync + 'static) {
        self.sources.lock().push(Box::new(source));
    }

    /// What was counted for each upstream, in the order of the configuration.
    #[must_use]
    pub fn per_upstream(&self) -> Vec<UpstreamFigures> {
        let summed = |(index, name): (usize, &Arc<str>)| {
            let mut sums = UpstreamFigures::none(Arc::clone(name));
            for worker in &self.workers {
                worker.upstream(index).add_to(&mut sums);
            }
            sums
        };
        self.names.iter().enumerate().map(summed).collect()
    }

    /// What was counted for the gate as a whole.
    #[must_use]
    pub fn gate(&self) -> GateFigures {
        let mut sums =
            GateFigures { access_lines_dropped: self.access_lines_dropped.load(Relaxed), ..GateFigures::default() };
        for worker in &self.workers {
            let (opened, open) = worker.connections();
            sums.connections_opened += opened;
            sums.connections_open += open;
            sums.tunnels += worker.tunnels();
            worker.turned_away_to(&mut sums.turned_away);
            worker.unrouted_to(&mut sums.unrouted);
        }
        sums
    }

    /// How often each worker has said that it is alive.
    #[must_use]
    pub fn pulses(&self) -> Vec<u64> {
        self.workers.iter().map(|worker| worker.pulses()).collect()
    }

    pub(super) fn gauges(&self) -> Vec<Gauge> {
        self.sources.lock().iter().flat_map(|source| source()).collect()
    }
}
