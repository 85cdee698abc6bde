//! Erasures at work: they are accepted here (from the data path and from the admin API), and carried out here.
//!
//! An erasure of a customer is a point in time at each upstream (P4): accept, fence, drain, delete, lift. What is to be
//! done next is decided by [`crate::domain::erasure::next_step`]; this module has the fences, the sockets and the store.
//! Everything runs on the runtime that [`Parts::runtime`] names, so that a caller who leaves ends nothing.

mod accept;
mod answer;
mod failures;
mod intake;
mod ledger;
mod office;
mod pace;
mod report;
mod round;
mod send;
mod settings;
mod views;
mod worker;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use uuid::Uuid;

pub use self::accept::Problem;
pub use self::answer::Refused;
pub use self::intake::DeleteCall;
pub(crate) use self::intake::{bearer, same};
pub use self::office::{Decided, Submission, Submitted};
pub use self::views::{DecisionView, DryRun, EvidenceView, List, Recipient, Recipients, TargetView, TargetWord, View};

use self::failures::Failures;
use self::ledger::{Ledger, Locks};
use self::pace::{Paces, Rate};
use self::send::Carried;
use self::settings::Settings;
use self::worker::Schedule;
use crate::barrier::{Barrier, Fence};
use crate::config;
use crate::domain::erasure::Job;
use crate::domain::{Tag, UnixSeconds, UpstreamNumber};
use crate::store::seal::Keys;
use crate::store::{Index, Jobs, StoreError};
use crate::telemetry::Registry;
use crate::upstream::{Site, Transport};

/// The wall clock, as the program was given it.
pub type Clock = Arc<dyn Fn() -> UnixSeconds + Send + Sync>;

/// What a simulation sets otherwise: nothing else in an [`Eraser`] differs between two runs of the same history.
#[derive(Clone)]
pub struct Surroundings {
    /// Time that has passed since the start, by a clock that nobody sets.
    pub elapsed: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// Spreads retries.
    pub random: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// A new name for an erasure, a request or a hold: a UUID of version 7, in the order of their making.
    pub new_id: Arc<dyn Fn() -> Uuid + Send + Sync>,
}

impl Default for Surroundings {
    fn default() -> Self {
        let start = tokio::time::Instant::now();
        Self {
            elapsed: Arc::new(move || start.elapsed()),
            random: Arc::new(|| fastrand::u64(..)),
            new_id: Arc::new(Uuid::now_v7),
        }
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}

/// What an [`Eraser`] is made of.
pub struct Parts {
    /// The barrier that the data path enters through.
    pub barrier: Arc<Barrier>,
    /// Whose data is where.
    pub index: Arc<dyn Index>,
    /// The erasures.
    pub jobs: Arc<dyn Jobs>,
    /// Tags and seals.
    pub keys: Arc<Keys>,
    /// All upstreams, retired ones included.
    pub sites: Vec<Arc<Site>>,
    /// `[erasure]`.
    pub erasure: config::Erasure,
    /// `limits.response_timeout`: how long an upstream may still store what was cut.
    pub response_timeout: Duration,
    /// `store.lease`.
    pub lease: Duration,
    /// The wall clock: what people are shown and what records say. It may be wrong, and it may jump.
    pub clock: Clock,
    /// Carries deletes to the upstreams.
    pub transport: Arc<dyn Transport>,
    /// What does not follow from what was asked: time that passes, chance, names.
    pub surroundings: Surroundings,
    /// Where erasures are counted.
    pub registry: Arc<Registry>,
    /// Where erasures run.
    pub runtime: Handle,
    /// Did the run before this one end with requests on their way, as a crash does? Then what they carried may still
    /// arrive for a while. `false` if it ended by itself, or if there was none.
    pub cut_before: bool,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("sites", &self.sites.len()).finish_non_exhaustive()
    }
}

/// Accepts and carries out erasures. Clones are the same one.
#[derive(Clone)]
pub struct Eraser {
    shared: Arc<Shared>,
}

impl fmt::Debug for Eraser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Eraser").finish_non_exhaustive()
    }
}

struct Shared {
    barrier: Arc<Barrier>,
    index: Arc<dyn Index>,
    keys: Arc<Keys>,
    ledger: Ledger,
    /// One acceptance for a customer at a time, so that two at once become one erasure.
    customers: Locks<Tag>,
    /// And one for each `id` that a requester gave.
    requests: Locks<Uuid>,
    settings: ArcSwap<Settings>,
    clock: Clock,
    transport: Arc<dyn Transport>,
    surroundings: Surroundings,
    runtime: Handle,
    /// When this run began.
    started: UnixSeconds,
    cut_before: bool,
    lease: Duration,
    /// Fences that were raised with the acceptance, until the worker takes them over.
    fences: Mutex<HashMap<Uuid, Vec<Fence>>>,
    /// Callers' own calls, for upstreams without credentials. In memory only.
    carried: Mutex<HashMap<Uuid, Vec<Carried>>>,
    paces: Paces,
    rate: Rate,
    failures: Failures,
    schedule: Schedule,
    registry: Arc<Registry>,
    /// When the unfinished ones were last looked at, for the alarm about late ones.
    looked: Mutex<Option<UnixSeconds>>,
    slots: Arc<Semaphore>,
    /// For erasures whose first attempt has not begun.
    fresh_slots: Arc<Semaphore>,
}

impl Eraser {
    /// An eraser that does nothing yet: call [`Self::restore`] before the listeners open, and [`Self::run`] after.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let started = (parts.clock)();
        let settings = Settings::new(parts.sites, parts.erasure, parts.response_timeout);
        let shared = Shared {
            barrier: parts.barrier,
            index: parts.index,
            ledger: Ledger::new(parts.jobs, Arc::clone(&parts.keys)),
            keys: parts.keys,
            customers: Locks::new(),
            requests: Locks::new(),
            settings: ArcSwap::from_pointee(settings),
            clock: parts.clock,
            transport: parts.transport,
            surroundings: parts.surroundings,
            runtime: parts.runtime,
            started,
            cut_before: parts.cut_before,
            lease: parts.lease,
            fences: Mutex::default(),
            carried: Mutex::default(),
            paces: Paces::default(),
            rate: Rate::default(),
            failures: Failures::default(),
            schedule: Schedule::default(),
            registry: parts.registry,
            looked: Mutex::default(),
            slots: Arc::new(Semaphore::new(worker::AT_ONCE)),
            fresh_slots: Arc::new(Semaphore::new(worker::AT_ONCE)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// From now on these upstreams and this `[erasure]` hold. What was refused or not supported under the old ones
    /// waits for `retry`.
    pub fn reconfigure(&self, sites: Vec<Arc<Site>>, erasure: config::Erasure, response_timeout: Duration) {
        self.shared.settings.store(Arc::new(Settings::new(sites, erasure, response_timeout)));
    }

    /// The upstreams at which an erasure that is not over has not been accepted yet.
    ///
    /// # Errors
    /// The store's.
    pub async fn awaits(&self) -> Result<BTreeSet<UpstreamNumber>, StoreError> {
        let mut upstreams = BTreeSet::new();
        let open = |job: &Job| {
            let open = job.targets.iter().filter(|target| !target.is_accepted());
            open.map(|target| target.key.upstream).collect::<Vec<_>>()
        };
        self.shared.ledger.each_unfinished(|entry| upstreams.extend(open(&entry.job))).await?;
        Ok(upstreams)
    }

    fn now(&self) -> UnixSeconds {
        (self.shared.clock)()
    }

    fn settings(&self) -> Arc<Settings> {
        self.shared.settings.load_full()
    }
}
