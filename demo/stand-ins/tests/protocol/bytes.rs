//! What comes over the wire: big bodies, cut ones, heads byte for byte, and the answers' own headers.

use std::io::{Read, Write};
use std::net::TcpStream;

use forgetgate_stand_ins::{Kind, Seen};

use crate::support::{MESSAGE, customers, started};
use crate::wire::{read, request, send};

#[test]
fn eight_mebibytes_stream_through_and_only_their_beginning_is_kept() {
    let speech = started(Kind::SpeechToText);
    let body = vec![7; 8 << 20];
    let label = "X-Watson-Metadata: customer_id=ann";
    assert_eq!(send(speech.addr, request("POST /v1/recognize", &[label], &body)).status, 200);

    let mut chunked = b"POST /v1/recognize HTTP/1.1\r\nHost: h\r\nConnection: close\r\n".to_vec();
    chunked.extend(b"X-Watson-Metadata: customer_id=ann\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in body.chunks(1 << 20) {
        chunked.extend(format!("{:x}\r\n", piece.len()).bytes().chain(piece.iter().copied()).chain(*b"\r\n"));
    }
    chunked.extend(b"0\r\n\r\n");
    assert_eq!(send(speech.addr, chunked).status, 200);

    let seen = speech.seen();
    for one in &seen {
        assert_eq!((one.body_length, one.body_start.len()), (8 << 20, Seen::BODY_START_MAX));
    }
    assert_eq!(seen[0].body_sha256, seen[1].body_sha256);
    assert_eq!(speech.rows().iter().map(|row| row.bytes).collect::<Vec<_>>(), [8 << 20, 8 << 20]);
}

#[test]
fn a_big_upload_is_asked_for_with_100_continue() {
    let speech = started(Kind::SpeechToText);
    let mut socket = TcpStream::connect(speech.addr).unwrap();
    let lines = ["Expect: 100-continue", "X-Watson-Metadata: customer_id=ann"];
    let all = request("POST /v1/recognize", &lines, b"sound");
    let (head, body) = all.split_at(all.len() - 5);
    socket.write_all(head).unwrap();
    let mut interim = [0; 25];
    socket.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(body).unwrap();
    assert_eq!(read(&mut socket).status, 200);
}

#[test]
fn header_lines_are_seen_in_their_order_and_case_on_every_request_of_a_connection() {
    let assistant = started(Kind::Assistant);
    let lines = ["x-watson-METADATA: customer_id=ann", "B: 2", "a: 1", "B: \u{a0}3"];
    let one = request(MESSAGE, &lines, b"{}");
    let kept = String::from_utf8(one.clone()).unwrap().replace("Connection: close\r\n", "").into_bytes();
    send(assistant.addr, [kept.as_slice(), kept.as_slice(), one.as_slice()].concat());
    let seen = assistant.seen();
    assert_eq!(seen.iter().map(|one| one.connection).collect::<Vec<_>>(), [1, 1, 1]);
    for request in &seen[..2] {
        assert!(kept.starts_with(&request.head), "byte for byte");
        assert_eq!((request.method(), request.target()), ("POST".to_owned(), MESSAGE[5..].to_owned()));
        let names: Vec<String> = request.lines().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Host", "x-watson-METADATA", "B", "a", "B", "Content-Length"]);
        assert_eq!(request.values("b"), ["2", "\u{a0}3"]);
        assert_eq!((request.body_start.as_slice(), request.answered), (b"{}".as_slice(), Some(200)));
    }
}

#[test]
fn an_upload_that_is_cut_off_stores_nothing_and_is_seen_as_cut_off() {
    let speech = started(Kind::SpeechToText);
    let mut socket = TcpStream::connect(speech.addr).unwrap();
    let whole = request("POST /v1/recognize", &["X-Watson-Metadata: customer_id=ann"], &[1; 1000]);
    socket.write_all(&whole[..whole.len() - 1]).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    socket.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(speech.seen().iter().map(|seen| (seen.complete, seen.body_length)).collect::<Vec<_>>(), [(false, 999)]);
    assert_eq!(customers(&speech), []);
}

#[test]
fn answers_carry_the_headers_of_the_real_ones() {
    let assistant = started(Kind::Assistant);
    let lines = ["X-Watson-Metadata: customer_id=ann", "X-Global-Transaction-Id: mine"];
    let answer = send(assistant.addr, request(MESSAGE, &lines, b"{}"));
    for line in
        ["Content-Type: application/json", "X-Global-Transaction-Id: mine", "X-Request-Id: ", "X-Dp-Watson-Tran-Id: "]
    {
        assert!(answer.head.contains(line), "{line} is not in {}", answer.head);
    }
}
