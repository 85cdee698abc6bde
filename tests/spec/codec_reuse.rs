//! The gate's own connections to a service: used again when that is sound, and never when it is not (P8, P9).

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use crate::client::{PATIENCE, eventually, request};
use crate::codec_wire::{ANY, GET};
use crate::upstream::{Connection, OK, Upstream};
use crate::world::{LABEL, MESSAGE, Plan, World};

const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";

fn get() -> String {
    request(GET, &[], "")
}

fn message() -> String {
    request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}")
}

#[test]
fn p8_all_sound_exchanges_share_one_connection() {
    let world = World::start();
    let answers = [
        ("GET", OK),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("POST", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("PUT", "HTTP/1.1 500 Broken\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"),
        ("DELETE", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 Who\r\nContent-Length: 1\r\n\r\n!"),
    ];
    for _ in 0..8 {
        for (method, answer) in answers {
            world.upstream.will_say(answer);
            let mut client = world.client();
            client.send(request(&format!("{method} /api/v9/x"), &["Content-Length: 2"], "{}"));
            assert!(client.answer_to(method).whole);
        }
    }
    assert_eq!((world.upstream.seen().len(), world.upstream.connections()), (56, 1));
}

/// A service that ends its side as HTTP has it, but leaves the socket open: what comes over it is nobody's.
#[test]
fn p9_a_connection_that_its_service_has_ended_is_not_used_again() {
    let endings = [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nconnection: CLOSE\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.0 200 OK\r\nConnection: X-Hop\r\nContent-Length: 2\r\n\r\n{}",
    ];
    for ending in endings {
        let world = World::start();
        world.upstream.will_say(ending);
        let mut client = world.client();
        let answer = client.ask(get());
        assert_eq!((answer.text().as_str(), answer.values("connection").len()), ("{}", 0), "{}", answer.head);
        assert_eq!(client.ask(get()).status, 200, "the caller's connection goes on");
        assert_eq!(world.upstream.seen()[1].connection, 1, "{ending}");
        eventually("the ended one is closed by the gate too", || world.upstream.open() == 1);
    }
}

/// A service that does something with its connection when the test says so, and says when it has done it.
struct Acting {
    world: World,
    act: Sender<()>,
    done: Receiver<()>,
}

impl Acting {
    /// Each connection answers one request with `answer`, then does `act`, then answers the rest with [`OK`].
    fn of(answer: &'static str, act: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        let (tell, told) = mpsc::channel();
        let (done, is_done) = mpsc::channel();
        let told = Arc::new(Mutex::new(told));
        let upstream = Upstream::serving(move |connection| {
            connection.request();
            connection.write(answer);
            // The last connections of a world are told nothing.
            if told.lock().unwrap().recv_timeout(PATIENCE).is_err() {
                return;
            }
            act(connection);
            done.send(()).unwrap();
            if socket2::SockRef::from(&connection.socket).linger().unwrap().is_some() {
                return;
            }
            while connection.request().is_some() {
                connection.write(EVIL);
            }
        });
        Self { world: World::before(upstream, Plan::default()), act: tell, done: is_done }
    }

    fn acts(&self) {
        self.act.send(()).unwrap();
        self.done.recv_timeout(PATIENCE).unwrap();
    }
}

/// What a service says to nobody is not the answer to whoever comes next, be it a whole answer or a part.
#[test]
fn p9_what_comes_over_an_idle_connection_is_no_answer() {
    for unasked in [EVIL, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", "HTTP/1.1 200", "\r\n", "x"] {
        for answer in [OK, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"] {
            let acting = Acting::of(answer, move |connection| connection.write(unasked));
            let mut client = acting.world.client();
            for round in 0..5 {
                assert_eq!(client.ask(get()).text(), "{}", "{unasked:?}");
                acting.acts();
                assert_eq!(acting.world.upstream.connections(), round + 1);
            }
            assert_eq!(client.ask(message()).text(), "{}", "{unasked:?}");
            let fresh = acting.world.upstream.seen().iter().enumerate().all(|(at, seen)| seen.connection == at);
            assert!(fresh, "{unasked:?}: {:?}", acting.world.upstream.seen());
        }
    }
}

/// The end of an idle connection is nobody's fault: the next request goes over a new one, and is sent once.
#[test]
fn p8_an_idle_connection_that_its_service_has_closed_is_replaced() {
    for how in ["closed", "half closed", "reset"] {
        let acting = Acting::of(OK, move |connection| match how {
            "closed" => connection.socket.shutdown(std::net::Shutdown::Both).unwrap(),
            "half closed" => connection.socket.shutdown(std::net::Shutdown::Write).unwrap(),
            _ => connection.reset(),
        });
        let mut client = acting.world.client();
        for round in 0..20 {
            let answer = client.ask(if round % 2 == 0 { get() } else { message() });
            assert_eq!((answer.status, answer.text().as_str()), (200, "{}"), "{how}, round {round}: {}", answer.head);
            acting.acts();
            if how == "reset" {
                eventually("it is reset", || acting.world.upstream.open() == 0);
            }
        }
        assert_eq!((acting.world.upstream.seen().len(), acting.world.upstream.connections()), (20, 20), "{how}");
    }
}

/// More than its length promised, in one piece with the answer: the rest is nobody's. (What comes later is the case above.)
#[test]
fn p9_what_stands_behind_an_answer_is_no_answer() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    for answer in [OK, chunked, "HTTP/1.1 304 Same\r\n\r\n"] {
        for behind in [EVIL, "}", "\r\n\r\n", "0\r\n\r\n", "\0"] {
            let world = World::start();
            let mut client = world.client();
            for _ in 0..5 {
                world.upstream.will_say(format!("{answer}{behind}"));
                let got = client.ask(get());
                assert!(got.status == 304 || got.text() == "{}", "{answer}{behind}: {} {}", got.head, got.text());
            }
            let seen = world.upstream.seen();
            assert!(seen.iter().enumerate().all(|(at, seen)| seen.connection == at), "{answer}{behind}: {seen:?}");
        }
    }
}

/// A service that answers before it has the body, and then reads on or stops: nothing hangs, nothing is mixed up.
#[test]
fn p9_an_early_answer_mixes_nothing_up() {
    for (reads_on, close) in [(true, ""), (false, "Connection: close\r\n"), (true, "Connection: close\r\n")] {
        let upstream = Upstream::serving(move |connection| {
            while let Some(head) = connection.head() {
                let early = head.contains("/early");
                let text = if early { "early" } else { "late!" };
                connection.write(format!("HTTP/1.1 200 OK\r\n{close}Content-Length: 5\r\n\r\n{text}"));
                if early && !reads_on {
                    return;
                }
                if early {
                    connection.until_closed();
                }
            }
        });
        let world = World::before(upstream, Plan::default());
        for framing in ["Content-Length: 3000000", "Transfer-Encoding: chunked"] {
            let mut client = world.client();
            client.send(request("POST /api/v9/early", &[framing], ""));
            let answer = client.answer();
            assert_eq!((answer.status, answer.text()), (200, "early".to_owned()), "{framing}");
            // The rest of the upload may be taken or not.
            drop(client.try_send(format!("3\r\n{}", get()).repeat(1000)));
            client.finish_sending();
            assert!(!crate::client::latin1(&client.rest()).contains("late!"), "{framing}: the body was served");
            assert_eq!(world.ask(get()).text(), "late!", "{framing}");
        }
        eventually("nothing is in flight", || world.in_flight() == 0);
    }
}

/// The answer is over, the upload is not: when it ends well, everything goes on as if the answer had come later.
#[test]
fn p8_an_upload_may_end_after_its_answer() {
    let upstream = Upstream::serving(|connection| {
        while let Some(head) = connection.head() {
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
            connection.write("early");
            if head.contains("POST") {
                while connection.more().is_some_and(|length| length > 0) {}
                return;
            }
        }
    });
    let world = World::before(upstream, Plan::default());
    for _ in 0..3 {
        let mut client = world.client();
        client.send(request(ANY, &["Content-Length: 10"], "12345"));
        assert_eq!(client.answer().text(), "early");
        drop(client.try_send("67890"));
        assert_eq!(world.ask(get()).text(), "early");
        drop(client.try_send(get()));
        let rest = crate::client::latin1(&client.rest_within_a_moment());
        assert!(rest.is_empty() || rest.ends_with("\r\n\r\nearly"), "{rest}");
    }
}

/// What a service does in the middle of an upload: the answer that it gives first, and how its connection ends.
fn cutting(answer: &'static str, reset: bool) -> Upstream {
    Upstream::serving(move |connection| {
        let early = connection.head().is_some_and(|head| head.contains("/early"));
        connection.write(if early { answer } else { OK });
        if early && reset {
            connection.reset();
        }
    })
}

/// Five megabytes against a service that leaves after the head. The caller writes all before it reads.
fn upload(world: &World, framing: &str) -> crate::client::Answer {
    let mut client = world.client();
    client.send(request("POST /api/v9/early", &[framing], "4c4b40\r\n"));
    client.try_send(vec![b'x'; 5_000_000]).expect("the upload is taken off the wire");
    client.answer()
}

#[test]
fn p8_a_service_that_leaves_during_an_upload_is_a_502() {
    for framing in ["Content-Length: 5000008", "Transfer-Encoding: chunked"] {
        for reset in [false, true] {
            let world = World::before(cutting("", reset), Plan::default());
            for _ in 0..5 {
                upload(&world, framing).assert_refused(502, "upstream_unreachable");
                assert_eq!(world.ask(get()).text(), "{}");
            }
            eventually("nothing is in flight", || world.in_flight() == 0);
        }
    }
}
