//! The engine for several gates that share one index: a server that speaks PostgreSQL's protocol.

mod fault;
mod members;
mod members_sql;
mod server;
mod session;

pub use self::fault::ServerFault;
pub use self::server::{ConnectError, Facts, Kind, Refusal, Refusals, Server};
pub use self::session::Session;
