//! Erasures at work: accepted from the data path and from the admin API, and carried out.
//!
//! At each upstream an erasure is a point in time (P4): accept, fence, drain, delete, lift.
//! [`crate::domain::erasure::next_step`] decides what is done next; this module has the fences, the sockets and the
//! store. Everything runs on the runtime that [`Parts::runtime`] names, so that a caller who leaves ends nothing.

mod accept;
mod answer;
mod attempt;
mod auth_throttle;
mod body;
mod covered;
mod data_path;
mod decide;
mod doubt;
mod erasure_rate;
mod gauges;
mod holds;
mod home_probes;
mod job_repository;
mod lanes;
mod leg;
mod locks;
mod nameless;
mod names;
mod operator_api;
mod planning;
mod recipients;
mod report;
mod restore;
mod retention;
mod schedule;
mod seen;
mod send;
mod settings;
mod shared_jobs;
mod sharing;
mod unapproved;
mod views;
mod worker;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use uuid::Uuid;

pub use self::accept::Problem;
pub use self::answer::Refused;
pub(crate) use self::data_path::{bearer, same};
pub use self::decide::{Decided, TargetsThere};
pub use self::operator_api::{Submission, Submitted};
pub use self::recipients::{Place, Recipient, Recipients};
pub use self::views::{
    DecisionView, DryRun, EvidenceView, HoldList, HoldView, InstanceView, List, TargetView, TargetWord, View,
};

use self::attempt::Fences;
use self::auth_throttle::Failures;
use self::erasure_rate::Rate;
use self::holds::Holds;
use self::home_probes::HomeProbes;
use self::job_repository::JobRepository;
use self::lanes::Lanes;
use self::locks::Locks;
use self::names::Names;
use self::retention::Counted;
use self::schedule::Schedule;
use self::send::Carried;
use self::settings::Settings;
use self::unapproved::Unapproved;
use crate::config;
use crate::domain::erasure::{Moment, Now, Run, TargetKey};
use crate::domain::{Tag, UnixSeconds};
use crate::inflight::Inflight;
use crate::replicas::Replicas;
use crate::store::seal::Keys;
use crate::store::{Index, Jobs, SharedJobs};
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
    /// The gates that erase as one, with the in-flight table that this one's data path enters through.
    pub replicas: Replicas,
    /// Whose data is where.
    pub index: Arc<dyn Index>,
    /// The erasures.
    pub jobs: Arc<dyn Jobs>,
    /// The same, where other gates work on some of them.
    pub shared_jobs: Option<Arc<dyn SharedJobs>>,
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
    /// Whether the run before this one ended with requests on their way, as a crash does: then what they carried may
    /// still arrive for a while. `false` if it ended by itself, or if there was none.
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
    inflight: Arc<Inflight>,
    replicas: Replicas,
    index: Arc<dyn Index>,
    keys: Arc<Keys>,
    ledger: JobRepository,
    /// One acceptance for a customer at a time, so that two at once become one erasure.
    customers: Locks<Tag>,
    /// And one for each `id` that a requester gave.
    requests: Locks<Uuid>,
    settings: ArcSwap<Settings>,
    clock: Clock,
    transport: Arc<dyn Transport>,
    surroundings: Surroundings,
    runtime: Handle,
    run: Run,
    cut_before: bool,
    lease: Duration,
    /// Fences that were raised with the acceptance, until the worker takes them over.
    fences: Mutex<HashMap<Uuid, Fences>>,
    /// Erasures of which it is not known whether the store has them.
    doubts: Mutex<HashSet<Uuid>>,
    /// Callers' own calls, for upstreams without credentials. In memory only.
    carried: Mutex<HashMap<Uuid, Vec<Carried>>>,
    /// Deletes that were sent and whose ends could not be recorded, and until when each may be carried out.
    unrecorded: Mutex<HashMap<(Uuid, TargetKey), Moment>>,
    holds: Holds,
    home_probes: HomeProbes,
    lanes: Lanes,
    rate: Rate,
    unapproved: Unapproved,
    names: Names,
    failures: Failures,
    /// How often in a row an erasure's step failed in the store.
    failures_of_store: Mutex<HashMap<Uuid, u32>>,
    schedule: Schedule,
    registry: Arc<Registry>,
    /// Requests whose acceptance is under way.
    accepting: AtomicUsize,
    /// When the unfinished ones were last looked at, for the alarm about late ones; and how many were late.
    looked: Mutex<Option<UnixSeconds>>,
    late: AtomicU64,
    /// For retention; `None` until it was read.
    counted: Mutex<Option<Counted>>,
    steps: Arc<Semaphore>,
}

