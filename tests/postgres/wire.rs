//! A proxy before a server that understands the frames of PostgreSQL's protocol, to do what networks, poolers and other
//! servers do: answer a statement with an error, before it is executed or after; hold it; cut the connection at any byte.
//!
//! One task a connection. What the server answers is passed on in groups, each to its `ReadyForQuery`, so that a made-up answer
//! takes its place in the order of a pipeline.
#![allow(dead_code, reason = "several test programs share it, and each uses a part")]

#[path = "frames.rs"]
mod frames;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};

use self::frames::{error, frame, holds, refusal, text};

/// What becomes of a statement that a rule was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// The server never sees it; this SQLSTATE is the answer.
    Refuse(&'static str),
    /// The server executes it, and this SQLSTATE is the answer all the same.
    RefuseAfter(&'static str),
    /// The server never sees it; this SQLSTATE is the answer, and the connection ends.
    Fatal(&'static str),
    /// The server sees so many bytes of it, and the connection ends.
    CutRequest(usize),
    /// The server executes it, and so many bytes of the answer arrive before the connection ends.
    CutAnswer(usize),
    /// The answer waits until [`Wire::release`].
    Hold,
}

/// A proxy on loopback.
pub(crate) struct Wire {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    server: SocketAddr,
    rules: Mutex<Vec<(String, Act, bool)>>,
    seen: Mutex<Vec<String>>,
    /// So many bytes from the server reach the next connection before it ends.
    cut_next: Mutex<Option<usize>>,
    /// A parameter of the start that is refused, as a pooler does it.
    refused_at_start: Mutex<Option<&'static str>>,
    /// Counts the calls of `cut_all`.
    cuts: watch::Sender<u64>,
    released: watch::Sender<bool>,
    silent: watch::Sender<bool>,
    events: Mutex<Option<mpsc::UnboundedSender<String>>>,
}

impl Wire {
    /// A proxy before the server that listens at this port of loopback.
    pub(crate) fn before(port: u16) -> Self {
        let shared = Arc::new(Shared {
            server: SocketAddr::from(([127, 0, 0, 1], port)),
            rules: Mutex::default(),
            seen: Mutex::default(),
            cut_next: Mutex::default(),
            refused_at_start: Mutex::default(),
            cuts: watch::Sender::new(0),
            released: watch::Sender::new(false),
            silent: watch::Sender::new(false),
            events: Mutex::default(),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = accept(TcpListener::from_std(listener).unwrap(), &of_thread) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens, as a URL names a host.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// What becomes of the next statement in whose text this stands.
    pub(crate) fn once(&self, part: &str, act: Act) {
        self.shared.rules.lock().push((part.to_owned(), act, false));
    }

    /// What becomes of every statement in whose text this stands.
    pub(crate) fn always(&self, part: &str, act: Act) {
        self.shared.rules.lock().push((part.to_owned(), act, true));
    }

    /// Forgets all rules.
    pub(crate) fn clear(&self) {
        self.shared.rules.lock().clear();
    }

    /// So many bytes of the server's reach the next connection before it ends: also in the middle of the start.
    pub(crate) fn cut_next_after(&self, bytes: usize) {
        *self.shared.cut_next.lock() = Some(bytes);
    }

    /// Refuses connections that come with this parameter, in PgBouncer's words.
    pub(crate) fn refuse_at_start(&self, parameter: &'static str) {
        *self.shared.refused_at_start.lock() = Some(parameter);
    }

    /// Cuts every connection that is open.
    pub(crate) fn cut_all(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Lets go what is held, now and from now on.
    pub(crate) fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// From now on nothing passes and nothing ends, as on a network that loses everything; `false`: it passes again.
    pub(crate) fn lose_everything(&self, silent: bool) {
        self.shared.silent.send_replace(silent);
    }

    /// How many statements came in whose text this stands.
    pub(crate) fn seen(&self, part: &str) -> usize {
        self.shared.seen.lock().iter().filter(|statement| statement.contains(part)).count()
    }

    /// The text of each statement from now on, as it comes.
    pub(crate) fn statements(&self) -> mpsc::UnboundedReceiver<String> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.shared.events.lock() = Some(sender);
        receiver
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Shared {
    /// What is to be done with a statement, if a rule was made for it.
    fn judge(&self, statement: &str) -> Option<Act> {
        self.seen.lock().push(statement.to_owned());
        if let Some(events) = &*self.events.lock() {
            // Nobody may listen any more.
            drop(events.send(statement.to_owned()));
        }
        let mut rules = self.rules.lock();
        let at = rules.iter().position(|(part, _, _)| statement.contains(part))?;
        let (_, act, always) = rules[at].clone();
        if !always {
            rules.remove(at);
        }
        Some(act)
    }
}

async fn accept(listener: TcpListener, shared: &Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let mut cuts = shared.cuts.subscribe();
            tokio::select! {
                // Either side may go at any time, and that is all there is to it.
                _ = connection(client, &shared) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

/// A group of the answer: what ends with a `ReadyForQuery`.
enum Expected {
    /// As the server gives it.
    Answer,
    /// Read to its end, and another passed on.
    Replaced(&'static str),
    /// So many bytes of it pass.
    Cut(usize),
    /// It passes when it is released.
    Held,
    /// The server knows nothing of it.
    MadeUp(&'static str),
    /// The same, and the connection ends.
    Fatal(&'static str),
}

/// The frames of the client since its last `Sync`, and what is to be done with them.
#[derive(Default)]
struct Request {
    frames: Vec<u8>,
    act: Option<Act>,
}

struct Connection<'a> {
    client: TcpStream,
    server: TcpStream,
    shared: &'a Shared,
    request: Request,
    expected: VecDeque<Expected>,
    /// Of the answer that is being read.
    group: Vec<u8>,
    /// `I`, `T` or `E`, as the server said last.
    state: u8,
}

async fn connection(mut client: TcpStream, shared: &Shared) -> Option<()> {
    client.set_nodelay(true).ok()?;
    let start = start(&mut client).await?;
    let refused = shared.refused_at_start.lock().filter(|parameter| holds(&start, parameter));
    if let Some(parameter) = refused {
        client
            .write_all(&error("FATAL", "08P01", &format!("unsupported startup parameter: {parameter}")))
            .await
            .ok()?;
        return None;
    }
    let mut server = TcpStream::connect(shared.server).await.ok()?;
    server.set_nodelay(true).ok()?;
    server.write_all(&start).await.ok()?;
    let mut expected = VecDeque::new();
    let cut = shared.cut_next.lock().take();
    expected.push_back(cut.map_or(Expected::Answer, Expected::Cut));
    let (request, group) = (Request::default(), Vec::new());
    Connection { client, server, shared, request, expected, group, state: b'I' }.run().await
}

/// The first packet, once TLS and GSS were declined.
async fn start(client: &mut TcpStream) -> Option<Vec<u8>> {
    loop {
        let mut packet = vec![0; 4];
        client.read_exact(&mut packet).await.ok()?;
        let length = u32::from_be_bytes(packet.clone().try_into().ok()?) as usize;
        packet.resize(length, 0);
        client.read_exact(packet.get_mut(4..)?).await.ok()?;
        match u32::from_be_bytes(packet.get(4..8)?.try_into().ok()?) {
            80_877_103 | 80_877_104 => client.write_all(b"N").await.ok()?,
            _ => return Some(packet),
        }
    }
}

impl Connection<'_> {
    /// Until either side ends or is cut off.
    async fn run(mut self) -> Option<()> {
        let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
        let mut silent = self.shared.silent.subscribe();
        loop {
            silent.wait_for(|silent| !silent).await.ok()?;
            tokio::select! {
                read = self.client.read_buf(&mut from_client) => {
                    if read.ok()? == 0 {
                        return None;
                    }
                    silent.wait_for(|silent| !silent).await.ok()?;
                    while let Some(frame) = frame(&mut from_client) {
                        self.asked(&frame).await?;
                    }
                }
                read = self.server.read_buf(&mut from_server) => {
                    if read.ok()? == 0 {
                        return None;
                    }
                    silent.wait_for(|silent| !silent).await.ok()?;
                    while let Some(frame) = frame(&mut from_server) {
                        self.answered(&frame).await?;
                    }
                }
            }
        }
    }

    /// A frame of the client's.
    async fn asked(&mut self, frame: &[u8]) -> Option<()> {
        let text = match frame[0] {
            b'Q' => text(frame.get(5..)?),
            // The statement's own name comes first.
            b'P' => text(frame.get(5..)?.split(|b| *b == 0).nth(1)?),
            _ => None,
        };
        if let Some(act) = text.and_then(|text| self.shared.judge(&text)) {
            self.request.act.get_or_insert(act);
        }
        self.request.frames.extend_from_slice(frame);
        match frame[0] {
            b'Q' | b'S' => self.send().await,
            // What is no statement (the password, the end) is answered out of turn, or not at all.
            b'p' | b'X' | b'd' | b'c' | b'f' => {
                let frames = std::mem::take(&mut self.request.frames);
                self.server.write_all(&frames).await.ok()
            }
            _ => Some(()),
        }
    }

    /// All frames of a request are there.
    async fn send(&mut self) -> Option<()> {
        let Request { frames, act } = std::mem::take(&mut self.request);
        let expected = match act {
            None => Expected::Answer,
            Some(Act::RefuseAfter(code)) => Expected::Replaced(code),
            Some(Act::CutAnswer(bytes)) => Expected::Cut(bytes),
            Some(Act::Hold) => Expected::Held,
            Some(Act::Refuse(code)) => {
                self.expected.push_back(Expected::MadeUp(code));
                return self.made_up().await;
            }
            Some(Act::Fatal(code)) => {
                self.expected.push_back(Expected::Fatal(code));
                return self.made_up().await;
            }
            Some(Act::CutRequest(bytes)) => {
                self.server.write_all(frames.get(..bytes).unwrap_or(&frames)).await.ok()?;
                return None;
            }
        };
        self.expected.push_back(expected);
        self.server.write_all(&frames).await.ok()
    }

    /// A frame of the server's.
    async fn answered(&mut self, frame: &[u8]) -> Option<()> {
        let whole = frame[0] == b'Z';
        match self.expected.front_mut() {
            // Notices and notifications come at any time.
            None => return self.client.write_all(frame).await.ok(),
            Some(Expected::Answer) => self.client.write_all(frame).await.ok()?,
            Some(Expected::Cut(left)) => {
                let passed = frame.get(..*left).unwrap_or(frame);
                self.client.write_all(passed).await.ok()?;
                *left -= passed.len();
                // An answer that is shorter than that has arrived as a whole, and the connection ends behind it.
                if *left == 0 || whole {
                    return None;
                }
            }
            Some(_) => self.group.extend_from_slice(frame),
        }
        if !whole {
            return Some(());
        }
        self.state = *frame.get(5)?;
        let group = std::mem::take(&mut self.group);
        match self.expected.pop_front()? {
            Expected::Replaced(code) => {
                self.client.write_all(&refusal("ERROR", code, self.state)).await.ok()?;
            }
            Expected::Held => {
                self.shared.released.subscribe().wait_for(|released| *released).await.ok()?;
                self.client.write_all(&group).await.ok()?;
            }
            _ => {}
        }
        self.made_up().await
    }

    /// Gives the answers that are made up, as far as it is their turn.
    async fn made_up(&mut self) -> Option<()> {
        loop {
            match self.expected.front() {
                Some(Expected::MadeUp(code)) => {
                    // A transaction that failed waits for its end, which the server takes from a good one too.
                    let state = if self.state == b'I' { b'I' } else { b'E' };
                    self.client.write_all(&refusal("ERROR", code, state)).await.ok()?;
                    self.expected.pop_front();
                }
                Some(Expected::Fatal(code)) => {
                    self.client.write_all(&error("FATAL", code, "made up")).await.ok()?;
                    return None;
                }
                _ => return Some(()),
            }
        }
    }
}
