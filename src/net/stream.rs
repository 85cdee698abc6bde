//! A connection's bytes, whichever side it is on and whatever carries them.
//!
//! One type for all, and no boxed trait: nearly every connection is TCP, and that one is a plain call.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

/// What carries a connection's bytes.
#[derive(Debug)]
pub enum Stream {
    /// A TCP socket.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over any of these, the handshake done.
    Tls(Box<TlsStream<Self>>),
    /// One stream of a connection that carries many (HTTP/2), as an HTTP/1.1 connection of its own.
    Memory(DuplexStream),
    /// Any of these, of which some has been read already.
    Prefixed(Box<Prefixed>),
}

/// A stream of which some has been read: that is read again first.
pub struct Prefixed {
    read: Vec<u8>,
    /// How much of `read` has been read again.
    given: usize,
    rest: Stream,
}

// Its bytes may be a customer's: they are never shown.
impl std::fmt::Debug for Prefixed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prefixed").field("rest", &self.rest).finish_non_exhaustive()
    }
}

impl Stream {
    /// A stream from which `read` has been read: whoever reads it now reads that first.
    #[must_use]
    pub fn begun(read: Vec<u8>, rest: Self) -> Self {
        if read.is_empty() { rest } else { Self::Prefixed(Box::new(Prefixed { read, given: 0, rest })) }
    }

    /// The socket below, if there is one for it alone.
    #[must_use]
    pub fn socket(&self) -> Option<SockRef<'_>> {
        match self {
            Self::Tcp(socket) => Some(SockRef::from(socket)),
            Self::Unix(socket) => Some(SockRef::from(socket)),
            Self::Tls(stream) => stream.get_ref().0.socket(),
            Self::Memory(_) => None,
            Self::Prefixed(begun) => begun.rest.socket(),
        }
    }
}

impl Prefixed {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = self.read.get(self.given..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut self.rest).poll_read(cx, buf);
        }
        let now = left.len().min(buf.remaining());
        buf.put_slice(left.get(..now).unwrap_or_default());
        self.given += now;
        if self.given == self.read.len() {
            (self.read, self.given) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Memory(pipe) => Pin::new(pipe).poll_read(cx, buf),
            Self::Prefixed(begun) => begun.poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Memory(pipe) => Pin::new(pipe).poll_write(cx, buf),
            Self::Prefixed(begun) => Pin::new(&mut begun.rest).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Memory(pipe) => Pin::new(pipe).poll_write_vectored(cx, bufs),
            Self::Prefixed(begun) => Pin::new(&mut begun.rest).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(socket) => socket.is_write_vectored(),
            Self::Unix(socket) => socket.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Memory(pipe) => pipe.is_write_vectored(),
            Self::Prefixed(begun) => begun.rest.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Self::Unix(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Memory(pipe) => Pin::new(pipe).poll_flush(cx),
            Self::Prefixed(begun) => Pin::new(&mut begun.rest).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Memory(pipe) => Pin::new(pipe).poll_shutdown(cx),
            Self::Prefixed(begun) => Pin::new(&mut begun.rest).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::Stream;

    #[tokio::test]
    async fn what_was_read_is_read_again_first_and_nothing_is_lost() {
        let (ours, mut theirs) = duplex(64);
        let mut stream = Stream::begun(b"first ".to_vec(), Stream::Memory(ours));
        theirs.write_all(b"then").await.unwrap();
        drop(theirs);
        let (mut piece, mut rest) = ([0; 2], Vec::new());
        stream.read_exact(&mut piece).await.unwrap();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!((&piece, &*rest), (b"fi", &b"rst then"[..]));
    }
}
