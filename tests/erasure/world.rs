//! A gate without listeners: barrier, store, upstreams and eraser, and a clock that only the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use forgetgate::config::{Engine, Erasure, Store, Upstream};
use forgetgate::domain::alias::AliasKey;
use forgetgate::domain::decide::text_of;
use forgetgate::domain::erasure::{JobState, TargetState};
use forgetgate::domain::{
    Apis, CustomerId, ErasureCall, Instance, InstanceHash, LabelForm, PairKey, ResourceHash, UnixSeconds,
};
use forgetgate::erasure::{
    Clock, Eraser, Parts, Problem, Refused, Submission, Submitted, Surroundings, TargetWord, View,
};
use forgetgate::inflight::{Inflight, RequestGuard};
use forgetgate::replicas::Replicas;
use forgetgate::store::seal::Keys;
use forgetgate::store::{Jobs, Opened, Placement, Row, StoredJob, open};
use forgetgate::telemetry::Registry;
use forgetgate::upstream::{Authenticator, Connector, Instances, KeySources, Network, Site, Transport};
use http::{HeaderMap, HeaderValue, Response};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::service::{Service, soon};
pub(crate) use crate::settings::{OWN, erasure, limits, own_credentials, profile, upstream, with_profile};

/// What callers show.
const CALLER: &str = "Basic Y2FsbGVy";

pub(crate) const BEGIN: u64 = 1_700_000_000;
pub(crate) const LEASE: Duration = Duration::from_secs(600);
pub(crate) const ALIAS: LabelForm = LabelForm::alias(1);

/// What a world is made of. Tests change what they are about.
pub(crate) struct Plan {
    pub(crate) erasure: Erasure,
    pub(crate) engine: Engine,
    pub(crate) straggle: Duration,
    pub(crate) cut_before: bool,
    pub(crate) folder: Arc<tempfile::TempDir>,
    /// The store of a world that is gone.
    pub(crate) store: Option<Opened>,
    /// Wraps the jobs, to make them fail.
    pub(crate) jobs: Option<Arc<dyn Jobs>>,
    /// The road to the services.
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) now: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            erasure: erasure(),
            engine: Engine::Memory,
            straggle: Duration::from_secs(30),
            cut_before: false,
            folder: Arc::new(tempfile::tempdir().unwrap()),
            store: None,
            jobs: None,
            transport: Arc::new(Network),
            now: BEGIN,
        }
    }
}

pub(crate) struct World {
    pub(crate) eraser: Eraser,
    pub(crate) inflight: Arc<Inflight>,
    pub(crate) store: Opened,
    pub(crate) sites: Vec<Arc<Site>>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) folder: Arc<tempfile::TempDir>,
    clock: Arc<AtomicU64>,
    elapsed: Arc<AtomicU64>,
    working: Option<AbortOnDropHandle<()>>,
}

pub(crate) fn open_store(folder: &std::path::Path, engine: Engine) -> Opened {
    let config = Store {
        engine,
        path: folder.join("store"),
        key_file: folder.join("store.key"),
        lease: LEASE,
        cache_entries: 1000,
        cache_bytes: 16 << 20,
        snapshot: None,
        postgres: None,
    };
    open(&config).unwrap()
}

impl World {
    /// A world with these upstreams that works already.
    pub(crate) async fn new(plan: Plan, upstreams: Vec<Upstream>) -> Self {
        let mut world = Self::idle(plan, upstreams).await;
        world.eraser.restore().await.unwrap();
        world.work();
        world
    }

