//! A caller's socket on its way from the runtime that accepted it to the worker that serves it.

use std::io;
use std::net::TcpStream as StdTcpStream;
use std::os::unix::net::UnixStream as StdUnixStream;

use tokio::net::{TcpStream, UnixStream};

use crate::net::Stream;

/// A socket that no runtime holds, so that any may.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(StdTcpStream),
    Unix(StdUnixStream),
}

impl Socket {
    /// Takes it from the runtime that accepted it. `None`: its client has left.
    pub(super) fn of(stream: Stream) -> Option<Self> {
        match stream {
            Stream::Tcp(socket) => socket.into_std().ok().map(Self::Tcp),
            Stream::Unix(socket) => socket.into_std().ok().map(Self::Unix),
            // Nobody accepts these.
            Stream::Tls(_) | Stream::Memory(_) | Stream::Prefixed(_) => None,
        }
    }

    /// Gives it to the runtime that this is called on.
    ///
    /// # Errors
    /// When that one cannot take it.
    pub(super) fn into_stream(self) -> io::Result<Stream> {
        match self {
            Self::Tcp(socket) => TcpStream::from_std(socket).map(Stream::Tcp),
            Self::Unix(socket) => UnixStream::from_std(socket).map(Stream::Unix),
        }
    }
}
