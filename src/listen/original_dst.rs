//! Where a redirected connection was going before the system redirected it to the gate.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

/// The destination that the caller meant. `None` if it called the gate itself, and was not redirected.
///
/// # Errors
/// When the system remembers nothing of the connection: it keeps no track of it, or does no more.
pub(super) fn meant(socket: &TcpStream) -> io::Result<Option<SocketAddr>> {
    let here = plain(socket.local_addr()?);
    let meant = plain(before_redirection(socket, here)?);
    Ok((meant != here).then_some(meant))
}

/// On a socket for both families an IPv4 connection looks like one of IPv6, and yet only the question for IPv4 is answered.
#[cfg(target_os = "linux")]
fn before_redirection(socket: &TcpStream, here: SocketAddr) -> io::Result<SocketAddr> {
    let socket = socket2::SockRef::from(socket);
    let found = if here.is_ipv4() { socket.original_dst_v4()? } else { socket.original_dst_v6()? };
    found.as_socket().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(not(target_os = "linux"))]
fn before_redirection(_socket: &TcpStream, _here: SocketAddr) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// An address without what only a socket of IPv6 adds to it.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
