//! The gate's own ends of connections that it has made and that must not come back to it: of its tunnels, and of its own
//! calls. A forgotten rule redirects them to a listener of the gate's own, which knows them by their addresses.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::LazyLock;

use parking_lot::Mutex;

use super::Stream;

/// All of them at this moment.
static OUR_ENDS: LazyLock<Mutex<HashSet<SocketAddr>>> = LazyLock::new(Mutex::default);

/// A connection that is known to be the gate's own for as long as this is there.
#[derive(Debug)]
pub struct OurEnd(SocketAddr);

impl OurEnd {
    /// Remembers it. `None` for what is no TCP connection.
    #[must_use]
    pub fn of(stream: &Stream) -> Option<Self> {
        let end = plain(stream.socket()?.local_addr().ok()?.as_socket()?);
        OUR_ENDS.lock().insert(end);
        Some(Self(end))
    }
}

impl Drop for OurEnd {
    fn drop(&mut self) {
        OUR_ENDS.lock().remove(&self.0);
    }
}

/// Did the gate itself make the connection that comes from there?
#[must_use]
pub fn is_our_end(peer: SocketAddr) -> bool {
    OUR_ENDS.lock().contains(&plain(peer))
}

fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
