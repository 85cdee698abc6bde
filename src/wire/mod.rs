//! HTTP/1.1 on sockets: what the side of the callers and the side of the services have in common.
//!
//! A [`Link`] is a socket with what was read from it and what is to be written to it; a [`Body`] says where in that a
//! body is; [`Opened`] is a place to listen at. Nobody here decides anything. A connection on which nothing is going on holds no memory for bytes.

mod body;
mod buffer;
mod descriptors;
pub mod http2;
mod inherited;
mod link;
mod opened;
mod our_end;
mod outgoing;
mod peer;
mod socket_file;
mod stream;
mod tls;
mod watch;

pub use self::body::{Body, Outcome, Piece};
pub use self::buffer::Buffer;
pub use self::descriptors::{connections_that_fit, raise_descriptor_limit, too_many_connections};
pub use self::inherited::Inherited;
pub use self::link::Link;
pub use self::opened::{Listener, Opened};
pub use self::our_end::OurEnd;
pub use self::outgoing::Outgoing;
pub use self::peer::Peer;
pub use self::stream::{Begun, Stream};
pub use self::tls::{Agreed, ServerTls, TlsFault, versions};
pub use self::watch::Watch;
