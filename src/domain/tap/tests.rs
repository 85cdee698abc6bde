//! P9: what the library would mend in silence is seen, however the bytes are cut into reads.

use proptest::prelude::{any, prop, proptest};

use super::{Incoming, RawHead, Tap};

fn heads(pieces: &[&[u8]]) -> (Vec<RawHead>, Incoming) {
    let mut tap = Tap::new(64 * 1024);
    for piece in pieces {
        tap.feed(piece);
    }
    let seen = std::iter::from_fn(|| tap.next_head()).collect();
    (seen, tap.incoming())
}

#[test]
fn p9_a_fragment_and_two_framings_are_seen() {
    let (seen, after) = heads(&[b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n"]);
    assert_eq!((seen.len(), seen[0].fragment, after), (1, true, Incoming::Idle));
    let both = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n";
    let (seen, after) = heads(&[both]);
    assert_eq!((seen[0].codings, seen[0].lengths, after), (1, 1, Incoming::Idle));
}

#[test]
fn p9_pipelined_requests_are_told_apart_behind_every_kind_of_body() {
    let stream =
        b"\r\nPOST /1 HTTP/1.1\r\ncontent-length: 0003\r\n\r\n#\n\nPOST /2 HTTP/1.1\nTRANSFER-ENCODING: chunked\n\n\
        3;x=\"y\"\r\n\r\n\r\r\n00a\r\n0123456789\r\n0\r\nA: b#\r\n\r\nGET /3#x HTTP/1.1\r\n\r\nGET /4 HT";
    let (seen, after) = heads(&[stream]);
    assert_eq!(seen.iter().map(|head| head.fragment).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(after, Incoming::Head);
}

#[test]
fn p12_a_head_without_end_is_not_kept() {
    let mut tap = Tap::new(1000);
    tap.feed(b"GET / HTTP/1.1\r\n");
    for _ in 0..2000 {
        tap.feed(&[b'a'; 1000]);
    }
    assert!(tap.partial.capacity() < 200_000);
    assert_eq!(tap.next_head(), None);
}

proptest! {
    #[test]
    fn p9_the_cuts_between_reads_make_no_difference(cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let stream: &[u8] = b"POST /1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nab\r\n\r\nPOST /2#x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\
            Content-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /3 HTTP/1.1\r\n\r\n";
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|w| &stream[w[0]..w[1]]).collect();
        assert_eq!(heads(&pieces), heads(&[stream]));
    }

    #[test]
    fn no_bytes_make_the_tap_panic(bytes in any::<Vec<u8>>()) {
        drop(heads(&[&bytes]));
    }
}
