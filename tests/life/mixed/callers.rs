//! The callers. Each does one thing again and again and knows every right answer to it: a service that is away excuses a
//! 502, a 504 and an answer that is cut, and nothing else does.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Scope};
use std::time::Duration;

use tokio::time::Instant;

use super::service::{Restarting, digest, download};
use super::talk::{Answer, Talk};

/// Between two calls of one caller.
const PAUSE: Duration = Duration::from_millis(15);

/// Where they are.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) gate: SocketAddr,
    pub(super) services: &'a [Restarting; 2],
    pub(super) open: &'a Arc<AtomicBool>,
}

type Act = fn(&mut Caller<'_>);

/// What callers do, and how many of each there are.
const KINDS: [(&str, usize, Act); 8] = [
    ("messages", 4, |caller| caller.message()),
    ("uploads", 2, |caller| caller.upload()),
    ("downloads", 2, |caller| caller.download()),
    ("deletes", 1, |caller| caller.delete()),
    ("websockets", 3, |caller| caller.websocket()),
    ("refused", 1, |caller| caller.refused()),
    ("leaving", 2, |caller| caller.leave()),
    ("reloaded routes", 1, |caller| caller.elsewhere()),
];

/// All callers: how often each kind was answered, and how often that was excused.
#[derive(Default)]
pub(super) struct Callers {
    counts: [(AtomicU64, AtomicU64); KINDS.len()],
}

impl Callers {
    pub(super) fn start<'s>(&'s self, scope: &'s Scope<'s, '_>, field: Field<'s>) {
        for ((name, number, act), (right, excused)) in KINDS.iter().zip(&self.counts) {
            for nth in 0..*number {
                scope.spawn(move || {
                    let service = nth % 2;
                    let mut caller = Caller { name, field, service, nth, round: 0, talk: None, right, excused };
                    // One that finds something wrong ends it for all.
                    let _closing = Closing(field.open);
                    while field.open.load(Ordering::SeqCst) {
                        act(&mut caller);
                        caller.round += 1;
                        thread::sleep(PAUSE);
                    }
                });
            }
        }
    }

    pub(super) fn told(&self) -> String {
        let told = KINDS.iter().zip(&self.counts).map(|((name, ..), (right, excused))| {
            format!("{name} {} ({} excused)", right.load(Ordering::SeqCst), excused.load(Ordering::SeqCst))
        });
        told.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn assert_all_took_part(&self) {
        for ((name, ..), (right, excused)) in KINDS.iter().zip(&self.counts) {
            let (right, excused) = (right.load(Ordering::SeqCst), excused.load(Ordering::SeqCst));
            assert!(right > 5 && excused * 2 < right, "{name}: {right} right, {excused} excused");
        }
    }
}

struct Closing<'a>(&'a AtomicBool);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

struct Caller<'a> {
    name: &'static str,
    field: Field<'a>,
    service: usize,
    nth: usize,
    round: usize,
    talk: Option<Talk>,
    right: &'a AtomicU64,
    excused: &'a AtomicU64,
}

