//! P10, P12: one customer's requests by the thousand, and strangers' deletes by the thousand, are nobody else's business.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use forgetgate_stand_ins::{Kind, Options};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::hanging::hanging;
use crate::support::http::{Answer, Call};
use crate::support::{Gate, Setup, Site, rounds, service_of};

/// `in_flight_max` by default.
const IN_FLIGHT_MAX: usize = 4096;
/// Of these an eighth may wait at fences, a quarter of that of one customer.
const ONE_WAITS_MAX: usize = IN_FLIGHT_MAX / 8 / 4;

fn asked(gate: SocketAddr, customer: &str) -> io::Result<Answer> {
    let call = Call::new("POST", "/speech/api/v1/recognize").label(customer).body(b"");
    call.with("Authorization", "Basic YXBpa2V5OktFWQ==").send(gate)
}

fn said(gate: SocketAddr, customer: &str) -> Answer {
    asked(gate, customer).unwrap()
}

#[test]
fn p12_thousands_of_requests_of_one_customer_at_a_fence_are_refused_at_once_and_nobody_elses() {
    let hangs = hanging();
    let mut setup = Setup::new([Site::speech(hangs.addr)]);
    // All have come before the fence ends.
    setup.erasure.push_str("barrier_timeout = \"60s\"\n");
    let gate = Gate::start(&setup);
    assert_eq!(said(gate.addr, "ann").status, 200);
    gate.erase("ann");
    let crowd = rounds(4100).max(600) as usize;
    let (answers, stop, others) = (Mutex::new(Vec::new()), AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let small = || thread::Builder::new().stack_size(128 * 1024);
        let bystander = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let n = others.fetch_add(1, Ordering::SeqCst);
                let answer = said(gate.addr, &format!("other{}", n % 97));
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
        });
        for _ in 0..crowd {
            let ask = || {
                let Ok(answer) = asked(gate.addr, "ann") else { return };
                answers.lock().push((answer.status, answer.refusal().map(str::to_owned)));
            };
            small().spawn_scoped(scope, ask).unwrap();
        }
        crate::support::eventually("the excess is answered", || answers.lock().len() >= crowd - ONE_WAITS_MAX);
        let before = others.load(Ordering::SeqCst);
        crate::support::eventually("others go on meanwhile", || others.load(Ordering::SeqCst) > before + 100);
        stop.store(true, Ordering::SeqCst);
        bystander.join().unwrap();
        // While these came, nobody of that customer had been let in: the fence stood.
        let refused = (503, Some("erasure_in_progress".to_owned()));
        let first: Vec<_> = answers.lock().iter().take(crowd - ONE_WAITS_MAX).cloned().collect();
        assert!(first.iter().all(|answer| *answer == refused), "{first:?}");
        // Those who wait are let go.
        gate.kill();
    });
    println!("{crowd} requests of one customer, {} of others meanwhile, none of these refused", others.into_inner());
}

#[test]
fn p10_a_flood_of_strangers_deletes_puts_the_next_right_one_off_by_no_slot_of_the_services_rate() {
    const CALLERS: usize = 16;
    let service = service_of(Kind::Assistant, Options::basic("apikey", "KEY"));
    let mut setup = Setup::new([Site::new("assistant", "watson-assistant", service.addr)]);
    setup.erasure = "authorize = \"home\"\nerasures_per_minute = 1000000\n".to_owned();
    let gate = Gate::start(&setup);
    let (flood, next, refused) = (rounds(20_000) as usize, AtomicUsize::new(0), AtomicUsize::new(0));
    let began = Instant::now();
    let delete = |customer: &str, key: &str| {
        let target = format!("/assistant/api/v2/user_data?customer_id={customer}&version=2021-06-14");
        Call::new("DELETE", &target).with("Authorization", key).send(gate.addr).unwrap()
    };
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                while next.load(Ordering::SeqCst) < flood {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    let answer = delete(&format!("victim{}", n % 50), &format!("Basic {n}"));
                    assert!(matches!(answer.status, 401 | 403 | 429), "{}", answer.text());
                    refused.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let took = began.elapsed().max(Duration::from_millis(1));
    let right = delete("ann", "Basic YXBpa2V5OktFWQ==");
    assert!((200..300).contains(&right.status), "{}", right.text());
    let id = right.header("forgetgate-erasure").unwrap().to_owned();
    let erasure = gate.until_accepted(&id);
    assert_eq!(erasure["targets"][0]["instant_after_answer"], serde_json::Value::Null, "{erasure:#}");
    // The gate's own delete has a slot of the service's rate at once, too; without credentials it is refused there.
    let body = serde_json::json!({ "customer_id": "bob", "upstreams": ["assistant"] });
    let own = Call::admin("/api/v1/erasures", &body).send(gate.admin).unwrap().json();
    let sent = |erasure: &serde_json::Value| erasure["targets"][0]["attempts"].as_u64() > Some(0);
    let own = gate.until(own["id"].as_str().unwrap(), "sent", sent);
    assert_ne!(own["targets"][0]["instant_after_answer"], "rate", "{own:#}");
    let refused = refused.into_inner();
    println!("{refused} strangers' deletes in {took:?}, {:.0} a second", refused as f64 / took.as_secs_f64());
}
