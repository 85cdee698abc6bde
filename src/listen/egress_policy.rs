//! Which addresses a tunnel may lead to. Names are resolved here, and what was looked at is what is connected to: a name
//! that resolves otherwise a moment later changes nothing.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Where cloud machines learn their own secrets over IPv6: Amazon EC2 and its EKS, Google. Those of IPv4 are link-local,
/// but for these.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];
/// Alibaba, Azure, Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// The system knows no addresses of this family (EAFNOSUPPORT), so that none of them is its own.
const NO_SUCH_FAMILY: i32 = 97;

/// Whether this address is never reached for a caller: this machine, its link, a group, a machine's metadata.
pub(super) fn is_forbidden(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let special = match address {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            first == 0 || v4.is_link_local() || v4.is_broadcast() || METADATA_V4.contains(&v4)
        }
        IpAddr::V6(v6) => v6.is_unicast_link_local() || METADATA_V6.contains(&v6) || embeds_forbidden(v6),
    };
    special
        || address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || is_of_this_machine(address)
}

/// IPv4 in IPv6 by translation (RFC 6052, RFC 3056) or in the old compatible form leads to where the IPv4 address does.
fn embeds_forbidden(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_forbidden(IpAddr::from([a, b, c, d]))
    };
    match (a, b, c, d, e, f) {
        (0x64, 0xff9b, 0, 0, 0, 0) => v4(g, h),
        // Prefixes of one's own (RFC 8215): where the IPv4 address stands in it hangs on the length that was chosen.
        (0x64, 0xff9b, 1, ..) => true,
        (0, 0, 0, 0, 0, 0) => true,
        // The translated form (RFC 7915 had it from RFC 2765).
        (0, 0, 0, 0, 0xffff, 0) => v4(g, h),
        (0x2002, high, low, ..) => v4(high, low),
        _ => false,
    }
}

/// Only an address of its own can be bound to. Where the system allows others too (`ip_nonlocal_bind`) every address is
/// taken for one, and no tunnels are made; so it is where the system does not say, as without descriptors.
fn is_of_this_machine(address: IpAddr) -> bool {
    match UdpSocket::bind((address, 0)) {
        Ok(_) => true,
        Err(error) => error.kind() != ErrorKind::AddrNotAvailable && error.raw_os_error() != Some(NO_SUCH_FAMILY),
    }
}

#[cfg(test)]
mod tests {
    use super::is_forbidden;

    #[test]
    fn p9_this_machine_its_link_and_its_metadata_are_out_of_reach_in_every_spelling() {
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "::ffff:0:127.0.0.1",
            "64:ff9b:1::a9fe:a9fe",
            "fd00:ec2::23",
            "fd20:ce::254",
            "100.100.100.200",
            "168.63.129.16",
            "::ffff:168.63.129.16",
        ] {
            assert!(is_forbidden(address.parse().unwrap()), "{address}");
        }
        for address in ["192.0.2.1", "10.255.255.1", "2001:db8::1", "fd00:ec2::253", "64:ff9b::c000:201"] {
            assert!(!is_forbidden(address.parse().unwrap()), "{address}");
        }
    }
}
