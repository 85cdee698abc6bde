//! Builds everything from a configuration, in the one order in which it is safe, and takes it down again.
//!
//! Store and keys first; then the upstreams, whose numbers the store gives; then the barrier with the fences of
//! unfinished erasures; and only then a listener.

mod ended;
mod sites;
pub mod supervisor;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::ended::EndedMark;
pub use self::sites::SitesError;
use crate::admin::{self, Readiness, State};
use crate::barrier::Barrier;
use crate::config::{Address, Config, Listen, OpenWebsockets};
use crate::erasure::{self, Eraser};
use crate::listen::{self, Bound, CaError, Listening};
use crate::proxy::{Routes, Shared};
use crate::store::{self, OpenError, Opened, StoreError};
use crate::telemetry::{AccessLog, AccessWriter, Registry, clock, events};
use crate::wire::Inherited;

/// Erasures reckon in whole seconds; in this much more they have made their last delete for what a crash cut.
const LOST_MARGIN: Duration = Duration::from_secs(2);

/// Why the gate does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error("the store cannot be opened")]
    Store(#[from] OpenError),
    /// The store opened, and then did not answer.
    #[error("the store cannot be used")]
    StoreUse(#[from] StoreError),
    /// The upstreams do not fit the store, or cannot be prepared.
    #[error(transparent)]
    Sites(#[from] SitesError),
    /// A listener.
    #[error("cannot listen at {address}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// A socket that was open before matches no listener: whoever calls there would never be answered.
    #[error("a socket was handed over for {address}, and neither [[listen]] nor [admin] is configured for that")]
    Unclaimed {
        /// Where it is.
        address: String,
    },
    /// The system gave no thread or runtime.
    #[error("the system gives no thread")]
    Thread(#[source] io::Error),
    /// The thread that builds everything panicked.
    #[error("the gate could not be built")]
    Panicked,
}

impl StartError {
    /// Is the configuration to blame?
    #[must_use]
    pub fn is_config(&self) -> bool {
        match self {
            Self::Sites(error) => {
                matches!(error, SitesError::Dropped { .. } | SitesError::Repointed { .. } | SitesError::Roots { .. })
            }
            // What the file names beside the address.
            Self::Listen { source, .. } => source.get_ref().is_some_and(|inner| inner.is::<CaError>()),
            Self::Unclaimed { .. } => true,
            Self::Store(_) | Self::StoreUse(_) | Self::Thread(_) | Self::Panicked => false,
        }
    }
}

/// A gate that runs. Stop it with [`Running::stop`]; dropping it cuts everything.
#[derive(Debug)]
pub struct Running {
    /// Where callers come in over TCP, in the order of the configuration; the ports are real.
    pub addresses: Vec<SocketAddr>,
    /// Where callers come in, Unix sockets included.
    pub listeners: Vec<Address>,
    /// Where the admin API is.
    pub admin: Address,
    /// Threads that serve.
    pub workers: usize,
    registry: Arc<Registry>,
    stop: Option<oneshot::Sender<Duration>>,
    ended: watch::Receiver<Option<bool>>,
    thread: Option<JoinHandle<()>>,
    drain_timeout: Duration,
}

/// Starts a gate and comes back when its listeners are open. Blocking: not to be called on a runtime.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub fn start(config: Config) -> Result<Running, StartError> {
    start_with(config, Inherited::default())
}

/// The same, with sockets that were open before: listeners that are configured for their addresses take them.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub fn start_with(config: Config, inherited: Inherited) -> Result<Running, StartError> {
    let opened = store::open(&config.store)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    let (built, told) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let (end, ended) = watch::channel(None);
    let drain_timeout = config.limits.drain_timeout;
    let control = move || {
        runtime.block_on(async move {
            match Parts::build(config, opened, inherited).await {
                Err(error) => drop(built.send(Err(error))),
                Ok(parts) => {
                    drop(built.send(Ok((parts.listeners.clone(), parts.admin.clone(), Arc::clone(&parts.registry)))));
                    // A sender that is dropped means: at once.
                    let limit = stopped.await.unwrap_or(Duration::ZERO);
                    end.send_replace(Some(parts.take_down(limit).await));
                }
            }
        });
    };
    let thread = std::thread::Builder::new().name("control".to_owned()).spawn(control).map_err(StartError::Thread)?;
    let (listeners, admin, registry) = told.recv().map_err(|_| StartError::Panicked)??;
    let workers = registry.pulses().len();
    let addresses = listeners.iter().filter_map(tcp).collect();
    let (stop, thread) = (Some(stop), Some(thread));
    Ok(Running { addresses, listeners, admin, workers, registry, stop, ended, thread, drain_timeout })
}

const fn tcp(address: &Address) -> Option<SocketAddr> {
    match address {
        Address::Tcp(address) => Some(*address),
        Address::Unix(_) => None,
    }
}

impl Running {
    /// Requests that are being handled at this moment.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.registry.per_upstream().iter().map(|upstream| upstream.in_flight).sum()
    }

    /// Stops accepting, lets what is on its way finish within `drain_timeout`, and closes the store. `false` if something
    /// was cut. Blocking.
    pub fn stop(mut self) -> bool {
        if let Some(stop) = self.stop.take() {
            // If nobody listens any more it has ended already.
            stop.send(self.drain_timeout).ok();
        }
        let joined = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        joined && *self.ended.borrow() == Some(true)
    }
}

