//! P3, P5 and P11 with the store on a PostgreSQL server: the gate is killed, the server is killed, both come back.

use std::fs;

use crate::server::{PASSWORD, Postgres};
use crate::store::{check_broken, check_recovered, early, until_refused};
use crate::support::{Call, Gate, Setup, Site, eventually, service};

/// A gate whose store is on this server.
fn gate_on(postgres: &Postgres, site: Site) -> Gate {
    let mut setup = Setup::new([site]);
    setup.path = String::new();
    // A gate that is gone is waited for twelve times as long.
    setup.store = "engine = \"postgres\"\nurl = { file = \"url\" }\nttl = \"1s\"\n".to_owned();
    // What a crash cut is waited for so long before a delete counts.
    setup.limits = "response_timeout = \"1s\"\n".to_owned();
    let mut gate = Gate::idle(&setup);
    fs::write(gate.folder().join("url"), postgres.url()).unwrap();
    gate.restart();
    gate
}

#[test]
fn p11_without_its_server_the_gate_refuses_what_it_could_not_record_and_recovers_by_itself() {
    let (postgres, service) = (Postgres::start(&[]), service());
    let mut gate = gate_on(&postgres, Site::speech(service.addr));
    let passed = early(&gate);
    for kill in [true, false] {
        if kill {
            postgres.kill()
        } else {
            postgres.stop()
        }
        let (mut passed, refusal) = until_refused(&gate, passed.clone());
        // Nobody knows what other gates erase, either.
        check_broken(&gate, &service, &mut passed, &refusal, &["store", "replicas"]);
        assert!(gate.log().contains("the store is broken") && !gate.log().contains("canary"), "P7: {}", gate.log());
        postgres.start_again();
        check_recovered(&mut gate, &service, &passed);
        for customer in early(&gate) {
            assert!(passed.contains(&customer));
        }
    }
}

#[test]
fn p5_killed_together_with_its_server_the_gate_carries_out_what_it_accepted() {
    let (postgres, service) = (Postgres::start(&[]), service());
    let mut gate = gate_on(&postgres, Site::speech(service.addr));
    for round in 0..5 {
        let customers: Vec<String> = (0..5).map(|n| format!("gone{round}soon{n}")).collect();
        for customer in &customers {
            assert_eq!(Call::audio(customer).send(gate.addr).unwrap().status, 200);
        }
        let ids: Vec<String> = customers.iter().map(|c| gate.erase(c)["id"].as_str().unwrap().to_owned()).collect();
        postgres.kill();
        gate.kill();
        postgres.start_again();
        gate.restart();
        for id in ids {
            gate.until_accepted(&id);
        }
        eventually("they are erased", || customers.iter().all(|customer| service.holds(customer) == 0));
    }
}

/// Whoever administers the server sees every statement with its values, and no customer.
#[test]
fn p7_a_server_that_logs_every_value_learns_no_customer() {
    let settings = ["log_statement = 'all'", "log_parameter_max_length = -1", "log_parameter_max_length_on_error = -1"];
    let (postgres, service) = (Postgres::start(&settings), service());
    let gate = gate_on(&postgres, Site::speech(service.addr));
    for customer in early(&gate) {
        let id = gate.erase(&customer)["id"].as_str().unwrap().to_owned();
        gate.until_accepted(&id);
    }
    let log = postgres.log();
    assert!(log.contains("INSERT INTO forgetgate.placements") && log.contains("parameters: $1 = "), "{log}");
    for form in ["early".to_owned(), data_encoding::HEXLOWER.encode(b"early"), PASSWORD.to_owned()] {
        assert!(!log.contains(&form), "{form}");
    }
}
