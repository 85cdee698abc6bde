//! P8: the cases of the Autobahn suite (RFC 6455) have the same outcome with the gate between as without it.
//!
//! Some have frames that no endpoint may send, and hang up where nobody expects it: what judges them is the server
//! behind the gate, so the gate has to pass on every one of them as it came.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::accept_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::gate::{Gate, PATIENCE, installed};
use crate::program::install;

/// What was found about the messages and about the end of one case.
type Verdict = (String, String);

/// Those of an extension that the server does not have.
const LEFT_OUT: [&str; 4] = ["--exclude", "12.*", "--exclude", "13.*"];

#[test]
fn every_websocket_case_ends_as_it_would_without_the_gate() {
    install();
    let echo = echo();
    let gate = Gate::with_speech_at(echo, "");
    let through = gate.base.replacen("http", "ws", 1) + "/speech-to-text/api/v1/recognize";

    let without = run_cases(&format!("ws://{echo}/v1/recognize"));
    let with = run_cases(&format!("{through}?x-watson-metadata=customer_id%3Dann"));

    assert!(without.len() > 300, "{} cases were run", without.len());
    let good = without.values().filter(|(messages, end)| messages != "FAILED" && end != "FAILED").count();
    assert_eq!(good, without.len(), "{without:?}");
    assert_eq!(with, without, "{}", gate.log());
}

/// A server that sends every message back, on threads that end with the test.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    let address = listener.local_addr().expect("a listener has an address");
    std::thread::spawn(move || {
        listener.incoming().flatten().for_each(|socket| drop(std::thread::spawn(|| serve(socket))))
    });
    address
}

fn serve(socket: TcpStream) {
    let endless = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let Ok(mut socket) = accept_with_config(socket, Some(endless)) else { return };
    // It ends when the server has closed or has found a mistake; pings and goodbyes it answers by itself.
    while let Ok(message) = socket.read() {
        if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
            return;
        }
    }
}

/// Every case against the server at this URL; its outcome, by the number of the case.
fn run_cases(url: &str) -> BTreeMap<String, Verdict> {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder can be made");
    let mut command = Command::new("timeout");
    command.arg((4 * PATIENCE.as_secs()).to_string()).arg(installed().join("cases/bin/kosoku"));
    command.args(["--parallelism", "4", "--outdir"]).arg(folder.path());
    let output = command.args(LEFT_OUT).arg(url).output().expect("the cases can be run");
    let report = fs::read_to_string(folder.path().join("index.json"))
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let report: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_str(&report).expect("the report is JSON");
    let text = |case: &Value, key: &str| case.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let cases = report.into_values().flatten();
    cases.map(|(number, case)| (number, (text(&case, "behavior"), text(&case, "behaviorClose")))).collect()
}
