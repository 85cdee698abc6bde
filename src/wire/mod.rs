//! HTTP/1.1 on sockets: what the side of the callers and the side of the services have in common.
//!
//! A [`Link`] is a socket with what was read from it and what is to be written to it; a [`Body`] says where in that a
//! body is. Nobody here decides anything. A connection on which nothing is going on holds no memory for bytes.

mod body;
mod buffer;
mod link;
mod outgoing;
mod peer;
mod stream;
mod tls;
mod watch;

pub use self::body::{Body, Outcome, Piece};
pub use self::buffer::Buffer;
pub use self::link::Link;
pub use self::outgoing::Outgoing;
pub use self::peer::Peer;
pub use self::stream::Stream;
pub use self::tls::{Agreed, ServerTls, TlsFault, versions};
pub use self::watch::Watch;
