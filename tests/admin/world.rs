//! A gate without its data path: store, eraser, counters and the admin listener.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use forgetgate::admin::{InForce, Listener, Readiness, Standing, State, serve};
use forgetgate::config::{self, Address, Config};
use forgetgate::domain::alias::AliasKey;
use forgetgate::domain::erasure::NamedInstance;
use forgetgate::domain::{
    CustomerId, Instance, InstanceHash, LabelForm, PairKey, ResourceHash, Tag, UnixSeconds, UpstreamNumber,
};
use forgetgate::erasure::{Eraser, Parts, Surroundings};
use forgetgate::inflight::Inflight;
use forgetgate::net::ActivatedSockets;
use forgetgate::replicas::Replicas;
use forgetgate::store::{Figures, Index, KnownUpstream, Opened, Placement, Row, SeenInstance, StoreFuture, open};
use forgetgate::telemetry::{Registry, unix_now};
use forgetgate::upstream::{Authenticator, Connector, Instances, KeySources, Network, Site};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::caller::{LONG, Reply, call};

pub(crate) const TOKEN: &str = "correct-horse";

/// What a test wants of its world.
#[derive(Default)]
pub(crate) struct Wish {
    pub(crate) token: bool,
    /// Every erasure waits for approval.
    pub(crate) approve: bool,
    pub(crate) unix: bool,
    /// Metrics need no token.
    pub(crate) open_metrics: bool,
}

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) config: Arc<Config>,
    pub(crate) readiness: Readiness,
    pub(crate) registry: Arc<Registry>,
    pub(crate) writable: Arc<AtomicBool>,
    pub(crate) alive: Arc<AtomicBool>,
    pub(crate) drain: CancellationToken,
    pub(crate) serving: Option<AbortOnDropHandle<()>>,
    pub(crate) folder: tempfile::TempDir,
    store: Opened,
    sites: Vec<Arc<Site>>,
    _running: Vec<AbortOnDropHandle<()>>,
}

impl World {
    pub(crate) async fn new(wish: Wish) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (service, deletes) = service().await;
        let config = Arc::new(configuration(&wish, folder.path(), service));
        let store = open(&config.store).unwrap();
        let sites = sites(&config, &store).await;
        let names: Vec<_> = config.upstreams.iter().map(|upstream| Arc::clone(&upstream.name)).collect();
        let registry = Registry::new(&names, 1);
        let eraser = Eraser::new(Parts {
            replicas: Replicas::alone(Inflight::new(1000, config.store.lease, config.limits.response_timeout)),
            index: Arc::clone(&store.index),
            jobs: Arc::clone(&store.jobs),
            shared_jobs: None,
            keys: Arc::clone(&store.keys),
            sites: sites.clone(),
            erasure: config.erasure.clone(),
            response_timeout: config.limits.response_timeout,
            lease: config.store.lease,
            clock: Arc::new(unix_now),
            transport: Arc::new(Network),
            surroundings: Surroundings::default(),
            runtime: tokio::runtime::Handle::current(),
            cut_before: false,
            registry: Arc::clone(&registry),
        });
        eraser.restore().await.unwrap();
        let readiness = Readiness::new();
        let [writable, alive] = [true, true].map(|on| Arc::new(AtomicBool::new(on)));
        let index = Arc::new(Switched::of(&store.index, [&writable, &alive]));
        let state = State {
            eraser: eraser.clone(),
            index,
            registry: Arc::clone(&registry),
            config: Arc::new(InForce::new(Arc::clone(&config), Standing::default()).0),
            readiness: readiness.clone(),
        };
        let listener = Listener::bind(&config.admin.address, &mut ActivatedSockets::default()).unwrap();
        let address = match listener.local_address().clone() {
            Address::Tcp(address) => address,
            Address::Unix(_) => SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let drain = CancellationToken::new();
        let serving = spawn(serve(listener, None, Arc::new(state), drain.clone()));
        let work = spawn(async move { eraser.run().await });
        Self {
            address,
            config,
            readiness,
            registry,
            writable,
            alive,
            drain,
            serving: Some(serving),
            folder,
            store,
            sites,
            _running: vec![deletes, work],
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        call(self.address, "GET", path, &[&authorization()], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Reply {
        call(self.address, "POST", path, &[&authorization()], body).await
    }

    /// An erasure that was accepted; its path.
    pub(crate) async fn erasure(&self, customer: &str) -> String {
        let reply = self.post("/api/v1/erasures", &serde_json::json!({ "customer_id": customer }).to_string()).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.header("location").unwrap().to_owned()
    }

    /// Waits until the erasure at this path is in this state.
    pub(crate) async fn until(&self, path: &str, state: &str) -> serde_json::Value {
        self.until_at(path, "/state", state).await
    }

    /// Waits until its first target is in this state.
    pub(crate) async fn until_waiting(&self, path: &str) -> serde_json::Value {
        self.until_at(path, "/targets/0/instant_after_answer", "rate").await
    }

    async fn until_at(&self, path: &str, place: &str, state: &str) -> serde_json::Value {
        let looking = async {
            loop {
                let erasure = self.get(path).await.json();
                if erasure.pointer(place).is_some_and(|found| found == state) {
                    return erasure;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, looking).await.unwrap_or_else(|_| panic!("{path} was never {state}"))
    }

    /// Data of this customer went to the first upstream.
    pub(crate) async fn labelled(&self, customer: &str) {
        self.labelled_in(customer, "assistants/a1", 7).await;
    }

    pub(crate) async fn labelled_in(&self, customer: &str, resource: &str, hash: u8) {
        let id = CustomerId::new(customer).unwrap();
        let key = PairKey {
            tag: self.store.keys.tag(&id),
            upstream: self.sites[0].number,
            form: LabelForm::RAW,
            resource: ResourceHash([hash; 8]),
            instance: InstanceHash::DEFAULT,
        };
        let (resource, seen) = (resource.into(), UnixSeconds(1_527_206_400));
        let instance = Instance::default();
        let placement = Placement { key, id, resource, instance, wire: None, api: Some(2), seen };
        self.store.index.record(placement).await.unwrap();
    }
}

fn authorization() -> String {
    format!("Authorization: Bearer {TOKEN}")
}

fn spawn(work: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(work))
}

fn configuration(wish: &Wish, folder: &std::path::Path, service: SocketAddr) -> Config {
    std::fs::write(folder.join("token"), format!("{TOKEN}\n")).unwrap();
    let token = if wish.token { "token = { file = \"token\" }" } else { "" };
    let metrics = if wish.open_metrics { "metrics = \"open\"" } else { "" };
    let upstream = |name: &str| {
        format!(
            "[[upstream]]\nname = \"{name}\"\nprofile = \"watson-assistant\"\nurl = \"http://{service}\"\n\
             route = {{ path = \"/{name}\" }}\n"
        )
    };
    let text = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n{token}\n{metrics}\n\
         [store]\nengine = \"memory\"\nkey = {{ file = \"key\" }}\n{}{}",
        upstream("one"),
        upstream("two")
    );
    let mut config = config::parse(&text, folder).unwrap_or_else(|faults| panic!("{faults:?}")).config;
    if wish.approve {
        config.erasure.erasures_per_minute = 0;
    }
    if wish.unix {
        config.admin.address = Address::Unix(folder.join("admin.sock"));
    }
    config
}

async fn sites(config: &Config, store: &Opened) -> Vec<Arc<Site>> {
    let mut sites = Vec::new();
    for upstream in &config.upstreams {
        let number = store.index.upstream_number(&upstream.name, &upstream.url.authority).await.unwrap();
        let aliases = AliasKey::new(&store.keys.alias_key(&upstream.name), 1);
        let connector = Connector::new(upstream, config.limits.connect_timeout).unwrap();
        let authenticator = Authenticator::new(upstream.credentials.as_ref(), &config.limits).unwrap();
        let recordings = Arc::default();
        let instances = Instances::new(upstream, store.keys.fingerprints(), &config.limits).unwrap();
        sites.push(Arc::new(Site {
            number,
            upstream: Arc::clone(upstream),
            instances: Arc::new(instances),
            aliases,
            connector,
            authenticator,
            keys: KeySources::default(),
            recordings,
        }));
    }
    sites
}

/// A service that accepts everything.
async fn service() -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
            stream.write_all(answer).await.ok();
        }
    });
    (address, serving)
}

