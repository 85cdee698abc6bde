//! Open WebSockets at their worst: one end stalls, breaks off or never stops, and the other still gets what is its own (P8, P12).

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use forgetgate::domain::websocket::Sender;

use crate::client::{eventually, request};
use crate::upstream::{Connection, OK, Upstream};
use crate::websocket::{accepting, opened, speech};
use crate::world::{LABEL, Plan, World};

/// What was a WebSocket is closed with it, and never taken for a connection on which answers come.
#[test]
fn p9_p12_a_websocket_that_was_cut_is_closed_at_the_service_too() {
    for last_word in ["", OK] {
        let (cut, is_cut) = mpsc::channel::<()>();
        let is_cut = Mutex::new(is_cut);
        let upstream = Upstream::serving(move |connection: &mut Connection| {
            let Some(head) = connection.head() else { return };
            if !head.contains("Upgrade: websocket") {
                connection.write(OK);
                return;
            }
            connection.write(accepting());
            is_cut.lock().unwrap().recv().unwrap();
            connection.write(last_word);
            connection.until_closed();
        });
        let limits = "idle_timeout = \"1s\"\nresponse_timeout = \"300s\"";
        let world = World::before(upstream, Plan { profile: "watson-speech-to-text", limits, ..Plan::default() });
        assert_eq!(opened(&world).rest(), Sender::Server.going_away(), "it is told why, and then cut");
        cut.send(()).unwrap();
        eventually("nothing is in flight", || world.in_flight() == 0);
        let next = world.ask(request("POST /api/v1/recognize", &[LABEL, "Content-Length: 0"], ""));
        assert_eq!((next.status, world.upstream.connections()), (200, 2), "{}", next.head);
        eventually("the service's end is closed", || world.upstream.open() == 0);
    }
}

/// One who never stops sending hears what the service has to say meanwhile.
#[test]
fn p8_a_sender_that_never_pauses_still_hears_the_service() {
    let upstream = Upstream::serving(|connection: &mut Connection| {
        if connection.head().is_none() {
            return;
        }
        connection.write(accepting());
        let (mut buffer, mut came, mut said) = (vec![0; 1 << 20], 0, false);
        while let Ok(length @ 1..) = connection.socket.read(&mut buffer) {
            came += length;
            if came > 8 << 20 && !said {
                said = true;
                connection.write([0x82, 1, 7]);
            }
        }
    });
    let world = speech(upstream, "");
    let mut client = opened(&world);
    let heard = Arc::new(AtomicBool::new(false));
    let (mut writing, stop) = (client.socket.try_clone().unwrap(), Arc::clone(&heard));
    let writer = std::thread::spawn(move || {
        let piece = vec![0; 1 << 20];
        let mut sent = 0;
        while !stop.load(Ordering::Relaxed) && sent < 6 << 30_u64 {
            writing.write_all(&piece).unwrap();
            sent += piece.len() as u64;
        }
        sent
    });
    let mut frame = [0; 3];
    client.socket.read_exact(&mut frame).unwrap();
    heard.store(true, Ordering::Relaxed);
    assert_eq!(frame, [0x82, 1, 7]);
    let sent = writer.join().unwrap();
    assert!(sent < 1 << 30, "{sent} bytes had to be sent before it was heard");
}
