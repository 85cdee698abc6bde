//! Loop detection by address: the gate's own ends of its tunnels and of its own calls, which must not come back to it.
//! A forgotten rule redirects them to a listener of the gate's own, which knows them by their addresses. See
//! docs/decisions/011-loops.md.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::LazyLock;

use parking_lot::Mutex;

use super::Stream;

/// From where to where. A port alone may be another connection's as well, to another place.
type Both = (SocketAddr, SocketAddr);

/// All of them at this moment.
static OUR_ENDS: LazyLock<Mutex<HashSet<Both>>> = LazyLock::new(Mutex::default);

/// A connection that is known to be the gate's own for as long as this is there.
#[derive(Debug)]
pub struct OwnConnection(Both);

impl OwnConnection {
    /// Remembers it. `None` for what is no TCP connection.
    #[must_use]
    pub fn of(stream: &Stream) -> Option<Self> {
        let socket = stream.socket()?;
        let (from, to) = (socket.local_addr().ok()?.as_socket()?, socket.peer_addr().ok()?.as_socket()?);
        let both = (plain(from), plain(to));
        OUR_ENDS.lock().insert(both);
        Some(Self(both))
    }
}

impl Drop for OwnConnection {
    fn drop(&mut self) {
        OUR_ENDS.lock().remove(&self.0);
    }
}

/// Whether the gate itself made the connection that comes from there and was going to `meant`.
pub(super) fn is_our_own(from: SocketAddr, meant: SocketAddr) -> bool {
    OUR_ENDS.lock().contains(&(plain(from), plain(meant)))
}

fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::{OwnConnection, is_our_own};
    use crate::net::Stream;

    #[tokio::test]
    async fn p8_only_the_very_connection_is_the_gates_own_and_only_while_it_is_open() {
        let (one, other) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (to, elsewhere) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        let socket = TcpStream::connect(to).await.unwrap();
        let from = socket.local_addr().unwrap();
        let stream = Stream::Tcp(socket);
        let ours = OwnConnection::of(&stream).unwrap();
        assert!(is_our_own(from, to));
        assert!(!is_our_own(from, elsewhere), "a caller's own connection may have the same port");
        drop(ours);
        assert!(!is_our_own(from, to));
    }
}