/// What there is before a listener is open.
struct Core {
    registry: Arc<Registry>,
    writer: Option<AccessWriter>,
    barrier: Arc<Barrier>,
    lost_until: Option<Instant>,
    eraser: Eraser,
    shared: Arc<Shared>,
}

impl Core {
    async fn build(config: &Config, opened: &Opened, cut_before: bool) -> Result<Self, StartError> {
        let sites = sites::build(config, opened).await?;
        let workers = config.workers.or_else(available).map_or(1, NonZeroUsize::get);
        let names: Vec<Arc<str>> = config.upstreams.iter().map(|upstream| Arc::clone(&upstream.name)).collect();
        let registry = Registry::new(&names, workers);
        let (access_log, writer) = access_log(config, &names, &registry)?;
        let limits = config.limits.clone();
        let lost_until = cut_before.then(|| Instant::now() + limits.response_timeout + LOST_MARGIN);
        let barrier = Barrier::new(config.store.cache_entries, config.store.lease, limits.response_timeout);
        let eraser = Eraser::new(erasure::Parts {
            barrier: Arc::clone(&barrier),
            index: Arc::clone(&opened.index),
            jobs: Arc::clone(&opened.jobs),
            keys: Arc::clone(&opened.keys),
            sites: sites.clone(),
            erasure: config.erasure.clone(),
            response_timeout: limits.response_timeout,
            lease: config.store.lease,
            clock: Arc::new(clock::unix_now),
            registry: Arc::clone(&registry),
            runtime: runtime::Handle::current(),
            cut_before,
        });
        eraser.restore().await?;
        let shared = Arc::new(Shared {
            routes: Routes::new(&sites),
            sites,
            barrier: Arc::clone(&barrier),
            index: Arc::clone(&opened.index),
            keys: Arc::clone(&opened.keys),
            limits,
            barrier_timeout: config.erasure.barrier_timeout,
            closes_websockets: config.erasure.open_websockets == OpenWebsockets::Close,
            workers,
            access_log,
        });
        Ok(Self { registry, writer, barrier, lost_until, eraser, shared })
    }
}

/// What has to be taken down again.
struct Parts {
    listeners: Vec<Address>,
    admin: Address,
    registry: Arc<Registry>,
    listening: Listening,
    writer: Option<AccessWriter>,
    work: tokio::task::JoinHandle<()>,
    admin_serving: tokio::task::JoinHandle<()>,
    admin_drain: CancellationToken,
    state: Arc<State>,
    mark: EndedMark,
    barrier: Arc<Barrier>,
    /// Until when something may arrive at an upstream that the run before this one had on its way.
    lost_until: Option<Instant>,
    opened: Opened,
}

