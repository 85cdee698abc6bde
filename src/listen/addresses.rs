//! Which addresses a tunnel may lead to. Names are resolved here, and what was looked at is what is connected to: a name
//! that resolves otherwise a moment later changes nothing.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::LazyLock;

use parking_lot::Mutex;
use tokio::net::TcpStream;

/// Where cloud machines learn their own secrets over IPv6 (Amazon EC2); the one of IPv4 is link-local.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The gate's ends of all tunnels at this moment.
static OUR_ENDS: LazyLock<Mutex<HashSet<SocketAddr>>> = LazyLock::new(Mutex::default);

/// Is this an address that is never reached for a caller: this machine, its link, a group, a machine's metadata?
pub(super) fn is_forbidden(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let special = match address {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            first == 0 || v4.is_link_local() || v4.is_broadcast()
        }
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == METADATA_V6 || embeds_forbidden(v6),
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
        (0, 0, 0, 0, 0, 0) => true,
        (0x2002, high, low, ..) => v4(high, low),
        _ => false,
    }
}

/// Only an address of its own can be bound to.
fn is_of_this_machine(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// A tunnel's connection, known to be the gate's own for as long as it is open.
#[derive(Debug)]
pub(super) struct OurEnd(SocketAddr);

impl OurEnd {
    pub(super) fn of(socket: &TcpStream) -> Option<Self> {
        let end = plain(socket.local_addr().ok()?);
        OUR_ENDS.lock().insert(end);
        Some(Self(end))
    }
}

impl Drop for OurEnd {
    fn drop(&mut self) {
        OUR_ENDS.lock().remove(&self.0);
    }
}

/// Did the gate itself make this connection, as one end of a tunnel that was redirected back to it?
pub(super) fn is_our_end(peer: SocketAddr) -> bool {
    OUR_ENDS.lock().contains(&plain(peer))
}

fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
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
        ] {
            assert!(is_forbidden(address.parse().unwrap()), "{address}");
        }
        for address in ["192.0.2.1", "10.255.255.1", "2001:db8::1", "fd00:ec2::253", "64:ff9b::c000:201"] {
            assert!(!is_forbidden(address.parse().unwrap()), "{address}");
        }
    }
}
