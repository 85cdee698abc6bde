//! The header of the PROXY protocol, versions 1 and 2 (haproxy.org/download/3.0/doc/proxy-protocol.txt), as bytes.
//!
//! A reader asks for exactly as many bytes as the header still has at least, so that nothing behind it is ever taken:
//! what follows may be TLS. Stricter than the crates for it, which take `PROXYxTCP4`, ports with a sign and TLVs that
//! overrun: a header that is not exactly as the specification writes it comes from no proxy.
//! See docs/decisions/043-proxy-header.md.

mod v1;
mod v2;

#[cfg(test)]
mod tests;

// Addresses without sockets.
use core::net::SocketAddr;

/// Bytes of the longest header that is read: its address, and TLVs up to a client's certificate.
pub const BYTES_MAX: usize = 16 * 1024;

/// Why a connection does not begin with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Something else comes.
    #[error("no PROXY header")]
    Missing,
    /// It begins as one and is none.
    #[error("a malformed PROXY header")]
    Malformed,
    /// Longer than any should be.
    #[error("a PROXY header that is too long")]
    TooLong,
    /// A sum of its bytes that is not theirs.
    #[error("a PROXY header whose checksum is wrong")]
    Checksum,
}

/// How far a header has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// At least so many bytes more belong to it.
    More(usize),
    /// It is whole. `None`: the proxy speaks for itself (LOCAL), or does not know for whom (UNKNOWN, UNSPEC, a Unix
    /// socket).
    Whole(Option<Ends>),
}

/// Both ends of the connection that the proxy has with its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Who calls.
    pub source: SocketAddr,
    /// Whom it called.
    pub destination: SocketAddr,
}

/// Reads what has come so far.
///
/// # Errors
/// [`Fault`], as soon as what has come cannot become a header any more.
pub fn read(bytes: &[u8]) -> Result<Step, Fault> {
    match bytes.first() {
        None => Ok(Step::More(v1::BYTES_MIN)),
        Some(b'P') => v1::read(bytes),
        Some(_) => v2::read(bytes),
    }
}

/// Whether `bytes` begins as `sign` does, as far as it goes.
fn begins(bytes: &[u8], sign: &[u8]) -> bool {
    bytes.iter().zip(sign).all(|(one, other)| one == other)
}
