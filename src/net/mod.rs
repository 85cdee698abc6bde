//! Sockets: places to listen at, connections with their peers, and the timers of a connection.
//!
//! Nothing here reads a message or decides anything about one.

mod bound_socket;
mod connection_timers;
mod descriptors;
mod loop_detection;
mod peer;
mod socket_activation;
mod socket_file;
mod stream;

pub use self::bound_socket::{BoundSocket, Listener};
pub use self::connection_timers::ConnectionTimers;
pub use self::descriptors::{connections_that_fit, raise_descriptor_limit, too_many_connections};
pub use self::loop_detection::OwnConnection;
pub use self::peer::Peer;
pub use self::socket_activation::ActivatedSockets;
pub use self::stream::{Prefixed, Stream};
