//! Where the admin API is reached: a TCP address or a Unix socket.

use std::io;

use crate::config::Address;
use crate::net::{self, ActivatedSockets, BoundSocket, Stream};

/// The mode of its Unix socket: whoever reaches it can erase.
const MODE: u32 = 0o600;

/// An open listener.
#[derive(Debug)]
pub struct Listener {
    listener: net::Listener,
    address: Address,
}

impl Listener {
    /// Opens it, on the runtime that this is called on; a Unix socket is the owner's alone.
    ///
    /// # Errors
    /// What the system says, `AddrInUse` above all.
    pub fn bind(address: &Address, inherited: &mut ActivatedSockets) -> io::Result<Self> {
        let opened = BoundSocket::at(address, MODE, inherited)?;
        let address = opened.address.clone();
        Ok(Self { listener: opened.listen()?, address })
    }

    /// Where it is, with the port that the system chose.
    #[must_use]
    pub const fn local_address(&self) -> &Address {
        &self.address
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}
