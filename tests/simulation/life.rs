//! One life of the process: the real barrier and the real eraser on the run's store and network, from start to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forgetgate::config::{
    Authorize, BaseUrl, EraseBy, Erasure, Http2, Limits, OpenWebsockets, Route, Upstream, UpstreamTls,
};
use forgetgate::domain::policy::{AliasUse, Policy};
use forgetgate::domain::profile::Profile;
use forgetgate::domain::{InstanceHash, LabelForm, PairKey, ResourceHash, UpstreamNumber};
use forgetgate::erasure::{Eraser, Parts, Surroundings};
use forgetgate::inflight::Inflight;
use forgetgate::replicas::Replicas;
use forgetgate::store::{Index, Jobs, StoreError};
use forgetgate::telemetry::Registry;
use forgetgate::upstream::{Authenticator, Connector, Instances, KeySources, Site};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::asks::token;
use crate::network::Roads;
use crate::script::{Authority, Place};
use crate::store::Store;
use crate::world::{KEYS, World, alias_key};

pub(crate) const BARRIER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long requests have to end at an orderly stop.
const DRAIN: Duration = Duration::from_secs(5);

const PORT: u16 = 1000;

/// The number and generation of an upstream.
pub(crate) fn place_of(site: &Site) -> (usize, u32) {
    let upstream = site.upstream.name.strip_prefix('u').unwrap().parse().unwrap();
    (upstream, u32::from(site.upstream.url.port - PORT))
}

pub(crate) fn identity(site: &Site) -> String {
    format!("http://{}", site.upstream.url.authority)
}

pub(crate) struct Life {
    pub(crate) world: Arc<World>,
    pub(crate) inflight: Arc<Inflight>,
    pub(crate) store: Arc<Store>,
    pub(crate) eraser: Eraser,
    pub(crate) sites: Mutex<Vec<Arc<Site>>>,
    pub(crate) reloading: tokio::sync::Mutex<()>,
    /// Requests that are under way.
    pub(crate) open: AtomicUsize,
    pub(crate) stopping: tokio::sync::watch::Sender<bool>,
    lost_until: Option<Instant>,
    working: JoinHandle<()>,
}

