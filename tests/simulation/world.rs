//! All that outlives the process: clocks, services and what is on its way to them, the store's durable image, what
//! callers and operators have seen, and the log of the run.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use forgetgate::domain::alias::AliasKey;
use forgetgate::domain::{CustomerId, PairKey, Tag, UnixSeconds};
use forgetgate::store::seal::Keys;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use crate::clock::Clock;
use crate::lines::Lines;
use crate::model::{Ask, Close, Delete, Hold, Message, Outcome, Text};
use crate::script::{Kill, Land, Manner, Millis, Place, Script};
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
    pub(crate) group: &'static str,
    pub(crate) passes_to: Vec<usize>,
    pub(crate) aliased: bool,
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
    /// When which upstream was asked about nobody, in place of a customer who is on hold: that counts there, too.
    pub(crate) nobodies: Vec<(usize, Millis)>,
    pub(crate) asks: Vec<Ask>,
    pub(crate) holds: Vec<Hold>,
    /// Targets that are being given up, or have been.
    pub(crate) closes: Vec<Close>,
    /// Whose data a request has brought where, by which text.
    pub(crate) facts: BTreeSet<(usize, usize, Text)>,
    /// Who has ever passed IDs on to whom.
    pub(crate) edges: BTreeSet<(usize, usize)>,
    pub(crate) lines_at: Lines,
    /// When somebody last decided something about a customer.
    pub(crate) decided: BTreeMap<usize, Millis>,
    /// When the store was last in trouble.
    pub(crate) trouble: Option<Millis>,
    /// Until when a service has asked to be left alone, as far as the gate's clock can tell.
    pub(crate) put_off: Millis,
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
    texts: HashMap<String, (usize, Text)>,
    pub(crate) killed: Notify,
    pub(crate) pump: Notify,
    seed: u64,
    state: Mutex<State>,
}

/// The keys of upstreams' aliases: the same in each run.
pub(crate) fn alias_key(upstream: usize) -> AliasKey {
    static MADE: LazyLock<Vec<AliasKey>> =
        LazyLock::new(|| (0..4).map(|nth| AliasKey::new(&KEYS.alias_key(&format!("u{nth}")), 1)).collect());
    MADE[upstream].clone()
}

fn texts(customers: &[(CustomerId, Tag)], upstreams: usize) -> HashMap<String, (usize, Text)> {
    let mut texts = HashMap::new();
    for (nth, (id, _)) in customers.iter().enumerate() {
        texts.insert(id.expose().to_owned(), (nth, Text::Raw));
        let aliases =
            (0..upstreams).map(|upstream| (alias_key(upstream).alias(id).into(), (nth, Text::AliasOf(upstream))));
        texts.extend(aliases);
    }
    texts
}

impl World {
    pub(crate) fn new(script: &Script) -> Arc<Self> {
        let customer = |n: usize| CustomerId::new(&format!("c{n}")).unwrap();
        let customers: Vec<(CustomerId, Tag)> =
            (0..script.land.customers).map(customer).map(|id| (id.clone(), KEYS.tag(&id))).collect();
        let upstream = |place: &Place| Upstream {
            generation: 0,
            retired: false,
            group: place.group,
            passes_to: place.passes_to.clone(),
            aliased: place.aliased,
            manners: VecDeque::new(),
        };
        let upstreams: Vec<Upstream> = script.land.upstreams.iter().map(upstream).collect();
        let edge = |(from, upstream): (usize, &Upstream)| -> Vec<(usize, usize)> {
            upstream.passes_to.iter().map(|to| (from, *to)).collect()
        };
        let edges = upstreams.iter().enumerate().flat_map(edge).collect();
        let state = State {
            fault: None,
            taint: None,
            log: String::new(),
            lines: 0,
            chances: BTreeMap::new(),
            upstreams,
            response_timeout: 20,
            messages: Vec::new(),
            deletes: Vec::new(),
            nobodies: Vec::new(),
            asks: Vec::new(),
            holds: Vec::new(),
            closes: Vec::new(),
            facts: BTreeSet::new(),
            edges,
            lines_at: Lines::default(),
            decided: BTreeMap::new(),
            trouble: None,
            put_off: 0,
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
            texts: texts(&customers, script.land.upstreams.len()),
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

    /// Whose label it is, and which.
    pub(crate) fn named(&self, text: &str) -> Option<(usize, Text)> {
        self.texts.get(text).copied()
    }

    pub(crate) fn wall(&self) -> UnixSeconds {
        self.clock.wall()
    }

    /// Who it is, and where, for the log.
    pub(crate) fn key_name(&self, key: &PairKey) -> String {
        let customer = self.customer_of(key.tag);
        let form = if key.form.is_alias() { "alias" } else { "" };
        format!("c{customer}{form}@u{}/{}", key.upstream.0 - 1, key.resource.0[0])
    }

    pub(crate) fn into_log(self: Arc<Self>) -> (Option<Fault>, String) {
        let mut state = self.state();
        let taint = state.taint.take();
        (state.fault.take().or(taint), std::mem::take(&mut state.log))
    }
}

impl State {
    /// What was refused for the store's sake may be in there and be carried out, where it cannot be withdrawn: as long as
    /// nothing of the customer has come there since, or where a person has approved since what it had joined.
    pub(crate) fn adopts(&mut self) {
        let messages = &self.messages;
        let came = |customer: usize, upstream: usize, since: Millis| {
            let theirs = |message: &&Message| (message.customer, message.upstream) == (customer, upstream);
            messages.iter().filter(theirs).any(|message| message.begun > since)
        };
        for ask in self.asks.iter_mut().filter(|ask| ask.outcome == Outcome::Refused && ask.doubted) {
            let may = |upstream: &usize| {
                ask.approved || ask.answered.is_some_and(|answered| !came(ask.customer, *upstream, answered))
            };
            let also: Vec<usize> = (0..self.upstreams.len()).filter(may).collect();
            ask.adopted.extend(also);
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
