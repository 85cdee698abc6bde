//! HTTP/2 in a tunnel that was opened ends as it does anywhere: behind what was answered.

use std::io::Write;
use std::sync::mpsc;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::Client;
use crate::forward::HOST;
use crate::forward_tls::{Opened, head};
use crate::http2::caller::{Caller, Got, request, run};
use crate::upstream::{OK, Reply};

#[test]
fn p8_a_stop_finishes_the_streams_in_an_opened_tunnel() {
    let mut opened = Opened::speaking("http2 = true", "h2");
    let (release, wait) = mpsc::channel();
    opened.world.upstream.will(Reply::When(wait, OK.into()));
    let mut socket = Client::to(opened.world.address).socket;
    write!(socket, "CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n").unwrap();
    assert_eq!(head(&mut socket).unwrap(), "HTTP/1.1 200 Connection established\r\n\r\n");
    socket.set_nonblocking(true).unwrap();
    run(async {
        let connector = TlsConnector::from(std::sync::Arc::clone(&opened.client));
        let socket = TcpStream::from_std(socket).unwrap();
        let stream = connector.connect(ServerName::try_from(HOST).unwrap(), socket).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        let caller = Caller { send, driver: tokio::spawn(connection) };
        let mut ask = request("GET /v1/workspaces", &[]);
        *ask.uri_mut() = format!("https://{HOST}/v1/workspaces").parse().unwrap();
        let (answer, _) = caller.begin(ask, true).await;
        while opened.world.upstream.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        let gate = opened.world.take_gate();
        let stopping = std::thread::spawn(move || gate.stop());
        // The listener is closed before connections are told.
        while TcpStream::connect(opened.world.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
        let got = Got::of(answer.await.unwrap()).await;
        assert_eq!((got.status, got.cut.is_none()), (200, true));
        // A goodbye, or the end of the socket right behind it.
        drop(caller.driver.await.unwrap());
        assert!(stopping.join().unwrap(), "nothing was cut");
    });
}
