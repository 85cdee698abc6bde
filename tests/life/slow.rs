//! P12: slow attackers (slowhttptest, of Debian) are left by our clocks, and cost other callers nothing.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::http::connect;
use crate::support::upstream::{Bare, Head};
use crate::support::{Gate, PATIENCE, Setup, Site, eventually};

/// What the tool has connections for.
const CONNECTIONS: usize = 60;
/// Its own end, in seconds: a run that gets there has found connections that are kept.
const SECONDS: usize = 45;

/// Reads bodies whole, and answers with as many bytes as the query says.
fn serve(mut socket: TcpStream) {
    while let Ok(Some(head)) = Head::read(&mut socket) {
        let mut body = Vec::new();
        if (&mut socket).take(head.length()).read_to_end(&mut body).is_err() || (body.len() as u64) < head.length() {
            return;
        }
        let bytes = if head.0.contains("?large") { 8 << 20 } else { 2 };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
        if socket.write_all(answer.as_bytes()).and_then(|()| socket.write_all(&vec![b'x'; bytes])).is_err() {
            return;
        }
    }
}

fn scene() -> (Gate, Bare) {
    let service = Bare::start(serve);
    let mut setup = Setup::new([Site::new("assistant", "watson-assistant", service.addr)]);
    setup.limits = "header_timeout = \"2s\"\nbody_stall_timeout = \"2s\"\nidle_timeout = \"4s\"\n".to_owned();
    (Gate::start(&setup), service)
}

/// Another caller, who is in no hurry either way.
fn is_served(gate: &Gate) -> bool {
    let Ok(mut socket) = connect(gate.addr) else { return false };
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = String::new();
    let asked =
        socket.write_all(b"GET /assistant/api/v1/workspaces HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n");
    asked.is_ok() && socket.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200 ")
}

fn open(gate: &Gate) -> u64 {
    let page = gate.get("/metrics").text();
    let line = page.lines().find_map(|line| line.strip_prefix("forgetgate_connections_open "));
    line.unwrap().parse().unwrap()
}

/// Runs the tool to its end, while somebody else is served.
#[track_caller]
fn attack(mode: &[&str], target: &str) {
    let (gate, _service) = scene();
    let report = gate.folder().join("report");
    let mut tool = Command::new("slowhttptest");
    tool.args(mode).args(["-u", &format!("http://{}{target}", gate.addr), "-c", &CONNECTIONS.to_string()]);
    tool.args(["-r", "200", "-i", "1", "-x", "8", "-p", "5", "-v", "1", "-l", &SECONDS.to_string()]);
    tool.args(["-g", "-o"]).arg(&report).stdout(Stdio::piped()).stdin(Stdio::null());
    let mut running = tool.spawn().expect("slowhttptest, of Debian's package of that name, can be run");
    let mut served = 0;
    while running.try_wait().unwrap().is_none() {
        assert!(is_served(&gate), "another caller was not served");
        served += 1;
        std::thread::park_timeout(Duration::from_millis(50));
    }
    assert!(served > 0);

    let mut said = String::new();
    running.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("No open connections left"), "{mode:?}: {said}");
    let table = fs::read_to_string(report.with_extension("csv")).unwrap();
    let rows: Vec<Vec<usize>> =
        table.lines().skip(1).map(|row| row.split(',').filter_map(|cell| cell.trim().parse().ok()).collect()).collect();
    assert!(!rows.is_empty(), "{table}");
    for row in &rows {
        let [_, _, _, _, available] = row.as_slice() else { panic!("another kind of report: {table}") };
        assert!(*available > 0, "the service was found not to answer: {table}");
    }
    eventually("the gate has closed them all", || open(&gate) == 0);
    assert!(is_served(&gate));
}

#[test]
fn p12_slow_heads_are_left() {
    attack(&["-H"], "/assistant/api/v1/workspaces");
}

#[test]
fn p12_slow_bodies_are_left() {
    attack(&["-B", "-s", "8192"], "/assistant/api/v1/workspaces");
}

#[test]
fn p12_requests_for_very_many_ranges_cost_what_others_cost() {
    attack(&["-R", "-t", "GET", "-a", "5", "-b", "200"], "/assistant/api/v1/workspaces");
}

#[test]
fn p12_slow_readers_are_left() {
    attack(&["-X", "-w", "256", "-y", "512", "-n", "1", "-z", "512"], "/assistant/api/v1/workspaces?large");
}
