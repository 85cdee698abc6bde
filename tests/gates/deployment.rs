//! Three gates, one database and two services.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use serde_json::Value;

use crate::server::Postgres;
use crate::service::Service;
use crate::support::{Call, Gate, Setup, Site};

/// The time to live of a member, in seconds.
pub(crate) const TTL_S: u64 = 1;

/// A deployment. The gates have one key between them.
pub(crate) struct Deployment {
    pub(crate) gates: Vec<RwLock<Gate>>,
    pub(crate) database: Postgres,
    pub(crate) services: [Service; 2],
}

/// The configuration of each gate.
pub(crate) fn setup(services: &[Service; 2]) -> Setup {
    let [one, two] = services;
    let mut setup = Setup::new([Site::speech(one.addr()), Site::new("other", "watson-speech-to-text", two.addr())]);
    setup.path = String::new();
    setup.store = format!("engine = \"postgres\"\nurl = {{ file = \"url\" }}\nttl = \"{TTL_S}s\"\n");
    // What a gate that is gone had on its way is waited for so long.
    setup.limits = "response_timeout = \"1s\"\n".to_owned();
    setup
}

impl Deployment {
    pub(crate) fn start(count: usize) -> Self {
        let database = Postgres::start(&["max_connections = 50"]);
        let services = [Service::start(), Service::start()];
        let setup = setup(&services);
        let mut gates: Vec<Gate> = Vec::new();
        for _ in 0..count {
            let mut gate = Gate::idle(&setup);
            fs::write(gate.folder().join("url"), database.url()).unwrap();
            if let Some(first) = gates.first() {
                fs::copy(first.folder().join("index.key"), gate.folder().join("index.key")).unwrap();
            }
            gate.restart();
            gates.push(gate);
        }
        let gates = gates.into_iter().map(RwLock::new).collect();
        Self { gates, database, services }
    }

    /// Where callers of a gate come in.
    pub(crate) fn addr(&self, gate: usize) -> SocketAddr {
        self.gates[gate].read().addr
    }

    /// And its admin API.
    pub(crate) fn admin(&self, gate: usize) -> SocketAddr {
        self.gates[gate].read().admin
    }

    pub(crate) fn any(&self) -> usize {
        fastrand::usize(..self.gates.len())
    }

    /// What the services have of a customer.
    pub(crate) fn items(&self, customer: &str) -> Vec<String> {
        self.services.iter().flat_map(|service| service.items(customer)).collect()
    }

    /// Everything that the gates have written.
    pub(crate) fn logs(&self) -> String {
        self.gates.iter().map(|gate| gate.read().log()).collect::<Vec<_>>().join("\n--\n")
    }

    /// An erasure as any of the gates shows it.
    pub(crate) fn erasure(&self, id: &str) -> Option<Value> {
        self.erasure_at(self.any(), id)
    }

    fn erasure_at(&self, gate: usize, id: &str) -> Option<Value> {
        let answer = Call::get(&format!("/api/v1/erasures/{id}")).send(self.admin(gate)).ok()?;
        (answer.status == 200).then(|| answer.json())
    }

    /// Waits until all has been accepted.
    pub(crate) fn until_done(&self, id: &str) -> Value {
        self.until_done_by(id, || self.any())
    }

    /// The same, asking this gate alone.
    pub(crate) fn until_done_at(&self, gate: usize, id: &str) -> Value {
        self.until_done_by(id, || gate)
    }

    fn until_done_by(&self, id: &str, gate: impl Fn() -> usize) -> Value {
        let mut last = None;
        let end = Instant::now() + Duration::from_secs(120);
        while Instant::now() < end {
            last = self.erasure_at(gate(), id).or(last);
            if let Some(erasure) = last.take_if(|last| last["state"] == "settling" || last["state"] == "done") {
                return erasure;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("it is never done: {last:#?}\n{}", self.logs());
    }
}

/// Sends an item of a customer to a service through a gate; whether it was taken.
pub(crate) fn send(gate: SocketAddr, site: usize, customer: &str, item: &str) -> bool {
    let target = ["/speech/api/v1/recognize", "/other/api/v1/recognize"][site];
    let call = Call::new("POST", target).label(customer).with("Content-Type", "audio/wav").body(item.as_bytes());
    call.send(gate).is_ok_and(|answer| answer.status == 200)
}

/// The erasure's ID, if it was accepted.
pub(crate) fn erase(gate: SocketAddr, customer: &str) -> Option<String> {
    let answer = Call::delete(customer).send(gate).ok()?;
    let id = answer.header("forgetgate-erasure").map(str::to_owned);
    id.filter(|_| (200..300).contains(&answer.status))
}

/// Stops a process, or lets it go on.
pub(crate) fn signal(gate: &Gate, name: &str) {
    if gate.is_running() {
        Command::new("kill").args([&format!("-{name}"), &gate.id().to_string()]).status().unwrap();
    }
}
