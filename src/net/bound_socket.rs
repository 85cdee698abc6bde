//! A listening socket: bound here, or inherited from the process that started the gate.

use std::io;
use std::net::{IpAddr, TcpListener as StdTcpListener};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::PathBuf;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::socket_file::SocketFile;
use super::{ActivatedSockets, Stream};
use crate::config::Address;

/// Connections that the kernel may keep waiting.
const BACKLOG: i32 = 4096;

/// Bytes of an answer that the kernel takes beyond what the caller's window lets out. Its own bound is some megabytes: a
/// caller that reads slowly would cost that much, and would seem to stand still until most of it had been read.
const NOT_SENT_MAX: u32 = 128 * 1024;

/// An open place that nobody accepts at yet. Dropped, it is closed, and the file of a Unix socket that was made here is
/// removed.
#[derive(Debug)]
pub struct BoundSocket {
    socket: Socket,
    /// Where it is; the port is real, also if 0 was asked for.
    pub address: Address,
    file: Option<SocketFile>,
}

impl BoundSocket {
    /// Opens a place, or takes it from what was open already. `mode` is a Unix socket's: who may connect.
    ///
    /// # Errors
    /// The system's: taken, not ours, not allowed. A Unix socket at which somebody listens, or another file, is taken.
    pub fn at(address: &Address, mode: u32, inherited: &mut ActivatedSockets) -> io::Result<Self> {
        if let Some(socket) = inherited.take(address) {
            return Self::of(socket, None);
        }
        match address {
            Address::Tcp(address) => {
                let socket = Socket::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP))?;
                socket.set_reuse_address(true)?;
                socket.bind(&(*address).into())?;
                socket.listen(BACKLOG)?;
                Self::of(socket, None)
            }
            Address::Unix(path) => {
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                let file = SocketFile::bind(&socket, path, mode)?;
                socket.listen(BACKLOG)?;
                Self::of(socket, Some(file))
            }
        }
    }

    fn of(socket: Socket, file: Option<SocketFile>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = address_of(&socket.local_addr()?).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { socket, address, file })
    }

    /// For accepting, on the runtime that this is called on.
    ///
    /// # Errors
    /// When the runtime cannot take one more.
    pub fn listen(self) -> io::Result<Listener> {
        let socket = match &self.address {
            Address::Tcp(_) => Kind::Tcp(TcpListener::from_std(StdTcpListener::from(self.socket))?),
            Address::Unix(_) => Kind::Unix(UnixListener::from_std(StdUnixListener::from(self.socket))?),
        };
        Ok(Listener { socket, _file: self.file })
    }
}

/// What a socket is bound to, in the words of the configuration.
pub(super) fn address_of(bound: &SockAddr) -> Option<Address> {
    let path = || bound.as_pathname().map(|path| Address::Unix(PathBuf::from(path)));
    bound.as_socket().map(Address::Tcp).or_else(path)
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A place that is accepted at.
#[derive(Debug)]
pub struct Listener {
    socket: Kind,
    _file: Option<SocketFile>,
}

impl Listener {
    /// The next connection, and the address that it comes from; a Unix socket has none. Small answers leave at once.
    ///
    /// # Errors
    /// When the system has no descriptor left, or the caller has left already.
    pub async fn accept(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        match &self.socket {
            Kind::Tcp(listener) => {
                let (socket, from) = listener.accept().await?;
                socket.set_nodelay(true)?;
                // A system that does not know it buffers more.
                SockRef::from(&socket).set_tcp_notsent_lowat(NOT_SENT_MAX).ok();
                Ok((Stream::Tcp(socket), Some(from.ip())))
            }
            Kind::Unix(listener) => listener.accept().await.map(|(socket, _)| (Stream::Unix(socket), None)),
        }
    }
}
