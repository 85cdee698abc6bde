//! The services' machine: at port 80 one that says what it was asked, at port 443 the same over TLS, with a certificate
//! of its own for `other.test`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::spawn;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::namespace::{FOLDER, SERVICES};

/// The host that no upstream names.
pub(crate) const OTHER: &str = "other.test";

/// How many requests there were.
static REQUESTS: AtomicUsize = AtomicUsize::new(0);

/// Serves until the process is ended.
pub(crate) fn serve() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec![OTHER.to_owned()]).unwrap().self_signed(&key).unwrap();
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    std::fs::write(folder.join("other.pem"), certificate.pem()).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let mut serving = Vec::new();
    for host in SERVICES {
        let seen = std::fs::File::options().create(true).append(true).open(folder.join(format!("seen-{host}")));
        let seen = Arc::new(Mutex::new(seen.unwrap()));
        for port in [80, 443] {
            let listener = TcpListener::bind((host, port)).unwrap();
            let (config, seen) = (Arc::clone(&config), Arc::clone(&seen));
            serving.push(spawn(move || {
                for socket in listener.incoming() {
                    let (socket, config) = (socket.unwrap(), Arc::clone(&config));
                    let seen = Arc::clone(&seen);
                    spawn(move || {
                        if port == 80 {
                            return answer(socket, &seen);
                        }
                        answer(StreamOwned::new(ServerConnection::new(config).unwrap(), socket), &seen);
                    });
                }
            }));
        }
    }
    for each in serving {
        each.join().unwrap();
    }
}

/// Each answer is the head of its request, with the number of the request before it; and the head is noted.
fn answer(mut stream: impl Read + Write, seen: &Mutex<std::fs::File>) {
    let mut read = Vec::new();
    loop {
        let head_ends = |read: &[u8]| memchr::memmem::find(read, b"\r\n\r\n").map(|at| at + 4);
        let end = loop {
            if let Some(end) = head_ends(&read) {
                break end;
            }
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer) {
                Ok(length @ 1..) => read.extend_from_slice(&buffer[..length]),
                Ok(0) | Err(_) => return,
            }
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        let line =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned));
        let length: usize = line.map_or(0, |length| length.trim().parse().unwrap());
        while read.len() < end + length {
            let mut buffer = [0; 4096];
            let came = stream.read(&mut buffer).unwrap();
            read.extend_from_slice(&buffer[..came]);
        }
        read.drain(..end + length);
        seen.lock().unwrap().write_all(head.as_bytes()).unwrap();
        let body = format!("{}\n{head}", REQUESTS.fetch_add(1, Ordering::SeqCst) + 1);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
