//! All that outlives the process: clocks, services and what is on its way to them, the store's durable image, what
//! callers and operators have seen, and the log of the run.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use forgetgate::domain::{CustomerId, PairKey, Tag, UnixSeconds};
use forgetgate::store::seal::Keys;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use crate::clock::Clock;
use crate::model::{Ask, Delete, Hold, Message, Outcome};
use crate::script::{Kill, Land, Manner, Millis, Script};
use crate::seed::Chance;
use crate::services::{Event, Reply};
use crate::store::StoreState;

pub(crate) static KEYS: LazyLock<Arc<Keys>> = LazyLock::new(|| Arc::new(Keys::derive(&[7; 32])));

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) promise: &'static str,
    pub(crate) what: String,
}

/// Streams of chance.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of {
    Store = 10,
    Network = 11,
    Retries = 12,
    Names = 13,
}

#[derive(Debug)]
pub(crate) struct Upstream {
    /// How often it has moved.
    pub(crate) generation: u32,
    pub(crate) retired: bool,
    pub(crate) manners: VecDeque<Manner>,
}

pub(crate) struct State {
    pub(crate) fault: Option<Fault>,
    taint: Option<Fault>,
    log: String,
    pub(crate) lines: usize,
    chances: BTreeMap<u64, Chance>,
    pub(crate) upstreams: Vec<Upstream>,
    /// In seconds.
    pub(crate) response_timeout: u64,
    pub(crate) messages: Vec<Message>,
    pub(crate) deletes: Vec<Delete>,
    pub(crate) asks: Vec<Ask>,
    pub(crate) holds: Vec<Hold>,
    /// What will happen at services, whatever becomes of the process.
    pub(crate) events: BTreeMap<(Millis, u64), Event>,
    pub(crate) events_ever: u64,
    pub(crate) waiting: BTreeMap<usize, oneshot::Sender<Reply>>,
    pub(crate) store: StoreState,
    /// A kill that waits for its moment.
    pub(crate) armed: Option<Kill>,
    /// The process is dead: nothing that it does has an effect any more.
    pub(crate) dead: bool,
    /// Open sockets are to close.
    pub(crate) calm: bool,
    names: u64,
}

pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) land: Land,
    pub(crate) customers: Vec<(CustomerId, Tag)>,
    pub(crate) killed: Notify,
    pub(crate) pump: Notify,
    seed: u64,
    state: Mutex<State>,
}

impl World {
    pub(crate) fn new(script: &Script) -> Arc<Self> {
        let customer = |n: usize| CustomerId::new(&format!("c{n}")).unwrap();
        let customers = (0..script.land.customers).map(customer).map(|id| (id.clone(), KEYS.tag(&id))).collect();
        let upstream = |_| Upstream { generation: 0, retired: false, manners: VecDeque::new() };
        let state = State {
            fault: None,
            taint: None,
            log: String::new(),
            lines: 0,
            chances: BTreeMap::new(),
            upstreams: script.land.upstreams.iter().map(upstream).collect(),
            response_timeout: 20,
            messages: Vec::new(),
            deletes: Vec::new(),
            asks: Vec::new(),
            holds: Vec::new(),
            events: BTreeMap::new(),
            events_ever: 0,
            waiting: BTreeMap::new(),
            store: StoreState::default(),
            armed: None,
            dead: false,
            calm: false,
            names: 0,
        };
        Arc::new(Self {
            clock: Clock::new(),
            land: script.land.clone(),
            customers,
            killed: Notify::new(),
            pump: Notify::new(),
            seed: script.seed,
            state: Mutex::new(state),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// One line of the log.
    pub(crate) fn say(&self, who: &str, what: impl std::fmt::Display) {
        let now = self.clock.now();
        self.state().say(now, who, what);
    }

    /// A promise is broken, and the run goes on: what it shows besides counts for more.
    pub(crate) fn tainted(&self, promise: &'static str, what: String) {
        self.say("BROKEN", format_args!("{promise}: {what}"));
        self.state().taint.get_or_insert(Fault { promise, what });
    }

    /// A promise is broken. The first one counts.
    pub(crate) fn broken(&self, promise: &'static str, what: String) {
        self.say("BROKEN", format_args!("{promise}: {what}"));
        self.state().fault.get_or_insert(Fault { promise, what });
        self.killed.notify_one();
    }

    pub(crate) fn draw(&self, of: Of, from: u64, to: u64) -> u64 {
        self.state().chance(self.seed, of).within(from, to)
    }

    pub(crate) fn random(&self) -> u64 {
        self.state().chance(self.seed, Of::Retries).next()
    }

    /// A UUID of version 7, later than all before it.
    pub(crate) fn name(&self) -> Uuid {
        let mut state = self.state();
        state.names += 1;
        let time = u128::from(1_800_000_000_000 + state.names);
        let random = u128::from(state.chance(self.seed, Of::Names).next());
        Uuid::from_u128((time << 80) | (7 << 76) | (2 << 62) | (random & ((1 << 62) - 1)))
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Ends the process at this very step.
    pub(crate) fn die(&self) {
        self.state().dead = true;
        self.say("kernel", "the process is killed");
        self.killed.notify_one();
    }

    /// Never returns if the process is dead.
    pub(crate) async fn alive(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn customer_of(&self, tag: Tag) -> usize {
        self.customers.iter().position(|(_, theirs)| *theirs == tag).unwrap()
    }

    pub(crate) fn named(&self, text: &str) -> Option<usize> {
        self.customers.iter().position(|(id, _)| id.expose() == text)
    }

    pub(crate) fn wall(&self) -> UnixSeconds {
        self.clock.wall()
    }

    /// Who it is, and where, for the log.
    pub(crate) fn key_name(&self, key: &PairKey) -> String {
        let customer = self.customer_of(key.tag);
        format!("c{customer}@u{}/{}", key.upstream.0 - 1, key.resource.0[0])
    }

    pub(crate) fn into_log(self: Arc<Self>) -> (Option<Fault>, String) {
        let mut state = self.state();
        let taint = state.taint.take();
        (state.fault.take().or(taint), std::mem::take(&mut state.log))
    }
}

impl State {
    /// What was refused for the store's sake may be in there and be carried out, where it cannot be withdrawn: as long as
    /// nothing of the customer has come through since.
    pub(crate) fn adopts(&mut self) {
        let messages = &self.messages;
        let came = |customer: usize, since: Millis| {
            messages.iter().any(|message| message.customer == customer && message.forwarded > since)
        };
        for ask in self.asks.iter_mut().filter(|ask| ask.outcome == Outcome::Refused) {
            ask.adopted |= ask.answered.is_some_and(|answered| !came(ask.customer, answered));
        }
    }

    pub(crate) fn say(&mut self, now: Millis, who: &str, what: impl std::fmt::Display) {
        writeln!(self.log, "{now:>8} {who:<8} {what}").unwrap();
        self.lines += 1;
    }

    fn chance(&mut self, seed: u64, of: Of) -> &mut Chance {
        self.chances.entry(of as u64).or_insert_with(|| Chance::stream(seed, of as u64))
    }
}