/// The real index, with a switch for what it says of itself.
#[derive(Debug)]
struct Switched {
    index: Arc<dyn Index>,
    writable: Arc<AtomicBool>,
    alive: Arc<AtomicBool>,
}

impl Switched {
    fn of(index: &Arc<dyn Index>, [writable, alive]: [&Arc<AtomicBool>; 2]) -> Self {
        Self { index: Arc::clone(index), writable: Arc::clone(writable), alive: Arc::clone(alive) }
    }
}

impl Index for Switched {
    fn record(&self, placement: Placement) -> StoreFuture<'_, ()> {
        self.index.record(placement)
    }

    fn rows<'a>(&'a self, tags: &'a [Tag], id: &'a CustomerId) -> StoreFuture<'a, Vec<Row>> {
        self.index.rows(tags, id)
    }

    fn sweep(&self, before: UnixSeconds) -> StoreFuture<'_, u64> {
        self.index.sweep(before)
    }

    fn upstream_number<'a>(&'a self, name: &'a str, identity: &'a str) -> StoreFuture<'a, UpstreamNumber> {
        self.index.upstream_number(name, identity)
    }

    fn name_instances(&self, upstream: UpstreamNumber, named: Vec<NamedInstance>) -> StoreFuture<'_, ()> {
        self.index.name_instances(upstream, named)
    }

    fn upstreams(&self) -> StoreFuture<'_, Vec<KnownUpstream>> {
        self.index.upstreams()
    }

    fn instances(&self) -> StoreFuture<'_, Vec<SeenInstance>> {
        self.index.instances()
    }

    fn answered(&self, upstream: UpstreamNumber, instance: &Instance, seen: UnixSeconds) -> StoreFuture<'static, ()> {
        self.index.answered(upstream, instance, seen)
    }

    fn figures(&self) -> StoreFuture<'_, Figures> {
        self.index.figures()
    }

    fn is_writable(&self) -> bool {
        self.writable.load(Ordering::SeqCst)
    }

    fn is_alive(&self) -> bool {
        self.alive.load(Ordering::SeqCst)
    }
}
