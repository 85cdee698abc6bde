//! A worker's state: its share of what all workers share, and its own pools and counters.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::{Instant, timeout};

use super::caller::{Caller, Inbound};
use super::framing::HeadBounds;
use super::keys_shown::KeysShown;
use super::route::Routes;
use crate::config::Limits;
use crate::domain::UnixSeconds;
use crate::domain::refusal::{Code, Refusal};
use crate::http1::BodyDecoder;
use crate::inflight::Inflight;
use crate::store::Index;
use crate::store::seal::Keys;
use crate::telemetry::{AccessLog, WorkerCounters, clock};
use crate::upstream::{Pool, Site};

/// Seconds after which keys that callers showed are forgotten, and hashed again where they are still in use.
const KEYS_KEPT_S: u64 = 60;

/// An answer's head may be as large as a request's, and never so small that ordinary ones fail.
const ANSWER_HEAD_BYTES: usize = 64 * 1024;

/// Longest unread body that is read before a refusal, so that the connection can go on.
const DRAINED_BYTES_MAX: u64 = 64 * 1024;
/// How long that may take.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// What all workers share. One pointer; a new configuration is a new one, and a request keeps the one that it began with.
#[derive(Debug)]
pub struct Shared {
    /// From a request to its upstream.
    pub routes: Routes,
    /// The upstreams, in the order of the configuration.
    pub sites: Vec<Arc<Site>>,
    /// The slot of each in the registry: names its counters and its connections.
    pub slots: Vec<usize>,
    /// Who is on the way for whom.
    pub inflight: Arc<Inflight>,
    /// Which upstream holds whose data.
    pub index: Arc<dyn Index>,
    /// Blind names.
    pub keys: Arc<Keys>,
    /// Bounds.
    pub limits: Limits,
    /// How long a request waits for an erasure, or for the store.
    pub barrier_timeout: Duration,
    /// Whether a customer's open WebSockets are closed when the customer is being erased.
    pub closes_websockets: bool,
    /// How many workers share the bounds.
    pub workers: usize,
    /// One line a request, if the operator wants it.
    pub access_log: Option<AccessLog>,
}

/// One worker's part of the proxy, under one configuration.
#[derive(Debug)]
pub struct Gate {
    shared: Arc<Shared>,
    /// By slot; none where a slot's upstream is not configured.
    pools: Vec<Option<Rc<Pool>>>,
    counters: Arc<WorkerCounters>,
    worker: Rc<OfWorker>,
}

/// What stays a worker's own whatever the configuration.
#[derive(Debug)]
struct OfWorker {
    in_flight: Cell<usize>,
    unix_now: Cell<UnixSeconds>,
    began: Cell<Instant>,
    keys_shown: KeysShown,
}

impl Gate {
    /// A worker's gate; to be made on its thread.
    #[must_use]
    pub fn new(shared: Arc<Shared>, counters: Arc<WorkerCounters>) -> Rc<Self> {
        let (unix_now, began) = (Cell::new(clock::unix_now()), Cell::new(Instant::now()));
        let worker = Rc::new(OfWorker { in_flight: Cell::new(0), unix_now, began, keys_shown: KeysShown::default() });
        let pools = pools(&shared, |_, _| None);
        Rc::new(Self { shared, pools, counters, worker })
    }

    /// The same worker's gate under the next configuration. Connections to upstreams that are reached as before stay, under
    /// its bounds; the idle ones to others are closed.
    #[must_use]
    pub fn next(&self, shared: Arc<Shared>, counters: Arc<WorkerCounters>) -> Rc<Self> {
        let pools = pools(&shared, |slot, site| {
            let before = self.shared.site(slot)?;
            self.pools.get(slot)?.as_ref().filter(|_| before.connector.is_same(&site.connector))
        });
        pools.iter().flatten().for_each(|pool| pool.rebound(&shared.limits, shared.workers));
        let is_kept = |slot: usize, pool: &Rc<Pool>| {
            pools.get(slot).and_then(Option::as_ref).is_some_and(|kept| Rc::ptr_eq(kept, pool))
        };
        let all = self.pools.iter().enumerate().filter_map(|(slot, pool)| Some((slot, pool.as_ref()?)));
        all.filter(|(slot, pool)| !is_kept(*slot, pool)).for_each(|(_, pool)| pool.clear());
        Rc::new(Self { shared, pools, counters, worker: Rc::clone(&self.worker) })
    }

    /// To be called a few times a second: moves the clock that needs no system call, closes what has been idle.
    pub fn tick(&self) {
        let unix_now = clock::unix_now();
        self.worker.unix_now.set(unix_now);
        if unix_now.0.is_multiple_of(KEYS_KEPT_S) {
            self.worker.keys_shown.forget();
        }
        self.counters.pulse();
        let now = Instant::now();
        for (index, pool) in self.pools.iter().enumerate() {
            let Some(pool) = pool else { continue };
            pool.prune(now);
            self.counters.upstream(index).resting(pool.resting());
        }
    }

