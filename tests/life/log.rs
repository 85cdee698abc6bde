//! A log that nobody reads holds nothing up (P12), and a filter that is none is said (P11).

use std::process::Stdio;

use super::support::{Call, Gate, Setup, Site, service};

/// Standard error is a pipe, as under most supervisors, and whoever reads it has stopped.
#[test]
fn p12_a_log_that_nobody_reads_holds_up_no_request_no_probe_and_no_end() {
    let service = service();
    let setup = Setup { log: "access = true\n".into(), ..Setup::new([Site::speech(service.addr)]) };
    let (gate, reader) = Gate::unread(&setup);
    for customer in 0..300 {
        let answer = Call::audio(&format!("c-{customer}")).send(gate.addr).unwrap();
        assert_eq!(answer.status, 200);
    }
    for _ in 0..300 {
        // Each is worth a line.
        let strange = Call::get("/api/v1/erasures").with("Host", "elsewhere.example").send(gate.admin).unwrap();
        assert!(strange.status >= 400, "{}", strange.status);
        assert_eq!(gate.get("/healthz").status, 200);
    }
    let id = gate.erase("c-1")["id"].as_str().unwrap().to_owned();
    gate.until_accepted(&id);
    assert_eq!(Call::audio("c-2").send(gate.addr).unwrap().status, 200);
    assert!(gate.get("/metrics").text().contains("forgetgate_log_lines_dropped_total"));
    gate.ask_to_end();
    assert!(gate.ended().success());
    drop(reader);
}

#[test]
fn p11_what_is_no_filter_in_the_environment_is_said_and_not_silence() {
    for word in ["warning", "verbose", "1", "true"] {
        let gate = Gate::idle(&Setup::new([Site::speech("127.0.0.1:9".parse().unwrap())]));
        let output = gate.command().env("RUST_LOG", word).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && said.contains("RUST_LOG is no log level or filter; expected error, warn"),
            "{said}"
        );
    }
}
