//! What a gate that runs is made of, in the order in which it is built, and its end.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::StartError;
use super::access::Access;
use super::ended::EndedMark;
use super::sites::{self, Made};
use crate::admin::{self, InForce, Readiness, State};
use crate::barrier::Barrier;
use crate::config::{Address, Config, Listen, OpenWebsockets};
use crate::erasure::{self, Eraser};
use crate::listen::{self, Bound, Listening};
use crate::proxy::{Routes, Shared};
use crate::store::Opened;
use crate::telemetry::{Registry, clock};

/// Erasures reckon in whole seconds; in this much more they have made their last delete for what a crash cut.
const LOST_MARGIN: Duration = Duration::from_secs(2);

/// What there is before a listener is open.
struct Core {
    registry: Arc<Registry>,
    access: Access,
    made: Vec<Made>,
    barrier: Arc<Barrier>,
    lost_until: Option<Instant>,
    eraser: Eraser,
    shared: Arc<Shared>,
}

impl Core {
    async fn build(config: &Config, opened: &Opened, cut_before: bool) -> Result<Self, StartError> {
        let made = sites::build(config, opened).await?;
        let sites: Vec<_> = made.iter().map(|made| Arc::clone(&made.site)).collect();
        let workers = config.workers.or_else(available).map_or(1, NonZeroUsize::get);
        let registry = Registry::new(&[], workers);
        let slots = registry.configure(&names(config));
        let mut access = Access::default();
        let access_log = access.log(&config.log, &registry).map_err(StartError::Thread)?;
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
            routes: Routes::new(&sites, &slots),
            sites,
            slots,
            barrier: Arc::clone(&barrier),
            index: Arc::clone(&opened.index),
            keys: Arc::clone(&opened.keys),
            limits,
            barrier_timeout: config.erasure.barrier_timeout,
            closes_websockets: config.erasure.open_websockets == OpenWebsockets::Close,
            workers,
            access_log,
        });
        Ok(Self { registry, access, made, barrier, lost_until, eraser, shared })
    }
}

/// What those are told who started it.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) admin: Address,
    pub(super) workers: usize,
    pub(super) registry: Arc<Registry>,
    pub(super) in_force: Arc<InForce>,
}

/// A gate that runs: what a reload changes, and what has to be taken down again.
pub(super) struct Parts {
    addresses: Vec<SocketAddr>,
    admin: Address,
    pub(super) registry: Arc<Registry>,
    pub(super) listening: Listening,
    pub(super) access: Access,
    pub(super) made: Vec<Made>,
    pub(super) shared: Arc<Shared>,
    pub(super) eraser: Eraser,
    work: tokio::task::JoinHandle<()>,
    admin_serving: tokio::task::JoinHandle<()>,
    admin_drain: CancellationToken,
    pub(super) state: Arc<State>,
    mark: EndedMark,
    pub(super) barrier: Arc<Barrier>,
    /// Until when something may arrive at an upstream that the run before this one had on its way.
    lost_until: Option<Instant>,
    pub(super) opened: Opened,
}

impl Parts {
    pub(super) async fn build(config: Config, opened: Opened, in_force: InForce) -> Result<Self, StartError> {
        let mark = EndedMark::of(&config.store);
        // A store that knows no upstream has never served.
        let cut_before = mark.take() && !opened.index.upstreams().await?.is_empty();
        let built = Self::assemble(config, opened, in_force, (mark.clone(), cut_before)).await;
        if built.is_err() && !cut_before {
            // Nothing was let in, so there is nothing that the next start should reckon with.
            mark.set();
        }
        built
    }

    async fn assemble(
        config: Config,
        opened: Opened,
        in_force: InForce,
        (mark, cut_before): (EndedMark, bool),
    ) -> Result<Self, StartError> {
        let core = Core::build(&config, &opened, cut_before).await?;
        let Core { registry, access, made, barrier, lost_until, eraser, shared } = core;
        let readiness = Readiness::new();
        let listeners = readiness.awaits("listeners");
        let failed = |address: &Address, source| StartError::Listen { address: address.to_string(), source };
        let bound = |listen: &Listen| bind(listen).map_err(|source| failed(&listen.address, source));
        let bound = config.listen.iter().map(bound).collect::<Result<Vec<_>, _>>()?;
        let admin_listener = admin::Listener::bind(&config.admin.address)
            .await
            .map_err(|source| failed(&config.admin.address, source))?;
        let admin = admin_listener.local_address().map_err(StartError::Thread)?;
        let addresses = bound.iter().map(|bound| bound.address).collect();
        let listening = listen::start(bound, &shared, &registry, &eraser).map_err(StartError::Thread)?;
        drop(listeners);
        let (index, config) = (Arc::clone(&opened.index), Arc::new(in_force));
        let state = State { eraser: eraser.clone(), index, registry: Arc::clone(&registry), config, readiness };
        let (state, admin_drain) = (Arc::new(state), CancellationToken::new());
        let admin_serving = tokio::spawn(admin::serve(admin_listener, Arc::clone(&state), admin_drain.clone()));
        let worker = eraser.clone();
        let work = tokio::spawn(async move { worker.run().await });
        registry.reloads().began();
        Ok(Self {
            addresses,
            admin,
            registry,
            listening,
            access,
            made,
            shared,
            eraser,
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

    pub(super) fn told(&self) -> Told {
        Told {
            addresses: self.addresses.clone(),
            admin: self.admin.clone(),
            workers: self.shared.workers,
            registry: Arc::clone(&self.registry),
            in_force: Arc::clone(&self.state.config),
        }
    }

    pub(super) async fn take_down(self, limit: Duration) -> bool {
        self.state.readiness.drain();
        let whole = self.listening.drain(limit).await;
        self.work.abort();
        self.admin_drain.cancel();
        // The admin API ends by itself; it bounds its own calls.
        self.admin_serving.await.ok();
        drop(self.state);
        self.access.finish();
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

/// The upstreams' names, in the order of the configuration.
pub(super) fn names(config: &Config) -> Vec<Arc<str>> {
    config.upstreams.iter().map(|upstream| Arc::clone(&upstream.name)).collect()
}

pub(super) fn bind(listen: &Listen) -> io::Result<Bound> {
    match &listen.address {
        Address::Tcp(socket) => Bound::to(*socket, listen),
        Address::Unix(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
    }
}

/// The CPUs that this process may use: its affinity and its control group's quota.
fn available() -> Option<NonZeroUsize> {
    std::thread::available_parallelism().ok()
}