impl Caller<'_> {
    fn upstream(&self) -> &'static str {
        ["speech", "other"][self.service]
    }

    /// Asks over the connection that there is, or a new one; `None` if it was excused.
    fn ask(&mut self, head: &str, body: &[u8]) -> Option<Answer> {
        let began = Instant::now();
        let answer = self.asked(head, body);
        let excuse = self.field.services[self.service].was_away(began, Instant::now());
        match answer {
            Ok(answer) if ![502, 504].contains(&answer.status) => Some(answer),
            wrong if excuse => {
                if wrong.is_err() {
                    self.talk = None;
                }
                self.excused.fetch_add(1, Ordering::SeqCst);
                None
            }
            wrong => panic!("{}, round {}: {wrong:?}\n{head}", self.name, self.round),
        }
    }

    fn asked(&mut self, head: &str, body: &[u8]) -> io::Result<Answer> {
        let talk = match &mut self.talk {
            Some(talk) => talk,
            none => none.insert(Talk::to(self.field.gate)?),
        };
        let answer = talk.ask(head, body)?;
        if answer.head.to_ascii_lowercase().contains("connection: close") {
            self.talk = None;
        }
        Ok(answer)
    }

    fn was_right(&self, is_right: bool, answer: &Answer) {
        assert!(is_right, "{}, round {}: {} {}", self.name, self.round, answer.head, answer.body.len());
        self.right.fetch_add(1, Ordering::SeqCst);
    }

    fn recognize(&self, customer: &str, framing: &str) -> String {
        let upstream = self.upstream();
        format!(
            "POST /{upstream}/api/v1/recognize HTTP/1.1\r\nHost: gate\r\nX-Watson-Metadata: customer_id={customer}\r\n{framing}\r\n"
        )
    }

    fn message(&mut self) {
        let body = format!("{} {}", self.nth, self.round).into_bytes();
        let head = self.recognize(&format!("gone{}", self.round % 50), &format!("Content-Length: {}", body.len()));
        if let Some(answer) = self.ask(&head, &body) {
            self.was_right(answer.status == 200 && answer.body == digest(&body).as_bytes(), &answer);
        }
    }

    fn upload(&mut self) {
        let bytes = vec![b'a' + u8::try_from(self.round % 26).unwrap(); 200_000 + 1000 * (self.round % 500)];
        let chunked = self.round % 2 == 0;
        let framing =
            if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {}", bytes.len()) };
        let head = self.recognize(&format!("up{}", self.round % 50), &framing);
        let body = if chunked {
            [format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n0\r\n\r\n"].concat()
        } else {
            bytes.clone()
        };
        if let Some(answer) = self.ask(&head, &body) {
            self.was_right(answer.status == 200 && answer.body == digest(&bytes).as_bytes(), &answer);
        }
        thread::sleep(PAUSE * 10);
    }

    fn download(&mut self) {
        let head = format!("GET /{}/api/v1/models HTTP/1.1\r\nHost: gate\r\n", self.upstream());
        if let Some(answer) = self.ask(&head, b"") {
            self.was_right(answer.status == 200 && answer.body == download(), &answer);
        }
        thread::sleep(PAUSE * 10);
    }

    /// Accepted whether the service is there or not: the gate sees to it.
    fn delete(&mut self) {
        let customer = format!("gone{}", self.round % 50);
        let head =
            format!("DELETE /{}/api/v1/user_data?customer_id={customer} HTTP/1.1\r\nHost: gate\r\n", self.upstream());
        if let Some(answer) = self.ask(&head, b"") {
            let is_accepted = answer.status == 202 && answer.head.to_ascii_lowercase().contains("forgetgate-erasure: ");
            self.was_right(is_accepted, &answer);
        }
        thread::sleep(PAUSE * 60);
    }

    /// Stays open over several reloads; whatever is sent comes back.
    fn websocket(&mut self) {
        let began = Instant::now();
        let echoed = self.echo();
        if self.field.services[self.service].was_away(began, Instant::now()) {
            self.excused.fetch_add(1, Ordering::SeqCst);
            thread::sleep(PAUSE * 20);
        } else {
            echoed.unwrap_or_else(|error| panic!("{}, round {}: {error}", self.name, self.round));
            self.right.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn echo(&self) -> io::Result<()> {
        let mut talk = Talk::to(self.field.gate)?;
        let head = format!(
            "GET /{}/api/v1/recognize?x-watson-metadata=customer_id%3Dsocket{} HTTP/1.1\r\nHost: gate\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.upstream(),
            self.nth
        );
        talk.socket().write_all(head.as_bytes())?;
        let head = talk.head()?;
        if !head.starts_with("HTTP/1.1 101 ") {
            return Err(io::Error::other(head));
        }
        // Some are short, and some live through a reload or two.
        for frame in 0..[3, 10, 60][self.round % 3] {
            let text = [frame; 100];
            let bytes = [&[0x82, 0x80 | 100, 0, 0, 0, 0][..], &text].concat();
            talk.socket().write_all(&bytes)?;
            if talk.exactly(bytes.len())? != bytes {
                return Err(io::Error::other("something else came back"));
            }
            thread::sleep(PAUSE * 10);
            if !self.field.open.load(Ordering::SeqCst) {
                break;
            }
        }
        Ok(())
    }

    /// What no policy lets through, and what one of them refuses and the other rewrites.
    fn refused(&mut self) {
        let upstream = self.upstream();
        let unlabelled = format!("POST /{upstream}/api/v1/recognize HTTP/1.1\r\nHost: gate\r\nContent-Length: 0\r\n");
        let personal = self.recognize("alice%40example.com", "Content-Length: 0");
        let nowhere = "GET /nowhere/v1/models HTTP/1.1\r\nHost: gate\r\n".to_owned();
        let twins = self.recognize("one", "X_Watson_Metadata: customer_id=two\r\nContent-Length: 0");
        let cases: [(String, &[(u16, Option<&str>)]); 4] = [
            (unlabelled, &[(400, Some("label_missing"))]),
            (personal, &[(400, Some("label_personal")), (200, None)]),
            (nowhere, &[(404, Some("upstream_unknown"))]),
            (twins, &[(400, Some("header_ambiguous"))]),
        ];
        for (head, right) in cases {
            if let Some(answer) = self.ask(&head, b"") {
                self.was_right(right.contains(&(answer.status, answer.refusal())), &answer);
            }
        }
    }

    /// Leaves in the middle of a request, or behind it. There is no answer that could be wrong, only what is left behind.
    fn leave(&mut self) {
        let head = self.recognize(&format!("left{}", self.round % 50), "Content-Length: 5000");
        let body = vec![b'x'; if self.round % 2 == 0 { 2000 } else { 5000 }];
        // The gate may be quicker to close than this is to write.
        drop(Talk::to(self.field.gate).and_then(|mut talk| {
            talk.socket().write_all(head.as_bytes())?;
            talk.socket().write_all(b"\r\n")?;
            talk.socket().write_all(&body)
        }));
        self.right.fetch_add(1, Ordering::SeqCst);
        thread::sleep(PAUSE * 3);
    }

    /// An upstream that comes and goes with the configuration, and one that moves with it.
    fn elsewhere(&mut self) {
        for (upstream, comes_and_goes) in [("extra", true), ("moving", false)] {
            let head = format!("GET /{upstream}/api/v1/models HTTP/1.1\r\nHost: gate\r\n");
            let began = Instant::now();
            let answer = self.asked(&head, b"");
            let excuse = self.field.services.iter().any(|service| service.was_away(began, Instant::now()));
            match answer {
                Ok(answer) if answer.status == 200 => self.was_right(answer.body == download(), &answer),
                Ok(answer) if answer.status == 404 => {
                    self.was_right(comes_and_goes && answer.refusal() == Some("upstream_unknown"), &answer);
                }
                wrong if excuse => {
                    if wrong.is_err() {
                        self.talk = None;
                    }
                    self.excused.fetch_add(1, Ordering::SeqCst);
                }
                wrong => panic!("{}, round {}: {wrong:?}", self.name, self.round),
            }
        }
        thread::sleep(PAUSE * 5);
    }
}
