//! Heads and chunks read off bytes that come in any pieces.

use proptest::prelude::*;

use super::{AnswerHead, Chunks, Fault, Head, Malformed, Next};

fn head(text: &str) -> Result<Head, Fault> {
    let mut head = Head::default();
    head.read(text.as_bytes()).map(|whole| {
        assert!(whole, "{text:?}");
        head
    })
}

#[test]
fn p8_lines_keep_their_order_case_and_number() {
    let head = head("POST /a?b HTTP/1.1\r\nhOST: x\r\nA:  1 \r\na:2\r\nEmpty:\r\n\r\nrest").unwrap();
    let lines: Vec<(&[u8], &[u8])> = head.lines.iter().map(|line| (line.name, line.value)).collect();
    assert_eq!(lines, [(&b"hOST"[..], &b"x"[..]), (b"A", b"1"), (b"a", b"2"), (b"Empty", b"")]);
    assert_eq!((head.method.as_str(), head.uri.path(), head.uri.query()), ("POST", "/a", Some("b")));
    assert_eq!(head.lines.all("A").collect::<Vec<_>>(), [&b"1"[..], b"2"]);
    assert_eq!(head.bytes, "POST /a?b HTTP/1.1\r\nhOST: x\r\nA:  1 \r\na:2\r\nEmpty:\r\n\r\n".len());
}

#[test]
fn p9_what_others_could_read_otherwise_is_no_head() {
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000));
    let lines = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(257));
    for (text, fault) in [
        ("GET /a#b HTTP/1.1\r\n\r\n", Fault::Fragment),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Fault::Http2),
        ("GET / HTTP/1.2\r\n\r\n", Fault::Malformed),
        ("GET /a b HTTP/1.1\r\n\r\n", Fault::Malformed),
        ("GET / HTTP/1.1\r\nA : b\r\n\r\n", Fault::Malformed),
        ("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", Fault::Malformed),
        ("GET / HTTP/1.1\r\nA: b\0\r\n\r\n", Fault::Malformed),
        (&long, Fault::TargetTooLong),
        (&lines, Fault::TooManyLines),
    ] {
        assert_eq!(head(text).map(|_| ()), Err(fault), "{:?}", text.get(..40));
    }
}

#[test]
fn p7_no_value_is_shown() {
    let head = head("DELETE /?customer_id=canary HTTP/1.1\r\nX-Watson-Metadata: customer_id=canary\r\n\r\n").unwrap();
    let mut chunks = Chunks::default();
    assert_eq!(chunks.read(b"0\r\nX-Watson-Metadata: customer_id=canary\r\n"), Ok((42, Next::More)));
    let shown = format!("{head:?} {:?} {chunks:?}", head.lines.iter().next());
    // Bytes are shown as numbers.
    assert!(!shown.contains("canary") && !shown.contains("99, 97, 110"), "{shown}");
}

/// Whatever a method is made of, it is that method or none: never another.
#[test]
fn p9_a_method_is_read_as_it_was_written() {
    for byte in u8::MIN..=u8::MAX {
        for method in [vec![byte], vec![b'A', byte, b'Z'], [&[b'x'; 40], &[byte][..], b"y"].concat()] {
            let sent = [&method[..], b" / HTTP/1.1\r\n\r\n"].concat();
            let mut head = Head::default();
            if head.read(&sent) == Ok(true) && !matches!(byte, b'\r' | b'\n') {
                assert_eq!(head.method.as_str().as_bytes(), method);
            }
        }
    }
}

#[test]
fn p8_the_reason_of_an_answer_is_kept() {
    for (text, reason) in [("HTTP/1.1 200 Its Own\r\n\r\n", "Its Own"), ("HTTP/1.0 204\r\nA: b\r\n\r\n", "")] {
        let mut head = AnswerHead::default();
        assert_eq!(head.read(text.as_bytes()), Ok(true));
        assert_eq!(head.reason(), reason.as_bytes());
    }
    assert_eq!(AnswerHead::default().read(b"HTTP/1.1 099 Low\r\n\r\n"), Err(Fault::Malformed));
}