    /// How many requests are in flight on this worker.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.worker.in_flight.get()
    }

    /// The counters of this worker.
    #[must_use]
    pub fn counters(&self) -> &Arc<WorkerCounters> {
        &self.counters
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// A request begins: it is in flight until [`Self::ended`]. Gives the moment.
    pub(super) fn begins(&self) -> Instant {
        let now = Instant::now();
        self.worker.began.set(now);
        self.worker.in_flight.set(self.worker.in_flight.get() + 1);
        now
    }

    pub(super) fn ended(&self) {
        self.worker.in_flight.set(self.worker.in_flight.get() - 1);
    }

    pub(super) fn access_log(&self) -> Option<&AccessLog> {
        self.shared.access_log.as_ref()
    }

    /// Whether there is room for one more.
    ///
    /// # Errors
    /// The refusal `overloaded`, when there is not.
    pub fn admit(&self) -> Result<(), Refusal> {
        let share = (self.shared.limits.in_flight_max / self.shared.workers).max(1);
        if self.worker.in_flight.get() > share { Err(Code::Overloaded.into()) } else { Ok(()) }
    }

    pub(super) fn head_bounds(&self) -> HeadBounds {
        let limits = &self.shared.limits;
        HeadBounds { headers_max: limits.headers_max, header_bytes_max: limits.header_bytes_max }
    }

    pub(super) fn answer_head_bytes_max(&self) -> usize {
        self.shared.limits.header_bytes_max.max(ANSWER_HEAD_BYTES)
    }

    pub(super) fn closes_websockets(&self) -> bool {
        self.shared.closes_websockets
    }

    /// The routes.
    #[must_use]
    pub fn routes(&self) -> &Routes {
        &self.shared.routes
    }

    pub(super) fn pool(&self, slot: usize) -> &Pool {
        let pool = self.pools.get(slot).and_then(Option::as_ref);
        pool.expect("a slot that a route leads to is an upstream's, and each has its pool")
    }

    pub(super) fn inflight(&self) -> &Arc<Inflight> {
        &self.shared.inflight
    }

    pub(super) fn barrier_timeout(&self) -> Duration {
        self.shared.barrier_timeout
    }

    pub(super) fn index(&self) -> &dyn Index {
        &*self.shared.index
    }

    pub(super) fn shared_index(&self) -> Arc<dyn Index> {
        Arc::clone(&self.shared.index)
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    /// Fingerprints of keys are made with the store's key, and so the same whatever the upstream and the configuration.
    pub(super) fn keys_shown(&self) -> &KeysShown {
        &self.worker.keys_shown
    }

    pub(super) fn unix_now(&self) -> UnixSeconds {
        self.worker.unix_now.get()
    }

    /// When the youngest request began: near enough to now for what is measured in seconds.
    pub(super) fn now(&self) -> Instant {
        self.worker.began.get()
    }
}

impl Shared {
    /// The upstream that has this slot.
    fn site(&self, slot: usize) -> Option<&Arc<Site>> {
        self.slots.iter().zip(&self.sites).find(|(its, _)| **its == slot).map(|(_, site)| site)
    }
}

/// A pool for each upstream: the one that there is already, or a new one.
fn pools<'a>(shared: &Shared, there_is: impl Fn(usize, &Site) -> Option<&'a Rc<Pool>>) -> Vec<Option<Rc<Pool>>> {
    let mut pools = Vec::new();
    for (slot, site) in shared.slots.iter().zip(&shared.sites) {
        if pools.len() <= *slot {
            pools.resize_with(slot + 1, || None);
        }
        let new =
            || Rc::new(Pool::new(site.connector.clone(), &site.upstream.limits.over(&shared.limits), shared.workers));
        let pool = there_is(*slot, site).map_or_else(new, Rc::clone);
        if let Some(place) = pools.get_mut(*slot) {
            *place = Some(pool);
        }
    }
    pools
}

/// Reads a small body that a refusal leaves behind. `false` if the connection cannot go on.
pub(super) async fn drained_behind(caller: &mut Caller<'_>, inbound: &mut Inbound, code: Code) -> bool {
    match code {
        Code::HeaderAmbiguous | Code::PathAmbiguous | Code::HeaderTooLarge => false,
        Code::BodyTooLarge => inbound.has_come(),
        _ => drained(caller, inbound).await,
    }
}

/// Reads a small body that nobody wants. `false` if it is not, or does not come: the connection cannot go on then.
pub(super) async fn drained(caller: &mut Caller<'_>, inbound: &mut Inbound) -> bool {
    if inbound.has_come() {
        return true;
    }
    let small = matches!(inbound.body, BodyDecoder::Length(..=DRAINED_BYTES_MAX));
    // To read the body of one who waits to be told to send it would be to tell it so.
    if !small || inbound.continue_due {
        return false;
    }
    let come = matches!(timeout(DRAIN_TIMEOUT, poll_fn(|cx| inbound.poll_rest(caller, cx))).await, Ok(Ok(())));
    // Nor is it waited for any more: an erasure may still take its time.
    caller.watch.body_waits(false);
    come
}

/// What `inject` puts on callers' requests.
pub(super) async fn authorization(site: &Site) -> Result<Option<HeaderValue>, Refusal> {
    let refusal = Refusal::new(Code::UpstreamUnreachable, "The gate has no credentials for the service at this moment");
    site.authenticator.authorization(Instant::now()).await.map_err(|_| refusal)
}
