//! Starting and stopping a stand-in. Each has a thread and a runtime of its own, so that nothing that the caller's
//! runtime does, or fails to do, is mistaken for the service's behaviour.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Kind;
use crate::handle::handle;
use crate::knobs::{Fault, Options, Shared, Silence};
use crate::memory::Row;
use crate::seen::Seen;
use crate::tap::{Heads, Tapped};

/// Starts stand-ins.
#[derive(Clone, Copy, Debug)]
pub struct Service;

impl Service {
    /// Starts one. Port 0 takes any free port; [`Running::addr`] says which.
    ///
    /// # Errors
    /// When the address cannot be listened at, or the thread cannot be started.
    pub fn start(kind: Kind, addr: SocketAddr, options: Options) -> io::Result<Running> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(addr))?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::new(options));
        let (orders, received) = mpsc::unbounded_channel();
        let server = Server { kind, addr, shared: Arc::clone(&shared) };
        let thread = std::thread::Builder::new()
            .name(format!("stand-in {}", kind.name()))
            .spawn(move || runtime.block_on(server.serve(listener, received)))?;
        Ok(Running { kind, addr, shared, orders: Some(orders), thread: Some(thread) })
    }
}

/// A stand-in that runs until it is dropped.
#[derive(Debug)]
pub struct Running {
    /// What it stands in for.
    pub kind: Kind,
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    orders: Option<mpsc::UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// The requests that came, in the order of their heads.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.record.lock().all()
    }

    /// Forgets the requests that came; what is stored stays.
    pub fn forget_seen(&self) {
        self.shared.record.lock().clear();
    }

    /// How many connections were ever accepted.
    #[must_use]
    pub fn connections(&self) -> u64 {
        *self.shared.connections.lock()
    }

    /// Each customer of whom something is stored and how many pieces; `None` counts what came without a label.
    #[must_use]
    pub fn holdings(&self) -> Vec<(Option<String>, usize)> {
        self.shared.memory.lock().holdings()
    }

    /// How many pieces of data of this customer are stored.
    #[must_use]
    pub fn holds(&self, customer: &str) -> usize {
        self.shared.memory.lock().rows().iter().filter(|row| row.is_of(customer)).count()
    }

    /// Everything that is stored, the oldest first.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        self.shared.memory.lock().rows().to_vec()
    }

    /// From now on deletes are answered with this status; only a 2xx deletes anything. `retry_after` is in seconds.
    pub fn answer_deletes_with(&self, status: u16, retry_after: Option<u64>) {
        *self.shared.delete_fault.lock() = Some(Fault { status, retry_after });
    }

    /// The same for all other calls; only a status below 300 leaves them as they are.
    pub fn answer_calls_with(&self, status: u16, retry_after: Option<u64>) {
        *self.shared.call_fault.lock() = Some(Fault { status, retry_after });
    }

    /// Takes back [`Self::answer_deletes_with`] and [`Self::answer_calls_with`].
    pub fn answer_as_usual(&self) {
        *self.shared.delete_fault.lock() = None;
        *self.shared.call_fault.lock() = None;
    }

    /// Each call waits so long after it was read and before it has an effect: at random within the range.
    pub fn delay(&self, range: Range<Duration>) {
        *self.shared.delay.lock() = range;
    }

    /// Reads these calls and does not answer. What was kept waiting goes on when the silence ends.
    pub fn hang(&self, silence: Silence) {
        self.shared.silence.send_replace(silence);
    }

    /// Stops listening and cuts every connection; what is stored stays.
    pub fn go_down(&self) {
        let (done, finished) = blocking::channel();
        self.order(Order::Down(done), &finished);
    }

    /// Listens again at the same address.
    ///
    /// # Errors
    /// When the port was taken meanwhile.
    pub fn come_up(&self) -> io::Result<()> {
        let (done, finished) = blocking::channel();
        self.order(Order::Up(done), &finished).unwrap_or(Ok(()))
    }

    /// Gives an order and waits until it is carried out. `None` only if the server's thread is gone.
    fn order<T>(&self, order: Order, finished: &blocking::Receiver<T>) -> Option<T> {
        self.orders.as_ref()?.send(order).ok()?;
        finished.recv().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A closed channel ends the server; the runtime goes with its thread.
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            debug_assert!(ended.is_ok() || std::thread::panicking(), "the stand-in panicked");
        }
    }
}

enum Order {
    Down(blocking::Sender<()>),
    Up(blocking::Sender<io::Result<()>>),
}

/// The part that runs on the stand-in's own thread.
struct Server {
    kind: Kind,
    addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    async fn serve(self, listener: TcpListener, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut listener = Some(listener);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    None => return,
                    Some(Order::Down(done)) => {
                        listener = None;
                        connections.shutdown().await;
                        inform(&done, ());
                    }
                    Some(Order::Up(done)) => inform(&done, self.listen(&mut listener).await),
                },
                socket = accept(listener.as_ref()) => {
                    connections.spawn(self.converse(socket));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn listen(&self, listener: &mut Option<TcpListener>) -> io::Result<()> {
        if listener.is_none() {
            *listener = Some(TcpListener::bind(self.addr).await?);
        }
        Ok(())
    }

    /// Serves one connection to its end.
    fn converse(&self, socket: TcpStream) -> impl Future<Output = ()> + use<> {
        let connection = {
            let mut count = self.shared.connections.lock();
            *count += 1;
            *count
        };
        let heads = Heads::default();
        let (kind, shared) = (self.kind, Arc::clone(&self.shared));
        let tapped = TokioIo::new(Tapped { socket, heads: Arc::clone(&heads) });
        let opened = Arc::new(Mutex::new(None));
        let opening = Arc::clone(&opened);
        let service = service_fn(move |request| {
            let call = handle(kind, Arc::clone(&shared), connection, heads.lock().take(), request);
            let opening = Arc::clone(&opening);
            async move {
                let (response, dialogue) = call.await;
                *opening.lock() = dialogue;
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let serving = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .title_case_headers(true)
            .serve_connection(tapped, service)
            .with_upgrades();
        async move {
            // A connection that breaks is the peer's affair; what came over it is on record.
            drop(serving.await);
            let dialogue = opened.lock().take();
            if let Some(dialogue) = dialogue {
                dialogue.hold().await;
            }
        }
    }
}

/// The next connection; none as long as there is no listener.
async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                // Without this small answers wait for acknowledgements; a socket that refuses it works all the same.
                drop(socket.set_nodelay(true));
                return socket;
            }
            // Out of descriptors, or a peer that left at once: look again shortly.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Tells the caller of an order that it was carried out; a caller that no longer waits needs no answer.
fn inform<T>(done: &blocking::Sender<T>, outcome: T) {
    drop(done.send(outcome));
}