impl Parts {
    async fn build(config: Config, opened: Opened, inherited: Inherited) -> Result<Self, StartError> {
        let mark = EndedMark::of(&config.store);
        // A store that knows no upstream has never served.
        let cut_before = mark.take() && !opened.index.upstreams().await?.is_empty();
        let built = Self::assemble(config, opened, mark.clone(), (cut_before, inherited)).await;
        if built.is_err() && !cut_before {
            // Nothing was let in, so there is nothing that the next start should reckon with.
            mark.set();
        }
        built
    }

    async fn assemble(
        config: Config,
        opened: Opened,
        mark: EndedMark,
        (cut_before, inherited): (bool, Inherited),
    ) -> Result<Self, StartError> {
        let core = Core::build(&config, &opened, cut_before).await?;
        let Core { registry, writer, barrier, lost_until, eraser, shared } = core;
        let readiness = Readiness::new();
        let awaited = readiness.awaits("listeners");
        let (bound, admin_listener) = listeners(&config, inherited)?;
        let admin = admin_listener.local_address().clone();
        let listeners = bound.iter().map(|bound| bound.address().clone()).collect();
        let listening = listen::start(bound, &shared, &registry, &eraser).map_err(StartError::Thread)?;
        drop(awaited);
        let (index, config) = (Arc::clone(&opened.index), Arc::new(config));
        let state = State { eraser: eraser.clone(), index, registry: Arc::clone(&registry), config, readiness };
        let (state, admin_drain) = (Arc::new(state), CancellationToken::new());
        let admin_serving = tokio::spawn(admin::serve(admin_listener, Arc::clone(&state), admin_drain.clone()));
        let work = tokio::spawn(async move { eraser.run().await });
        tokio::spawn(supervisor::keep_informed(Arc::clone(&registry), admin_drain.clone()));
        Ok(Self {
            listeners,
            admin,
            registry,
            listening,
            writer,
            work,
            admin_serving,
            admin_drain,
            state,
            mark,
            barrier,
            lost_until,
            opened,
        })
    }

    async fn take_down(self, limit: Duration) -> bool {
        self.state.readiness.drain();
        let whole = self.listening.drain(limit).await;
        self.work.abort();
        self.admin_drain.cancel();
        // The admin API ends by itself; it bounds its own calls.
        self.admin_serving.await.ok();
        drop(self.state);
        if let Some(writer) = self.writer {
            writer.finish();
        }
        drop(self.opened);
        // The next run must reckon with what this one still reckons with.
        let nothing_is_late =
            !self.barrier.is_straggling() && self.lost_until.is_none_or(|until| until <= Instant::now());
        if whole && nothing_is_late {
            self.mark.set();
        }
        whole
    }
}

fn access_log(
    config: &Config,
    names: &[Arc<str>],
    registry: &Arc<Registry>,
) -> Result<(Option<AccessLog>, Option<AccessWriter>), StartError> {
    if !config.log.access {
        return Ok((None, None));
    }
    let (log, writer) = AccessLog::start(names.into(), Arc::clone(registry)).map_err(StartError::Thread)?;
    Ok((log.is_shown().then_some(log), Some(writer)))
}

/// Opens every place, or none.
fn listeners(config: &Config, mut inherited: Inherited) -> Result<(Vec<Bound>, admin::Listener), StartError> {
    let failed = |address: &Address| {
        let address = address.to_string();
        move |source| StartError::Listen { address, source }
    };
    let mut bind = |listen: &Listen| Bound::to(listen, &mut inherited).map_err(failed(&listen.address));
    let bound = config.listen.iter().map(&mut bind).collect::<Result<Vec<_>, _>>()?;
    let address = &config.admin.address;
    let admin = admin::Listener::bind(address, &mut inherited).map_err(failed(address))?;
    match inherited.left().next() {
        Some(address) => Err(StartError::Unclaimed { address: address.to_string() }),
        None => Ok((bound, admin)),
    }
}

/// The CPUs that this process may use: its affinity and its control group's quota.
fn available() -> Option<NonZeroUsize> {
    std::thread::available_parallelism().ok()
}

/// Says that a gate runs.
pub fn announce(running: &Running) {
    for address in &running.listeners {
        events::Listening { what: "gate", address: &address.to_string() }.emit();
    }
    events::Listening { what: "admin", address: &running.admin.to_string() }.emit();
}
