//! The gate's reading of a connection against hyper's: both take the same requests off the same bytes, with the same body and
//! the same end, or the difference is one of the table in `differences.rs`, which says whose reading is right (P8, P9).

#![no_main]

mod differences;
mod oracle;
#[expect(dead_code, reason = "other targets use the rest")]
mod pieces;
mod sorted;
mod words;

use forgetgate::domain::refusal::Refusal;
use forgetgate::http1::{Fault, Head, ReadBuffer};
use forgetgate::proxy::{Hop, body_of};
use libfuzzer_sys::fuzz_target;

use self::pieces::{End, Pieces};
use self::sorted::Sorted;

fuzz_target!(|data: &[u8]| {
    let Some(([mode, step], rest)) = data.split_first_chunk::<2>().map(|(first, rest)| (*first, rest)) else { return };
    let bytes = words::spelt_out(mode & 1 != 0, rest);
    let step = if step == 0 { usize::MAX } else { usize::from(step) };
    let (ours, our_stop) = ours(&mut Pieces::of(&bytes, step, mode & 2 != 0));
    let (theirs, their_stop) = oracle::read(&bytes, step, mode & 2 != 0);
    let mut pairs = ours.iter().zip(&theirs);
    let unlike = pairs.find(|(ours, theirs)| !ours.is_like(theirs));
    let (our_next, their_next) = match unlike {
        Some((ours, theirs)) => (Some(ours), Some(theirs)),
        None => (ours.get(theirs.len()), theirs.get(ours.len())),
    };
    let last = ours.get(ours.len().min(theirs.len()).wrapping_sub(1));
    let case = Case { bytes: &bytes, ours: our_next, our_stop: &our_stop, theirs: their_next, their_stop, last };
    if !case.is_agreed() && differences::known(&case).is_none() {
        let sent = bytes.escape_ascii();
        let (ours, theirs) = ((case.ours, case.our_stop), (case.theirs, &case.their_stop));
        panic!("no row of the table is about this:\n{sent}\nours {ours:?}\ntheirs {theirs:?}\nbehind {:?}", case.last);
    }
});

/// A request, as one of the two has read it.
pub struct Message {
    pub method: String,
    pub target: String,
    pub http10: bool,
    pub lines: Sorted,
    pub body: Vec<u8>,
    pub is_whole: bool,
    pub trailers: Sorted,
}

impl Message {
    fn is_like(&self, other: &Self) -> bool {
        let head = |one: &Self| (one.method.clone(), one.target.clone(), one.http10, one.lines.clone());
        let ends_alike = self.is_whole == other.is_whole && self.trailers == other.trailers;
        head(self) == head(other) && ends_alike && self.body == other.body
    }

    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        self.lines.iter().filter(|(each, _)| each == name).map(|(_, value)| &value[..]).collect()
    }
}

/// Why one of the two reads no further.
#[derive(Debug)]
pub enum Stop {
    /// No whole head comes.
    Over,
    /// The request before was the last, as it said itself.
    Closed,
    /// The body before has no end, or a wrong one.
    InBody,
    /// This is no head.
    NoHead(Fault),
    /// This is a head that is refused before its body is looked at.
    Refused(Box<Head>, Refusal),
    /// hyper takes it for no request.
    Theirs,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = if self.is_whole { "whole" } else { "not whole" };
        write!(f, "{} {} with {:?}, {end}: ", self.method, self.target, texts(&self.lines))?;
        write!(f, "\"{}\" and {:?}", self.body.escape_ascii(), texts(&self.trailers))
    }
}

fn texts(lines: &[(String, Vec<u8>)]) -> Vec<String> {
    lines.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii())).collect()
}

/// Where the two part, or both end: what each reads there, if anything, and why it ends behind all that it reads.
pub struct Case<'a> {
    pub bytes: &'a [u8],
    pub ours: Option<&'a Message>,
    pub our_stop: &'a Stop,
    pub theirs: Option<&'a Message>,
    pub their_stop: Stop,
    /// The last one that both read alike.
    pub last: Option<&'a Message>,
}

impl Case<'_> {
    /// Both read the same to the same end.
    fn is_agreed(&self) -> bool {
        let refused = matches!(self.our_stop, Stop::NoHead(_) | Stop::Refused(..));
        match (self.ours, self.theirs) {
            // What hyper says behind the last request is only whether it saw another begin.
            (None, None) if matches!(self.our_stop, Stop::InBody | Stop::Closed) => true,
            (None, None) => refused == matches!(self.their_stop, Stop::Theirs),
            _ => false,
        }
    }
}

fn ours(stream: &mut Pieces<'_>) -> (Vec<Message>, Stop) {
    let (mut input, mut messages) = (ReadBuffer::default(), Vec::new());
    loop {
        let head = match next_head(&mut input, stream) {
            Ok(Some(head)) => head,
            Ok(None) => return (messages, Stop::Over),
            Err(fault) => return (messages, Stop::NoHead(fault)),
        };
        let body = match body_of(&head) {
            Ok(body) => body,
            Err(refusal) => return (messages, Stop::Refused(head, refusal)),
        };
        let read = pieces::read(body, &mut input, stream, usize::MAX);
        messages.push(Message {
            method: head.method.to_string(),
            target: head.uri.to_string(),
            http10: head.version == http::Version::HTTP_10,
            lines: sorted::lines(&head.lines),
            body: read.data,
            is_whole: read.end == End::Whole,
            trailers: sorted::lines(&read.trailers),
        });
        if read.end != End::Whole {
            return (messages, Stop::InBody);
        }
        if !Hop::of(&head, false).keep {
            return (messages, Stop::Closed);
        }
    }
}

fn next_head(input: &mut ReadBuffer, stream: &mut Pieces<'_>) -> Result<Option<Box<Head>>, Fault> {
    loop {
        let mut head = Head::taken();
        if !input.is_empty() && head.read(input.data())? {
            input.consume(head.bytes);
            return Ok(Some(head));
        }
        if pieces::fill(input, stream) == 0 {
            return Ok(None);
        }
    }
}
