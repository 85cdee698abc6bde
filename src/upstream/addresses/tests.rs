//! Several addresses: spread over, never all left out, and none asked too often.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::lookup::{FRESH, Lookup, Resolver};
use super::race::first_of;
use super::{Addresses, Order, REST};
use crate::upstream::{ConnectError, Stage};

/// A listener whose queue is full drops what comes, as a black hole does.
fn black_hole() -> (SocketAddr, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = vec![listener];
    for _ in 0..4 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        // It is under way, or dropped; either fills the queue.
        drop(socket.connect(&address));
        held.push(socket);
    }
    (address.as_socket().unwrap(), held)
}

async fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn said(addresses: Vec<SocketAddr>) -> Addresses {
    Addresses::found_by(Resolver::Said(Arc::new(move || Some(addresses.clone()))))
}

#[tokio::test]
async fn every_address_has_its_turn_and_a_black_hole_costs_a_moment() {
    let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open_at = open.local_addr().unwrap();
    let (silent, _held) = black_hole();
    let noted = parking_lot::Mutex::new(Vec::new());
    let addresses = [refusing().await, silent, open_at];
    let socket = first_of(&addresses, soon(), |at, takes| noted.lock().push((at, takes))).await.unwrap();
    assert_eq!(socket.peer_addr().unwrap(), open_at);
    assert_eq!(*noted.lock(), [(addresses[0], false), (silent, false), (open_at, true)]);
}

#[tokio::test]
async fn what_the_last_address_said_is_reported() {
    let (silent, _held) = black_hole();
    let deadline = || Instant::now() + Duration::from_millis(200);
    let none = |_, _| {};
    let refused = first_of(&[silent, refusing().await], deadline(), none).await.unwrap_err();
    assert_eq!(refused, ConnectError::Refused);
    let timeout = first_of(&[refusing().await, silent], deadline(), none).await.unwrap_err();
    assert_eq!(timeout, ConnectError::Timeout(Stage::Connect));
    assert_eq!(first_of(&[], soon(), none).await.unwrap_err(), ConnectError::Resolve);
    assert_eq!(first_of(&[refusing().await], soon(), none).await.unwrap_err(), ConnectError::Refused);
}

/// Three loopback addresses, as a name has that stands for three instances.
#[tokio::test]
async fn connections_are_spread_over_the_addresses_and_one_that_refuses_rests() {
    let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = first.local_addr().unwrap().port();
    let second = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let addresses: Vec<SocketAddr> =
        ["127.0.0.1", "127.0.0.2", "127.0.0.3"].map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).into();
    let service = said(addresses.clone());
    let mut reached = Vec::new();
    for _ in 0..12 {
        reached.push(service.connect(soon()).await.unwrap().peer_addr().unwrap());
    }
    assert_eq!(reached.iter().collect::<HashSet<_>>(), addresses[..2].iter().collect());
    assert!(addresses[..2].iter().all(|one| reached.iter().filter(|at| *at == one).count() >= 4), "{reached:?}");
    assert_eq!(service.resting(), 1);

    drop((first, second));
    for _ in 0..3 {
        assert_eq!(service.connect(soon()).await.unwrap_err(), ConnectError::Refused);
    }
    assert_eq!(service.resting(), 3);
    // All rest, and all are tried: the first that is back is found at once.
    let back = TcpListener::bind(addresses[2]).await.unwrap();
    assert_eq!(service.connect(soon()).await.unwrap().peer_addr().unwrap(), back.local_addr().unwrap());
    assert_eq!(service.resting(), 2);
}

