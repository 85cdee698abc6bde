//! The gate's reading of an answer against hyper's: both take the same answer off the same bytes, with the same body and the
//! same end, or the difference is one of the table, which says whose reading is right (P8, P9).

#![no_main]

mod pieces;
mod sorted;
mod their_answer;
mod words;

use forgetgate::http1::{AnswerHead, BodyDecoder, Lines, ReadBuffer, decimal};
use http::Method;
use libfuzzer_sys::fuzz_target;

use self::pieces::{End, Pieces};
use self::sorted::Sorted;

fuzz_target!(|data: &[u8]| {
    let Some(([mode, step], rest)) = data.split_first_chunk::<2>().map(|(first, rest)| (*first, rest)) else { return };
    let bytes = words::spelt_out(mode & 1 != 0, rest);
    let step = if step == 0 { usize::MAX } else { usize::from(step) };
    let method = if mode & 4 == 0 { Method::GET } else { Method::HEAD };
    let pieces = || Pieces::of(&bytes, step, mode & 2 != 0);
    let case =
        Case { ours: ours(&mut pieces(), &method), theirs: their_answer::read(pieces(), &method), bytes: &bytes };
    let is_agreed = match (&case.ours, &case.theirs) {
        (Ours::Answer(ours), Some(theirs)) => ours == theirs,
        (Ours::Answer(_), None) => false,
        (Ours::Unframed(_) | Ours::None, theirs) => theirs.is_none(),
        // What comes behind it is HTTP no more.
        (Ours::Switches, _) => true,
    };
    if !is_agreed && !TABLE.iter().any(|row| (row.is)(&case)) {
        let Case { ours, theirs, .. } = &case;
        panic!("no row of the table is about this:\n{}\nours {ours:?}\ntheirs {theirs:?}", bytes.escape_ascii());
    }
});

/// An answer, as one of the two has read it.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub http10: bool,
    pub lines: Sorted,
    pub body: Vec<u8>,
    pub is_whole: bool,
    pub trailers: Sorted,
}

/// What the gate makes of the bytes.
#[derive(Debug)]
enum Ours {
    Answer(Answer),
    /// A head, and no body that all read alike.
    Unframed(AnswerHead),
    Switches,
    None,
}

struct Case<'a> {
    bytes: &'a [u8],
    ours: Ours,
    theirs: Option<Answer>,
}

/// One kind of difference.
#[expect(dead_code, reason = "the texts are for whoever reads the table")]
struct Difference {
    /// What is in the bytes.
    what: &'static str,
    /// Who does what, and why the gate may.
    right: &'static str,
    source: &'static str,
    /// Whether a case is of this kind.
    is: fn(&Case<'_>) -> bool,
}

static TABLE: [Difference; 4] = [
    row(
        "an answer with a coding besides `chunked`",
        "the gate breaks off, hyper undoes `chunked` only or reads to the end; what is not understood is not passed on",
        "RFC 9112 §6.1",
        |case| unframed(case, |head| has_other_coding(&head.lines)),
    ),
    row(
        "an answer with a `Content-Length` that is a list, or a wrong one where something else frames the body",
        "the gate breaks off, hyper takes equal numbers for one, and does not look at what it does not need; both may be done",
        "RFC 9110 §8.6",
        |case| unframed(case, |head| !has_one_length(&head.lines)),
    ),
    row(
        "an answer with a chunk's size of more than sixteen digits",
        "the gate breaks off, hyper reads any number of noughts; who reads fewer digits reads another size",
        "RFC 9112 §7.1",
        |case| broken_for_us(case) && case.bytes.windows(17).any(|part| part.iter().all(u8::is_ascii_hexdigit)),
    ),
    row(
        "an answer with a bare LF in trailers",
        "the gate breaks off, hyper takes it for the end of a line; a recipient may, and not all do",
        "RFC 9112 §2.2",
        |case| broken_for_us(case) && case.bytes.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r'),
    ),
];

const fn row(what: &'static str, right: &'static str, source: &'static str, is: fn(&Case<'_>) -> bool) -> Difference {
    Difference { what, right, source, is }
}

fn unframed(case: &Case<'_>, is: impl Fn(&AnswerHead) -> bool) -> bool {
    matches!(&case.ours, Ours::Unframed(head) if is(head))
}

fn has_one_length(lines: &Lines) -> bool {
    let mut lengths = lines.all("content-length");
    lengths.next().is_none_or(|first| decimal(first).is_some() && lengths.all(|other| other == first))
}

fn has_other_coding(lines: &Lines) -> bool {
    let mut codings = lines.all("transfer-encoding");
    codings.next().is_some_and(|coding| !coding.eq_ignore_ascii_case(b"chunked")) || codings.next().is_some()
}

/// The same head, and a body that goes on for them only.
fn broken_for_us(case: &Case<'_>) -> bool {
    let (Ours::Answer(ours), Some(theirs)) = (&case.ours, &case.theirs) else { return false };
    let is_chunked = ours.lines.iter().any(|(name, _)| name == "transfer-encoding");
    ours.status == theirs.status && ours.lines == theirs.lines && is_chunked && !ours.is_whole
}

fn ours(stream: &mut Pieces<'_>, method: &Method) -> Ours {
    let (mut input, mut head) = (ReadBuffer::default(), AnswerHead::default());
    loop {
        match if input.is_empty() { Ok(false) } else { head.read(input.data()) } {
            Err(_) => return Ours::None,
            Ok(false) if pieces::fill(&mut input, stream) == 0 => return Ours::None,
            Ok(false) => continue,
            Ok(true) => input.consume(head.bytes),
        }
        match head.status {
            101 => return Ours::Switches,
            ..200 => continue,
            _ => {}
        }
        let Some(body) = BodyDecoder::of_answer(&head, method) else { return Ours::Unframed(head) };
        let read = pieces::read(body, &mut input, stream, usize::MAX);
        return Ours::Answer(Answer {
            status: head.status,
            http10: head.version == http::Version::HTTP_10,
            lines: sorted::lines(&head.lines),
            body: read.data,
            is_whole: read.end == End::Whole,
            trailers: sorted::lines(&read.trailers),
        });
    }
}
