//! P11: never weaker in silence. Without a store that can be written nothing labelled passes, what needs no record does,
//! and the gate recovers by itself; with a store that is not its own it does not start, and says why.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use forgetgate_stand_ins::Running;
use serde_json::{Value, json};

use crate::support::{Answer, Call, Gate, Setup, Site, eventually, eventually_some, service};

/// First-seen customers until one is refused for want of a store: those who passed, and the refusal.
pub(crate) fn until_refused(gate: &Gate, mut passed: Vec<String>) -> (Vec<String>, Answer) {
    let refusal = eventually_some("the store is full", || {
        let customer = format!("passenger{}", passed.len());
        let answer = Call::audio(&customer).send(gate.addr).unwrap();
        if answer.status == 503 {
            return Some(answer);
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        passed.push(customer);
        None
    });
    (passed, refusal)
}

/// Customers who come as long as all is well.
pub(crate) fn early(gate: &Gate) -> Vec<String> {
    let customers: Vec<String> = (0..3).map(|n| format!("early{n}")).collect();
    assert!(customers.iter().all(|customer| Call::audio(customer).send(gate.addr).unwrap().status == 200));
    customers
}

fn check_refusal(answer: &Answer) {
    assert_eq!((answer.status, answer.refusal()), (503, Some("store_unavailable")), "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
}

/// What holds as long as the store cannot be written; readiness lacks these.
pub(crate) fn check_broken(
    gate: &Gate,
    service: &Running,
    passed: &mut Vec<String>,
    refusal: &Answer,
    missing: &[&str],
) {
    check_refusal(refusal);
    // It is opened again now and then, which may look like health until the next write; and some rows may find room.
    let mut tried = 0;
    eventually("it says that it is not ready", || {
        tried += 1;
        let customer = format!("stowaway{tried}");
        if Call::audio(&customer).send(gate.addr).unwrap().status == 200 {
            passed.push(customer);
        }
        let ready = gate.get("/readyz");
        ready.status == 503 && ready.json()["missing"] == json!(missing)
    });
    let known: Vec<String> = service.holdings().into_iter().filter_map(|(customer, _)| customer).collect();
    assert!(known.iter().all(|customer| passed.contains(customer)), "data without a record: {known:?}");
    assert_eq!(Call::models().send(gate.addr).unwrap().status, 200, "what is nobody's needs no record");
    let first = json!({ "customer_id": passed[0] });
    eventually("an erasure that cannot be kept is not accepted", || {
        let delete = Call::delete(&passed[0]).send(gate.addr).unwrap();
        let admin = Call::admin("/api/v1/erasures", &first).send(gate.admin).unwrap();
        delete.refusal() == Some("store_unavailable") && admin.status == 503
    });
    assert!(gate.is_running());
}

/// What holds afterwards: nobody had to do anything to the gate, and nobody who passed is forgotten.
pub(crate) fn check_recovered(gate: &mut Gate, service: &Running, passed: &[String]) {
    eventually("it takes new customers again", || Call::audio("late").send(gate.addr).unwrap().status == 200);
    eventually("it is ready again", || gate.is_ready());
    gate.kill();
    gate.restart();
    for customer in [&passed[0], passed.last().unwrap(), "late"] {
        let id = gate.erase(customer)["id"].as_str().unwrap().to_owned();
        gate.until(&id, "sent", |erasure| erasure["targets"][0]["attempts"].as_u64() >= Some(1));
        eventually("the customer is erased", || service.holds(customer) == 0);
    }
}

/// A disk of a few MiB of its own, in a mount namespace of the gate's.
#[test]
fn p11_on_a_full_disk_the_gate_refuses_what_it_cannot_record_and_recovers_when_there_is_room() {
    let service = service();
    let mut setup = Setup::new([Site::speech(service.addr)]);
    setup.path = "disk/index".to_owned();
    let mut gate = Gate::idle(&setup);
    let disk = gate.folder().join("disk");
    fs::create_dir(&disk).unwrap();
    let script = format!("mount -t tmpfs -o size=6m none '{}' && exec \"$0\" \"$@\"", disk.display());
    gate.by = ["unshare", "-rm", "sh", "-c", &script].map(str::to_owned).to_vec();
    let may_mount = Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success());
    assert!(may_mount, "this test needs a mount namespace of its own: unshare -rm is not allowed here");
    gate.restart();
    let passed = early(&gate);
    let inside = PathBuf::from(format!("/proc/{}/root{}/filler", gate.id(), disk.display()));
    let mut filler = File::create(&inside).unwrap();
    while filler.write(&[0; 4096]).is_ok_and(|count| count > 0) {}

    let (mut passed, refusal) = until_refused(&gate, passed);
    check_broken(&gate, &service, &mut passed, &refusal, &["store"]);

    fs::remove_file(inside).unwrap();
    drop(filler);
    eventually("it takes new customers again", || Call::audio("late").send(gate.addr).unwrap().status == 200);
    eventually("it is ready again", || gate.is_ready());
    for customer in [&passed[0], passed.last().unwrap(), "late"] {
        let id = gate.erase(customer)["id"].as_str().unwrap().to_owned();
        gate.until_accepted(&id);
        assert_eq!(service.holds(customer), 0);
    }
}

/// The same without a disk: the kernel lets no file of the gate grow.
#[test]
fn p11_when_its_files_may_not_grow_the_gate_refuses_what_it_cannot_record_and_recovers_when_they_may() {
    let service = service();
    let mut gate = Gate::idle(&Setup::new([Site::speech(service.addr)]));
    gate.by = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""].map(str::to_owned).to_vec();
    gate.restart();
    let passed = early(&gate);
    let size = fs::metadata(gate.folder().join("index/db")).unwrap().len();
    limit_files(&gate, &format!("{size}:"));

    let (mut passed, refusal) = until_refused(&gate, passed);
    check_broken(&gate, &service, &mut passed, &refusal, &["store"]);

    limit_files(&gate, "unlimited:");
    check_recovered(&mut gate, &service, &passed);
}

