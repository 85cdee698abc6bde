//! P4, P12: erasures at a service that hangs are nobody else's business: not their customers' at other services, not other
//! customers' anywhere.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use forgetgate_stand_ins::{Options, Running};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::support::upstream::{Bare, Head};
use crate::support::{Call, Gate, Setup, Site, rounds, service_for};

/// Answers everything but deletes, which it never answers.
pub(crate) fn hanging() -> Bare {
    Bare::start(|mut socket| {
        while let Ok(Some(head)) = Head::read(&mut socket) {
            if head.0.starts_with("DELETE") {
                thread::park_timeout(Duration::from_secs(60));
                return;
            }
            if crate::support::upstream::answer_empty(&mut socket).is_err() {
                return;
            }
        }
    })
}

fn say(gate: SocketAddr, upstream: &str, customer: &str) -> (u16, Duration) {
    let call = Call::new("POST", &format!("/{upstream}/api/v1/recognize")).label(customer).body(b"");
    let began = Instant::now();
    let answer = call.with("Authorization", "Basic YXBpa2V5OktFWQ==").send(gate).unwrap();
    (answer.status, began.elapsed())
}

fn in_the_middle(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

#[test]
fn p4_erasures_at_a_service_that_hangs_refuse_no_request_to_a_healthy_one() {
    const HEALTHY: usize = 8;
    let hangs = hanging();
    let services: Vec<Running> = (0..HEALTHY).map(|_| service_for(Options::basic("apikey", "KEY"))).collect();
    let mut sites = vec![Site::speech(hangs.addr)];
    let names: Vec<String> = (0..HEALTHY).map(|n| format!("healthy{n}")).collect();
    sites.extend(
        names.iter().zip(&services).map(|(name, service)| Site::new(name, "watson-speech-to-text", service.addr)),
    );
    let gate = Gate::start(&Setup::new(sites));
    let erasures = rounds(640);
    let bystand = |stop: &AtomicBool| {
        let mut times = Vec::new();
        while !stop.load(Ordering::SeqCst) && times.len() < 20_000 {
            let (status, took) = say(gate.addr, &names[times.len() % HEALTHY], "bystander");
            assert_eq!(status, 200);
            times.push(took);
        }
        times
    };
    let stop = AtomicBool::new(false);
    let before = thread::scope(|scope| {
        let quiet = scope.spawn(|| bystand(&stop));
        for n in 0..erasures {
            assert_eq!(say(gate.addr, "speech", &format!("customer{n}")).0, 200);
        }
        stop.store(true, Ordering::SeqCst);
        quiet.join().unwrap()
    });
    stop.store(false, Ordering::SeqCst);
    let refused = Mutex::new(Vec::new());
    let during = thread::scope(|scope| {
        let others = scope.spawn(|| bystand(&stop));
        for n in 0..erasures {
            let customer = format!("customer{n}");
            gate.erase(&customer);
            let answer = say(gate.addr, &names[n as usize % HEALTHY], &customer);
            if answer.0 != 200 {
                refused.lock().push(answer);
            }
        }
        stop.store(true, Ordering::SeqCst);
        others.join().unwrap()
    });
    assert_eq!(*refused.lock(), [], "customers who are erased at the hanging service go on at the others");
    println!(
        "bystanders, median and 99th of a hundred: {:?} before, {:?} during",
        in_the_middle(before),
        in_the_middle(during)
    );
}

#[test]
fn p12_however_many_requests_of_one_customer_wait_at_a_fence_no_other_customer_is_refused() {
    let hangs = hanging();
    let mut setup = Setup::new([Site::speech(hangs.addr)]);
    setup.limits = "in_flight_max = 160\n".to_owned();
    let gate = Gate::start(&setup);
    assert_eq!(say(gate.addr, "speech", "ann").0, 200);
    gate.erase("ann");
    thread::scope(|scope| {
        let crowd: Vec<_> = (0..200).map(|_| scope.spawn(|| say(gate.addr, "speech", "ann").0)).collect();
        for n in 0..200 {
            assert_eq!(say(gate.addr, "speech", &format!("other{}", n % 7)).0, 200);
        }
        let statuses: Vec<u16> = crowd.into_iter().map(|one| one.join().unwrap()).collect();
        assert!(statuses.contains(&503), "beyond the bound nobody waits");
    });
}