impl Life {
    /// Starts, as often as it takes.
    pub(crate) async fn begin(world: &Arc<World>, cut_before: bool) -> Arc<Self> {
        tokio::spawn(Arc::clone(world).pumped());
        let store = Store::new(world);
        tokio::spawn(Arc::clone(&store).written());
        loop {
            match Self::started(world, &store, cut_before).await {
                Ok(life) => return life,
                Err(error) => {
                    world.say("process", format_args!("does not start: {error}"));
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn started(world: &Arc<World>, store: &Arc<Store>, cut_before: bool) -> Result<Arc<Self>, StoreError> {
        let cut_before = cut_before && !store.upstreams().await?.is_empty();
        let mut sites = Vec::new();
        for (nth, place) in world.land.upstreams.iter().enumerate() {
            sites.push(site(world, store, nth, place).await?);
        }
        let response_timeout = Duration::from_secs(world.state().response_timeout);
        let lost_until = cut_before.then(|| Instant::now() + response_timeout + Duration::from_secs(2));
        let lease = Duration::from_secs(world.land.lease);
        let inflight = Inflight::new(1000, lease, response_timeout);
        let eraser = Eraser::new(Parts {
            replicas: Replicas::alone(Arc::clone(&inflight)),
            index: Arc::clone(store) as Arc<dyn Index>,
            jobs: Arc::clone(store) as Arc<dyn Jobs>,
            shared_jobs: None,
            keys: Arc::clone(&KEYS),
            sites: sites.clone(),
            erasure: erasure(world),
            response_timeout,
            lease,
            clock: clock(world),
            transport: Arc::new(Roads(Arc::clone(world))),
            surroundings: surroundings(world),
            registry: Registry::new(&[], 1),
            runtime: Handle::current(),
            cut_before,
        });
        eraser.restore().await?;
        let worker = eraser.clone();
        let working = tokio::spawn(async move { worker.run().await });
        world.say("process", format_args!("starts, cut before: {cut_before}"));
        Ok(Arc::new(Self {
            world: Arc::clone(world),
            inflight,
            store: Arc::clone(store),
            eraser,
            sites: Mutex::new(sites),
            reloading: tokio::sync::Mutex::default(),
            open: AtomicUsize::new(0),
            stopping: tokio::sync::watch::Sender::new(false),
            lost_until,
            working,
        }))
    }

    /// Ends in good order. Gives whether the next life must reckon with what this one cut.
    pub(crate) async fn stop(&self) -> bool {
        let drained = timeout(DRAIN, async {
            while self.open.load(Ordering::Relaxed) > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        });
        let whole = drained.await.is_ok();
        self.working.abort();
        let nothing_is_late =
            !self.inflight.is_straggling() && self.lost_until.is_none_or(|until| until <= Instant::now());
        self.world.say("process", format_args!("ends, whole: {whole}, nothing is late: {nothing_is_late}"));
        !(whole && nothing_is_late)
    }

    pub(crate) fn site(&self, upstream: usize) -> Arc<Site> {
        Arc::clone(&self.sites.lock()[upstream])
    }

    /// The name of a fact.
    pub(crate) fn key(&self, customer: usize, upstream: usize, aliased: bool, resource: u8) -> PairKey {
        let form = if aliased { LabelForm::alias(1) } else { LabelForm::RAW };
        PairKey { form, ..key(&self.world, customer, upstream, resource) }
    }
}

pub(crate) fn key(world: &World, customer: usize, upstream: usize, resource: u8) -> PairKey {
    PairKey {
        tag: world.customers[customer].1,
        upstream: UpstreamNumber(u16::try_from(upstream + 1).unwrap()),
        form: LabelForm::RAW,
        resource: ResourceHash([resource; 8]),
        instance: InstanceHash::DEFAULT,
    }
}

fn clock(world: &Arc<World>) -> forgetgate::erasure::Clock {
    let world = Arc::clone(world);
    Arc::new(move || world.wall())
}

fn surroundings(world: &Arc<World>) -> Surroundings {
    let began = Instant::now();
    let (random, names) = (Arc::clone(world), Arc::clone(world));
    Surroundings {
        elapsed: Arc::new(move || began.elapsed()),
        random: Arc::new(move || random.random()),
        new_id: Arc::new(move || names.name()),
    }
}

pub(crate) fn erasure(world: &World) -> Erasure {
    Erasure {
        authorize: match world.land.authority {
            Authority::Home => Authorize::Home,
            Authority::Token => Authorize::Token(token()),
            Authority::Open => Authorize::Open,
        },
        deadline: Duration::from_secs(30 * 86_400),
        retention: Duration::from_secs(100 * 365 * 86_400),
        erasures_per_minute: world.land.erasures_per_minute,
        barrier_timeout: BARRIER_TIMEOUT,
        open_websockets: if world.land.closes_sockets { OpenWebsockets::Close } else { OpenWebsockets::Wait },
    }
}

/// An upstream as it is configured at the moment, known to the store.
pub(crate) async fn site(world: &World, store: &Store, nth: usize, place: &Place) -> Result<Arc<Site>, StoreError> {
    let drafted = draft(world, nth, place);
    store.upstream_number(&drafted.upstream.name, &identity(&drafted)).await?;
    Ok(drafted)
}

pub(crate) fn draft(world: &World, nth: usize, place: &Place) -> Arc<Site> {
    let (generation, retired, group, passes_to, aliased) = {
        let state = world.state();
        let at = &state.upstreams[nth];
        (at.generation, at.retired, at.group, at.passes_to.clone(), at.aliased)
    };
    let name = format!("u{nth}");
    let port = PORT + u16::try_from(generation).unwrap();
    let host = format!("{name}.test");
    let url = BaseUrl { tls: false, authority: format!("{host}:{port}"), host, port, path: String::new() };
    let profile = profile(place.per_minute);
    let upstream = Upstream {
        name: name.as_str().into(),
        url,
        route: Route::default(),
        credentials: None,
        group: group.into(),
        retired,
        forwarded: false,
        inject: false,
        webchat_opt_out: false,
        version: None,
        instances: forgetgate::config::Instances::default(),
        erase_api: Vec::new(),
        held_labels_before: place.held_before,
        passes_to: passes_to.iter().map(|to| format!("u{to}").as_str().into()).collect(),
        erase: EraseBy::default(),
        http2: Http2::default(),
        proxy: Default::default(),
        limits: Default::default(),
        erasure: Default::default(),
        tls: UpstreamTls::default(),
        plan: None,
        region: None,
        created: None,
        settle: profile.settle,
        deletes_per_minute: profile.deletes_per_minute,
        profile,
        rules: Vec::new(),
        policy: Policy { alias: if aliased { AliasUse::Always } else { AliasUse::Invalid }, ..Policy::default() },
    };
    let limits = Limits::default();
    Arc::new(Site {
        number: UpstreamNumber(u16::try_from(nth + 1).unwrap()),
        aliases: alias_key(nth),
        connector: Connector::new(&upstream, limits.connect_timeout).unwrap(),
        authenticator: Authenticator::new(None, &limits).unwrap(),
        instances: Arc::new(Instances::new(&upstream, KEYS.fingerprints(), &limits).unwrap()),
        keys: KeySources::default(),
        recordings: Arc::default(),
        upstream: Arc::new(upstream),
    })
}

fn profile(per_minute: Option<u32>) -> Arc<Profile> {
    static MADE: Mutex<Vec<(Option<u32>, Arc<Profile>)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock();
    if let Some((_, profile)) = made.iter().find(|(rate, _)| *rate == per_minute) {
        return Arc::clone(profile);
    }
    let rate = per_minute.map(|rate| format!("rate = {{ deletes_per_minute = {rate} }}")).unwrap_or_default();
    let text = format!(
        r#"
        name = "plain"
        source = "this simulation"
        error = "watson"
        label = {{ header = "X-Watson-Metadata", field = "customer_id", grammar = "watson" }}
        settle = "5s"
        {rate}
        [erase]
        call = "DELETE /v1/user_data"
        query = {{ customer_id = "{{id}}" }}
        success = "200, 202, 204"
        [[endpoint]]
        call = "POST /v1/message"
        is = ["labelled"]
        [[endpoint]]
        call = "DELETE /v1/user_data"
        is = ["erase"]
        "#
    );
    let profile = Arc::new(Profile::from_toml(&text).unwrap_or_else(|faults| panic!("{faults:?}")));
    made.push((per_minute, Arc::clone(&profile)));
    profile
}
