//! P12: of a PROXY header nothing is taken that does not belong to it, and nothing is believed that is not one.

use proptest::prelude::*;

use super::v2::crc32c;
use super::{Ends, Fault, Step, read};

/// Reads as a socket is read: never more than was asked for. Gives the outcome and how many bytes were taken.
fn fed(bytes: &[u8]) -> (Option<Result<Option<Ends>, Fault>>, usize) {
    let mut taken = 0;
    loop {
        match read(&bytes[..taken]) {
            Ok(Step::Whole(ends)) => return (Some(Ok(ends)), taken),
            Err(fault) => return (Some(Err(fault)), taken),
            Ok(Step::More(more)) => {
                assert!(more > 0, "nothing is asked for at {taken}");
                taken += more;
                if taken > bytes.len() {
                    return (None, bytes.len());
                }
            }
        }
    }
}

#[track_caller]
fn whole(header: &[u8], source: Option<&str>) {
    let (read, taken) = fed(&[header, b"PROXY GET / HTTP/1.1\r\n\r\n"].concat());
    let ends = read.expect("it is whole").unwrap_or_else(|fault| panic!("{fault}: {header:?}"));
    assert_eq!(taken, header.len(), "{ends:?}");
    assert_eq!(ends.map(|ends| ends.source.to_string()).as_deref(), source);
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, family], &length, rest].concat()
}

const V4: [u8; 12] = [203, 0, 113, 7, 10, 0, 0, 1, 0x30, 0x39, 0x1f, 0x90];

#[test]
fn a_line_gives_the_address_and_takes_nothing_behind_it() {
    whole(b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 8080\r\n", Some("203.0.113.7:12345"));
    whole(b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n", Some("1.1.1.1:1"));
    whole(b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Some("255.255.255.255:65535"));
    whole(b"PROXY TCP6 2001:db8::7 ::1 12345 0\r\n", Some("[2001:db8::7]:12345"));
    whole(b"PROXY TCP6 :: :: 1 1\r\n", Some("[::]:1"));
    let long = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    whole(format!("PROXY TCP6 {long} {long} 65535 65535\r\n").as_bytes(), Some(&format!("[{long}]:65535")));
    whole(b"PROXY UNKNOWN\r\n", None);
    whole(format!("PROXY UNKNOWN {long} {long} 65535 65535\r\n").as_bytes(), None);
}

#[test]
fn bytes_give_the_address_and_take_nothing_behind_them() {
    whole(&v2(0x21, 0x11, &V4), Some("203.0.113.7:12345"));
    let v6 = [[0x20, 0x01, 0x0d, 0xb8].as_slice(), &[0; 11], &[7], &[0; 15], &[1], &[0x30, 0x39, 0, 80]].concat();
    whole(&v2(0x21, 0x21, &v6), Some("[2001:db8::7]:12345"));
    let with_tlvs = [V4.as_slice(), &[4, 0, 2, 9, 9, 0xea, 0, 0]].concat();
    whole(&v2(0x21, 0x11, &with_tlvs), Some("203.0.113.7:12345"));
    whole(&v2(0x20, 0x11, &V4), None);
    whole(&v2(0x20, 0x00, &[]), None);
    whole(&v2(0x21, 0x00, b"anything"), None);
    whole(&v2(0x21, 0x31, &[b'/'; 216]), None);
}

#[test]
fn a_checksum_must_be_right() {
    let mut header = v2(0x21, 0x11, &[V4.as_slice(), &[3, 0, 4, 0, 0, 0, 0]].concat());
    let place = header.len() - 4;
    let sum = crc32c(&header, place).to_be_bytes();
    header[place..].copy_from_slice(&sum);
    whole(&header, Some("203.0.113.7:12345"));
    header[16] ^= 1;
    assert_eq!(read(&header), Err(Fault::Checksum));
    // The check value of the catalogues.
    assert_eq!(crc32c(b"123456789", usize::MAX - 4), 0xe306_9283);
}

#[test]
fn what_is_none_is_refused_at_once() {
    for none in [
        b"GET / HTTP/1.1\r\n".as_slice(),
        b"\x16\x03\x01\x02\x00\x01",
        b"PRI * HTTP/2.0\r\n",
        b"\r\n\r\n\0\r\nQUIX\n123",
    ] {
        assert_eq!(read(&none[..none.len().min(15)]), Err(Fault::Missing), "{none:?}");
    }
}

#[test]
fn a_malformed_line_is_refused() {
    for line in [
        "PROXY TCP4 203.0.113.7 10.0.0.1 +1 80\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 01 80\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 65536 80\r\n",
        "PROXY TCP4 203.0.113.07 10.0.0.1 1 80\r\n",
        "PROXY TCP4 2001:db8::7 10.0.0.1 1 80\r\n",
        "PROXY TCP4  203.0.113.7 10.0.0.1 1 80\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 1 80 9\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 1 80\n and much more\r\n",
        "PROXY TCP6 203.0.113.7 10.0.0.1 1 80\r\n",
        "PROXY UDP4 203.0.113.7 10.0.0.1 1 80\r\n",
        "PROXY UNKNOWNX and\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 1 \u{663}\r\n",
    ] {
        let (read, _) = fed(line.as_bytes());
        assert!(matches!(read, Some(Err(Fault::Malformed))), "{line:?}: {read:?}");
    }
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    assert_eq!(fed(long.as_bytes()).0, Some(Err(Fault::TooLong)));
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
    assert_eq!((longest.len(), fed(longest.as_bytes()).0), (107, Some(Ok(None))));
}

#[test]
fn malformed_bytes_are_refused() {
    let tlvs = |tlvs: &[u8]| v2(0x21, 0x11, &[V4.as_slice(), tlvs].concat());
    for header in [
        v2(0x11, 0x11, &V4),
        v2(0x22, 0x11, &V4),
        v2(0x22, 0x00, &V4),
        v2(0x21, 0x12, &V4),
        v2(0x21, 0x41, &V4),
        v2(0x21, 0x11, &V4[..11]),
        v2(0x21, 0x21, &V4),
        v2(0x21, 0x31, &[b'/'; 215]),
        tlvs(&[4]),
        tlvs(&[4, 0]),
        tlvs(&[4, 0, 1]),
        tlvs(&[4, 0xff, 0xff, 1]),
        tlvs(&[3, 0, 3, 0, 0, 0]),
    ] {
        assert_eq!(read(&header), Err(Fault::Malformed), "{header:?}");
    }
    assert_eq!(read(&v2(0x21, 0x11, &[0; 16 << 10])[..16]), Err(Fault::TooLong));
}

proptest! {
    /// However it is cut, and whatever it is: no panic, nothing asked for beyond the longest header.
    #[test]
    fn any_bytes_end_in_an_outcome_or_a_bounded_wait(bytes in proptest::collection::vec(any::<u8>(), 0..300), sign in 0..3) {
        let sign: &[u8] = match sign { 0 => b"PROXY TCP4 ", 1 => b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0", _ => b"" };
        let bytes = [sign, &bytes].concat();
        let (_, taken) = fed(&bytes);
        prop_assert!(taken <= bytes.len());
        if let Ok(Step::More(more)) = read(&bytes) {
            prop_assert!(bytes.len() + more <= super::BYTES_MAX);
        }
    }
}
