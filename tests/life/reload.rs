//! P8 and P11 of the real program: reloads by signal, and two hundred of them that leave nothing behind.

use std::fs;
use std::process::Command;

use forgetgate_stand_ins::Running;

use crate::support::{Call, Gate, Setup, Site, eventually, service};

const RELOADS: u32 = 200;

/// Before it is measured so many reloads have been made: what is made at a first use has been made then.
const FIRST: u32 = 20;

fn scene() -> (Running, Setup, Gate) {
    let service = service();
    let setup = Setup::new([Site::speech(service.addr)]);
    let gate = Gate::start(&setup);
    (service, setup, gate)
}

fn hang_up(gate: &Gate) {
    assert!(Command::new("kill").args(["-HUP", &gate.id().to_string()]).status().unwrap().success());
}

fn applied(gate: &Gate) -> u64 {
    let page = gate.get("/metrics").text();
    let line = page.lines().find_map(|line| line.strip_prefix("forgetgate_config_reloads_total{result=\"applied\"} "));
    line.unwrap().parse().unwrap()
}

#[test]
fn p11_a_hang_up_has_the_file_read_again_and_its_log_level_and_access_log_come_into_force() {
    let (_service, mut setup, gate) = scene();
    assert_eq!(Call::audio("first").send(gate.addr).unwrap().status, 200);
    setup.log = "access = true\n".to_owned();
    gate.configure(&setup);
    hang_up(&gate);
    eventually("the reload is logged with what has changed", || {
        let log = gate.log();
        log.lines().any(|line| line.contains("configuration reloaded") && line.contains("log.access"))
    });
    eventually("requests are logged from then on", || {
        assert_eq!(Call::audio("second").send(gate.addr).unwrap().status, 200);
        gate.log().lines().any(|line| line.contains("upstream=\"speech\"") && line.contains("status=200"))
    });
    setup.log = "access = true\nlevel = \"error\"\n".to_owned();
    let before = applied(&gate);
    gate.configure(&setup);
    hang_up(&gate);
    eventually("the other level is in force", || applied(&gate) > before);
    let lines = |gate: &Gate| gate.log().lines().count();
    // The line of the reload itself is of the level before it, or of none.
    eventually("what was still to be written is written", || {
        let counted = lines(&gate);
        assert_eq!(Call::audio("third").send(gate.addr).unwrap().status, 200);
        std::thread::sleep(std::time::Duration::from_millis(100));
        counted == lines(&gate)
    });
    assert!(gate.is_running());
    assert_eq!(gate.stop().code(), Some(0));
}

#[test]
fn p11_a_faulty_file_is_logged_once_with_its_place_and_the_gate_goes_on() {
    let (_service, mut faulty, gate) = scene();
    faulty.limits = "idle_timeout = \"soon\"\n".to_owned();
    gate.configure(&faulty);
    let refusals = || gate.log().lines().filter(|line| line.contains("configuration refused")).count();
    eventually("it is refused", || refusals() == 1);
    hang_up(&gate);
    let again = Call::admin("/api/v1/config/reload", &serde_json::Value::Null).send(gate.admin).unwrap();
    assert_eq!((again.status, refusals()), (422, 1), "the same file, told once");
    assert!(gate.log().contains("limits.idle_timeout"), "{}", gate.log());
    assert_eq!(Call::audio("someone").send(gate.addr).unwrap().status, 200);
    assert!(gate.is_ready());
}

#[test]
fn p12_two_hundred_reloads_leave_neither_descriptors_nor_memory_behind() {
    let (service, setup, gate) = scene();
    let mut other = setup.clone();
    other.limits = "idle_timeout = \"1m\"\n".to_owned();
    other.policy = "personal = \"refuse\"\n".to_owned();
    other.sites.push(Site::new("other", "watson-speech-to-text", service.addr));
    other.more = "[[listen]]\naddress = \"127.0.0.2:0\"\n".to_owned();
    let reload = |nth: u32| {
        gate.configure(if nth.is_multiple_of(2) { &other } else { &setup });
        let answer = Call::admin("/api/v1/config/reload", &serde_json::Value::Null).send(gate.admin).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(Call::audio("someone").send(gate.addr).unwrap().status, 200);
    };
    (0..FIRST).for_each(reload);
    let before = size(&gate);
    (FIRST..RELOADS + FIRST).for_each(reload);
    eventually("no more descriptors are open than before", || size(&gate).0 <= before.0);
    let after = size(&gate);
    assert!(after.1 <= before.1 + (4 << 10), "{} KiB became {} KiB", before.1, after.1);
}

/// Descriptors, and resident memory in KiB.
fn size(gate: &Gate) -> (usize, u64) {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", gate.id())).unwrap().count();
    let status = fs::read_to_string(format!("/proc/{}/status", gate.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (descriptors, line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap())
}
