//! P3: the fact is durable before the first byte leaves. The gate is killed with SIGKILL, and whatever a service had seen
//! of a customer by then, an erasure after the restart must reach that service.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use crate::support::gate::Killer;
use crate::support::upstream::{Bare, Head, answer_empty, labels};
use crate::support::{Call, Gate, Setup, Site, at_some_moment, eventually, rounds};

/// What a service saw.
#[derive(Debug, Default)]
struct Sight {
    /// Bytes of calls.
    calls: Mutex<Vec<u8>>,
    /// Connections on which something has come and that are still read.
    reading: Mutex<usize>,
    /// Customers that deletes named.
    deleted: Mutex<BTreeSet<String>>,
    /// Kills at the first byte of the next call, if it is there.
    trigger: Mutex<Option<Killer>>,
}

impl Sight {
    /// The customers of whom anything had arrived when the gate was gone.
    fn customers(&self) -> BTreeSet<String> {
        eventually("the dead gate's connections are read to their ends", || *self.reading.lock() == 0);
        labels(&self.calls.lock()).into_iter().collect()
    }

    fn serve(&self, mut socket: TcpStream) {
        let mut first = [0];
        while socket.read(&mut first).is_ok_and(|count| count == 1) {
            *self.reading.lock() += 1;
            // A delete that is repeated may come at any time; only a call begins with this letter.
            if first == *b"P"
                && let Some(killer) = self.trigger.lock().take()
            {
                killer.kill();
            }
            let going_on = self.exchange(&mut socket, first[0]);
            *self.reading.lock() -= 1;
            if !going_on {
                return;
            }
        }
    }

    /// Reads a request to its end or the connection's, and answers it. `false` at the end.
    fn exchange(&self, socket: &mut TcpStream, first: u8) -> bool {
        let first = [first];
        let mut came = Copied { socket: first.chain(&mut *socket), copy: Vec::new() };
        let head = Head::read(&mut came);
        if let Ok(Some(head)) = &head {
            let length = head.length();
            std::io::copy(&mut came.by_ref().take(length), &mut std::io::sink()).ok();
        }
        self.calls.lock().extend(came.copy);
        let Ok(Some(head)) = head else { return false };
        if let Some(customer) = head.deletes() {
            self.deleted.lock().insert(customer);
        }
        answer_empty(socket).is_ok()
    }
}

/// Reads, and keeps what was read.
struct Copied<R> {
    socket: R,
    copy: Vec<u8>,
}

impl<R: Read> Read for Copied<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.socket.read(buffer)?;
        self.copy.extend(&buffer[..count]);
        Ok(count)
    }
}

struct Scene {
    sight: Arc<Sight>,
    gate: Gate,
    _service: Bare,
}

impl Scene {
    fn new() -> Self {
        let sight = Arc::new(Sight::default());
        let serving = Arc::clone(&sight);
        let service = Bare::start(move |socket| serving.serve(socket));
        let mut setup = Setup::new([Site::speech(service.addr)]);
        // What a crash cut is waited for so long before a delete counts.
        setup.limits = "response_timeout = \"1s\"\n".to_owned();
        let gate = Gate::start(&setup);
        Self { sight, gate, _service: service }
    }

    /// Starts the gate again, and erases: every one of these must be reached. By the data path or the admin API.
    fn reaches(&mut self, customers: &BTreeSet<String>, round: u32) {
        self.gate.kill();
        self.sight.deleted.lock().clear();
        self.gate.restart();
        for (number, customer) in (round..).zip(customers) {
            if number % 2 == 0 {
                self.gate.erase(customer);
            } else {
                assert_eq!(Call::delete(customer).send(self.gate.addr).unwrap().status, 202);
            }
        }
        let log = || self.gate.log();
        eventually(&format!("erasures reach {customers:?}\n{}", log()), || {
            self.sight.deleted.lock().is_superset(customers)
        });
        // Deletes are repeated until what the crash cut can no longer arrive: now and then all of them are waited for.
        if round % 10 == 9 {
            self.gate.until_all_accepted();
        }
        self.sight.calls.lock().clear();
    }

    /// First-seen customers, all at once; who comes first is left to chance.
    fn crowd(&self, round: u32) -> (BTreeSet<String>, Vec<thread::JoinHandle<()>>) {
        let customers: BTreeSet<String> = (0..fastrand::u32(1..6)).map(|n| format!("first{round}seen{n}")).collect();
        let addr = self.gate.addr;
        let sending = customers.iter().cloned().map(|customer| thread::spawn(move || send(&customer, addr))).collect();
        (customers, sending)
    }
}

fn send(customer: &str, addr: SocketAddr) {
    // The gate is killed meanwhile: there may be no answer.
    drop(Call::audio(customer).send(addr));
}

/// The gate is killed by the thread that has just read the first byte, before it reads another.
#[test]
fn p3_killed_at_a_services_first_byte_of_a_customer_the_gate_still_knows_that_service() {
    let mut scene = Scene::new();
    for round in 0..rounds(200) {
        *scene.sight.trigger.lock() = Some(scene.gate.killer());
        let (customers, sending) = scene.crowd(round);
        eventually("the service sees a first byte", || scene.sight.trigger.lock().is_none());
        sending.into_iter().for_each(|thread| thread.join().unwrap());
        let seen = scene.sight.customers();
        assert!(!seen.is_empty() && seen.is_subset(&customers), "{seen:?} of {customers:?}");
        scene.reaches(&seen, round);
    }
    scene.gate.until_all_accepted();
}

#[test]
fn p3_killed_at_any_moment_around_a_record_the_gate_still_knows_every_service_that_saw_anything() {
    let mut scene = Scene::new();
    let mut seen_ever = 0;
    for round in 0..rounds(200) {
        let (_, sending) = scene.crowd(round);
        at_some_moment(Duration::from_millis(12));
        scene.gate.kill();
        sending.into_iter().for_each(|thread| thread.join().unwrap());
        let seen = scene.sight.customers();
        seen_ever += seen.len();
        scene.reaches(&seen, round);
    }
    assert!(seen_ever > 0, "nothing was ever on its way when the gate was killed");
    scene.gate.until_all_accepted();
}

/// P5 as well: what was accepted before the crash needs nobody to ask again.
#[test]
fn p5_killed_during_an_erasure_the_gate_carries_it_out_by_itself_after_the_restart() {
    let mut scene = Scene::new();
    for round in 0..rounds(50) {
        let customers: BTreeSet<String> = (0..3).map(|n| format!("gone{round}soon{n}")).collect();
        for customer in &customers {
            assert_eq!(Call::audio(customer).send(scene.gate.addr).unwrap().status, 200);
        }
        scene.sight.deleted.lock().clear();
        let ids: Vec<String> =
            customers.iter().map(|c| scene.gate.erase(c)["id"].as_str().unwrap().to_owned()).collect();
        at_some_moment(Duration::from_millis(30));
        scene.gate.kill();
        scene.gate.restart();
        for id in ids {
            scene.gate.until_accepted(&id);
        }
        assert!(scene.sight.deleted.lock().is_superset(&customers));
    }
}
