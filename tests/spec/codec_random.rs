//! Random requests and answers that are sound, in random pieces: what arrives is what was sent, in both directions (P8).

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

use crate::client::{latin1, request};
use crate::codec_wire::{GET, Script, echoing, in_pieces};
use crate::upstream::Seen;

/// The most pieces that one side writes.
const PIECES_MAX: usize = 6;

#[derive(Clone, Debug)]
enum Framing {
    None,
    Length,
    /// Sizes of the chunks, the last for what is left; an extension; in upper case?
    Chunks(Vec<usize>, String, bool),
}

/// Either kind of message behind its first line.
#[derive(Clone, Debug)]
struct Message {
    /// Name, blanks before the value, value, blanks behind it.
    lines: Vec<(String, String, Vec<u8>, String)>,
    body: Vec<u8>,
    framing: Framing,
    /// Before which of the lines its framing stands.
    framing_at: Index,
}

impl Message {
    /// The lines as they must arrive.
    fn wanted(&self) -> Vec<String> {
        self.lines.iter().map(|(name, _, value, _)| format!("{name}: {}", latin1(value))).collect()
    }

    fn body(&self) -> &[u8] {
        if matches!(self.framing, Framing::None) { b"" } else { &self.body }
    }

    /// Everything behind the first line.
    fn bytes(&self) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = self
            .lines
            .iter()
            .map(|(name, before, value, behind)| {
                [name.as_bytes(), b":", before.as_bytes(), value, behind.as_bytes()].concat()
            })
            .collect();
        let framing = match &self.framing {
            Framing::None => None,
            Framing::Length => Some(format!("Content-Length: {}", self.body.len())),
            Framing::Chunks(..) => Some("Transfer-Encoding: chunked".to_owned()),
        };
        if let Some(framing) = framing {
            lines.insert(self.framing_at.index(lines.len() + 1), framing.into_bytes());
        }
        let mut bytes: Vec<u8> = lines.into_iter().flat_map(|line| [&line[..], b"\r\n"].concat()).collect();
        bytes.extend_from_slice(b"\r\n");
        match &self.framing {
            Framing::None => {}
            Framing::Length => bytes.extend_from_slice(&self.body),
            Framing::Chunks(sizes, extension, upper) => bytes.extend(chunks(&self.body, sizes, extension, *upper)),
        }
        bytes
    }
}

fn chunks(mut body: &[u8], sizes: &[usize], extension: &str, upper: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for size in sizes.iter().copied().chain([usize::MAX]) {
        let (chunk, rest) = body.split_at(size.min(body.len()));
        if !chunk.is_empty() {
            let size = if upper { format!("{:X}", chunk.len()) } else { format!("{:x}", chunk.len()) };
            bytes.extend([size.as_bytes(), extension.as_bytes(), b"\r\n", chunk, b"\r\n"].concat());
        }
        body = rest;
    }
    bytes.extend([b"0", extension.as_bytes(), b"\r\n\r\n"].concat());
    bytes
}

/// Lines that nobody on the way has an opinion about. One name may have several, one behind the other.
fn lines() -> impl Strategy<Value = Vec<(String, String, Vec<u8>, String)>> {
    let name = "[zZ][wqWQ][A-Za-z0-9!#$%&'*+^`|~-]{0,20}";
    let blanks = || select(vec!["", " ", "\t", "  \t "]).prop_map(str::to_owned);
    let ends = any::<u8>().prop_filter("visible", |byte| *byte > 0x20 && *byte != 0x7f);
    let inner = any::<u8>().prop_filter("text", |byte| (*byte >= 0x20 && *byte != 0x7f) || *byte == b'\t');
    let value = prop_oneof![
        1 => Just(Vec::new()),
        8 => (ends.clone(), vec(inner, 0..60), ends).prop_map(|(first, mut inner, last)| {
            inner.insert(0, first);
            inner.push(last);
            inner
        }),
    ];
    let several = (name, vec((blanks(), value, blanks()), 1..3));
    vec(several, 0..8).prop_map(|all| {
        let mut lines = Vec::new();
        for (at, (name, values)) in all.into_iter().enumerate() {
            lines.extend(
                values.into_iter().map(|(before, value, behind)| (format!("{name}{at}"), before, value, behind)),
            );
        }
        lines
    })
}

fn message(framings: impl Strategy<Value = Framing>) -> impl Strategy<Value = Message> {
    let body = prop_oneof![4 => vec(any::<u8>(), 0..300), 1 => vec(any::<u8>(), 8_000..40_000)];
    (lines(), body, framings, any::<Index>()).prop_map(|(lines, body, framing, framing_at)| Message {
        lines,
        body,
        framing,
        framing_at,
    })
}

fn chunked() -> impl Strategy<Value = Framing> {
    let extension = select(vec!["", ";a", ";a=b;c=\"d e\"", " ;x"]).prop_map(str::to_owned);
    (vec(prop_oneof![1..20_usize, 1..5_000_usize], 0..12), extension, any::<bool>())
        .prop_map(|(sizes, extension, upper)| Framing::Chunks(sizes, extension, upper))
}

fn any_framing() -> impl Strategy<Value = Framing> {
    prop_oneof![Just(Framing::None), Just(Framing::Length), chunked()]
}