#[test]
fn an_address_that_has_rested_is_asked_by_one_connection_and_never_are_all_left_out() {
    let [one, two, three] = [1, 2, 3].map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
    let (mut order, now) = (Order::default(), Instant::now());
    order.note(one, false, now);
    assert_eq!(order.of(&[one, two], now), [two, one]);
    let later = now + REST;
    assert_eq!(order.of(&[one, two], later), [one, two], "it is asked");
    assert_eq!(order.of(&[one, two], later), [two, one], "and by nobody else meanwhile");
    order.note(one, true, later);
    let firsts: HashSet<SocketAddr> = (0..2).map(|_| order.of(&[one, two], later)[0]).collect();
    assert_eq!(firsts, [one, two].into());
    for address in [one, two, three] {
        order.note(address, false, later);
    }
    let all: HashSet<SocketAddr> = order.of(&[one, two, three], later).into_iter().collect();
    assert_eq!(all, [one, two, three].into());
    for port in 0..10_000 {
        order.note(SocketAddr::from(([10, 0, 0, 2], port)), false, later);
    }
    assert!(order.resting.len() <= super::RESTING_MAX);
}

/// P12: a name service that hangs holds one thread, however many connections are wanted; and a storm asks once.
#[tokio::test]
async fn a_name_is_looked_up_once_for_all_who_ask_at_once() {
    let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = open.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let (go, hold) = std::sync::mpsc::channel::<()>();
    let hold = parking_lot::Mutex::new(hold);
    let counted = Arc::clone(&asked);
    let resolver = Resolver::Said(Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        // It goes on when the other end is gone.
        hold.lock().recv_timeout(Duration::from_secs(20)).ok();
        Some(vec![at])
    }));
    let service = Addresses::found_by(resolver);
    for _ in 0..5 {
        let hanging = service.connect(Instant::now() + Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(hanging, ConnectError::Timeout(Stage::Resolve));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    drop(go);
    let all = (0..20).map(|_| service.connect(soon()));
    assert!(futures_util::future::join_all(all).await.into_iter().all(|one| one.is_ok()));
    assert!(asked.load(Ordering::SeqCst) <= 2, "{asked:?}");
}

#[tokio::test]
async fn a_name_without_an_address_is_not_resolved() {
    for none in [None, Some(Vec::new())] {
        let service = Addresses::found_by(Resolver::Said(Arc::new(move || none.clone())));
        assert_eq!(service.connect(soon()).await.unwrap_err(), ConnectError::Resolve);
    }
}

/// An answer that came when nobody waited for it any more is as old as any other.
#[tokio::test]
async fn an_answer_that_nobody_waited_for_is_not_believed_later() {
    let (answer, answers) = std::sync::mpsc::channel::<Vec<SocketAddr>>();
    let answers = parking_lot::Mutex::new(answers);
    let asked = Arc::new(AtomicUsize::new(0));
    let answered = Arc::clone(&asked);
    let lookup = Lookup::new(Resolver::Said(Arc::new(move || {
        let found = answers.lock().recv().ok();
        answered.fetch_add(1, Ordering::SeqCst);
        found
    })));
    let at = |ip: &str| vec![SocketAddr::new(ip.parse().unwrap(), 80)];
    assert!(futures_util::FutureExt::now_or_never(lookup.addresses()).is_none(), "whoever asked has left");
    answer.send(at("127.0.0.1")).unwrap();
    while asked.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    tokio::time::sleep(FRESH).await;
    answer.send(at("127.0.0.2")).unwrap();
    assert_eq!(*lookup.addresses().await.unwrap(), at("127.0.0.2"));
}

/// An address that its name no longer has does not look as if it were down for good.
#[test]
fn an_address_that_is_gone_rests_no_longer_than_another() {
    let [gone, there] = ["127.0.0.1:1", "127.0.0.2:1"].map(|at| at.parse::<SocketAddr>().unwrap());
    let (mut order, now) = (Order::default(), Instant::now());
    order.of(&[gone, there], now);
    order.note(gone, false, now);
    assert_eq!(order.of(&[there], now), [there]);
    assert!(order.resting.contains_key(&gone), "it may come back");
    order.of(&[there], now + REST + Duration::from_millis(1));
    assert!(order.resting.is_empty());
}
