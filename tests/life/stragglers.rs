//! P4: what was cut may still arrive. The target says so, and the delete is sent again when nothing can arrive any more;
//! also if the gate that knew of it ended meanwhile, in good order or not.

use std::thread;

use forgetgate_stand_ins::{Running, Silence};
use serde_json::Value;

use crate::support::{Call, Gate, Setup, Site, eventually, service};

struct Scene {
    gate: Gate,
    service: Running,
}

impl Scene {
    fn new() -> Self {
        let service = service();
        let mut setup = Setup::new([Site::speech(service.addr)]);
        setup.limits = "response_timeout = \"2s\"\ndrain_timeout = \"1s\"\n".to_owned();
        Self { gate: Gate::start(&setup), service }
    }

    /// A call that the service has read and keeps to itself; the gate waits for the answer in vain.
    fn send_in_vain(&self) -> thread::JoinHandle<Option<u16>> {
        self.service.hang(Silence::Calls);
        let addr = self.gate.addr;
        let waiting = thread::spawn(move || Call::audio("late").send(addr).ok().map(|answer| answer.status));
        eventually("the service has the call", || self.service.seen().iter().any(|seen| seen.complete));
        waiting
    }

    /// Erases, lets the service store what it kept to itself after that, and sees it go as well.
    fn erases_it(&self) {
        let id = self.gate.erase("late")["id"].as_str().unwrap().to_owned();
        let first = self.gate.until(&id, "sent once", |erasure| erasure["targets"][0]["evidence"] != Value::Null);
        let target = &first["targets"][0];
        assert_eq!((&target["state"], &target["evidence"]["drained"]), (&"sent".into(), &false.into()), "{first:#}");
        assert!(target["last_error"].as_str().unwrap().contains("may still arrive"), "{first:#}");
        assert_eq!(first["state"], "running");

        self.service.hang(Silence::Nobody);
        eventually("the service stores the straggler", || self.service.holds("late") == 1);

        let last = self.gate.until_accepted(&id);
        assert_eq!(self.service.holds("late"), 0);
        let target = &last["targets"][0];
        assert_eq!((&target["attempts"], &target["evidence"]["drained"]), (&2.into(), &true.into()), "{last:#}");
    }
}

#[test]
fn p4_a_call_that_was_given_up_is_a_straggler_and_what_it_brings_later_is_erased_too() {
    let scene = Scene::new();
    assert_eq!(scene.send_in_vain().join().unwrap(), Some(504));
    scene.erases_it();
}

#[test]
fn p4_a_straggler_is_remembered_by_the_gate_that_follows_one_that_ended_in_good_order() {
    let mut scene = Scene::new();
    assert_eq!(scene.send_in_vain().join().unwrap(), Some(504));
    assert!(scene.gate.stop().success());
    scene.gate.restart();
    scene.erases_it();
}

#[test]
fn p4_what_a_drain_cut_is_a_straggler_for_the_gate_that_follows() {
    let mut scene = Scene::new();
    let waiting = scene.send_in_vain();
    assert!(scene.gate.stop().success());
    assert_eq!(waiting.join().unwrap(), None, "the hard end cuts what is on its way");
    scene.gate.restart();
    scene.erases_it();
}

/// The restart is as quick as it can be: both lives share a second of the clock.
#[test]
fn p4_what_a_crash_cut_is_a_straggler_for_the_gate_that_follows_at_once() {
    for _ in 0..3 {
        let mut scene = Scene::new();
        let waiting = scene.send_in_vain();
        scene.gate.kill();
        scene.gate.restart();
        assert_eq!(waiting.join().unwrap(), None);
        scene.erases_it();
    }
}

/// The gate in between served nobody and ended in good order, too soon to know that nothing comes any more.
#[test]
fn p4_what_a_crash_cut_is_still_a_straggler_after_an_orderly_restart() {
    let mut scene = Scene::new();
    let waiting = scene.send_in_vain();
    scene.gate.kill();
    scene.gate.restart();
    assert_eq!(waiting.join().unwrap(), None);
    assert!(scene.gate.stop().success());
    scene.gate.restart();
    scene.erases_it();
}

/// An orderly end with nothing on its way leaves nothing to be careful about.
#[test]
fn p4_after_an_orderly_restart_an_erasure_needs_one_delete() {
    let mut scene = Scene::new();
    assert_eq!(Call::audio("late").send(scene.gate.addr).unwrap().status, 200);
    assert!(scene.gate.stop().success());
    scene.gate.restart();
    let id = scene.gate.erase("late")["id"].as_str().unwrap().to_owned();
    let erasure = scene.gate.until_accepted(&id);
    assert_eq!((&erasure["targets"][0]["attempts"], scene.service.holds("late")), (&1.into(), 0), "{erasure:#}");
}
