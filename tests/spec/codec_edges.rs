//! What stands behind a request that the gate does not pass on, and exchanges at the edges of their time and their memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::client::{eventually, request};
use crate::codec_wire::{ANY, GET};
use crate::upstream::{Connection, OK, Upstream};
use crate::world::{MESSAGE, Plan, World};

const DELETE: &str = "DELETE /api/v2/user_data?customer_id=alice&version=2021-06-14";

/// A request that stands in another's body.
fn hidden() -> String {
    request("GET /api/v9/hidden", &[], "")
}

/// The body of a delete by label belongs to the delete, whoever answers it.
#[test]
fn p9_the_body_of_an_erasure_is_no_request() {
    let hidden = hidden();
    let chunks = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    for (framing, body) in
        [(format!("Content-Length: {}", hidden.len()), &hidden), ("Transfer-Encoding: chunked".to_owned(), &chunks)]
    {
        let world = World::start();
        let mut client = world.client();
        client.send(request(DELETE, &[&framing], body));
        assert_eq!(client.answer().text(), "{}");
        // Whatever is served is served before this one ends the connection, unless it has ended.
        drop(client.try_send(request("GET /api/v9/next", &["Connection: close"], "")));
        client.rest();
        let seen = world.upstream.seen();
        assert!(seen.iter().all(|seen| !seen.line().contains("hidden")), "{framing}: {seen:?}");
    }
}

/// A short one costs no connection.
#[test]
fn p8_the_small_body_of_an_erasure_is_read_and_the_connection_goes_on() {
    let world = World::start();
    let mut client = world.client();
    client.send(request(DELETE, &["Content-Length: 2"], ""));
    client.send("{}");
    assert_eq!(client.answer().values("connection"), Vec::<String>::new());
    assert_eq!(client.ask(request(GET, &[], "")).status, 200);
}

/// Nobody knows what a proxy before the gate takes for the body of a CONNECT, or for its tunnel.
#[test]
fn p9_behind_a_connect_nothing_is_served() {
    let hidden = hidden();
    for line in
        [format!("Content-Length: {}", hidden.len()), "Transfer-Encoding: chunked".to_owned(), "X: y".to_owned()]
    {
        let world = World::start();
        let mut client = world.client();
        client.send(request("CONNECT gate:80", &[&line], &hidden));
        let answer = client.answer();
        answer.assert_refused(404, "upstream_unknown");
        assert_eq!(answer.value("connection"), "close", "{line}");
        client.rest_within_a_moment();
        world.assert_untouched();
    }
}

/// Interim answers came with HTTP/1.1: who speaks 1.0 would take one for the answer.
#[test]
fn p9_an_http_1_0_caller_that_waits_is_not_told_to_continue() {
    let world = World::start();
    let mut client = world.client();
    let sent = request(ANY, &["Content-Length: 2", "Expect: 100-continue"], "");
    client.send(sent.replace("HTTP/1.1", "HTTP/1.0"));
    // Only once the head has been taken does anybody ask for the body.
    eventually("the service is spoken to", || !world.upstream.bytes(0).is_empty());
    client.send("{}");
    assert!(client.head().starts_with("HTTP/1.0 200 OK\r\n"));
}

/// Writes chunks of one byte until nobody takes them any more, says so, and ends the answer once somebody does.
fn answer_at_length(mut socket: &TcpStream, stuck: &Sender<()>) {
    let chunks = b"1\r\na\r\n".repeat(1 << 12);
    socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    socket.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut at = 0;
    while let Ok(written) = socket.write(&chunks[at..]) {
        at = (at + written) % chunks.len();
    }
    stuck.send(()).unwrap();
    socket.set_write_timeout(None).unwrap();
    socket.write_all(&chunks[at..]).unwrap();
    socket.write_all(b"0\r\n\r\n").unwrap();
}

