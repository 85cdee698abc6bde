//! What must hold whenever gates share a store, one case at a time.

use std::time::{Duration, Instant};

use crate::deployment::{Deployment, TTL_S, erase, send, signal};
use crate::support::{Call, eventually};

#[test]
fn p4_an_erasure_at_one_gate_reaches_what_the_others_have_let_out() {
    let deployment = Deployment::start(3);
    for round in 0..10 {
        let customer = format!("everywhere{round}");
        for gate in 0..3 {
            assert!(send(deployment.addr(gate), gate % 2, &customer, &format!("before {gate}")));
        }
        let id = erase(deployment.addr(round % 3), &customer).expect("it is accepted");
        assert!(send(deployment.addr((round + 1) % 3), 0, &customer, "after"));
        let erasure = deployment.until_done(&id);
        assert_eq!(deployment.items(&customer), ["after"], "{erasure:#}");
        assert!(deployment.services.iter().all(|service| service.deletes(&customer) >= 1));
    }
}

#[test]
fn p3_a_row_that_another_gate_has_erased_is_believed_by_none() {
    let deployment = Deployment::start(2);
    let customer = "returning";
    assert!(send(deployment.addr(0), 0, customer, "one"));
    deployment.until_done(&erase(deployment.addr(1), customer).unwrap());
    // The first gate knew this pair. It writes the row anew, so that the next erasure finds it.
    assert!(send(deployment.addr(0), 0, customer, "two"));
    deployment.until_done(&erase(deployment.addr(1), customer).unwrap());
    assert!(deployment.items(customer).is_empty());
}

#[test]
fn p5_what_a_gate_has_accepted_before_it_was_killed_is_carried_out_by_another() {
    let deployment = Deployment::start(2);
    let customer = "accepted";
    assert!(send(deployment.addr(0), 0, customer, "before"));
    let id = erase(deployment.addr(0), customer).unwrap();
    deployment.gates[0].read().kill();
    deployment.until_done_at(1, &id);
    assert!(deployment.items(customer).is_empty());
}

#[test]
fn p4_a_gate_that_is_stopped_holds_an_erasure_up_for_twice_its_time_to_live_and_lets_nobody_in_meanwhile() {
    let deployment = Deployment::start(2);
    assert!(send(deployment.addr(1), 0, "stopped", "before"));
    signal(&deployment.gates[1].read(), "STOP");
    let (from, id) = (Instant::now(), erase(deployment.addr(0), "stopped"));
    let took = from.elapsed();
    signal(&deployment.gates[1].read(), "CONT");
    let id = id.expect("it is accepted");
    assert!(took >= Duration::from_secs(TTL_S), "{took:?}: the other could still let somebody in");
    deployment.until_done_at(0, &id);
    assert!(deployment.items("stopped").is_empty());
    eventually("the other comes back", || send(deployment.addr(1), 0, "another", "it is there"));
}

#[test]
fn p10_a_hold_that_one_gate_was_told_of_keeps_back_what_another_has_accepted() {
    let deployment = Deployment::start(2);
    let customer = "held";
    assert!(send(deployment.addr(0), 0, customer, "before"));
    let hold = serde_json::json!({ "customer_id": customer, "reason": "a court", "by": "counsel" });
    let held = Call::admin("/api/v1/holds", &hold).send(deployment.admin(1)).unwrap();
    assert_eq!(held.status, 201, "{}", held.text());
    let id = erase(deployment.addr(0), customer).unwrap();
    eventually("it is held", || deployment.erasure(&id).is_some_and(|erasure| erasure["state"] == "held"));
    assert_eq!(deployment.items(customer), ["before"]);
    let name = held.json()["id"].as_str().unwrap().to_owned();
    let lifted = Call::new("DELETE", &format!("/api/v1/holds/{name}")).send(deployment.admin(1)).unwrap();
    assert!(lifted.status < 300, "{}", lifted.text());
    deployment.until_done(&id);
    assert!(deployment.items(customer).is_empty());
}
