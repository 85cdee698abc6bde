//! Version 2: sixteen bytes, and as many more as they say.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{BYTES_MAX, Ends, Fault, Step, begins};

const SIGN: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and protocol, and the length of the rest.
const HEAD: usize = 16;
/// Bytes of two paths of Unix sockets.
const UNIX: usize = 216;
/// The TLV that carries a CRC-32C of the whole header.
const CHECKSUM: u8 = 3;

pub(super) fn read(bytes: &[u8]) -> Result<Step, Fault> {
    if !begins(bytes, SIGN) {
        return Err(Fault::Missing);
    }
    let Some((head, rest)) = bytes.split_at_checked(HEAD) else {
        return Ok(Step::More(HEAD - bytes.len()));
    };
    let [.., command, family, high, low] = head else { return Err(Fault::Malformed) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if HEAD + length > BYTES_MAX {
        return Err(Fault::TooLong);
    }
    if let Some(missing) = length.checked_sub(rest.len()).filter(|missing| *missing > 0) {
        return Ok(Step::More(missing));
    }
    match command {
        0x21 => proxied(*family, rest, bytes),
        // LOCAL: whatever it carries is to be passed over.
        0x20 => Ok(Step::Whole(None)),
        _ => Err(Fault::Malformed),
    }
}

/// What `rest`, of such a family, says.
fn proxied(family: u8, rest: &[u8], header: &[u8]) -> Result<Step, Fault> {
    let (ends, tlvs) = match family {
        // So is what an unspecified family carries.
        0x00 => return Ok(Step::Whole(None)),
        0x11 => addresses::<4>(rest, |bytes| Ipv4Addr::from(bytes).into())?,
        0x21 => addresses::<16>(rest, |bytes| Ipv6Addr::from(bytes).into())?,
        0x31 => (None, rest.split_at_checked(UNIX).ok_or(Fault::Malformed)?.1),
        // Datagrams come over no listener of ours; the others are not defined.
        _ => return Err(Fault::Malformed),
    };
    check(tlvs, header)?;
    Ok(Step::Whole(ends))
}

/// Both addresses, both ports, and what follows them.
fn addresses<const N: usize>(
    bytes: &[u8],
    address: impl Fn([u8; N]) -> IpAddr,
) -> Result<(Option<Ends>, &[u8]), Fault> {
    let (source, rest) = bytes.split_first_chunk::<N>().ok_or(Fault::Malformed)?;
    let (destination, rest) = rest.split_first_chunk::<N>().ok_or(Fault::Malformed)?;
    let (source_port, rest) = rest.split_first_chunk::<2>().ok_or(Fault::Malformed)?;
    let (destination_port, rest) = rest.split_first_chunk::<2>().ok_or(Fault::Malformed)?;
    let end = |ip: &[u8; N], port: &[u8; 2]| SocketAddr::new(address(*ip), u16::from_be_bytes(*port));
    Ok((Some(Ends { source: end(source, source_port), destination: end(destination, destination_port) }), rest))
}

/// Each TLV is a kind, a length and so many bytes; together they fill the header. What they say is not believed, but a
/// checksum must be right.
fn check(mut tlvs: &[u8], header: &[u8]) -> Result<(), Fault> {
    while let Some((head, rest)) = tlvs.split_first_chunk::<3>() {
        let [kind, high, low] = *head;
        let (value, rest) =
            rest.split_at_checked(usize::from(u16::from_be_bytes([high, low]))).ok_or(Fault::Malformed)?;
        if kind == CHECKSUM {
            let said = value.first_chunk::<4>().filter(|_| value.len() == 4).ok_or(Fault::Malformed)?;
            let place = header.len() - rest.len() - 4;
            if u32::from_be_bytes(*said) != crc32c(header, place) {
                return Err(Fault::Checksum);
            }
        }
        tlvs = rest;
    }
    if tlvs.is_empty() { Ok(()) } else { Err(Fault::Malformed) }
}

/// CRC-32C of `bytes`, the four at `place` taken as zeroes.
pub(super) fn crc32c(bytes: &[u8], place: usize) -> u32 {
    let sum = bytes.iter().enumerate().fold(u32::MAX, |sum, (at, byte)| {
        let byte = if (place..place + 4).contains(&at) { 0 } else { *byte };
        (0..8).fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0x82f6_3b78 } else { sum >> 1 })
    });
    !sum
}