/// The bytes, cut at these places.
fn pieces(bytes: &[u8], cuts: &[Index]) -> Vec<Vec<u8>> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).chain([0, bytes.len()]).collect();
    cuts.sort_unstable();
    cuts.windows(2).map(|ends| bytes[ends[0]..ends[1]].to_vec()).filter(|piece| !piece.is_empty()).collect()
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..PIECES_MAX)
}

/// The lines that are not about framing and not the gate's own.
fn foreign<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let names =
        ["host:", "content-length:", "transfer-encoding:", "via:", "x-request-id:", "traceparent:", "connection:"];
    let is_ours = |line: &str| names.iter().any(|name| line.to_ascii_lowercase().starts_with(name));
    // A line of no value may have a blank behind its colon or none.
    let even = |line: &str| if line.find(':') == Some(line.len() - 1) { format!("{line} ") } else { line.to_owned() };
    lines.filter(|line| !is_ours(line)).map(even).collect()
}

fn run<S: Strategy>(strategy: &S, test: impl Fn(S::Value) -> TestCaseResult) {
    let config = Config { cases: 64, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    TestRunner::new(config).run(strategy, test).unwrap_or_else(|error| panic!("{error}"));
}

fn check_request(seen: &Seen, (method, target, sent): &(String, String, Message)) -> TestCaseResult {
    prop_assert_eq!(seen.line(), format!("{method} {target} HTTP/1.1"));
    prop_assert_eq!(foreign(seen.head.split("\r\n").skip(1)), sent.wanted());
    prop_assert!(seen.body == sent.body(), "{} bytes of {}", seen.body.len(), sent.body().len());
    let (lengths, codings) = (seen.values("content-length"), seen.values("transfer-encoding"));
    match sent.framing {
        Framing::None => prop_assert!(lengths.is_empty() && codings.is_empty()),
        Framing::Length => prop_assert_eq!((lengths, codings), (vec![sent.body.len().to_string()], vec![])),
        Framing::Chunks(..) => prop_assert_eq!((lengths, codings), (vec![], vec!["chunked".to_owned()])),
    }
    Ok(())
}

#[test]
fn p8_random_requests_arrive_as_they_were_sent() {
    let world = echoing();
    let method = select(vec!["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "M-SEARCH", "!$%&'*+-.^_`|~"]);
    let target = "/v9/[A-Za-z0-9~!$&'()*+,=:@-]{0,30}(\\?[A-Za-z0-9~!$&'()*+,=:@/?-]{0,30})?";
    let one = (method.prop_map(str::to_owned), target, message(any_framing()));
    run(&(vec(one, 1..5), cuts()), |(requests, cuts)| {
        let mut bytes = Vec::new();
        for (method, target, sent) in &requests {
            bytes.extend(format!("{method} /api{target} HTTP/1.1\r\nHost: gate\r\n").into_bytes());
            bytes.extend(sent.bytes());
        }
        let before = world.upstream.seen().len();
        let mut client = world.client();
        prop_assert!(in_pieces(&client.socket, pieces(&bytes, &cuts)));
        for (_, target, sent) in &requests {
            let answer = client.answer();
            prop_assert_eq!(answer.status, 200, "{}", answer.head);
            prop_assert!(answer.body == [target.as_bytes(), b" ", sent.body()].concat(), "an answer to another");
        }
        let seen = world.upstream.seen().split_off(before);
        prop_assert_eq!(seen.len(), requests.len());
        seen.iter().zip(&requests).try_for_each(|(seen, sent)| check_request(seen, sent))
    });
    assert_eq!(world.upstream.connections(), 1);
}

#[test]
fn p8_random_answers_arrive_as_they_were_given() {
    let script = Script::default();
    let world = script.world();
    let reason = "[A-Za-z0-9 ,;:'\"()-]{0,20}[a-z]";
    let interim = select(vec!["", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early\r\nLink: a\r\n\r\n"]);
    let framings = prop_oneof![Just(Framing::Length), chunked()];
    let one = (200..600_u16, reason, interim, message(framings), cuts());
    run(&vec(one, 1..4), |answers| {
        let mut client = world.client();
        for (status, reason, interim, sent, cuts) in &answers {
            // These have no body by their number: another test is about them.
            let status = if matches!(status, 204 | 205 | 304) { 200 } else { *status };
            let mut bytes = format!("{interim}HTTP/1.1 {status} {reason}\r\n").into_bytes();
            bytes.extend(sent.bytes());
            script.will(pieces(&bytes, cuts));
        }
        client.send(request(GET, &[], "").repeat(answers.len()));
        for (status, reason, _, sent, _) in &answers {
            let mut answer = client.answer();
            while answer.status < 200 {
                answer = client.answer();
            }
            prop_assert!(answer.status == *status || matches!(status, 204 | 205 | 304), "{}", answer.head);
            prop_assert_eq!(&answer.reason, reason);
            prop_assert!(answer.whole && answer.body == sent.body(), "{} of {}", answer.body.len(), sent.body().len());
            prop_assert_eq!(foreign(answer.head.split("\r\n").skip(1)), sent.wanted());
        }
        Ok(())
    });
    assert_eq!(world.upstream.connections(), 1);
}
