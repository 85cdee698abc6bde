//! P5 and P11: `check --live` says what of the configuration is not there, and for what erasures would wait.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{Call, Gate, Setup, Site, service};

/// What the command says, and its exit code. The gate's own port is not in its file: 0 is any.
fn live(gate: &Gate) -> (Option<i32>, Value) {
    let file = gate.folder().join("live.toml");
    let text = fs::read_to_string(gate.folder().join("config.toml")).unwrap();
    let admin = "[admin]\naddress = \"127.0.0.1:0\"";
    assert!(text.contains(admin));
    fs::write(&file, text.replace(admin, &format!("[admin]\naddress = \"{}\"", gate.admin))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_forgetgate"));
    let output = command.args(["check", "--live", "--json", "--config"]).arg(file).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let answer: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(answer["good"], true, "{said}");
    (output.status.code(), answer["live"].clone())
}

#[test]
fn p5_a_look_at_what_is_there_shows_instances_whose_erasures_would_wait() {
    let speech = service();
    let gate = Gate::start(&Setup::new([Site::speech(speech.addr)]));
    let (code, found) = live(&gate);
    assert_eq!((code, &found["gate"]), (Some(0), &"runs".into()), "{found}");
    assert_eq!(found["upstreams"][0]["connection"]["good"], true, "{found}");
    assert_eq!(found["instances"].as_array().unwrap().len(), 0, "{found}");

    for key in ["Basic YXBpa2V5Om9uZQ==", "Basic YXBpa2V5OnR3bw=="] {
        assert_eq!(Call::audio("ann").with("Authorization", key).send(gate.addr).unwrap().status, 200);
    }
    let (code, found) = live(&gate);
    assert_eq!(code, Some(1), "{found}");
    let instances = found["instances"].as_array().unwrap();
    assert_eq!(instances.len(), 2, "{found}");
    assert!(instances.iter().any(|instance| instance["has_credentials"] == false), "{found}");
    assert!(!found.to_string().contains("ann"), "P7: {found}");
}

#[test]
fn p11_a_look_at_what_is_there_shows_a_service_that_is_not() {
    let gate = {
        let speech = service();
        Gate::start(&Setup::new([Site::speech(speech.addr)]))
    };
    let (code, found) = live(&gate);
    assert_eq!((code, &found["upstreams"][0]["connection"]["good"]), (Some(1), &false.into()), "{found}");
    gate.kill();
    let (code, found) = live(&gate);
    assert_eq!((code, &found["instances"]), (Some(1), &Value::Null), "{found}");
}