/// Reads a body that comes in pieces of this length; gives its data and what is left behind it.
fn chunked(bytes: &[u8], piece: usize) -> Result<Option<(Vec<u8>, usize)>, Malformed> {
    let (mut chunks, mut data, mut at, mut there) = (Chunks::default(), Vec::new(), 0, 0);
    loop {
        let (used, next) = chunks.read(&bytes[at..there])?;
        at += used;
        match next {
            Next::End => return Ok(Some((data, bytes.len() - at))),
            Next::Data(left) => {
                let taken = (there - at).min(usize::try_from(left).unwrap_or(usize::MAX));
                data.extend_from_slice(&bytes[at..at + taken]);
                chunks.took(taken as u64);
                at += taken;
                if taken > 0 {
                    continue;
                }
            }
            Next::More => {}
        }
        if there == bytes.len() {
            return Ok(None);
        }
        there = (there + piece).min(bytes.len());
    }
}

#[test]
fn p9_a_chunk_that_is_no_chunk_has_no_end() {
    for bad in [
        "2\n{}\r\n0\r\n\r\n",
        "2;a\nb\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "\r\n{}\r\n0\r\n\r\n",
        " 2\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "+2\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}x\r\n0\r\n\r\n",
        "2\r\n{}\n0\r\n\r\n",
        "2\r\r\n{}\r\n0\r\n\r\n",
        "10000000000000000\r\n{}\r\n0\r\n\r\n",
        "0\r\nno trailer\r\n\r\n",
        "0\r\na: b\n\r\n",
        "0\r\n\n",
    ] {
        for piece in [1, 2, 100] {
            assert_eq!(chunked(bad.as_bytes(), piece), Err(Malformed), "{bad:?} in pieces of {piece}");
        }
    }
    assert_eq!(chunked(b"5\r\nhel", 1), Ok(None));
    assert_eq!(chunked(b"0\r\n\r", 1), Ok(None));
}

#[test]
fn p12_extensions_and_trailers_are_bounded() {
    let extension = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(20_000));
    let trailer = format!("0\r\na: {}\r\n\r\n", "x".repeat(20_000));
    for bad in [extension, trailer] {
        assert_eq!(chunked(bad.as_bytes(), 1000), Err(Malformed));
    }
}

#[test]
fn p8_trailers_are_read() {
    let mut chunks = Chunks::default();
    assert_eq!(chunks.read(b"0\r\nA: b\r\nC: d\r\n\r\nnext"), Ok((17, Next::End)));
    let trailers = chunks.trailer_lines();
    assert_eq!(trailers.first("a"), Some(&b"b"[..]));
    assert_eq!(trailers.len(), 2);
}

proptest! {
    #[test]
    fn p8_chunks_are_read_alike_in_whatever_pieces_they_come(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        piece in 1..50_usize,
        behind in 0..20_usize,
    ) {
        let mut bytes = Vec::new();
        for part in &parts {
            bytes.extend_from_slice(format!("{:X} ;x=y\r\n", part.len()).as_bytes());
            bytes.extend_from_slice(part);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"000\r\n\r\n");
        bytes.resize(bytes.len() + behind, b'x');
        prop_assert_eq!(chunked(&bytes, piece), Ok(Some((parts.concat(), behind))));
    }

    #[test]
    fn p12_no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1..50_usize) {
        drop((Head::default().read(&bytes), AnswerHead::default().read(&bytes), chunked(&bytes, piece)));
    }
}

/// An interim answer may be large, and the answer behind it small.
#[test]
fn p12_an_answers_head_leaves_little_to_the_next_whatever_came_before_it() {
    let small = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
    let large = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(60_000));
    let mut head = AnswerHead::taken();
    assert!(head.read(large.as_bytes()).unwrap() && head.read(small).unwrap());
    assert_eq!((head.status, head.reason(), head.lines.len()), (200, &b"OK"[..], 1));
    head.put_back();
    let mut next = AnswerHead::taken();
    assert!(next.lines.kept() <= 16 * 1024, "{}", next.lines.kept());
    assert_eq!(next.status, 0);
    assert!(next.read(b"HTTP/1.0 204 \r\n\r\n").unwrap());
    assert_eq!((next.status, next.reason(), next.lines.len()), (204, &b""[..], 0));
    assert_eq!((next.version, next.bytes), (http::Version::HTTP_10, 17));
}