    /// One that does not work yet.
    pub(crate) async fn idle(plan: Plan, upstreams: Vec<Upstream>) -> Self {
        let store = plan.store.unwrap_or_else(|| open_store(plan.folder.path(), plan.engine));
        let sites = sites(&store, upstreams).await;
        let names: Vec<Arc<str>> = sites.iter().map(|site| Arc::clone(&site.upstream.name)).collect();
        let registry = Registry::new(&names, 1);
        let inflight = Inflight::new(1000, LEASE, plan.straggle);
        let clock = Arc::new(AtomicU64::new(plan.now));
        let elapsed = Arc::new(AtomicU64::new(0));
        let (read, waited) = (Arc::clone(&clock), Arc::clone(&elapsed));
        let eraser = Eraser::new(Parts {
            replicas: Replicas::alone(Arc::clone(&inflight)),
            index: Arc::clone(&store.index),
            jobs: plan.jobs.unwrap_or_else(|| Arc::clone(&store.jobs)),
            shared_jobs: None,
            keys: Arc::clone(&store.keys),
            sites: sites.clone(),
            erasure: plan.erasure,
            response_timeout: Duration::from_secs(30),
            lease: LEASE,
            clock: Arc::new(move || UnixSeconds(read.load(Ordering::SeqCst))) as Clock,
            transport: plan.transport,
            surroundings: Surroundings {
                elapsed: Arc::new(move || Duration::from_secs(waited.load(Ordering::SeqCst))),
                ..Surroundings::default()
            },
            registry: Arc::clone(&registry),
            runtime: tokio::runtime::Handle::current(),
            cut_before: plan.cut_before,
        });
        Self { eraser, inflight, store, sites, registry, folder: plan.folder, clock, elapsed, working: None }
    }

    pub(crate) fn work(&mut self) {
        let eraser = self.eraser.clone();
        self.working = Some(AbortOnDropHandle::new(tokio::spawn(async move { eraser.run().await })));
    }

    /// The configuration is read again, and says this now.
    pub(crate) async fn reload(&mut self, change: impl Fn(&mut Upstream)) {
        let mut upstreams: Vec<Upstream> = self.sites.iter().map(|site| (*site.upstream).clone()).collect();
        upstreams.iter_mut().for_each(change);
        self.sites = sites(&self.store, upstreams).await;
        self.eraser.reconfigure(self.sites.clone(), erasure(), Duration::from_secs(30));
    }

    pub(crate) fn now(&self) -> UnixSeconds {
        UnixSeconds(self.clock.load(Ordering::SeqCst))
    }

