//! P8, P11 and P12 over time: ten minutes of mixed traffic, a reload every five seconds, a service that goes away and comes
//! back every twenty. No answer is wrong, and the gate is no larger at the end than after the second minute.

mod callers;
mod service;
mod talk;

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use self::callers::{Callers, Field};
use self::service::Restarting;
use crate::support::{Call, Gate, Setup, Site, rounds};

/// The whole campaign.
const WHOLE_S: u32 = 600;
const RELOAD_EVERY: Duration = Duration::from_secs(5);
const RESTART_EVERY: Duration = Duration::from_secs(20);
/// How long a service is away.
const AWAY: Duration = Duration::from_secs(1);
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// What the gate takes: bytes of memory and descriptors.
#[derive(Clone, Copy, Debug)]
struct Size {
    memory: u64,
    descriptors: u64,
}

fn size(gate: &Gate) -> Size {
    let status = fs::read_to_string(format!("/proc/{}/status", gate.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let memory = line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap() * 1024;
    let descriptors = fs::read_dir(format!("/proc/{}/fd", gate.id())).unwrap().count() as u64;
    Size { memory, descriptors }
}

/// The middle ones of what was seen until then: traffic goes up and down.
fn settled(gate: &Gate, until: Instant) -> Size {
    let (mut memory, mut descriptors) = (Vec::new(), Vec::new());
    while Instant::now() < until || memory.is_empty() {
        let now = size(gate);
        memory.push(now.memory);
        descriptors.push(now.descriptors);
        thread::sleep(SAMPLE_EVERY);
    }
    memory.sort_unstable();
    descriptors.sort_unstable();
    Size { memory: memory[memory.len() / 2], descriptors: descriptors[descriptors.len() / 2] }
}

/// The configurations that follow one another. An upstream without data comes and goes, another moves, policies and limits
/// change, and a listener opens and closes.
fn setups(services: &[Restarting; 2]) -> [Setup; 3] {
    let [one, two] = services;
    let plain = Setup {
        limits: "response_timeout = \"5s\"\n".to_owned(),
        ..Setup::new([
            Site::speech(one.addr),
            Site::new("other", "watson-speech-to-text", two.addr),
            Site::new("moving", "watson-speech-to-text", one.addr),
        ])
    };
    let mut strict = plain.clone();
    strict.policy = "personal = \"refuse\"\n".to_owned();
    strict.sites[2] = Site::new("moving", "watson-speech-to-text", two.addr);
    strict.limits.push_str("idle_timeout = \"2m\"\nconnections_max = 900\n");
    let mut more = plain.clone();
    more.log = "access = false\nlevel = \"warn\"\n".to_owned();
    more.sites.insert(0, Site::new("extra", "watson-speech-to-text", two.addr));
    more.more = "[[listen]]\naddress = \"127.0.0.2:0\"\n".to_owned();
    [strict, more, plain]
}

/// By each way in turn: the API, which must say that it is in force; the signal; and nobody, since the file is watched.
fn reload(gate: &Gate, setup: &Setup, nth: usize) {
    gate.configure(setup);
    match nth % 3 {
        0 => {
            let answer = Call::admin("/api/v1/config/reload", &serde_json::Value::Null).send(gate.admin).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        1 => assert!(Command::new("kill").args(["-HUP", &gate.id().to_string()]).status().unwrap().success()),
        _ => {}
    }
}

/// Reloads and restarts for as long as the field is open.
fn disturb<'s>(scope: &'s thread::Scope<'s, '_>, gate: &'s Gate, services: &'s [Restarting; 2], open: &'s AtomicBool) {
    scope.spawn(move || {
        let setups = setups(services);
        let mut nth = 0;
        while wait(RELOAD_EVERY, open) {
            reload(gate, &setups[nth % setups.len()], nth / setups.len());
            nth += 1;
        }
    });
    scope.spawn(move || {
        let mut nth = 0;
        while wait(RESTART_EVERY, open) {
            services[nth % 2].go();
            thread::sleep(AWAY);
            services[nth % 2].come_back();
            nth += 1;
        }
    });
}

/// `false` once the field is closed.
fn wait(time: Duration, open: &AtomicBool) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end && open.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(20));
    }
    open.load(Ordering::SeqCst)
}

#[test]
fn p8_p11_p12_reloads_and_restarts_under_mixed_traffic_give_no_wrong_answer_and_leave_nothing_behind() {
    let seconds = u64::from(rounds(WHOLE_S));
    let services = [Restarting::start(), Restarting::start()];
    let gate = Gate::start(&setups(&services)[2]);
    let open = Arc::new(AtomicBool::new(true));
    let began = Instant::now();
    let at = |part: u64| began + Duration::from_millis(seconds * 1000 * part / 30);
    let callers = Callers::default();
    let (early, late) = thread::scope(|scope| {
        let field = Field { gate: gate.addr, services: &services, open: &open };
        callers.start(scope, field);
        disturb(scope, &gate, &services, &open);
        // A window of one restart: the last part of the second minute of ten, and of the tenth.
        wait(at(5) - began, &open);
        let early = settled(&gate, at(6));
        wait(at(29) - Instant::now(), &open);
        let late = settled(&gate, at(30));
        open.store(false, Ordering::SeqCst);
        (early, late)
    });
    let told = gate.get("/metrics").text();
    let applied = figure(&told, "forgetgate_config_reloads_total{result=\"applied\"}");
    println!("{seconds} s: {early:?} then {late:?}, {applied} reloads, {}", callers.told());
    callers.assert_all_took_part();
    services.iter().for_each(Restarting::assert_nothing_wrong);
    assert_eq!(figure(&told, "forgetgate_config_reloads_total{result=\"refused\"}"), 0, "{}", gate.log());
    assert!(applied >= seconds / RELOAD_EVERY.as_secs() / 2, "{applied} reloads");
    // In a short run the start is still to be seen; the bound that counts is that of the whole.
    let (of_start, few) = if seconds < u64::from(WHOLE_S) { (16 << 20, 16) } else { (0, 0) };
    assert!(late.memory * 10 <= early.memory * 11 + of_start * 10, "{early:?} then {late:?}");
    assert!(late.descriptors * 10 <= early.descriptors * 11 + few * 10, "{early:?} then {late:?}");
}

fn figure(page: &str, name: &str) -> u64 {
    page.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
}
