//! Under a service manager: its sockets are taken, and it is told what it wants to know.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::http::connect;
use crate::support::{Call, Gate, PATIENCE, Setup, Site, eventually, service};

const ASK: &str = "GET /speech/api/v1/models HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n";

/// An address that is free at this moment.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The configuration of a gate with two listeners of which the second is a Unix socket.
fn configure(gate: &Gate, callers: SocketAddr, admin: SocketAddr, socket: &Path) {
    let path = gate.folder().join("config.toml");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replacen("127.0.0.1:0", &callers.to_string(), 1).replacen("127.0.0.1:0", &admin.to_string(), 1);
    let second = format!("[[listen]]\naddress = \"unix:{}\"\n[admin]", socket.display());
    fs::write(&path, text.replacen("[admin]", &second, 1)).unwrap();
}

fn answer(mut stream: impl Read + Write) -> String {
    stream.write_all(ASK.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Started by this, with what it writes at hand only if it fails.
fn spawn(mut command: Command) -> Child {
    command.stderr(Stdio::inherit()).spawn().unwrap()
}

fn end(mut child: Child) {
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let mut status = None;
    eventually("it ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.unwrap().success(), "{status:?}");
}

/// What came to the socket of a service manager.
fn told(manager: &UnixDatagram) -> String {
    let mut bytes = [0; 1024];
    let length = manager.recv(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

/// The caller comes before the program has been started, and is answered all the same; files of sockets that are the
/// manager's stay where they are.
#[test]
fn sockets_that_systemd_has_opened_are_taken_by_the_listeners_of_their_addresses() {
    let service = service();
    let mut gate = Gate::idle(&Setup::new([Site::speech(service.addr)]));
    let (callers, admin, socket) = (free(), free(), gate.folder().join("gate.sock"));
    configure(&gate, callers, admin, &socket);
    let places = [socket.display().to_string(), callers.to_string(), admin.to_string()];
    gate.by = vec!["systemd-socket-activate".to_owned()];
    gate.by.extend(places.iter().flat_map(|place| ["-l".to_owned(), place.clone()]));
    let program = spawn(gate.command());
    eventually("systemd-socket-activate listens", || connect(callers).is_ok());

    assert!(answer(connect(callers).unwrap()).starts_with("HTTP/1.1 200 "));
    assert!(answer(UnixStream::connect(&socket).unwrap()).starts_with("HTTP/1.1 200 "));
    assert_eq!(Call::get("/readyz").send(admin).unwrap().status, 200);

    end(program);
    assert!(socket.exists(), "it is not the gate's to remove");
}

/// P11: nobody calls a socket at which nobody listens.
#[test]
fn a_socket_for_which_no_listener_is_configured_is_a_fault() {
    let mut gate = Gate::idle(&Setup::new([Site::speech(SocketAddr::from(([127, 0, 0, 1], 1)))]));
    let other = free();
    gate.by = vec!["systemd-socket-activate".to_owned(), "-l".to_owned(), other.to_string()];
    let started = std::thread::spawn(move || gate.refused());
    // Its program is started by the first who calls.
    eventually("the program has been started", || connect(other).is_ok());

    let (code, said) = started.join().unwrap();

    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&format!("a socket was handed over for {other}")), "{said}");
}

/// A manager is told when the listeners are open, that all workers are alive, and that the end has begun.
#[test]
fn a_service_manager_is_told_of_the_beginning_the_pulse_and_the_end() {
    let service = service();
    let gate = Gate::idle(&Setup::new([Site::speech(service.addr)]));
    let (callers, admin, socket) = (free(), free(), gate.folder().join("gate.sock"));
    configure(&gate, callers, admin, &socket);
    let path = gate.folder().join("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = gate.command();
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "3000000");
    let program = spawn(command);

    let mut said = vec![told(&manager)];
    while !said.iter().any(|line| line == "READY=1\n") {
        said.push(told(&manager));
    }
    assert!(answer(connect(callers).unwrap()).starts_with("HTTP/1.1 200 "));
    assert!(answer(UnixStream::connect(&socket).unwrap()).starts_with("HTTP/1.1 200 "));
    while said.iter().filter(|line| *line == "WATCHDOG=1\n").count() < 2 {
        said.push(told(&manager));
    }
    end(program);
    let mut last = told(&manager);
    while last == "WATCHDOG=1\n" {
        last = told(&manager);
    }
    assert_eq!(last, "STOPPING=1\n");
    assert!(!socket.exists());
}
