//! HTTP/1.1 on sockets: what the side of the callers and the side of the services have in common.
//!
//! A [`Link`] is a socket with its read and write buffers; a [`Body`] says where a body is in the bytes read;
//! [`Opened`] is a bound socket. Nothing is decided here. An idle connection holds no buffer.

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
