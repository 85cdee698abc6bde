//! The keys that an issuer's tokens are verified with: known before a request asks, and renewed behind the requests' backs.
//!
//! A set at an address is fetched when it is first configured, again when its time is over, and once early when a token
//! names a key that is not known. Where a fetch fails the keys that are known stay in use, for two days at most. A request
//! waits for nothing but such an early fetch, and not for longer than two seconds.
//! See docs/decisions/023-token-keys.md.

mod fetch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

pub use self::fetch::FetchError;
use self::fetch::{MadeOf, Way};
use super::tls::RootsError;
use crate::config::{HttpProxy, KeyFileFault, Limits, Renew, key_set_in};
use crate::domain::policy::Policy;
use crate::domain::token::{KeySet, KeysAt};
use crate::telemetry::{Registry, chain, events};

/// How long a request waits for keys.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Tokens that name unknown keys cause one fetch in this time, however many there are.
const EARLY_EVERY: Duration = Duration::from_secs(30);
/// Keys that were fetched longer ago are not used.
const KEPT_MAX: Duration = Duration::from_secs(2 * 24 * 60 * 60);
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A set of keys cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// How it is reached.
    #[error("the keys at {at} cannot be reached")]
    Roots {
        /// Where they are.
        at: String,
        /// Why.
        source: RootsError,
    },
    /// Its file.
    #[error("the keys in {at} cannot be used")]
    File {
        /// Where they are.
        at: String,
        /// Why.
        source: KeyFileFault,
    },
}

/// What a look for newer keys has given.
#[derive(Debug)]
pub enum Fresher {
    /// These.
    Keys(Arc<KeySet>),
    /// There are none, as far as was known half a minute ago.
    Same,
    /// It cannot be told now.
    Unknown,
}

/// The sets of keys that an upstream's policies name.
#[derive(Clone, Debug, Default)]
pub struct KeySources(Vec<Arc<KeySource>>);

/// One set of keys. Whoever asks for it shares it.
pub struct KeySource {
    shared: Arc<Shared>,
    /// Ends with the last who asks.
    _renewal: Option<AbortOnDropHandle<()>>,
}

struct Shared {
    at: KeysAt,
    /// `None`: a file, which is read with the configuration.
    way: Option<Way>,
    held: ArcSwapOption<Held>,
    state: Mutex<State>,
    /// How many fetches have ended.
    ended: watch::Sender<u64>,
    wake: Notify,
    registry: Arc<Registry>,
}

struct Held {
    keys: Arc<KeySet>,
    /// `None` of a file.
    fetched: Option<Instant>,
}

#[derive(Default)]
struct State {
    /// Whether a fetch is under way or about to be.
    fetching: bool,
    /// When the last one began that was made for a key that was not known.
    early: Option<Instant>,
    failure: Option<Failure>,
}

struct Failure {
    error: FetchError,
    in_a_row: u32,
    too_old_told: bool,
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySource").field("at", &self.shared.at).finish_non_exhaustive()
    }
}

impl KeySources {
    /// The sets that these policies name. Those of `known` that are reached in the same way are taken over; files are read.
    /// To be called on a runtime, where the others will be fetched.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn of<'p>(
        policies: impl Iterator<Item = &'p Policy>,
        proxy: &HttpProxy,
        limits: &Limits,
        known: &[Arc<KeySource>],
        registry: &Arc<Registry>,
    ) -> Result<Self, KeysError> {
        let mut sources: Vec<Arc<KeySource>> = Vec::new();
        let places = policies.flat_map(|policy| policy.derive.iter().filter_map(|place| place.trust()));
        for trust in places {
            if sources.iter().any(|source| source.shared.at == trust.keys) {
                continue;
            }
            let made_of = MadeOf::of(&trust.keys, proxy, limits);
            let same =
                |source: &&Arc<KeySource>| source.shared.way.as_ref().is_some_and(|way| *way.made_of() == made_of);
            let source = match known.iter().find(same) {
                Some(source) => Arc::clone(source),
                None => Arc::new(KeySource::new(made_of, registry)?),
            };
            sources.push(source);
        }
        Ok(Self(sources))
    }

    /// The one that is there.
    #[must_use]
    pub fn at(&self, place: &KeysAt) -> Option<&KeySource> {
        self.0.iter().find(|source| source.shared.at == *place).map(|source| &**source)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Arc<KeySource>] {
        &self.0
    }
}

impl KeySource {
    fn new(made_of: MadeOf, registry: &Arc<Registry>) -> Result<Self, KeysError> {
        let at = made_of.at.clone();
        let (way, held) = match &at {
            KeysAt::File(path) => {
                let keys = key_set_in(path).map_err(|source| KeysError::File { at: at.to_string(), source })?;
                (None, Some(Held { keys: Arc::new(keys), fetched: None }))
            }
            KeysAt::Url { url, ca } => {
                let way = Way::to(url, ca.as_deref(), made_of);
                (Some(way.map_err(|source| KeysError::Roots { at: url.clone(), source })?), None)
            }
        };
        let fetches = way.is_some();
        let shared = Arc::new(Shared {
            at,
            way,
            held: ArcSwapOption::from_pointee(held),
            state: Mutex::new(State { fetching: fetches, ..State::default() }),
            ended: watch::Sender::new(0),
            wake: Notify::new(),
            registry: Arc::clone(registry),
        });
        let task = fetches.then(|| AbortOnDropHandle::new(tokio::spawn(Arc::clone(&shared).run())));
        Ok(Self { shared, _renewal: task })
    }

    /// The keys; `None` where none were ever fetched, or too long ago.
    #[must_use]
    pub fn keys(&self, now: Instant) -> Option<Arc<KeySet>> {
        self.shared.keys(now)
    }

