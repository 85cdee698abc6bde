//! What a gate that runs is made of, in the order in which it is built, and its end.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::StartError;
use super::access::Access;
use super::cert_reload::Renewal;
use super::sharing::Sharing;
use super::snapshots;
use super::supervisor;
use super::upstreams::{self, Made, SitesError};
use crate::admin::{self, InForce, Readiness, State};
use crate::config::{Address, Config, Listen, ListenTls, OpenWebsockets};
use crate::erasure::{self, Eraser};
use crate::inflight::Inflight;
use crate::listen::{self, Bound, Listening};
use crate::net::ActivatedSockets;
use crate::proxy::{Routes, Shared};
use crate::store::Opened;
use crate::telemetry::{Registry, clock};
use crate::tls::ServerIdentity;
use crate::upstream::Network;

/// Erasures reckon in whole seconds; in this much more they have made their last delete for what a crash cut.
const LOST_MARGIN: Duration = Duration::from_secs(2);

/// Requests that wait while their customer is being erased may be this part of all that are in flight: nobody else is
/// refused for them.
pub(super) const WAITING_SHARE: usize = 8;

/// What there is before a listener is open.
struct Core {
    registry: Arc<Registry>,
    access: Access,
    made: Vec<Made>,
    inflight: Arc<Inflight>,
    lost_until: Option<Instant>,
    sharing: Option<Sharing>,
    eraser: Eraser,
    shared: Arc<Shared>,
}

impl Core {
    async fn build(config: &Config, opened: &Opened, cut_before: bool) -> Result<Self, StartError> {
        let moved = upstreams::moved(config, &opened.index.upstreams().await?);
        let workers = config.workers.or_else(available).map_or(1, NonZeroUsize::get);
        let registry = Registry::new(&[], workers);
        let made = upstreams::build(config, opened, &registry).await?;
        let sites: Vec<_> = made.iter().map(|made| Arc::clone(&made.site)).collect();
        upstreams::keys_tried(sites.iter().map(|site| &site.keys)).await;
        let slots = registry.configure(&names(config));
        let mut access = Access::default();
        let access_log = access.log(&config.log, &registry).map_err(StartError::Thread)?;
        let limits = config.limits.clone();
        let straggle = config.longest_response_timeout();
        let lost_until = cut_before.then(|| Instant::now() + straggle + LOST_MARGIN);
        let inflight = Inflight::new(config.store.cache_entries, config.store.lease, straggle);
        inflight.set_waiting_max(limits.in_flight_max / WAITING_SHARE);
        let (sharing, replicas) = Sharing::begin(config, opened, &inflight, straggle).await?;
        let eraser = Eraser::new(erasure::Parts {
            replicas,
            index: Arc::clone(&opened.index),
            jobs: Arc::clone(&opened.jobs),
            shared_jobs: opened.together.as_ref().map(|together| Arc::clone(&together.jobs)),
            keys: Arc::clone(&opened.keys),
            sites: sites.clone(),
            erasure: config.erasure.clone(),
            response_timeout: straggle,
            lease: config.store.lease,
            clock: Arc::new(clock::unix_now),
            transport: Arc::new(Network),
            surroundings: erasure::Surroundings::default(),
            registry: Arc::clone(&registry),
            runtime: runtime::Handle::current(),
            cut_before,
        });
        if !moved.is_empty() {
            upstreams::stay(moved, &eraser.awaits().await?, opened).await?;
        }
        eraser.restore().await?;
        let shared = Arc::new(Shared {
            routes: Routes::new(&sites, &slots),
            sites,
            slots,
            inflight: Arc::clone(&inflight),
            index: Arc::clone(&opened.index),
            keys: Arc::clone(&opened.keys),
            limits,
            barrier_timeout: config.erasure.barrier_timeout,
            closes_websockets: config.erasure.open_websockets == OpenWebsockets::Close,
            workers,
            access_log,
        });
        Ok(Self { registry, access, made, inflight, lost_until, sharing, eraser, shared })
    }
}

/// What those are told who started it.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) listeners: Vec<Address>,
    pub(super) admin: Address,
    pub(super) workers: usize,
    pub(super) registry: Arc<Registry>,
    pub(super) in_force: Arc<InForce>,
}

/// A gate that runs: what a reload changes, and what has to be taken down again.
pub(super) struct Parts {
    listeners: Vec<Address>,
    admin: Address,
    pub(super) registry: Arc<Registry>,
    pub(super) listening: Listening,
    pub(super) access: Access,
    pub(super) made: Vec<Made>,
    pub(super) shared: Arc<Shared>,
    pub(super) eraser: Eraser,
    work: tokio::task::JoinHandle<()>,
    renewing: tokio::task::JoinHandle<()>,
    snapshots: Option<tokio::task::JoinHandle<()>>,
    admin_tls: Option<Arc<ServerIdentity>>,
    admin_serving: tokio::task::JoinHandle<()>,
    admin_drain: CancellationToken,
    pub(super) state: Arc<State>,
    pub(super) inflight: Arc<Inflight>,
    /// Until when something may arrive at an upstream that the run before this one had on its way.
    lost_until: Option<Instant>,
    sharing: Option<Sharing>,
    pub(super) opened: Opened,
}

