//! The one place where all counters hang: workers get theirs here, and a scrape sums them here.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::counters::WorkerCounters;
use super::erasures::ErasureCounters;
use super::figures::{GateFigures, UpstreamFigures};
use super::metrics::Gauge;
use super::reloads::ReloadCounters;
use super::snapshots::SnapshotCounters;
use super::token_keys::TokenKeyCounters;
use super::trouble::Trouble;

/// Where further gauges come from at a scrape. It must not block.
type Source = Box<dyn Fn() -> Vec<Gauge> + Send + Sync>;

/// All counters of the process.
pub struct Registry {
    slots: Mutex<Slots>,
    erasures: ErasureCounters,
    reloads: ReloadCounters,
    snapshots: SnapshotCounters,
    token_keys: TokenKeyCounters,
    access_lines_dropped: AtomicU64,
    certificates_renewed: AtomicU64,
    certificates_refused: AtomicU64,
    sources: Mutex<Vec<Source>>,
}

/// Every upstream that was ever configured in this process has a slot, which never becomes another's: what is counted
/// under a name goes on when the name comes back, and a request on its way counts where it began. So slots are bounded by
/// the names that operators think of.
struct Slots {
    names: Vec<Arc<str>>,
    /// What is wrong with each.
    troubles: Vec<Arc<Trouble>>,
    /// Those of the configuration in force, in its order.
    in_force: Vec<usize>,
    workers: Vec<Arc<WorkerCounters>>,
}

impl Slots {
    fn of(&mut self, name: &Arc<str>) -> usize {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(Arc::clone(name));
            self.troubles.push(Arc::new(Trouble::new(Arc::clone(name))));
            self.names.len() - 1
        })
    }

    fn figures(&self, slot: usize, name: &Arc<str>) -> UpstreamFigures {
        let mut sums = UpstreamFigures::none(Arc::clone(name));
        for worker in &self.workers {
            worker.upstream(slot).add_to(&mut sums);
        }
        sums.last_reason = self.troubles.get(slot).and_then(|trouble| trouble.last_reason());
        sums
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = self.slots.lock();
        f.debug_struct("Registry").field("upstreams", &slots.names).field("workers", &slots.workers.len()).finish()
    }
}

impl Registry {
    /// Counters for these upstreams, in the order of the configuration, and this many workers (at least one).
    #[must_use]
    pub fn new(upstream_names: &[Arc<str>], workers: usize) -> Arc<Self> {
        let workers = (0..workers.max(1)).map(|_| Arc::new(WorkerCounters::none())).collect();
        let slots = Slots { names: Vec::new(), troubles: Vec::new(), in_force: Vec::new(), workers };
        let registry = Arc::new(Self {
            slots: Mutex::new(slots),
            erasures: ErasureCounters::default(),
            reloads: ReloadCounters::default(),
            snapshots: SnapshotCounters::default(),
            token_keys: TokenKeyCounters::default(),
            access_lines_dropped: AtomicU64::new(0),
            certificates_renewed: AtomicU64::new(0),
            certificates_refused: AtomicU64::new(0),
            sources: Mutex::default(),
        });
        registry.configure(upstream_names);
        registry
    }

    /// From now on these upstreams are shown, in this order. Gives their slots. Workers count for new ones with the
    /// counters that [`worker`](Self::worker) gives them afterwards.
    pub fn configure(&self, upstream_names: &[Arc<str>]) -> Vec<usize> {
        let mut slots = self.slots.lock();
        slots.in_force = upstream_names.iter().map(|name| slots.of(name)).collect();
        let troubles = slots.troubles.clone();
        slots.workers.iter_mut().for_each(|worker| *worker = Arc::new(worker.grown(&troubles)));
        slots.in_force.clone()
    }

    /// The names of all slots.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.slots.lock().names.clone()
    }

    /// The counters of one worker. A number beyond the last shares with others, which costs time and loses nothing.
    #[must_use]
    pub fn worker(&self, number: usize) -> Arc<WorkerCounters> {
        let slots = self.slots.lock();
        let mut round = slots.workers.iter().cycle().skip(number % slots.workers.len().max(1));
        round.next().map_or_else(|| Arc::new(WorkerCounters::none()), Arc::clone)
    }

    /// The counters of erasures.
    #[must_use]
    pub const fn erasures(&self) -> &ErasureCounters {
        &self.erasures
    }

    /// What became of reloads.
    #[must_use]
    pub const fn reloads(&self) -> &ReloadCounters {
        &self.reloads
    }

    /// What became of snapshots.
    #[must_use]
    pub const fn snapshots(&self) -> &SnapshotCounters {
        &self.snapshots
    }

    /// What became of the fetches of keys that tokens are verified with.
    #[must_use]
    pub const fn token_keys(&self) -> &TokenKeyCounters {
        &self.token_keys
    }

    /// Access lines that were lost to a full queue.
    pub fn access_lines_dropped(&self, count: u64) {
        self.access_lines_dropped.fetch_add(count, Relaxed);
    }

    /// Files of certificates have changed: the new ones are in force, or could not be used.
    pub fn certificates_changed(&self, taken: bool) {
        let counter = if taken { &self.certificates_renewed } else { &self.certificates_refused };
        counter.fetch_add(1, Relaxed);
    }

    /// Asks `source` for gauges at every scrape, such as the store's; it must not block.
    pub fn add_gauges(&self, source: impl Fn() -> Vec<Gauge> + Send + Sync + 'static) {
        self.sources.lock().push(Box::new(source));
    }

    /// What was counted for each upstream, in the order of the configuration; behind them those that are not configured
    /// any more and still have requests on their way.
    #[must_use]
    pub fn per_upstream(&self) -> Vec<UpstreamFigures> {
        let slots = self.slots.lock();
        let figures = |slot: usize| slots.names.get(slot).map(|name| slots.figures(slot, name));
        let gone = (0..slots.names.len()).filter(|slot| !slots.in_force.contains(slot));
        let leaving = gone.filter_map(figures).filter(|figures| figures.in_flight > 0);
        slots.in_force.iter().copied().filter_map(figures).chain(leaving).collect()
    }

    /// What was counted for the gate as a whole.
    #[must_use]
    pub fn gate(&self) -> GateFigures {
        let mut sums = GateFigures {
            access_lines_dropped: self.access_lines_dropped.load(Relaxed),
            log_lines_dropped: super::logging::dropped(),
            certificates_renewed: self.certificates_renewed.load(Relaxed),
            certificates_refused: self.certificates_refused.load(Relaxed),
            ..GateFigures::default()
        };
        for worker in &self.slots.lock().workers {
            let (opened, open) = worker.connections();
            sums.connections_opened += opened;
            sums.connections_open += open;
            sums.tunnels += worker.tunnels();
            worker.turned_away_to(&mut sums.turned_away);
            worker.unrouted_to(&mut sums.unrouted);
            worker.handshakes_to(&mut sums.handshakes);
        }
        sums
    }

    /// How often each worker has said that it is alive.
    #[must_use]
    pub fn pulses(&self) -> Vec<u64> {
        self.slots.lock().workers.iter().map(|worker| worker.pulses()).collect()
    }

    pub(super) fn gauges(&self) -> Vec<Gauge> {
        self.sources.lock().iter().flat_map(|source| source()).collect()
    }
}
