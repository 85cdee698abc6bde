//! P12: where the system gives few file descriptors, idle callers leave room for the admin port, the store and services.

use std::io::Write;
use std::net::TcpStream;

use crate::support::http::{Answer, Call, connect};
use crate::support::{Gate, Setup, Site, service};

/// What the system gives the gate: after what it keeps for itself, about a hundred callers' connections.
const DESCRIPTORS: usize = 400;

#[test]
fn p12_idle_callers_beyond_the_descriptors_silence_neither_the_admin_port_nor_the_store_nor_services() {
    let service = service();
    let mut setup = Setup::new([Site::speech(service.addr)]);
    setup.limits.push_str("idle_timeout = \"5m\"\n");
    let mut gate = Gate::idle(&setup);
    gate.by = ["prlimit", &format!("--nofile={DESCRIPTORS}:{DESCRIPTORS}"), "--"].map(str::to_owned).to_vec();
    gate.restart();
    let early: Vec<TcpStream> = (0..20).map(|_| connect(gate.addr).unwrap()).collect();
    let crowd: Vec<TcpStream> = (0..DESCRIPTORS + 100).map_while(|_| connect(gate.addr).ok()).collect();
    assert!(crowd.len() >= DESCRIPTORS, "the kernel takes them, whether the gate does or not");

    for (nth, mut socket) in early.into_iter().enumerate() {
        assert_eq!(gate.get("/readyz").status, 200);
        assert_eq!(gate.get("/metrics").status, 200);
        // Each is new to the index: it is recorded, and it is sent.
        let call = Call::new("POST", "/speech/api/v1/recognize").label(&format!("customer-{nth}")).body(b"abc");
        let call = call.with("Authorization", "Basic YXBpa2V5OktFWQ==");
        socket.write_all(&[call.head().as_slice(), b"abc"].concat()).unwrap();
        assert_eq!(Answer::read(&mut socket).unwrap().status, 200, "customer-{nth}");
    }
    let body = serde_json::json!({ "customer_id": "customer-7" });
    let id = Call::admin("/api/v1/erasures", &body).send(gate.admin).unwrap().json()["id"].clone();
    gate.until_accepted(id.as_str().unwrap());
    drop(crowd);
}
