//! Bodies on their way in: who is told to go on, who is told to stop, and that the one who is told can hear it (P8, P12).

use std::io::Read;
use std::sync::mpsc;
use std::time::Duration;

use crate::client::{PATIENCE, eventually, find, request};
use crate::upstream::{Connection, OK, Upstream};
use crate::world::{LABEL, MESSAGE, Plan, World};

const EXPECT: &str = "Expect: 100-continue";

/// Whatever has come so far and what comes within a moment: used only where nothing else could come any more.
fn first_line(client: &mut crate::client::Client) -> String {
    client.head().lines().next().unwrap_or_default().to_owned()
}

#[test]
fn p1_nobody_is_told_to_continue_with_a_request_that_is_refused() {
    for framing in ["Content-Length: 2", "Content-Length: 5000000", "Transfer-Encoding: chunked"] {
        let world = World::start();
        let mut client = world.client();
        client.send(request(MESSAGE, &[framing, EXPECT], ""));
        let answer = client.answer();
        answer.assert_refused(400, "label_missing");
        assert_eq!(answer.value("connection"), "close", "the body would be taken for a request");
        assert_eq!(client.rest(), b"");
        world.assert_untouched();
    }
}

#[test]
fn p8_whoever_expects_it_is_told_to_continue() {
    for expect in [EXPECT, "expect: 100-Continue"] {
        let world = World::start();
        let mut client = world.client();
        client.send(request(MESSAGE, &[LABEL, "Content-Length: 5", expect], ""));
        assert_eq!(first_line(&mut client), "HTTP/1.1 100 Continue");
        client.send("hello");
        assert_eq!(client.answer().status, 200);
        let seen = world.upstream.only();
        assert_eq!((seen.body.as_slice(), seen.values("expect")), (&b"hello"[..], vec![]));
    }
}

