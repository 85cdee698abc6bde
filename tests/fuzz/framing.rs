//! Bodies of HTTP/1.1: with a length, in chunks, until the connection ends. In whatever pieces one comes it is the same body
//! with the same end, nothing behind it is taken, and what the encoder makes of it is read as that again (P8, P9, P12).

#![no_main]

#[expect(dead_code, reason = "other targets use the rest")]
mod model;
mod pieces;
mod words;

use forgetgate::http1::{AnswerHead, BodyDecoder, BodyEncoder, Lines, ReadBuffer};
use http::Method;
use libfuzzer_sys::fuzz_target;

use self::model::Reading;
use self::pieces::{Body, End, Pieces};

/// Bodies are made so long at most, to see that they are not held.
const LONG: usize = 200_000;

fuzz_target!(|data: &[u8]| {
    let Some(([mode, step, taken, length], rest)) = data.split_first_chunk::<4>().map(|(first, rest)| (*first, rest))
    else {
        return;
    };
    let way = Way { step: usize::from(step) + 1, waits: mode & 64 != 0, taken: usize::from(taken) + 1 };
    let bytes = spelt(mode, rest);
    match mode % 5 {
        0 => chunked(&bytes, way),
        1 => measured(&bytes, usize::from(length) * 4, way),
        2 => to_end(&bytes, way),
        3 => answered(&bytes, way),
        _ => long(&bytes, usize::from(length), way),
    }
});

fn spelt(mode: u8, rest: &[u8]) -> Vec<u8> {
    words::spelt_out(mode & 128 != 0, rest)
}

/// Bytes that all trailers may have, and all extensions.
const EXTRA_MAX: usize = 16 * 1024;

/// In what pieces bytes come and go.
#[derive(Clone, Copy)]
struct Way {
    step: usize,
    waits: bool,
    taken: usize,
}

const AT_ONCE: Way = Way { step: usize::MAX, waits: false, taken: usize::MAX };

/// The body, and what was left of the bytes.
fn read(body: BodyDecoder, bytes: &[u8], way: Way) -> (Body, Vec<u8>) {
    let (mut input, mut stream) = (ReadBuffer::default(), Pieces::of(bytes, way.step, way.waits));
    let read = pieces::read(body, &mut input, &mut stream, way.taken);
    (read, [input.data(), stream.left()].concat())
}

fn lines_of(lines: &Lines) -> Vec<model::Line> {
    lines.iter().map(|line| (line.name.to_vec(), line.value.to_vec())).collect()
}

/// Reads it at once and in pieces, and gives it if it is whole.
fn alike(body: impl Fn() -> BodyDecoder, bytes: &[u8], way: Way) -> (Body, Vec<u8>) {
    let (whole, rest) = read(body(), bytes, AT_ONCE);
    let (pieces, rest_of_pieces) = read(body(), bytes, way);
    assert_eq!(whole.end, pieces.end);
    assert!(whole.data == pieces.data, "pieces are another body");
    assert_eq!(lines_of(&whole.trailers), lines_of(&pieces.trailers));
    // Behind a fault it does not matter how much was looked at.
    assert!(whole.end == End::Broken || rest == rest_of_pieces, "pieces end elsewhere");
    (whole, rest)
}

fn chunked(bytes: &[u8], way: Way) {
    let (body, rest) = alike(BodyDecoder::chunked, bytes, way);
    match (model::chunked(bytes), body.end) {
        (Reading::Whole((data, trailers), length), End::Whole) => {
            assert!(data == body.data, "another body");
            assert_eq!(lines_of(&body.trailers), trailers);
            assert!(bytes[length..] == rest, "it ends elsewhere");
            again(&body, way);
        }
        (Reading::Unfinished, End::Cut | End::Broken) | (Reading::Unsound, End::Broken) => {}
        // Trailers are looked at when all of them have come.
        (Reading::Unsound, End::Cut) => assert!(is_in_trailers(bytes), "a fault is not seen"),
        (model, end) => panic!("{end:?}, and {model:?} is there"),
    }
}

/// Whether what is there would do as a body if its trailers were sound so far.
fn is_in_trailers(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|end| matches!(model::chunked(&[&bytes[..end], b"\r\n"].concat()), Reading::Whole(..)))
}

