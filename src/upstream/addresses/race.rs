//! The first address that takes a connection. The next one is tried as soon as one refuses, or has not answered for a
//! quarter of a second: a black hole costs no more than that, and an address that is only slow may still win.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::super::{ConnectError, Stage};

/// How long one address is tried alone (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);

/// One connection, or what the last address said. `note` is told of each address whether it took one.
pub(in crate::upstream) async fn first_of(
    addresses: &[SocketAddr],
    deadline: Instant,
    note: impl Fn(SocketAddr, bool),
) -> Result<TcpStream, ConnectError> {
    let mut rest = addresses.iter().copied().enumerate();
    let mut trying = FuturesUnordered::new();
    let mut pending: Vec<(usize, SocketAddr)> = Vec::new();
    let mut said: Option<(usize, ConnectError)> = None;
    loop {
        if let Some((place, address)) = rest.next() {
            pending.push((place, address));
            trying.push(async move { (place, address, TcpStream::connect(address).await) });
        } else if pending.is_empty() {
            break;
        }
        let now = Instant::now();
        let left = u32::try_from(rest.len() + 1).unwrap_or(u32::MAX);
        let alone = HEAD_START.min(deadline.saturating_duration_since(now) / left);
        let until = if rest.len() == 0 { deadline } else { now + alone };
        let (place, address, outcome) = tokio::select! {
            biased;
            Some(ended) = trying.next() => ended,
            () = sleep_until(until) => if Instant::now() >= deadline { break } else { continue },
        };
        pending.retain(|(each, _)| *each != place);
        match outcome {
            Ok(socket) => {
                // Those that were tried longer and have not answered.
                pending.iter().for_each(|(_, slower)| note(*slower, false));
                note(address, true);
                return Ok(socket);
            }
            Err(error) => {
                if is_of_the_address(&error) {
                    note(address, false);
                }
                said = later(said, place, ConnectError::of(&error));
            }
        }
    }
    for (place, address) in pending {
        note(address, false);
        said = later(said, place, ConnectError::Timeout(Stage::Connect));
    }
    Err(said.map_or(ConnectError::Resolve, |(_, error)| error))
}

/// Of two addresses, what the later one said.
fn later(said: Option<(usize, ConnectError)>, place: usize, error: ConnectError) -> Option<(usize, ConnectError)> {
    said.filter(|(before, _)| *before > place).or(Some((place, error)))
}

/// Whether the error concerns the address, and not this machine (no descriptors, no ports).
fn is_of_the_address(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}
