//! A range of addresses, as `10.0.0.0/8`; a bare address is a range of one.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Serialize, Serializer};

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange(IpNet);

/// It is none, or has bits behind its length, as `10.1.0.0/8` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRange;

impl IpRange {
    /// Whether the address is in it.
    #[must_use]
    pub fn has(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip.to_canonical())
    }
}

impl FromStr for IpRange {
    type Err = NoRange;

    fn from_str(text: &str) -> Result<Self, NoRange> {
        // Apart, because IpNet reads numbers with zeros before them, which others take for octal.
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| NoRange)?;
        let range = match bits {
            None => IpNet::from(address),
            Some(bits) => IpNet::new(address, bits.parse().map_err(|_| NoRange)?).map_err(|_| NoRange)?,
        };
        if range == range.trunc() { Ok(Self(range)) } else { Err(NoRange) }
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for IpRange {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
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
        for none in
            ["", "10.0.0.0/33", "10.1.0.0/8", "::1/64", "10.0.0.0/", "10.0.0/8", "gate", "10.0.0.0/-1", "010.0.0.0/8"]
        {
            assert!(none.parse::<IpRange>().is_err(), "{none}");
        }
        assert_eq!("10.0.0.0/8".parse::<IpRange>().unwrap().to_string(), "10.0.0.0/8");
    }
}