    /// Newer keys than these, for a token that is signed with none of them. Waits for at most two seconds.
    pub async fn fresher(&self, than: &Arc<KeySet>, now: Instant) -> Fresher {
        let shared = &*self.shared;
        if shared.way.is_none() {
            return Fresher::Same;
        }
        let mut ended = match shared.ask(than, now) {
            Ok(ended) => ended,
            Err(known) => return known,
        };
        match timeout(WAIT_MAX, ended.changed()).await {
            Ok(Ok(())) => shared.told(than, now),
            Ok(Err(_)) | Err(_) => Fresher::Unknown,
        }
    }

    /// Comes back when the first fetch has ended, however it did.
    pub async fn tried(&self) {
        if self.shared.way.is_some() {
            self.shared.ended.subscribe().wait_for(|ended| *ended > 0).await.ok();
        }
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> &KeysAt {
        &self.shared.at
    }

    /// Why the last fetch has failed, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<FetchError> {
        self.shared.state.lock().failure.as_ref().map(|failure| failure.error.clone())
    }

    /// What has to follow its files, if it is fetched over TLS.
    #[must_use]
    pub fn renewed(&self) -> Option<&dyn Renew> {
        self.shared.way.as_ref()?.renewed()
    }
}

impl Shared {
    fn keys(&self, now: Instant) -> Option<Arc<KeySet>> {
        let held = self.held.load();
        let held = held.as_ref()?;
        let is_old = held.fetched.is_some_and(|fetched| now.saturating_duration_since(fetched) > KEPT_MAX);
        (!is_old).then(|| Arc::clone(&held.keys))
    }

    /// The end of a fetch that is under way or begins now, or else what can be said at once.
    fn ask(&self, than: &Arc<KeySet>, now: Instant) -> Result<watch::Receiver<u64>, Fresher> {
        let mut state = self.state.lock();
        if let Some(known) = self.keys(now).filter(|known| !Arc::ptr_eq(known, than)) {
            return Err(Fresher::Keys(known));
        }
        if !state.fetching {
            if state.early.is_some_and(|early| now.saturating_duration_since(early) < EARLY_EVERY) {
                return Err(if state.failure.is_none() { Fresher::Same } else { Fresher::Unknown });
            }
            (state.early, state.fetching) = (Some(now), true);
            self.wake.notify_one();
        }
        // Under the lock, as every end is told: it is the end of that one.
        Ok(self.ended.subscribe())
    }

    /// What a fetch that has ended has given.
    fn told(&self, than: &Arc<KeySet>, now: Instant) -> Fresher {
        match (self.keys(now), &self.state.lock().failure) {
            (Some(keys), _) if !Arc::ptr_eq(&keys, than) => Fresher::Keys(keys),
            (Some(_), None) => Fresher::Same,
            (_, _) => Fresher::Unknown,
        }
    }

    /// Fetches again and again.
    async fn run(self: Arc<Self>) {
        let Some(way) = &self.way else { return };
        loop {
            let outcome = way.fetch().await;
            let due = Instant::now() + self.end(outcome);
            loop {
                tokio::select! {
                    () = sleep_until(due) => self.state.lock().fetching = true,
                    () = self.wake.notified() => {}
                }
                // A wish that a fetch has fulfilled meanwhile is none.
                if self.state.lock().fetching {
                    break;
                }
            }
        }
    }

    /// Takes what was fetched; gives when to fetch again.
    fn end(&self, outcome: Result<(KeySet, Duration), FetchError>) -> Duration {
        let mut state = self.state.lock();
        state.fetching = false;
        let again = match outcome {
            Ok((keys, life)) => {
                self.take(keys, state.failure.take().is_some());
                // Gates that were started together do not ask together.
                life.mul_f64(1.0 - fastrand::f64() / 10.0)
            }
            Err(error) => self.fail(&mut state, error),
        };
        self.ended.send_modify(|ended| *ended += 1);
        again
    }

    fn take(&self, keys: KeySet, failed: bool) {
        let counters = self.registry.token_keys();
        counters.fetched();
        if failed {
            counters.fails(false);
        }
        let before = self.held.load();
        let is_new = before.as_ref().is_none_or(|before| *before.keys != keys);
        let keys = match before.as_ref().filter(|_| !is_new) {
            Some(before) => Arc::clone(&before.keys),
            None => Arc::new(keys),
        };
        if is_new || failed {
            events::TokenKeysFetched { jwks: &self.at.to_string(), keys: keys.count() as u64 }.emit();
        }
        self.held.store(Some(Arc::new(Held { keys, fetched: Some(Instant::now()) })));
    }

    fn fail(&self, state: &mut State, error: FetchError) -> Duration {
        let (counters, jwks) = (self.registry.token_keys(), self.at.to_string());
        counters.failed();
        let before = state.failure.take();
        if before.is_none() {
            counters.fails(true);
        }
        if before.as_ref().is_none_or(|before| before.error != error) {
            events::TokenKeysFailed { jwks: &jwks, error: &chain(&error) }.emit();
        }
        let is_too_old = self.held.load().is_some() && self.keys(Instant::now()).is_none();
        let told = before.as_ref().is_some_and(|before| before.too_old_told);
        if is_too_old && !told {
            events::TokenKeysTooOld { jwks: &jwks }.emit();
        }
        let in_a_row = before.map_or(0, |before| before.in_a_row);
        let next = in_a_row.saturating_add(1);
        state.failure = Some(Failure { error, in_a_row: next, too_old_told: told || is_too_old });
        PAUSE_FIRST.saturating_mul(1 << in_a_row.min(6)).min(PAUSE_MAX)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.state.lock().failure.is_some() {
            self.registry.token_keys().fails(false);
        }
    }
}
