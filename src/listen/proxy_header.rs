//! The PROXY header before anything else on a connection: who really calls, as a proxy before the gate says.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::config::ProxyProtocol;
use crate::domain::proxy_header::{Ends, Step, read};
use crate::net::{Peer, Stream};
use crate::telemetry::Rejected;

/// Reads the header, and nothing behind it; within a time of its own. Afterwards `peer` is who called the proxy.
///
/// # Errors
/// Why the connection is to be closed.
pub(super) async fn take(
    stream: &mut Stream,
    peer: &mut Peer,
    protocol: &ProxyProtocol,
    within: Duration,
) -> Result<(), Rejected> {
    if !protocol.believes(peer.ip) {
        return Err(Rejected::ProxyUntrusted);
    }
    let ends = timeout(within, ends(stream)).await.map_err(|_| Rejected::ProxyTimeout)??;
    if let Some(Ends { source, .. }) = ends {
        peer.ip = Some(IpAddr::to_canonical(&source.ip()));
    }
    Ok(())
}

async fn ends(stream: &mut Stream) -> Result<Option<Ends>, Rejected> {
    let mut header = Vec::new();
    loop {
        match read(&header).map_err(|_| Rejected::ProxyHeader)? {
            Step::Whole(ends) => return Ok(ends),
            Step::More(more) => exactly(stream, &mut header, more).await.map_err(|_| Rejected::ProxyHeader)?,
        }
    }
}

/// Reads so many bytes at most, and at least one.
async fn exactly(stream: &mut Stream, header: &mut Vec<u8>, more: usize) -> io::Result<()> {
    let more = u64::try_from(more).unwrap_or(u64::MAX);
    match stream.take(more).read_buf(header).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
