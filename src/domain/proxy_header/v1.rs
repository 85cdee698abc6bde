//! Version 1: one line of text.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Ends, Fault, Step, begins};

/// The shortest, `PROXY UNKNOWN` and the end of its line.
pub(super) const BYTES_MIN: usize = 15;
/// The longest, its line's end included.
const BYTES_MAX: usize = 107;
const SIGN: &[u8] = b"PROXY ";
const END: &str = "\r\n";

pub(super) fn read(bytes: &[u8]) -> Result<Step, Fault> {
    if !begins(bytes, SIGN) {
        return Err(Fault::Missing);
    }
    if let Some(missing) = BYTES_MIN.checked_sub(bytes.len()).filter(|missing| *missing > 0) {
        return Ok(Step::More(missing));
    }
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii()).ok_or(Fault::Malformed)?;
    let Some(line) = text.strip_suffix(END) else {
        return more(text);
    };
    let fields: Vec<&str> = line.split(' ').collect();
    match fields.as_slice() {
        // What stands behind it is to be passed over.
        ["PROXY", "UNKNOWN", ..] => Ok(Step::Whole(None)),
        ["PROXY", "TCP4", rest @ ..] => ends::<Ipv4Addr>(rest),
        ["PROXY", "TCP6", rest @ ..] => ends::<Ipv6Addr>(rest),
        _ => Err(Fault::Malformed),
    }
}

/// How many bytes a line that has not ended has at least: the fields that have not begun, and its end.
fn more(text: &str) -> Result<Step, Fault> {
    if text.contains('\n') {
        return Err(Fault::Malformed);
    }
    if text.ends_with('\r') {
        return bounded(text, 1);
    }
    let rest = match (text.get(SIGN.len()..).unwrap_or_default(), text.split(' ').count()) {
        (kind, _) if kind.starts_with("UNKNOWN") => 0,
        (kind, fields) if kind.starts_with("TCP4 ") => {
            [7, 7, 1, 1].iter().skip(fields.saturating_sub(2)).map(|n| n + 1).sum()
        }
        (kind, fields) if kind.starts_with("TCP6 ") => {
            [2, 2, 1, 1].iter().skip(fields.saturating_sub(2)).map(|n| n + 1).sum()
        }
        _ => return Err(Fault::Malformed),
    };
    bounded(text, rest + END.len())
}

fn bounded(text: &str, more: usize) -> Result<Step, Fault> {
    if text.len() + more > BYTES_MAX { Err(Fault::TooLong) } else { Ok(Step::More(more)) }
}

fn ends<A: FromStr + Into<IpAddr>>(fields: &[&str]) -> Result<Step, Fault> {
    let [source, destination, source_port, destination_port] = fields else {
        return Err(Fault::Malformed);
    };
    let end = |address: &str, number: &str| {
        let address: A = address.parse().ok()?;
        Some(SocketAddr::new(address.into(), port(number)?))
    };
    let source = end(source, source_port).ok_or(Fault::Malformed)?;
    let destination = end(destination, destination_port).ok_or(Fault::Malformed)?;
    Ok(Step::Whole(Some(Ends { source, destination })))
}

/// A port in plain decimal: no sign, no zero before it.
fn port(text: &str) -> Option<u16> {
    let port: u16 = text.parse().ok()?;
    (port.to_string() == text).then_some(port)
}
