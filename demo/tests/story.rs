//! The story tells the truth: about a gate that does nothing, and about a machine on which it cannot be told.

use std::net::{Ipv4Addr, TcpListener};

use forgetgate_demo::{self as demo, Failure, Gate, Options, SceneError, Stage};
use forgetgate_stand_ins::{Kind, Running, Service};

/// The configuration that a user finds.
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config.toml");

fn free_ports() -> Options {
    Options { config: Some(CONFIG.into()), free_ports: true, ..Options::default() }
}

fn assistant() -> Running {
    Service::start(Kind::Assistant, (Ipv4Addr::LOCALHOST, 0).into(), Default::default()).expect("a free port")
}

#[test]
fn with_the_gate_itself_every_claim_holds() {
    let options = free_ports();
    let mut out = Vec::new();
    let mut stage = Stage::new(&mut out, false);
    let all_held = demo::play(&options, demo::config(&options).unwrap(), demo::start_gate, &mut stage).unwrap();
    let told = String::from_utf8(out).unwrap();
    assert!(all_held, "{told}");
    assert!(told.lines().all(|line| line.chars().count() <= 100), "{told}");
}

#[test]
fn a_gate_that_does_nothing_is_found_out() {
    let options = free_ports();
    // A service in the gate's place takes what it is sent, labels or not, and knows no recipients.
    let (gate, admin) = (assistant(), assistant());
    let (addr, admin) = (gate.addr, admin.addr);
    let mut out = Vec::new();
    let mut stage = Stage::new(&mut out, false);
    let start = |_: forgetgate::config::Config| Ok::<_, demo::GateError>(Gate { addr, admin, stop: Box::new(|| ()) });
    let all_held = demo::play(&options, demo::config(&options).unwrap(), start, &mut stage).unwrap();
    let (claims, broken) = (stage.claims(), stage.broken());
    let told = String::from_utf8(out).unwrap();
    assert!(!all_held, "{told}");
    // All that it gets right: an application has an answer, and services to which nothing comes have nothing.
    let right: Vec<&str> = told.lines().filter(|line| line.starts_with(" ✓")).collect();
    assert_eq!(right.len(), claims - broken, "{told}");
    let by_itself = ["200 OK", "nothing", "0 that came without a label"];
    assert!(right.iter().all(|line| by_itself.iter().any(|end| line.ends_with(end))), "{right:#?}");
    assert!(told.ends_with(&format!("{broken} of {claims} claims did not hold.\n")), "{told}");
    assert!(told.lines().all(|line| line.chars().count() <= 100), "{told}");
}

#[test]
fn a_port_that_is_taken_is_named_before_anything_is_started() {
    let options = Options { free_ports: false, ..free_ports() };
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let occupant = TcpListener::bind(taken).unwrap();
    let mut config = demo::config(&options).unwrap();
    for upstream in &mut config.upstreams {
        std::sync::Arc::make_mut(upstream).url.port = taken.port();
    }
    let mut out = Vec::new();
    let start = |_| -> Result<Gate, _> { panic!("the gate is not to be started") };
    let error = demo::play(&options, config, start, &mut Stage::new(&mut out, false)).unwrap_err();
    assert!(matches!(error, Failure::Scene(SceneError::Taken { addr }) if addr == taken), "{error}");
    assert!(error.to_string().starts_with(&format!("{taken} is taken")), "{error}");
    assert!(out.is_empty());
    drop(occupant);
}

#[test]
fn a_config_with_faults_is_refused_with_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faulty.toml");
    std::fs::write(&file, "[[listen]]\nadress = \"127.0.0.1:8080\"\n").unwrap();
    let options = Options { config: Some(file.clone()), ..Options::default() };
    let error = demo::config(&options).unwrap_err().to_string();
    assert!(error.contains(&format!("{}:2:", file.display())), "{error}");
}
