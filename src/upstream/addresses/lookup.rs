//! One lookup of a name at a time, for all who want to connect, believed for a second: a name service that hangs holds one
//! thread a service and not one a connection, and a storm of connections asks once.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::time::Instant;

/// For how long an answer is believed, also that there is none.
pub(super) const FRESH: Duration = Duration::from_secs(1);

/// How names become addresses.
#[derive(Clone)]
pub(super) enum Resolver {
    /// It is an address already.
    Literal(SocketAddr),
    /// As the system does it.
    System {
        /// The name.
        host: Arc<str>,
        /// The port, which belongs to each address.
        port: u16,
    },
    /// As a test says.
    #[cfg(test)]
    Said(Arc<dyn Fn() -> Option<Vec<SocketAddr>> + Send + Sync>),
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

impl Resolver {
    /// Asks, which may take as long as the name service likes.
    fn ask(&self) -> Option<Arc<[SocketAddr]>> {
        match self {
            Self::Literal(address) => Some([*address].into()),
            Self::System { host, port } => Some((&**host, *port).to_socket_addrs().ok()?.collect()),
            #[cfg(test)]
            Self::Said(say) => Some(say()?.into()),
        }
    }
}

/// One that came when all who had waited for it were gone counts as there: it may be as old as it likes.
fn is_under_way(answer: &Answer) -> bool {
    answer.clone().now_or_never().is_none()
}

type Answer = Shared<BoxFuture<'static, Option<Arc<[SocketAddr]>>>>;

/// The lookups of one name.
pub(super) struct Lookup {
    resolver: Resolver,
    last: Mutex<Option<(Instant, Answer)>>,
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").finish_non_exhaustive()
    }
}

impl Lookup {
    pub(super) fn new(resolver: Resolver) -> Self {
        Self { resolver, last: Mutex::new(None) }
    }

    /// The addresses of the name. `None`: it has none, or the name service said so.
    pub(super) async fn addresses(&self) -> Option<Arc<[SocketAddr]>> {
        if let Resolver::Literal(_) = self.resolver {
            return self.resolver.ask();
        }
        self.answer().await.filter(|found| !found.is_empty())
    }

    fn answer(&self) -> Answer {
        let now = Instant::now();
        let mut last = self.last.lock();
        if let Some((asked, answer)) = &*last
            && (now.saturating_duration_since(*asked) < FRESH || is_under_way(answer))
        {
            return answer.clone();
        }
        let resolver = self.resolver.clone();
        let asking = tokio::task::spawn_blocking(move || resolver.ask());
        let answer = async move { asking.await.ok().flatten() }.boxed().shared();
        *last = Some((now, answer.clone()));
        answer
    }
}
