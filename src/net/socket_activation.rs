//! Sockets that were open before the gate was started, as systemd hands them on (`LISTEN_FDS`): the gate needs no right
//! to open them, and callers who come while it starts anew wait in their queues.
//! See docs/decisions/044-systemd-sockets.md.

use std::{env, io};

use listenfd::ListenFd;
use socket2::Socket;

use super::bound_socket::address_of;
use crate::config::Address;

/// Sockets to be taken, each by the listener that is configured for its address.
#[derive(Debug, Default)]
pub struct ActivatedSockets {
    sockets: Vec<(Address, Socket)>,
}

impl ActivatedSockets {
    /// What this process was given. To be called once, before there is a second thread: it takes the variables out of the
    /// environment, so that no child believes that they are for it.
    ///
    /// # Errors
    /// When something was given that is no listening stream socket.
    pub fn from_environment() -> io::Result<Self> {
        // Without the process's ID they were meant for one that has started this one.
        if env::var_os("LISTEN_PID").is_none() {
            return Ok(Self::default());
        }
        let mut given = ListenFd::from_env();
        let mut sockets = Vec::with_capacity(given.len());
        for place in 0..given.len() {
            let socket = match given.take_unix_listener(place) {
                Ok(Some(unix)) => Socket::from(unix),
                // What is no Unix socket stays where it was.
                Ok(None) | Err(_) => match given.take_tcp_listener(place)? {
                    Some(tcp) => Socket::from(tcp),
                    None => continue,
                },
            };
            sockets.push(known(socket)?);
        }
        Ok(Self { sockets })
    }

    /// Takes the socket that is bound to this address.
    pub(super) fn take(&mut self, address: &Address) -> Option<Socket> {
        let place = self.sockets.iter().position(|(bound, _)| bound == address)?;
        Some(self.sockets.remove(place).1)
    }

    /// Where the sockets are that nobody took.
    pub fn left(&self) -> impl Iterator<Item = &Address> {
        self.sockets.iter().map(|(address, _)| address)
    }
}

fn known(socket: Socket) -> io::Result<(Address, Socket)> {
    let unknown = || io::Error::new(io::ErrorKind::InvalidInput, "it has no address of a kind that is known");
    if !socket.is_listener()? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen"));
    }
    let address = address_of(&socket.local_addr()?).ok_or_else(unknown)?;
    Ok((address, socket))
}