/// A service that writes its answer while it reads its request, and a caller that reads nothing before it has written all.
#[test]
fn p8_a_caller_may_write_all_before_it_reads_although_the_answer_is_long() {
    const LONG: usize = 24 << 20;
    let (stuck, is_stuck) = channel();
    let stuck = Mutex::new(stuck);
    let serve = move |connection: &mut Connection| {
        connection.head().unwrap();
        let (socket, stuck) = (connection.socket.try_clone().unwrap(), stuck.lock().unwrap().clone());
        let answering = std::thread::spawn(move || answer_at_length(&socket, &stuck));
        while !connection.bytes_end_with(b"the end") {
            connection.more().unwrap();
        }
        answering.join().unwrap();
    };
    let world = World::before(Upstream::serving(serve), Plan::default());
    let mut client = world.client();
    client.send(request(ANY, &[&format!("Content-Length: {}", LONG + 7)], ""));
    is_stuck.recv().unwrap();
    client.send(vec![b'b'; LONG]);
    client.send("the end");
    assert!(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    client.read_until("\r\n0\r\n\r\n");
}

/// An answer that begins early is passed on while the upload runs, however fast that is.
#[test]
fn p8_an_upload_at_full_speed_does_not_hold_up_its_answer() {
    const LONG: usize = 1 << 30;
    let read = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&read);
    let serve = move |connection: &mut Connection| {
        connection.head().unwrap();
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{}");
        let mut buffer = vec![0; 1 << 20];
        // Not kept, as other requests are: it is long.
        while let Ok(came @ 1..) = (&connection.socket).read(&mut buffer) {
            counted.fetch_add(came, Ordering::SeqCst);
        }
    };
    let world = World::before(Upstream::serving(serve), Plan::default());
    let mut client = world.client();
    client.send(request(ANY, &[&format!("Content-Length: {LONG}")], ""));
    let socket = client.socket.try_clone().unwrap();
    let piece = vec![b'x'; 1 << 20];
    let uploading = std::thread::spawn(move || (0..LONG >> 20).all(|_| (&socket).write_all(&piece).is_ok()));
    assert!(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    let read = read.load(Ordering::SeqCst);
    client.socket.shutdown(std::net::Shutdown::Both).unwrap();
    uploading.join().unwrap();
    assert!(read < LONG / 2, "{read} bytes had been read before");
}

/// The service's time to answer begins when it has been asked, however long it took to find out whose request it is.
#[test]
fn p8_what_passes_before_a_request_is_forwarded_is_not_the_services_time() {
    let policy = "missing = \"derive\"\nderive = [ { json = \"/user_id\" } ]";
    let world = World::of(Plan { policy, limits: "response_timeout = \"2s\"", ..Plan::default() });
    let mut client = world.client();
    let body = "{\"user_id\":\"u-1\"}";
    let length = format!("Content-Length: {}", body.len());
    client.send(request(MESSAGE, &["Content-Type: application/json", &length], ""));
    let began = Instant::now();
    for byte in body.bytes() {
        std::thread::sleep(Duration::from_millis(160));
        client.send([byte]);
    }
    assert!(began.elapsed() > Duration::from_secs(2));
    let (tell, told) = channel();
    world.upstream.will(crate::upstream::Reply::When(told, OK.into()));
    world.upstream.saw(1);
    std::thread::sleep(Duration::from_millis(800));
    tell.send(()).unwrap();
    assert_eq!(client.answer().status, 200);
}

/// A request that keeps the worker's thread busy for longer than a connection needs to be reset: the gate writes to a
/// dead one, and sees it only then.
fn busy(bytes: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let numbers = format!("[{}0]", "1,".repeat(bytes / 2));
    encoder.write_all(numbers.as_bytes()).unwrap();
    let body = encoder.finish().unwrap();
    let lines =
        ["Content-Type: application/json", "Content-Encoding: gzip", &format!("Content-Length: {}", body.len())];
    [request(MESSAGE, &lines, "").into_bytes(), body].concat()
}

/// A connection over which something came, or which was closed, while the worker was too busy to see it, is not used again:
/// what came would be taken for the next caller's answer.
#[test]
fn p9_what_comes_while_the_worker_is_busy_is_no_answer_either() {
    for closes in [false, true] {
        let (tell, told): (Sender<()>, Receiver<()>) = channel();
        let (tell_back, done) = channel();
        let told = Mutex::new((told, tell_back));
        let serve = move |connection: &mut Connection| {
            if connection.number > 0 {
                return connection.follow_script();
            }
            connection.request();
            connection.write(OK);
            let (told, tell_back) = &*told.lock().unwrap();
            told.recv().unwrap();
            if closes {
                connection.socket.shutdown(std::net::Shutdown::Both).unwrap();
            } else {
                connection.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
            }
            tell_back.send(()).unwrap();
            connection.until_closed();
        };
        let policy = "missing = \"derive\"\nderive = [ { json = \"/user_id\" } ]";
        let limits = "inspected_body_bytes_max = \"16MiB\"";
        let world = World::before(Upstream::serving(serve), Plan { policy, limits, ..Plan::default() });
        let mut client = world.client();
        let get = request(GET, &[], "");
        client.send([get.as_bytes(), &busy(8 << 20), get.as_bytes()].concat());
        assert_eq!(client.answer().status, 200);
        tell.send(()).unwrap();
        done.recv().unwrap();
        client.answer().assert_refused(400, "label_missing");
        let answer = client.answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"), "closes: {closes}");
        assert_eq!(world.upstream.saw(2).pop().unwrap().connection, 1);
    }
}

/// What was to be sent over a connection that had died is sent over a new one, to its last byte.
#[test]
fn p8_a_request_is_sent_anew_as_it_was_when_its_connection_had_died() {
    for (framing, body) in [
        ("Transfer-Encoding: chunked", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "0\r\nX-Sum: 9\r\n\r\n"),
        ("Transfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n"),
        ("Content-Length: 2", "{}"),
        ("X: y", ""),
    ] {
        let (tell, told): (Sender<()>, Receiver<()>) = channel();
        let (tell_back, done) = channel();
        let told = Mutex::new((told, tell_back));
        let serve = move |connection: &mut Connection| {
            if connection.number > 0 {
                return connection.follow_script();
            }
            connection.request();
            connection.write(OK);
            let (told, tell_back) = &*told.lock().unwrap();
            told.recv().unwrap();
            connection.reset();
            tell_back.send(()).unwrap();
        };
        let policy = "missing = \"derive\"\nderive = [ { json = \"/user_id\" } ]";
        let limits = "inspected_body_bytes_max = \"16MiB\"\nresponse_timeout = \"2s\"";
        let world = World::before(Upstream::serving(serve), Plan { policy, limits, ..Plan::default() });
        let mut client = world.client();
        let sent = request(ANY, &[framing], body);
        client.send([request(GET, &[], "").into_bytes(), busy(8 << 20), sent.into_bytes()].concat());
        assert_eq!(client.answer().status, 200);
        tell.send(()).unwrap();
        done.recv().unwrap();
        client.answer().assert_refused(400, "label_missing");
        let answer = client.answer();
        assert_eq!(answer.status, 200, "{framing} {body:?}: {}", answer.head);
        let seen = world.upstream.saw(2).pop().unwrap();
        assert_eq!((seen.connection, seen.body.as_slice()), (1, if body.contains("{}") { &b"{}"[..] } else { b"" }));
        assert_eq!(seen.trailers, if body.contains("X-Sum") { vec!["X-Sum: 9"] } else { Vec::new() });
    }
}

/// A body that does not come is not waited for, and the erasure takes its time all the same.
#[test]
fn p8_an_erasure_whose_body_does_not_come_is_answered() {
    let world = World::of(Plan { limits: "body_stall_timeout = \"1s\"", ..Plan::default() });
    let (tell, told) = channel();
    world.upstream.will(crate::upstream::Reply::When(told, OK.into()));
    let mut client = world.client();
    client.send(request(DELETE, &["Content-Length: 2", "Prefer: wait=10"], ""));
    world.upstream.saw(1);
    std::thread::sleep(Duration::from_millis(1600));
    tell.send(()).unwrap();
    assert_eq!(client.answer().value("connection"), "close");
}
