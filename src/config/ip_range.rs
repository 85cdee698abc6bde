//! A range of addresses, as `10.0.0.0/8`; a bare address is a range of one.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange {
    first: IpAddr,
    bits: u8,
}

/// It is none, or has bits behind its length, as `10.1.0.0/8` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRange;

impl IpRange {
    /// Whether the address is in it.
    #[must_use]
    pub fn has(&self, ip: IpAddr) -> bool {
        match (self.first, ip.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(ip)) => same(first.to_bits().into(), ip.to_bits().into(), 32 - self.bits),
            (IpAddr::V6(first), IpAddr::V6(ip)) => same(first.to_bits(), ip.to_bits(), 128 - self.bits),
            _ => false,
        }
    }
}

/// Whether two numbers are the same but for so many of their last bits.
fn same(one: u128, other: u128, but: u8) -> bool {
    (one ^ other).checked_shr(but.into()).unwrap_or(0) == 0
}

impl FromStr for IpRange {
    type Err = NoRange;

    fn from_str(text: &str) -> Result<Self, NoRange> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let first: IpAddr = address.parse().map_err(|_| NoRange)?;
        let longest = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(longest), |bits| bits.parse().map_err(|_| NoRange))?;
        let behind = match first {
            _ if bits > longest => return Err(NoRange),
            IpAddr::V4(v4) => v4.to_bits().checked_shl(bits.into()).unwrap_or(0) != 0,
            IpAddr::V6(v6) => v6.to_bits().checked_shl(bits.into()).unwrap_or(0) != 0,
        };
        if behind { Err(NoRange) } else { Ok(Self { first, bits }) }
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::IpRange;

    #[test]
    fn a_range_has_what_begins_as_it_does() {
        let has = |range: &str, ip: &str| range.parse::<IpRange>().unwrap().has(ip.parse::<IpAddr>().unwrap());
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("0.0.0.0/0", "203.0.113.7", "::1"),
            ("192.168.1.7", "192.168.1.7", "192.168.1.6"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("127.0.0.0/8", "::ffff:127.0.0.1", "::1"),
        ] {
            assert!(has(range, inside), "{inside} is in {range}");
            assert!(!has(range, outside), "{outside} is not in {range}");
        }
        for none in ["", "10.0.0.0/33", "10.1.0.0/8", "::1/64", "10.0.0.0/", "10.0.0/8", "gate", "10.0.0.0/-1"] {
            assert!(none.parse::<IpRange>().is_err(), "{none}");
        }
        assert_eq!("10.0.0.0/8".parse::<IpRange>().unwrap().to_string(), "10.0.0.0/8");
    }
}
