//! P4: an erasure is a point in time. Callers write for a customer while that customer is erased, services take a random
//! time to store what they get, and afterwards it is looked at what is left: nothing that was forwarded before the
//! instant, and everything that was sent after the answer, unless a retry or a straggler was reported.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use forgetgate_stand_ins::{Options, Running, Seen};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use crate::support::{Call, Gate, Setup, Site, at_some_moment, rounds, service_for};

/// Rounds at once, each with a customer of its own.
const AT_ONCE: u32 = 8;

const NAMES: [&str; 2] = ["speech", "other"];

struct Arena {
    gate: Gate,
    services: Vec<Running>,
    authorization: &'static str,
    calm: AtomicU64,
}

/// One call of a writer. Its body's length is its mark: each of a round is different.
#[derive(Clone, Copy, Debug)]
struct Sent {
    service: usize,
    length: u64,
    status: u16,
    began: Instant,
    ended: Instant,
}

/// One round: a customer, who is erased at some moment.
struct Round<'a> {
    arena: &'a Arena,
    customer: String,
    lengths: AtomicU64,
    stop: AtomicBool,
    sent: Mutex<Vec<Sent>>,
}

impl Arena {
    fn new(authorize: &str) -> Self {
        let services: Vec<Running> = NAMES.iter().map(|_| service_for(Options::basic("apikey", "KEY"))).collect();
        let sites: Vec<Site> = NAMES
            .iter()
            .zip(&services)
            .map(|(name, service)| {
                let credentials = "credentials = { apikey = { file = \"api.key\" } }";
                Site::new(name, "watson-speech-to-text", service.addr).with(credentials)
            })
            .collect();
        let mut setup = Setup::new(sites);
        setup.erasure = format!("authorize = \"{authorize}\"\nerasures_per_minute = 1000000\n");
        setup.limits = "response_timeout = \"5s\"\n".to_owned();
        let mut gate = Gate::idle(&setup);
        std::fs::write(gate.folder().join("api.key"), "KEY").unwrap();
        gate.restart();
        Self { gate, services, authorization: "Basic YXBpa2V5OktFWQ==", calm: AtomicU64::new(0) }
    }

    fn play(&self, rounds: u32) {
        for first in (0..rounds).step_by(AT_ONCE as usize) {
            // Some services are slower than the way from an acceptance to its deletes, some are quicker.
            let slowest = Duration::from_millis([400, 2, 40][(first / AT_ONCE) as usize % 3]);
            self.services.iter().for_each(|service| service.delay(Duration::ZERO..slowest));
            thread::scope(|scope| {
                for number in first..(first + AT_ONCE).min(rounds) {
                    scope.spawn(move || Round::of(self, number).play());
                }
            });
            self.services.iter().for_each(Running::forget_seen);
        }
        // A retry or a straggler is an excuse, so it must not be the rule.
        let calm = self.calm.load(Ordering::SeqCst);
        assert!(calm * 2 > u64::from(rounds), "{calm} of {rounds} rounds went without a retry or a straggler");
    }

