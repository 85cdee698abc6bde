//! P3, P4, P5 and P13 with gates that are killed, stopped and cut off from their database at any moment.
//!
//! Each round is a customer of its own: items go out through all gates, an erasure is asked for at one of them, and more items
//! follow its answer. When it says that it is done, nothing may be left of the first; of what followed nothing may be gone,
//! unless the erasure says that it was carried out later than it was answered.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crate::deployment::{Deployment, TTL_S, erase, send, signal};
use crate::support::rounds;

/// Rounds that go on at once.
const AT_ONCE: u32 = 24;

/// One customer's story.
fn round(deployment: &Deployment, number: u32) {
    let customer = format!("customer{number}");
    let anywhere = || deployment.addr(deployment.any());
    let count = fastrand::usize(2..6);
    thread::scope(|scope| {
        let sending: Vec<_> = (0..count)
            .map(|nth| {
                let (gate, customer) = (anywhere(), &customer);
                scope.spawn(move || send(gate, nth % 2, customer, &format!("before {nth}")))
            })
            .collect();
        if fastrand::bool() {
            sending.into_iter().for_each(|thread| drop(thread.join()));
        }
    });
    let end = Instant::now() + Duration::from_secs(90);
    let id = loop {
        // What goes out while it is asked for may be on either side.
        let meanwhile = thread::spawn({
            let (gate, customer) = (anywhere(), customer.clone());
            move || send(gate, 1, &customer, "meanwhile")
        });
        let id = erase(anywhere(), &customer);
        drop(meanwhile.join());
        match id {
            Some(id) => break id,
            None => assert!(Instant::now() < end, "no erasure is accepted: {}", deployment.logs()),
        }
        thread::sleep(Duration::from_millis(50));
    };
    let after: Vec<String> = (0..2)
        .filter(|nth| send(anywhere(), nth % 2, &customer, &format!("after {nth}")))
        .map(|nth| format!("after {nth}"))
        .collect();
    let erasure = deployment.until_done(&id);
    let items = deployment.items(&customer);
    let left: Vec<_> = items.iter().filter(|item| item.starts_with("before")).collect();
    assert!(left.is_empty(), "{customer}: {left:?} left behind: {erasure:#}\n{}", deployment.logs());
    let targets = erasure["targets"].as_array().unwrap();
    let admits = targets.iter().any(|target| !target["instant_after_answer"].is_null());
    let gone: Vec<_> = after.iter().filter(|item| !items.contains(item)).collect();
    assert!(gone.is_empty() || admits, "{customer}: {gone:?} gone, not said: {erasure:#}\n{}", deployment.logs());
}

/// Troubles the deployment until all rounds are over.
fn trouble(deployment: &Deployment, over: &AtomicBool) {
    let pause = |longest: u64| thread::sleep(Duration::from_millis(fastrand::u64(0..longest)));
    while !over.load(SeqCst) {
        pause(1500);
        let gate = &deployment.gates[deployment.any()];
        match fastrand::u8(..4) {
            0 => {
                gate.read().kill();
                pause(500);
                gate.write().restart();
            }
            1 => {
                signal(&gate.read(), "STOP");
                pause(TTL_S * 4_000);
                signal(&gate.read(), "CONT");
            }
            2 => {
                let all =
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'forgetgate'";
                drop(deployment.database.sql(&format!("{all} AND random() < 0.5")));
            }
            _ => {}
        }
    }
}

#[test]
fn p4_p5_gates_that_are_killed_stopped_and_cut_off_leave_nothing_behind_and_take_nothing_that_they_do_not_admit() {
    let deployment = Deployment::start(3);
    let (next, over, total) = (AtomicU32::new(0), AtomicBool::new(false), rounds(2000));
    thread::scope(|scope| {
        let troubled = scope.spawn(|| trouble(&deployment, &over));
        let rounds: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, SeqCst);
                        if number >= total {
                            return;
                        }
                        round(&deployment, number);
                    }
                })
            })
            .collect();
        let outcomes: Vec<_> = rounds.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, SeqCst);
        troubled.join().unwrap();
        outcomes.into_iter().for_each(|outcome| outcome.unwrap());
    });
    // What came late came before the erasure was done, or never.
    for number in 0..total {
        let items = deployment.items(&format!("customer{number}"));
        assert!(items.iter().all(|item| !item.starts_with("before")), "customer{number}: {items:?}");
    }
}