    /// Time passes, by both clocks.
    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
        self.elapsed.fetch_add(seconds, Ordering::SeqCst);
        self.eraser.wake();
    }

    /// Somebody sets the wall clock.
    pub(crate) fn set_wall_clock(&self, to: u64) {
        self.clock.store(to, Ordering::SeqCst);
        self.eraser.wake();
    }

    pub(crate) fn site(&self, name: &str) -> &Arc<Site> {
        self.sites.iter().find(|site| &*site.upstream.name == name).unwrap()
    }

    /// A labelled request that has been let in and recorded and is on its way.
    pub(crate) async fn forward(&self, customer: &str, name: &str, form: LabelForm) -> RequestGuard {
        self.try_forward(customer, name, form).await.expect("the customer is kept out")
    }

    /// `None` if a fence keeps it out.
    pub(crate) async fn try_forward(&self, customer: &str, name: &str, form: LabelForm) -> Option<RequestGuard> {
        let key = self.key(customer, name, form);
        let mut passage = self.inflight.enter(&key, Instant::now()).ok()?.passage;
        let (resource, instance) = ("rooms/1".into(), Instance::default());
        let (id, seen) = (id(customer), self.now());
        let placement = Placement { key, id, resource, instance, wire: None, api: Some(1), seen };
        self.store.index.record(placement).await.unwrap();
        passage.recorded();
        passage.forwarded();
        Some(passage)
    }

    /// Data of this customer is at this instance of the upstream, under this version of the API.
    pub(crate) async fn labelled_at(&self, customer: &str, name: &str, instance: Instance, api: u8) {
        self.refused_at(customer, name, instance.clone(), api).await;
        self.store.index.answered(self.site(name).number, &instance, self.now()).await.unwrap();
    }

    /// The same, of which the service has taken nothing.
    pub(crate) async fn refused_at(&self, customer: &str, name: &str, instance: Instance, api: u8) {
        let tag = self.store.keys.tag(&id(customer));
        let key = self.key(customer, name, LabelForm::RAW);
        let key = PairKey { instance: self.store.keys.instance_hash(tag, &instance), ..key };
        let entered = self.inflight.enter_with(&key, Apis::of(Some(api)), Instant::now());
        let mut passage = entered.expect("the customer is kept out").passage;
        let (resource, id, seen) = ("rooms/1".into(), id(customer), self.now());
        let placement = Placement { key, id, resource, instance, wire: None, api: Some(api), seen };
        self.store.index.record(placement).await.unwrap();
        passage.recorded();
        passage.forwarded();
        passage.ended();
    }

    /// The instance that a request is for that shows this `Authorization`.
    pub(crate) fn with_key(&self, name: &str, authorization: &str) -> Instance {
        Instance { prefix: "".into(), caller: self.site(name).instances.fingerprint(authorization.as_bytes()) }
    }

    /// Data of this customer is there, and the exchange is over.
    pub(crate) async fn labelled(&self, customer: &str, name: &str, form: LabelForm) {
        self.forward(customer, name, form).await.ended();
    }

    pub(crate) fn is_kept_out(&self, customer: &str, name: &str) -> bool {
        self.inflight.enter(&self.key(customer, name, LabelForm::RAW), Instant::now()).is_err()
    }

    /// Waits until the customer is let in there.
    pub(crate) async fn let_in(&self, customer: &str, name: &str) {
        let let_in = async {
            while self.is_kept_out(customer, name) {
                tokio::task::yield_now().await;
            }
        };
        soon(let_in).await;
    }

    fn key(&self, customer: &str, name: &str, form: LabelForm) -> PairKey {
        let tag = self.store.keys.tag(&id(customer));
        PairKey {
            tag,
            upstream: self.site(name).number,
            form,
            resource: ResourceHash([7; 8]),
            instance: InstanceHash::DEFAULT,
        }
    }

    pub(crate) async fn rows(&self, customer: &str) -> Vec<Row> {
        let customer = id(customer);
        self.store.index.rows(&[self.store.keys.tag(&customer)], &customer).await.unwrap()
    }

    /// Which of the customer's rows are marked erased, by upstream and form.
    pub(crate) async fn marked(&self, customer: &str) -> Vec<(u16, u8, bool)> {
        let row = |row: Row| (row.key.upstream.0, row.key.form.0, row.erased_at.is_some());
        self.rows(customer).await.into_iter().map(row).collect()
    }

    /// The alias of a customer at an upstream.
    pub(crate) fn alias(&self, customer: &str, name: &str) -> String {
        text_of(&self.site(name).aliases, &id(customer), ALIAS).into()
    }

    pub(crate) fn call(&self, customer: &str, name: &str) -> ErasureCall {
        ErasureCall {
            api: Some(1),
            instance: Instance { prefix: "".into(), caller: self.site(name).instances.fingerprint(CALLER.as_bytes()) },
            path: "/v1/user_data".into(),
            query: Some(format!("customer_id={customer}")),
            headers: HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::from_static(CALLER))]),
            forgetgate_authorization: None,
            prefer_wait: None,
            peer: Some([127, 0, 0, 1].into()),
        }
    }

    /// Sends a delete to an upstream on the data path.
    pub(crate) fn send(&self, name: &str, call: ErasureCall) -> impl Future<Output = Result<Response<Bytes>, Refused>> {
        self.eraser.delete(Arc::clone(self.site(name)), call)
    }

    /// Deletes on the data path.
    pub(crate) async fn delete(&self, customer: &str, name: &str) -> Result<Response<Bytes>, Refused> {
        soon(self.send(name, self.call(customer, name))).await
    }

    /// Deletes on the data path, which must be accepted.
    pub(crate) async fn erase(&self, customer: &str, name: &str) -> Uuid {
        erasure_of(&self.delete(customer, name).await.unwrap())
    }

    /// Submits through the admin API.
    pub(crate) async fn submit(&self, submission: Submission) -> Result<View, Problem> {
        match self.eraser.submit(submission).await? {
            Submitted::Accepted(view) => Ok(*view),
            Submitted::DryRun(_) => panic!("a dry run"),
        }
    }

    pub(crate) async fn show(&self, id: Uuid) -> View {
        self.eraser.show(id).await.unwrap()
    }

    /// Waits until the erasure looks so.
    pub(crate) async fn until(&self, id: Uuid, looks: impl Fn(&View) -> bool) -> View {
        let looking = async {
            loop {
                let view = self.show(id).await;
                if looks(&view) {
                    return view;
                }
                tokio::task::yield_now().await;
            }
        };
        match tokio::time::timeout(crate::service::LONG, looking).await {
            Ok(view) => view,
            Err(_) => panic!("it never looked so: {:#?}", self.show(id).await),
        }
    }

    pub(crate) async fn until_state(&self, id: Uuid, state: JobState) -> View {
        self.until(id, |view| view.state == state).await
    }

    pub(crate) async fn until_target(&self, id: Uuid, name: &str, state: TargetState) -> View {
        let of = TargetWord::Of(state);
        self.until(id, |view| view.targets.iter().any(|target| target.upstream == name && target.state == of)).await
    }
}

