//! P3, P5, P11: a server that is stopped or killed loses nothing that was acknowledged, and the gate needs no restart.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use forgetgate::domain::UnixSeconds;
use forgetgate::store::{Opened, StoreError, StoredJob};
use uuid::Uuid;

use super::world_on;
use crate::server::Postgres;
use crate::world::{fact, job, later, rows_of, step, wait};

/// Nothing here takes so long.
const LIMIT: Duration = Duration::from_secs(60);

/// Records customers until it is told to end, and gives those that were acknowledged.
fn recorded(store: &Opened, writer: usize, end: &AtomicBool, told: &Sender<()>) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if end.load(Ordering::Relaxed) {
            break;
        }
        let customer = format!("{writer}-{number}");
        match wait(store.index.record(fact(&store.keys, &customer, 1, "r"))) {
            Ok(()) => {
                acknowledged.push(customer);
                told.send(()).unwrap();
            }
            Err(error) => assert!(matches!(error, StoreError::Broken), "{error}"),
        }
    }
    acknowledged
}

/// Writes step after step of one job, each over the version that was read; gives the last that was acknowledged.
fn stepped(store: &Opened, end: &AtomicBool, told: &Sender<()>) -> u64 {
    let first = job(&store.keys, 1, "anna", b"0");
    assert!(wait(store.jobs.create(first.clone())).unwrap());
    let mut last = 0_u64;
    while !end.load(Ordering::Relaxed) {
        let Ok(Some(read)) = wait(store.jobs.job(first.id)) else { continue };
        let there: u64 = std::str::from_utf8(&read.body).unwrap().parse().unwrap();
        assert!(there == last || there == last + 1, "{there} after {last}: the one whose answer was lost at most");
        let next = StoredJob { body: (there + 1).to_string().into_bytes(), ..read };
        match wait(store.jobs.commit(step(next, &[], later(1)))) {
            Ok(written) => {
                assert!(written);
                last = there + 1;
                told.send(()).unwrap();
            }
            Err(error) => {
                assert!(matches!(error, StoreError::Broken), "{error}: there is one writer");
                last = there;
            }
        }
    }
    last
}

fn go_on(told: &Mutex<Receiver<()>>) {
    let told = told.lock().unwrap();
    told.try_iter().for_each(drop);
    for _ in 0..200 {
        told.recv_timeout(LIMIT).unwrap();
    }
}

#[test]
fn p3_p5_a_server_that_is_killed_or_stopped_loses_nothing_acknowledged_and_the_gate_goes_on() {
    let server = Postgres::start(&[]);
    let world = world_on(&server);
    let store = world.open();
    let (end, (tell, told)) = (AtomicBool::new(false), channel());
    let told = Mutex::new(told);
    let (acknowledged, last) = thread::scope(|scope| {
        let (store, end) = (&store, &end);
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let tell = tell.clone();
                scope.spawn(move || recorded(store, writer, end, &tell))
            })
            .collect();
        let steps = scope.spawn({
            let tell = tell.clone();
            move || stepped(store, end, &tell)
        });
        go_on(&told);
        for is_killed in [true, false, true] {
            if is_killed {
                server.kill()
            } else {
                server.stop()
            }
            server.start_again();
            go_on(&told);
        }
        end.store(true, Ordering::Relaxed);
        let acknowledged: Vec<String> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        (acknowledged, steps.join().unwrap())
    });
    assert!(acknowledged.len() > 400);
    // What reads may come back a moment after what writes.
    while !store.index.is_writable() {
        thread::yield_now();
    }
    for customer in &acknowledged {
        assert_eq!(wait(rows_of(&store, customer)).len(), 1, "{customer} was acknowledged");
    }
    let there = wait(store.jobs.job(Uuid::from_u128(1))).unwrap().unwrap();
    assert_eq!(there.body, last.to_string().into_bytes());
    assert!(store.index.is_writable() && store.index.is_alive());
}

/// P11: a server that stays away: callers are told so, nothing is let in, and what comes after it is back is taken at once.
#[test]
fn p11_a_server_that_is_away_is_said_and_its_return_needs_no_restart() {
    let server = Postgres::start(&[]);
    let world = world_on(&server);
    let store = world.open();
    let record = |customer: &str| wait(store.index.record(fact(&store.keys, customer, 1, "r")));
    record("anna").unwrap();
    server.kill();
    // What serves a connection may outlive the server for a moment.
    while record("bert").is_ok() {}
    assert!(!store.index.is_writable(), "readiness says it");
    assert!(store.index.is_alive(), "a new start would not help");
    assert!(matches!(record("carl"), Err(StoreError::Broken)));
    // Asked, too; not only written.
    assert!(wait(store.jobs.purge(UnixSeconds(0))).is_err());
    server.start_again();
    while !store.index.is_writable() {
        thread::yield_now();
    }
    record("dora").unwrap();
    let found = ["anna", "bert", "carl", "dora"].map(|customer| wait(rows_of(&store, customer)).len());
    assert_eq!((found[0], found[3]), (1, 1), "bert may be there or not");
    assert_eq!(found[2], 0, "nothing was let in");
}