    /// Into one of several places, so that some calls go where the customer is known already.
    fn words(&self, name: &str, customer: &str, place: u32, length: u64) -> Call {
        let padding = "x".repeat(usize::try_from(length).unwrap() - r#"{"p":""}"#.len());
        Call::new("POST", &format!("/{name}/api/v1/customizations/c{place}/words"))
            .label(customer)
            .with("Authorization", self.authorization)
            .body(format!(r#"{{"p":"{padding}"}}"#).as_bytes())
    }

    fn lengths(&self, service: usize, customer: &str) -> BTreeSet<u64> {
        let rows = self.services[service].rows();
        rows.iter().filter(|row| row.is_of(customer)).map(|row| row.bytes).collect()
    }
}

impl<'a> Round<'a> {
    fn of(arena: &'a Arena, number: u32) -> Self {
        let customer = format!("racer{number}");
        Self { arena, customer, lengths: AtomicU64::new(64), stop: AtomicBool::new(false), sent: Mutex::default() }
    }

    fn play(&self) {
        let bystander = format!("by{}", self.customer);
        let (asked, answered, id) = thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| self.write());
            }
            let quiet = scope.spawn(|| self.stand_by(&bystander));
            if fastrand::u8(..4) == 0 {
                scope.spawn(|| self.leave());
            }
            let told = self.erase();
            self.stop.store(true, Ordering::SeqCst);
            let written = quiet.join().unwrap();
            assert!(written.is_subset(&self.arena.lengths(0, &bystander)), "another customer's data");
            told
        });
        let erasure = self.arena.gate.until_accepted(&id);
        self.judge(asked, answered, &erasure);
    }

    /// Writes until the erasure has its answer, and twice more.
    fn write(&self) {
        let mut left = 2;
        while left > 0 {
            if self.stop.load(Ordering::SeqCst) {
                left -= 1;
            }
            let service = fastrand::usize(..NAMES.len());
            let length = self.lengths.fetch_add(1, Ordering::SeqCst);
            let call = self.arena.words(NAMES[service], &self.customer, fastrand::u32(..3), length);
            let began = Instant::now();
            let answer = call.send(self.arena.gate.addr).unwrap();
            // On a machine that is busy enough anything may take too long; nothing else is an answer.
            let is_late = answer.status == 504 || answer.refusal() == Some("erasure_in_progress");
            assert!(answer.status == 201 || is_late, "{}", answer.text());
            self.sent.lock().push(Sent { service, length, status: answer.status, began, ended: Instant::now() });
        }
    }

    /// Writes for somebody else; the marks of what was written.
    fn stand_by(&self, bystander: &str) -> BTreeSet<u64> {
        let mut written = BTreeSet::new();
        while !self.stop.load(Ordering::SeqCst) {
            let length = 1000 + written.len() as u64;
            let call = self.arena.words(NAMES[0], bystander, 0, length);
            let answer = call.send(self.arena.gate.addr).unwrap();
            assert!([201, 504].contains(&answer.status), "nobody erases them: {}", answer.text());
            if answer.status == 201 {
                written.insert(length);
            }
        }
        written
    }

    /// A caller who sends and does not wait for the answer.
    fn leave(&self) {
        let length = self.lengths.fetch_add(1, Ordering::SeqCst);
        let call = self.arena.words(NAMES[0], &self.customer, 0, length);
        let socket = call.begin(self.arena.gate.addr).unwrap();
        at_some_moment(Duration::from_millis(10));
        drop(socket);
    }

    /// Erases at some moment: when it was asked for, when it was answered, and the erasure's ID.
    fn erase(&self) -> (Instant, Instant, String) {
        at_some_moment(Duration::from_millis(60));
        let asked = Instant::now();
        let id = if fastrand::bool() {
            self.arena.gate.erase(&self.customer)["id"].as_str().unwrap().to_owned()
        } else {
            let call = Call::delete(&self.customer).with("Authorization", self.arena.authorization);
            let answer = call.send(self.arena.gate.addr).unwrap();
            assert!([200, 202].contains(&answer.status), "{}", answer.text());
            answer.header("forgetgate-erasure").unwrap().to_owned()
        };
        (asked, Instant::now(), id)
    }

    fn judge(&self, asked: Instant, answered: Instant, erasure: &Value) {
        let targets = erasure["targets"].as_array().unwrap();
        let is_calm = |target: &Value| {
            target["attempts"] == 1 && target["evidence"]["drained"] == true && target["instant_after_answer"].is_null()
        };
        let calm = targets.iter().all(is_calm);
        self.arena.calm.fetch_add(u64::from(calm), Ordering::SeqCst);
        for (service, name) in NAMES.iter().enumerate() {
            let left = self.arena.lengths(service, &self.customer);
            let sent = self.sent.lock();
            for sent in sent.iter().filter(|sent| sent.service == service && sent.status != 504) {
                let (length, is_left) = (sent.length, left.contains(&sent.length));
                if sent.status == 503 {
                    assert!(!is_left, "{length} was refused, and {name} has it");
                    continue;
                }
                assert!(
                    !is_left || sent.ended >= asked,
                    "{length} at {name} was over before, and is left: {erasure:#}"
                );
                let may_be_gone = !calm || sent.began <= answered;
                assert!(is_left || may_be_gone, "{length} at {name} came after, and is gone: {erasure:#}");
            }
            let survivors = self.before_the_last_delete(service).intersection(&left).copied().collect::<Vec<_>>();
            assert!(survivors.is_empty(), "{survivors:?} reached {name} before the delete, and are left: {erasure:#}");
        }
    }

    /// The marks of the customer's calls whose heads reached the service before the last delete's.
    fn before_the_last_delete(&self, service: usize) -> BTreeSet<u64> {
        let seen = self.arena.services[service].seen();
        let wanted = format!("customer_id={}", self.customer);
        let is_delete =
            |seen: &Seen| seen.method() == "DELETE" && seen.target().split(['?', '&']).any(|pair| pair == wanted);
        let Some(last) = seen.iter().rposition(is_delete) else { return BTreeSet::new() };
        let ours = |seen: &&Seen| seen.values("x-watson-metadata").contains(&wanted);
        seen[..last].iter().filter(ours).map(|seen| seen.body_length).collect()
    }
}

#[test]
fn p4_an_erasure_that_anyone_may_ask_for_has_one_instant_at_each_service() {
    Arena::new("open").play(rounds(500));
}

/// With `home` the delete is first tried without a fence; whether that try counts is decided by what was on its way.
#[test]
fn p4_an_erasure_that_a_service_authorises_has_one_instant_at_each_service() {
    Arena::new("home").play(rounds(500));
}

/// What the campaign above would not notice: that services really hold what nobody erased.
#[test]
fn p4_without_an_erasure_everything_stays() {
    let arena = Arena::new("open");
    let mut holdings = BTreeMap::new();
    for number in 0..20_u64 {
        let customer = format!("keeper{}", number % 3);
        arena.words(NAMES[0], &customer, 0, 64 + number).send(arena.gate.addr).unwrap();
        *holdings.entry(Some(customer)).or_insert(0) += 1;
    }
    assert_eq!(arena.services[0].holdings(), holdings.into_iter().collect::<Vec<_>>());
}