pub(crate) async fn sites(store: &Opened, upstreams: Vec<Upstream>) -> Vec<Arc<Site>> {
    let mut sites = Vec::new();
    for upstream in upstreams {
        let number = store.index.upstream_number(&upstream.name, &upstream.url.authority).await.unwrap();
        let aliases = AliasKey::new(&store.keys.alias_key(&upstream.name), 1);
        let connector = Connector::new(&upstream, limits().connect_timeout).unwrap();
        let authenticator = Authenticator::new(upstream.credentials.as_ref(), &limits()).unwrap();
        let recordings = Arc::default();
        let instances = Instances::new(&upstream, store.keys.fingerprints(), &limits()).unwrap();
        sites.push(Arc::new(Site {
            number,
            instances: Arc::new(instances),
            upstream: Arc::new(upstream),
            aliases,
            connector,
            authenticator,
            keys: KeySources::default(),
            recordings,
        }));
    }
    sites
}

/// What a job's body says, to the owner of the key.
pub(crate) fn opened_body(keys: &Keys, job: &StoredJob) -> String {
    String::from_utf8(keys.open_job(job.id, &job.body).unwrap().to_vec()).unwrap()
}

pub(crate) fn id(text: &str) -> CustomerId {
    CustomerId::new(text).unwrap()
}

pub(crate) fn submission(customer: &str) -> Submission {
    Submission { customer_id: id(customer), id: None, submitted: None, upstreams: None, dry_run: false, reason: None }
}

pub(crate) fn erasure_of(response: &Response<Bytes>) -> Uuid {
    response.headers()["forgetgate-erasure"].to_str().unwrap().parse().unwrap()
}

/// Two services, and a world in which they are `one` and `two`.
pub(crate) async fn pair(plan: Plan, change: impl Fn(&mut Upstream)) -> (World, Service, Service) {
    let (one, two) = (Service::start().await, Service::start().await);
    let mut upstreams = vec![upstream("one", &one.url), upstream("two", &two.url)];
    upstreams.iter_mut().for_each(change);
    (World::new(plan, upstreams).await, one, two)
}

/// The same store for a second life.
pub(crate) fn shared(store: &Opened) -> Opened {
    let (index, jobs) = (Arc::clone(&store.index), Arc::clone(&store.jobs));
    Opened { keys: Arc::clone(&store.keys), index, jobs, ending: store.ending.clone(), together: None }
}
