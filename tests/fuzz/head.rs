//! Heads and chunked bodies: whatever comes, and in whatever pieces, is read alike; what is read can be written in one
//! way only (P8, P9, P12).

#![no_main]

use forgetgate::http1::{AnswerHead, Chunks, Head, Lines, Next};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(([mode, cut], bytes)) = data.split_first_chunk::<2>().map(|(first, rest)| (*first, rest)) else { return };
    let cut = usize::from(cut) % (bytes.len() + 1);
    match mode % 3 {
        0 => request(bytes, cut),
        1 => answer(bytes, cut),
        _ => chunks(bytes, usize::from(mode / 3) + 1),
    }
});

fn request(bytes: &[u8], cut: usize) {
    let (mut head, mut early) = (Head::default(), Head::default());
    let whole = head.read(bytes);
    match early.read(&bytes[..cut]) {
        Ok(true) => assert!(whole == Ok(true) && head.bytes == early.bytes, "what had ended goes on"),
        Ok(false) => {}
        Err(_) => assert!(whole.is_err(), "a fault heals"),
    }
    if whole != Ok(true) {
        return;
    }
    assert!(head.bytes <= bytes.len());
    assert_eq!(early.read(&bytes[..head.bytes - 1]), Ok(false), "it ends before its last byte");
    sound(&head.lines);
    let target = head.uri.to_string();
    assert!(!target.contains(['\r', '\n', ' ', '#']));
    let mut written = format!("{} {target} {:?}\r\n", head.method, head.version).into_bytes();
    write_lines(&head.lines, &mut written);
    let mut again = Head::default();
    assert_eq!(again.read(&written), Ok(true));
    assert_eq!((again.bytes, &again.uri, &again.method), (written.len(), &head.uri, &head.method));
    same(&again.lines, &head.lines);
}

fn answer(bytes: &[u8], cut: usize) {
    let (mut head, mut early) = (AnswerHead::default(), AnswerHead::default());
    let whole = head.read(bytes);
    match early.read(&bytes[..cut]) {
        Ok(true) => assert!(whole == Ok(true) && head.bytes == early.bytes, "what had ended goes on"),
        Ok(false) => {}
        Err(_) => assert!(whole.is_err(), "a fault heals"),
    }
    if whole == Ok(true) {
        assert!((100..1000).contains(&head.status));
        assert!(!head.reason().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        sound(&head.lines);
    }
}

fn sound(lines: &Lines) {
    for line in lines.iter() {
        assert!(!line.name.is_empty() && !line.name.iter().any(|byte| byte.is_ascii_whitespace() || *byte == b':'));
        assert!(!line.value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        assert_eq!(line.value, line.value.trim_ascii());
    }
}

fn write_lines(lines: &Lines, out: &mut Vec<u8>) {
    for line in lines.iter() {
        out.extend_from_slice(line.name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(line.value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn same(a: &Lines, b: &Lines) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b.iter()) {
        assert_eq!((a.name, a.value), (b.name, b.value));
    }
}

/// A body's data, whether it was read to its end, and how many bytes it had; `None` if it is malformed.
type Unchunked = Option<(Vec<u8>, bool, usize)>;

fn unchunk(bytes: &[u8], step: usize) -> Unchunked {
    let (mut chunks, mut data, mut at, mut come) = (Chunks::default(), Vec::new(), 0, 0);
    loop {
        let (used, next) = chunks.read(&bytes[at..come]).ok()?;
        at += used;
        match next {
            Next::End => {
                sound(&chunks.trailer_lines());
                return Some((data, true, at));
            }
            Next::Data(left) if at < come => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(come - at);
                data.extend_from_slice(&bytes[at..at + taken]);
                chunks.took(taken as u64);
                at += taken;
            }
            Next::Data(_) | Next::More if come == bytes.len() => return Some((data, false, at)),
            Next::Data(_) | Next::More => come = (come + step).min(bytes.len()),
        }
    }
}

fn chunks(bytes: &[u8], step: usize) {
    let whole = unchunk(bytes, bytes.len().max(1));
    assert!(whole == unchunk(bytes, step), "pieces are read differently");
    let Some((data, true, _)) = whole else { return };
    let mut written = Vec::new();
    for piece in data.chunks(step) {
        written.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        written.extend_from_slice(piece);
        written.extend_from_slice(b"\r\n");
    }
    written.extend_from_slice(b"0\r\n\r\n");
    let bytes = written.len();
    assert!(unchunk(&written, 1) == Some((data, true, bytes)), "what was written is read as something else");
}