#[test]
fn p8_a_caller_that_does_not_wait_to_be_told_is_served() {
    let world = World::start();
    let mut client = world.client();
    client.send(request(MESSAGE, &[LABEL, "Content-Length: 5", EXPECT], "hello"));
    let mut answer = client.answer();
    if answer.status == 100 {
        answer = client.answer();
    }
    assert_eq!((answer.status, world.upstream.only().body.as_slice()), (200, &b"hello"[..]));
    assert_eq!(client.ask(request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}")).status, 200);
}

/// Writes five megabytes whatever happens, then reads: as most HTTP libraries do.
fn upload_and_read(world: &World, lines: &[&str]) -> crate::client::Answer {
    let mut client = world.client();
    let body = vec![b'x'; 5_000_000];
    let length = format!("Content-Length: {}", body.len());
    client.send(request(MESSAGE, &[lines, &[&length]].concat(), ""));
    // A gate that stops reading resets the connection, and this fails, or the answer is lost.
    client.try_send(&body).expect("the upload is taken off the wire");
    client.answer()
}

#[test]
fn p1_a_refusal_during_a_large_upload_can_be_read() {
    let world = World::start();
    for lines in
        [&[][..], &["Connection: close"], &["Connection: keep-alive"], &["X-Watson-Metadata: customer_id=a%41"]]
    {
        let answer = upload_and_read(&world, lines);
        assert_eq!((answer.status, answer.value("connection")), (400, "close".to_owned()));
    }
    world.assert_untouched();
}

#[test]
fn p8_an_answer_of_the_service_during_a_large_upload_can_be_read() {
    let early = |connection: &mut Connection| {
        connection.head();
        connection.write("HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!");
    };
    let world = World::before(Upstream::serving(early), Plan::default());
    let mut client = world.client();
    client.send(request(MESSAGE, &[LABEL, "Content-Length: 50000000"], ""));
    let answer = client.answer();
    assert_eq!((answer.status, answer.text()), (413, "no!".to_owned()));
}

/// The caller writes all that it has before it reads, and the service has answered long ago.
#[test]
fn p8_an_early_answer_of_the_service_is_there_when_the_upload_has_been_written() {
    let early = |connection: &mut Connection| {
        connection.head();
        connection.write("HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\n\r\nno!");
        connection.until_closed();
    };
    let world = World::before(Upstream::serving(early), Plan::default());
    let answer = upload_and_read(&world, &[LABEL]);
    assert_eq!((answer.status, answer.text()), (413, "no!".to_owned()));
}

#[test]
fn p8_an_upload_may_take_its_time_as_long_as_it_moves() {
    let limits = "response_timeout = \"2s\"\nbody_stall_timeout = \"2s\"\nbody_rate_min = 0";
    let world = World::of(Plan { limits, ..Plan::default() });
    let mut client = world.client();
    client.send(request(MESSAGE, &[LABEL, "Content-Length: 10"], ""));
    for _ in 0..10 {
        std::thread::park_timeout(Duration::from_millis(300));
        client.send("x");
    }
    assert_eq!(client.answer().status, 200);
    assert_eq!(world.upstream.only().body, b"xxxxxxxxxx");
}

/// A service that has answered and reads on: the rest of the upload still goes there, and nothing is mixed up.
#[test]
fn p9_after_an_early_answer_no_body_is_taken_for_a_request() {
    let hidden = request(MESSAGE, &["Content-Length: 2"], "{}");
    let early = |connection: &mut Connection| {
        connection.head();
        connection.write(OK);
        connection.until_closed();
    };
    let world = World::before(Upstream::serving(early), Plan::default());
    let mut client = world.client();
    client.send(request(MESSAGE, &[LABEL, &format!("Content-Length: {}", hidden.len())], ""));
    assert_eq!(client.answer().status, 200);
    // The gate may have closed by now, which is as good.
    drop(client.try_send(&hidden));
    let rest = String::from_utf8(client.rest_within_a_moment()).unwrap();
    assert_eq!(rest, "");
    let next = world.client().ask(request(MESSAGE, &[LABEL, "Content-Length: 0"], ""));
    assert_eq!(next.status, 200);
    assert_eq!(world.upstream.connections(), 2, "a connection with an unfinished request is not used again");
}

#[test]
fn p9_a_small_refused_body_is_read_and_the_connection_goes_on() {
    let world = World::start();
    let mut client = world.client();
    let hidden = request(MESSAGE, &["Content-Length: 2"], "{}");
    for _ in 0..3 {
        let answer = client.ask(request(MESSAGE, &[&format!("Content-Length: {}", hidden.len())], &hidden));
        answer.assert_refused(400, "label_missing");
        assert_eq!(answer.values("connection"), Vec::<String>::new());
    }
    assert_eq!(client.ask(request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}")).status, 200);
    assert_eq!(world.upstream.only().body, b"{}");
}

#[test]
fn p12_a_refused_body_that_does_not_come_is_not_waited_for() {
    let world = World::start();
    let mut client = world.client();
    client.send(request(MESSAGE, &["Content-Length: 100"], "only this"));
    let answer = client.answer();
    answer.assert_refused(400, "label_missing");
    assert_eq!(answer.value("connection"), "close");
}

/// Sends until nothing more is taken, and gives how much that was.
fn fill(client: &mut crate::client::Client, most: usize) -> usize {
    client.socket.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while sent < most {
        match std::io::Write::write(&mut client.socket, &piece) {
            Ok(length) => sent += length,
            Err(_) => break,
        }
    }
    sent
}

#[test]
fn p12_a_service_that_does_not_read_stops_the_caller() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::serving(move |connection| {
        connection.head().unwrap();
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        connection.until_closed();
    });
    let world = World::before(upstream, Plan::default());
    let mut client = world.client();
    let most = 256 << 20;
    client.send(request(MESSAGE, &[LABEL, &format!("Content-Length: {most}")], ""));
    let sent = fill(&mut client, most);
    // What the kernel holds for two connections is some megabytes; the gate adds less than one.
    assert!(sent < 64 << 20, "{sent} bytes were taken for a service that reads nothing");
    go.send(()).unwrap();
    eventually("what was taken arrives", || world.upstream.bytes(0).len() > sent);
}

#[test]
fn p12_a_caller_that_does_not_read_stops_the_service() {
    let (told, tell) = mpsc::channel();
    let most = 256 << 20;
    let upstream = Upstream::serving(move |connection| {
        connection.request().unwrap();
        connection.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {most}\r\n\r\n"));
        connection.socket.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let piece = vec![b'x'; 1 << 20];
        let mut sent = 0;
        while sent < most {
            match std::io::Write::write(&mut connection.socket, &piece) {
                Ok(length) => sent += length,
                Err(_) => break,
            }
        }
        told.send(sent).unwrap();
    });
    let world = World::before(upstream, Plan::default());
    let mut client = world.client();
    client.send(request(MESSAGE, &[LABEL, "Content-Length: 0"], ""));
    let sent = tell.recv_timeout(PATIENCE).unwrap();
    assert!(sent < 64 << 20, "{sent} bytes were taken for a caller that reads nothing");
    client.head();
    let mut came = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(length @ 1..) = client.socket.read(&mut buffer) {
        came += length;
    }
    assert!(came + (1 << 20) > sent, "{came} of {sent} came");
}

#[test]
fn p9_a_chunk_that_goes_wrong_later_never_makes_a_whole_request() {
    let world = World::start();
    let mut client = world.client();
    client.send(request(MESSAGE, &[LABEL, "Transfer-Encoding: chunked"], "5\r\nhello\r\n"));
    eventually("the first chunk is there", || find(&world.upstream.bytes(0), b"hello").is_some());
    client.send("zz\r\n");
    client.answer().assert_refused(400, "header_ambiguous");
    eventually("the service's connection has ended", || world.upstream.open() == 0);
    assert!(world.upstream.seen().is_empty(), "no last chunk was made up");
}
