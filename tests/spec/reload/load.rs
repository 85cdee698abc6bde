//! Reloads while requests are on their way: none fails, and none gets an answer that neither configuration would give.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::world::{BEFORE, Filed, message, upstream};
use crate::client::{Answer, Client, PATIENCE};
use crate::upstream::{OK, Reply, Upstream};

const CLIENTS: usize = 4;
const RELOADS: usize = 40;

/// The pace at which it is reloaded.
const PACE: Duration = Duration::from_millis(100);

/// A service that says its own name, so that an answer from the wrong one is seen.
fn named(name: &'static str) -> Upstream {
    Upstream::serving(move |connection| {
        while let Some(seen) = connection.request() {
            let label = seen.values("x-watson-metadata").join("|");
            let body = format!("{name} {label}");
            connection.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        }
    })
}

/// Asks all that the two configurations answer differently, and one that they answer alike.
fn ask_all(client: &mut Client) {
    let alike = client.ask(message("one", "alice"));
    assert_eq!((alike.status, alike.text().as_str()), (200, "one customer_id=alice"), "{}", alike.head);
    let aliased = client.ask(message("one", "alice%40example.com"));
    match aliased.status {
        200 => assert!(!aliased.text().contains("alice") && aliased.text().len() > 20, "{}", aliased.text()),
        _ => aliased.assert_refused(400, "label_personal"),
    }
    let only_second = client.ask(message("two", "bert"));
    match only_second.status {
        200 => assert_eq!(only_second.text(), "two customer_id=bert"),
        _ => only_second.assert_refused(404, "upstream_unknown"),
    }
    let moved = client.ask("GET /moving/v1/workspaces HTTP/1.1\r\nHost: gate\r\n\r\n");
    assert!(["three ", "four "].contains(&moved.text().as_str()), "{} {}", moved.head, moved.text());
    let large = client
        .ask(format!("GET /one/v1/workspaces HTTP/1.1\r\nHost: gate\r\nX-Large: {}\r\n\r\n", "x".repeat(12 * 1024)));
    match large.status {
        200 => assert_eq!(large.text(), "one "),
        // Behind a head that is too large the connection ends, as it always does.
        _ => {
            large.assert_refused(431, "header_too_large");
            *client = Client::to(client.socket.peer_addr().unwrap());
        }
    }
}

#[test]
fn p8_under_reloads_of_policies_routes_limits_and_upstreams_no_request_fails() {
    let (one, two, three, four) = (named("one"), named("two"), named("three"), named("four"));
    let (refuse, rewrite) = ("personal = \"refuse\"", "personal = \"rewrite\"");
    let texts = [
        format!(
            "{BEFORE}{}{}[limits]\nheader_bytes_max = \"8KiB\"\n",
            upstream("one", &one, refuse),
            upstream("moving", &three, "")
        ),
        format!(
            "{BEFORE}{}{}{}",
            upstream("two", &two, ""),
            upstream("moving", &four, ""),
            upstream("one", &one, rewrite)
        ),
    ];
    let keeps_two = texts[0].replace("[limits]", &format!("{}[limits]", retired(&upstream("two", &two, ""))));
    let texts = [keeps_two, texts[1].clone()];
    let filed = Filed::start(&texts[1]);
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = filed.client();
                while !done.load(Ordering::SeqCst) {
                    ask_all(&mut client);
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let reloads = scope.spawn(|| {
            for text in texts.iter().cycle().take(RELOADS) {
                filed.turn_to(text);
                std::thread::sleep(PACE);
            }
        });
        let reloaded = reloads.join();
        done.store(true, Ordering::SeqCst);
        reloaded.unwrap();
    });
    assert!(asked.load(Ordering::SeqCst) > RELOADS, "hardly anything was asked");
    assert_eq!(filed.metric("forgetgate_requests_in_flight{upstream=\"one\"}"), 0);
    assert!(filed.metric("forgetgate_requests_total{upstream=\"one\"}") >= 2 * asked.load(Ordering::SeqCst) as u64);
}

fn retired(upstream: &str) -> String {
    upstream.replace("[upstream.policy]", "retired = true\n[upstream.policy]")
}

/// An answer that is half there.
fn half_answered(filed: &Filed, service: &Upstream) -> (Client, std::sync::mpsc::Sender<()>) {
    let (tell, told) = channel();
    service.will(Reply::When(told, OK.into()));
    let mut client = filed.client();
    client.send(message("one", "alice"));
    service.saw(1);
    (client, tell)
}

fn is_whole(answer: &Answer) {
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
}

#[test]
fn p8_a_request_on_its_way_finishes_under_the_configuration_that_it_began_with() {
    let service = Upstream::scripted();
    let text = format!("{BEFORE}{}", upstream("one", &service, ""));
    let filed = Filed::start(&text);
    let (mut client, tell) = half_answered(&filed, &service);
    filed.turn_to(&format!("{BEFORE}{}", retired(&upstream("one", &service, "mode = \"observe\""))));
    assert_eq!(filed.metric("forgetgate_requests_in_flight{upstream=\"one\"}"), 1);
    tell.send(()).unwrap();
    is_whole(&client.answer());
    client.ask(message("one", "alice")).assert_refused(404, "upstream_unknown");
    assert_eq!(filed.metric("forgetgate_requests_in_flight{upstream=\"one\"}"), 0);
}

#[test]
fn p8_a_drain_directly_after_a_reload_waits_for_what_began_before_it() {
    let service = Upstream::scripted();
    let text = format!("{BEFORE}{}", upstream("one", &service, ""));
    let mut filed = Filed::start(&text);
    let (mut client, tell) = half_answered(&filed, &service);
    filed.turn_to(&format!("{text}[limits]\ndrain_timeout = \"20s\"\n"));
    let gate = filed.gate.take().unwrap();
    let (stopped, graceful) = channel();
    std::thread::spawn(move || stopped.send(gate.stop()));
    crate::client::eventually("nobody is let in any more", || std::net::TcpStream::connect(filed.address).is_err());
    assert!(graceful.try_recv().is_err(), "it waits");
    tell.send(()).unwrap();
    is_whole(&client.answer());
    assert!(graceful.recv_timeout(PATIENCE).unwrap());
}