/// What the encoder makes of a body is that body.
fn again(body: &Body, way: Way) {
    let mut out = Vec::new();
    let mut encoder = BodyEncoder::new(true);
    let mut left = &body.data[..];
    while !left.is_empty() {
        let there = way.step.min(left.len());
        let may = encoder.announce(there, &mut out);
        assert!((1..=there).contains(&may), "{may} of {there} may be sent");
        let (sent, behind) = left.split_at(may.min(way.taken));
        out.extend_from_slice(sent);
        encoder.sent(sent.len(), &mut out);
        left = behind;
    }
    for _ in 0..2 {
        encoder.end(&mut out, |out| {
            for line in body.trailers.iter() {
                out.extend_from_slice(&[line.name, b": ", line.value, b"\r\n"].concat());
            }
        });
    }
    out.extend_from_slice(b"behind");
    let (read, rest) = read(BodyDecoder::chunked(), &out, way);
    assert_eq!((read.end, &rest[..]), (End::Whole, &b"behind"[..]));
    assert!(read.data == body.data, "what was written is another body");
    assert_eq!(lines_of(&read.trailers), lines_of(&body.trailers));
}

fn measured(bytes: &[u8], length: usize, way: Way) {
    let (body, rest) = alike(|| BodyDecoder::Length(length as u64), bytes, way);
    let there = length.min(bytes.len());
    assert_eq!(body.end, if there == length { End::Whole } else { End::Cut });
    assert!(body.data == bytes[..there] && rest == bytes[there..]);
}

fn to_end(bytes: &[u8], way: Way) {
    let (body, rest) = alike(|| BodyDecoder::ToEnd, bytes, way);
    assert!(body.end == End::Whole && body.data == bytes && rest.is_empty());
}

/// A whole answer: what its head says of its body is what the model says of it.
fn answered(bytes: &[u8], way: Way) {
    for method in [Method::GET, Method::HEAD] {
        let mut head = AnswerHead::default();
        if head.read(bytes) != Ok(true) {
            return;
        }
        // Which lengths may stand beside a coding, or twice, is the table's: here only what is framed once.
        let framed = head.lines.all("content-length").count() + head.lines.all("transfer-encoding").count();
        let Some(body) = BodyDecoder::of_answer(&head, &method) else { continue };
        let is_ended = matches!(body, BodyDecoder::Ended);
        let make = || BodyDecoder::of_answer(&head, &method).expect("it was one before");
        let (body, rest) = alike(make, &bytes[head.bytes..], way);
        if is_ended {
            assert!(body.end == End::Whole && body.data.is_empty() && rest == bytes[head.bytes..]);
        }
        if framed > 1 || (100..200).contains(&head.status) {
            continue;
        }
        match model::answer(bytes, method == Method::HEAD, true) {
            Reading::Whole(message, length) if body.end == End::Whole => {
                assert!(message.body == body.data, "another body");
                assert!(bytes[length..] == rest, "it ends elsewhere");
            }
            Reading::Whole(..) => panic!("{:?} where a body is", body.end),
            Reading::Unfinished | Reading::Unsound => assert_ne!(body.end, End::Whole, "there is no such body"),
        }
    }
}

/// However long a body is, it is not held ([`pieces::fill`] looks), and comes out as it went in.
fn long(bytes: &[u8], times: usize, way: Way) {
    let data = bytes.repeat(times.min(LONG / bytes.len().max(1)));
    let way = Way { step: way.step * 512, taken: way.taken * 512, ..way };
    again(&Body { data: data.clone(), end: End::Whole, trailers: Lines::default() }, way);
    let sent = [&data[..], b"behind"].concat();
    let (body, rest) = read(BodyDecoder::Length(data.len() as u64), &sent, way);
    assert!(body.data == data && rest == b"behind");
    unended(&data, way);
}

/// What is no data has to be held, or looked at for nothing: there is a bound, in whatever pieces it comes.
fn unended(data: &[u8], way: Way) {
    let line: Vec<u8> = data.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    for (begin, bound) in [("0\r\nZt:", EXTRA_MAX + 3), ("5;", EXTRA_MAX + 1)] {
        let (body, _) = read(BodyDecoder::chunked(), &[begin.as_bytes(), &line].concat(), way);
        let end = if begin.len() + line.len() > bound { End::Broken } else { End::Cut };
        assert_eq!(body.end, end, "{begin:?} and {} bytes", line.len());
    }
}
