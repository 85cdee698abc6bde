//! What a gate that counts as gone still does.

use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::deployment::{Deployment, TTL_S, erase, send, signal};

/// The gate stands still while the row of a first request is being written, and goes on when an erasure has read the rows
/// without it: by then its lease has run out.
#[test]
fn p4_what_a_gate_that_was_counted_as_gone_records_late_is_not_left_behind() {
    let deployment = Deployment::start(2);
    assert!(send(deployment.addr(0), 0, "warm", "warm"));
    let writers = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%placements AS old%' AND pid <> pg_backend_pid()";
    let writer = deployment.database.sql(writers);
    let writer: String = format!("{writer:?}").chars().filter(char::is_ascii_digit).collect();
    let tell =
        |name: &str| assert!(Command::new("kill").args([&format!("-{name}"), &writer]).status().unwrap().success());
    tell("STOP");
    let addr = deployment.addr(0);
    let sending = thread::spawn(move || send(addr, 1, "lost", "before"));
    thread::sleep(Duration::from_millis(500));
    signal(&deployment.gates[0].read(), "STOP");
    thread::sleep(Duration::from_secs(TTL_S));
    let id = erase(deployment.addr(1), "lost");
    thread::sleep(Duration::from_secs(TTL_S));
    tell("CONT");
    signal(&deployment.gates[0].read(), "CONT");
    let sent = sending.join().unwrap();
    let erasure = deployment.until_done_at(1, &id.expect("it is accepted"));
    assert!(!sent, "it is refused: {erasure:#}");
    assert!(deployment.items("lost").is_empty(), "left behind: {erasure:#}");
}