fn limit_files(gate: &Gate, limit: &str) {
    let set = Command::new("prlimit").arg(format!("--pid={}", gate.id())).arg(format!("--fsize={limit}")).status();
    assert!(set.unwrap().success());
}

fn scene() -> (Gate, Running, Setup) {
    let service = service();
    let setup = Setup::new([Site::speech(service.addr)]);
    (Gate::idle(&setup), service, setup)
}

/// A start that is refused: one sentence on one line, and nothing runs.
fn refused(gate: &Gate, code: i32, words: &[&str]) {
    let (exit, said) = gate.refused();
    assert_eq!(exit, Some(code), "{said}");
    let sentence = said.lines().last().unwrap_or_default();
    assert!(words.iter().all(|word| sentence.contains(word)), "{words:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn p11_a_store_that_cannot_be_made_refuses_the_start() {
    let (gate, _service, mut setup) = scene();
    fs::write(gate.folder().join("file"), "").unwrap();
    setup.path = "file/index".to_owned();
    gate.configure(&setup);
    refused(&gate, 1, &["the store", "file/index", "cannot be"]);
}

#[test]
fn p11_a_key_that_others_can_read_is_not_the_stores_or_is_gone_refuses_the_start() {
    let (mut gate, _service, _) = scene();
    gate.restart();
    assert_eq!(gate.stop().code(), Some(0));
    let key = gate.folder().join("index.key");
    let right = fs::read(&key).unwrap();

    set_mode(&key, 0o644);
    refused(&gate, 1, &["index.key", "others", "0600"]);
    set_mode(&key, 0o600);
    fs::write(&key, format!("{}\n", "ab".repeat(32))).unwrap();
    refused(&gate, 1, &["index.key", "is not the key"]);
    fs::write(&key, "not a key").unwrap();
    refused(&gate, 1, &["index.key", "64 hexadecimal digits"]);
    fs::remove_file(&key).unwrap();
    refused(&gate, 1, &["index.key", "is missing"]);
    assert!(!key.exists(), "an old store is never given a new key");

    fs::write(&key, right).unwrap();
    set_mode(&key, 0o600);
    gate.restart();
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn p11_two_gates_on_one_store_are_one_too_many_and_the_first_goes_on() {
    let (mut gate, _service, _) = scene();
    gate.restart();
    refused(&gate, 1, &["index", "in use by another process"]);
    assert_eq!(Call::audio("first").send(gate.addr).unwrap().status, 200);
}

#[test]
fn p11_an_upstream_that_holds_data_can_be_retired_but_neither_dropped_nor_moved() {
    let (mut gate, old, setup) = scene();
    gate.restart();
    assert_eq!(Call::audio("guest").send(gate.addr).unwrap().status, 200);
    assert_eq!(gate.stop().code(), Some(0));
    let new = service();

    let dropped = Setup { sites: vec![Site::new("another", "watson-speech-to-text", new.addr)], ..setup.clone() };
    gate.configure(&dropped);
    refused(&gate, 3, &["\"speech\"", "retired = true"]);
    let moved = Setup { sites: vec![Site::speech(new.addr)], ..setup.clone() };
    gate.configure(&moved);
    refused(&gate, 3, &["\"speech\"", &old.addr.to_string(), &new.addr.to_string(), "retired = true"]);

    let retired =
        [Site::new("another", "watson-speech-to-text", new.addr), Site::speech(old.addr).with("retired = true")];
    gate.configure(&Setup { sites: retired.to_vec(), ..setup });
    gate.restart();
    let gone = Call::audio("guest").send(gate.addr).unwrap();
    assert_eq!((gone.status, gone.refusal()), (404, Some("upstream_unknown")));
    let erasure: Value = gate.erase("guest");
    gate.until_accepted(erasure["id"].as_str().unwrap());
    assert_eq!(old.holds("guest"), 0);
}

/// A first start without an upstream's rows leaves it free: nothing is held there.
#[test]
fn p11_an_upstream_that_holds_nothing_may_be_moved() {
    let (mut gate, _old, setup) = scene();
    gate.restart();
    assert_eq!(Call::models().send(gate.addr).unwrap().status, 200);
    assert_eq!(gate.stop().code(), Some(0));
    let new = service();
    gate.configure(&Setup { sites: vec![Site::speech(new.addr)], ..setup });
    gate.restart();
    assert_eq!(Call::audio("guest").send(gate.addr).unwrap().status, 200);
    assert_eq!(new.holds("guest"), 1);
}