impl Parts {
    pub(super) async fn build(
        config: Config,
        opened: Opened,
        in_force: InForce,
        inherited: ActivatedSockets,
    ) -> Result<Self, StartError> {
        let cut_before = was_cut(&opened).await?;
        let core = Core::build(&config, &opened, cut_before).await?;
        let Core { registry, access, made, inflight, lost_until, sharing, eraser, shared } = core;
        let readiness = Readiness::new();
        let awaited = readiness.awaits("listeners");
        let (bound, admin_listener) = listeners(&config, inherited)?;
        let admin_tls = tls(config.admin.tls.as_ref(), "admin")?;
        let admin = admin_listener.local_address().clone();
        let listeners = bound.iter().map(|bound| bound.address().clone()).collect();
        upstreams::tell_names(&opened, &made).await.map_err(SitesError::from)?;
        // From here on something may be on its way when this run ends; before, the next has as much to reckon with as this.
        opened.ending.set_orderly(false);
        let listening = listen::start(bound, &shared, &registry, &eraser).map_err(StartError::Thread)?;
        drop(awaited);
        let snapshot = config.store.snapshot.clone();
        let (index, config) = (Arc::clone(&opened.index), Arc::new(in_force));
        let state = State { eraser: eraser.clone(), index, registry: Arc::clone(&registry), config, readiness };
        let (state, admin_drain) = (Arc::new(state), CancellationToken::new());
        let serving = admin::serve(admin_listener, admin_tls.clone(), Arc::clone(&state), admin_drain.clone());
        let admin_serving = tokio::spawn(serving);
        let renewing = tokio::spawn(
            Renewal::of(&listening, admin_tls.as_ref(), &shared.sites).run(Arc::clone(&registry), admin_drain.clone()),
        );
        let worker = eraser.clone();
        let work = tokio::spawn(async move { worker.run().await });
        tokio::spawn(supervisor::keep_informed(Arc::clone(&registry), Arc::clone(&opened.index), admin_drain.clone()));
        let snapshots = snapshot.map(|snapshot| {
            let (index, registry) = (Arc::clone(&opened.index), Arc::clone(&registry));
            tokio::spawn(snapshots::run(snapshot, index, registry, admin_drain.clone()))
        });
        registry.reloads().began();
        Ok(Self {
            listeners,
            admin,
            registry,
            listening,
            access,
            made,
            shared,
            eraser,
            work,
            renewing,
            snapshots,
            admin_tls,
            admin_serving,
            admin_drain,
            state,
            inflight,
            lost_until,
            sharing,
            opened,
        })
    }

    pub(super) fn told(&self) -> Told {
        Told {
            listeners: self.listeners.clone(),
            admin: self.admin.clone(),
            workers: self.shared.workers,
            registry: Arc::clone(&self.registry),
            in_force: Arc::clone(&self.state.config),
        }
    }

    /// From now on the files of what is in force are followed.
    pub(super) fn renew(&mut self) {
        self.renewing.abort();
        let renewal = Renewal::of(&self.listening, self.admin_tls.as_ref(), &self.shared.sites);
        self.renewing = tokio::spawn(renewal.run(Arc::clone(&self.registry), self.admin_drain.clone()));
    }

    pub(super) async fn take_down(self, limit: Duration) -> bool {
        self.state.readiness.drain();
        let whole = self.listening.drain(limit).await;
        self.work.abort();
        self.renewing.abort();
        self.admin_drain.cancel();
        // The admin API ends by itself; it bounds its own calls.
        self.admin_serving.await.ok();
        // It has the store, which closes when nobody has it any more.
        if let Some(snapshots) = self.snapshots {
            snapshots.await.ok();
        }
        let asked = self.state.eraser.is_straggling();
        drop(self.state);
        self.access.finish();
        // The next run must reckon with what this one still reckons with.
        let is_late = asked || self.inflight.is_straggling();
        let nothing_is_late = !is_late && self.lost_until.is_none_or(|until| until <= Instant::now());
        self.opened.ending.set_orderly(whole && nothing_is_late);
        if let Some(sharing) = self.sharing {
            sharing.end(whole && nothing_is_late).await;
        }
        whole
    }
}

/// Whether the run before this one was cut. A store that knows no upstream has never served; of several gates each says for
/// itself what it had on its way.
async fn was_cut(opened: &Opened) -> Result<bool, StartError> {
    let alone = opened.together.is_none();
    Ok(alone && !opened.ending.was_orderly() && !opened.index.upstreams().await?.is_empty())
}

/// The upstreams' names, in the order of the configuration.
pub(super) fn names(config: &Config) -> Vec<Arc<str>> {
    config.upstreams.iter().map(|upstream| Arc::clone(&upstream.name)).collect()
}

/// What is shown at a place, if it is TLS.
fn tls(tls: Option<&ListenTls>, place: &str) -> Result<Option<Arc<ServerIdentity>>, StartError> {
    let loaded = tls.map(|tls| ServerIdentity::load(tls, false)).transpose();
    let loaded = loaded.map_err(|source| StartError::Tls { place: place.to_owned(), source })?;
    Ok(loaded.map(Arc::new))
}

/// Opens every place, or none.
fn listeners(config: &Config, mut inherited: ActivatedSockets) -> Result<(Vec<Bound>, admin::Listener), StartError> {
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
