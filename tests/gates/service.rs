//! A service that keeps what it is sent, by customer and item, some of it late; and forgets a customer when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use crate::support::upstream::{Bare, Head, answer_empty, labels};

/// What it takes at most between the last byte and keeping it, whether anybody still waits for the answer or not.
const LATE_MAX: Duration = Duration::from_millis(400);

/// Whose is what: items by customer.
#[derive(Debug, Default)]
struct Kept {
    items: BTreeMap<String, BTreeSet<String>>,
    deletes: BTreeMap<String, u32>,
}

/// A service.
pub(crate) struct Service {
    kept: Arc<Mutex<Kept>>,
    bare: Bare,
}

impl Service {
    pub(crate) fn start() -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let keeping = Arc::clone(&kept);
        let bare = Bare::start(move |socket| serve(socket, &keeping));
        Self { kept, bare }
    }

    pub(crate) const fn addr(&self) -> std::net::SocketAddr {
        self.bare.addr
    }

    /// What it has of a customer.
    pub(crate) fn items(&self, customer: &str) -> BTreeSet<String> {
        self.kept.lock().items.get(customer).cloned().unwrap_or_default()
    }

    /// How many deletes named this customer.
    pub(crate) fn deletes(&self, customer: &str) -> u32 {
        self.kept.lock().deletes.get(customer).copied().unwrap_or_default()
    }
}

fn serve(mut socket: TcpStream, kept: &Mutex<Kept>) {
    while let Ok(Some(head)) = Head::read(&mut socket) {
        let mut body = Vec::new();
        let length = head.length();
        if (&mut socket).take(length).read_to_end(&mut body).is_err() || body.len() as u64 != length {
            return;
        }
        // Most are quick.
        let part = fastrand::u64(0..100);
        let late = if part < 80 { part / 8 } else { fastrand::u64(0..LATE_MAX.as_millis().try_into().unwrap()) };
        thread::sleep(Duration::from_millis(late));
        if let Some(customer) = head.deletes() {
            let mut kept = kept.lock();
            kept.items.remove(&customer);
            *kept.deletes.entry(customer).or_default() += 1;
        } else if let Some(customer) = labels(head.0.as_bytes()).pop() {
            let item = String::from_utf8_lossy(&body).into_owned();
            kept.lock().items.entry(customer).or_default().insert(item);
        }
        if answer_empty(&mut socket).is_err() {
            return;
        }
    }
}