impl Eraser {
    /// An eraser that does nothing yet: call [`Self::restore`] before the listeners open, and [`Self::run`] after.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let begun = Moment((parts.clock)().0);
        let straggle = parts.response_timeout.as_secs() + 1;
        let run = Run { name: (parts.surroundings.random)(), begun, straggle };
        let settings = Settings::new(parts.sites, parts.erasure, parts.response_timeout);
        let shared = Shared {
            inflight: Arc::clone(parts.replicas.inflight()),
            replicas: parts.replicas,
            index: parts.index,
            ledger: JobRepository::new(Arc::clone(&parts.jobs), parts.shared_jobs, Arc::clone(&parts.keys), run),
            holds: Holds::new(parts.jobs, Arc::clone(&parts.keys)),
            keys: parts.keys,
            customers: Locks::new(),
            requests: Locks::new(),
            settings: ArcSwap::from_pointee(settings),
            clock: parts.clock,
            transport: parts.transport,
            surroundings: parts.surroundings,
            runtime: parts.runtime,
            run,
            cut_before: parts.cut_before,
            lease: parts.lease,
            fences: Mutex::default(),
            doubts: Mutex::default(),
            carried: Mutex::default(),
            unrecorded: Mutex::default(),
            home_probes: HomeProbes::default(),
            lanes: Lanes::default(),
            rate: Rate::default(),
            unapproved: Unapproved::default(),
            names: Names::default(),
            failures: Failures::default(),
            failures_of_store: Mutex::default(),
            schedule: Schedule::default(),
            registry: parts.registry,
            accepting: AtomicUsize::new(0),
            looked: Mutex::default(),
            late: AtomicU64::new(0),
            counted: Mutex::default(),
            steps: Arc::new(Semaphore::new(worker::STEPS_MAX)),
        };
        let eraser = Self { shared: Arc::new(shared) };
        eraser.hear_of_holds();
        eraser
    }

    /// From now on these upstreams and this `[erasure]` hold. What was refused or not supported under the old ones
    /// waits for `retry`.
    pub fn reconfigure(&self, sites: Vec<Arc<Site>>, erasure: config::Erasure, response_timeout: Duration) {
        let settings = Settings::new(sites, erasure, response_timeout);
        let before = self.shared.settings.swap(Arc::new(settings));
        if before.topology() != self.settings().topology() {
            // What was blocked for want of a name may have one now.
            let eraser = self.clone();
            self.shared.runtime.spawn(async move { eraser.look_at_all().await });
        }
    }

    /// Counts an acceptance as under way, until this is dropped: no upstream moves meanwhile, since it may be a target.
    fn accepting(&self) -> Accepting {
        self.shared.accepting.fetch_add(1, SeqCst);
        Accepting(Arc::clone(&self.shared))
    }

    /// Does this on a task of its own: a requester who leaves does not end it halfway.
    async fn seen_through<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        // Only a task that was ended, by a panic or with the runtime, has no outcome.
        self.shared.runtime.spawn(work).await.unwrap_or(Err(Problem::Store(crate::store::StoreError::Broken)))
    }

    fn now(&self) -> Now {
        let elapsed = (self.shared.surroundings.elapsed)().as_secs();
        Now { moment: self.shared.run.begun.after(elapsed), wall: (self.shared.clock)() }
    }

    fn settings(&self) -> Arc<Settings> {
        self.shared.settings.load_full()
    }
}

/// An acceptance that is under way.
struct Accepting(Arc<Shared>);

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.accepting.fetch_sub(1, SeqCst);
        self.0.ledger.changed.notify_waiters();
    }
}
