//! The side of the services: connections, TLS, the gate's own calls and their credentials.
//!
//! A [`Connector`] makes connections and knows nothing of HTTP. [`call()`] makes one request on one connection, for the
//! gate's own deletes and for IAM. An [`Authenticator`] makes the `Authorization` of such calls. Callers' requests use
//! connections that a worker keeps, made by the same [`Connector`].

mod addresses;
mod call;
mod connect;
mod credentials;
mod http2;
mod iam;
mod instances;
mod jwks;
mod other_names;
mod pinned;
mod pool;
mod pool_limit;
mod reactor_epoch;
mod site;
mod through;
mod tls;
mod write_gate;

pub use self::call::{Answer, BodyEnd, Bounds, CallError, Exchanging, Fault, Leave, Network, Transport, call};
pub use self::connect::{ConnectError, Connector, Stage, dial};
pub use self::credentials::{Authenticator, CredentialsError};
pub use self::http2::Wanted;
pub use self::iam::{Iam, IamError};
pub use self::instances::Instances;
pub use self::jwks::{FetchError, Fresher, KeySource, KeySources, KeysError};
pub use self::other_names::Hosts;
pub use self::pool::{Pool, Taken};
pub use self::pool_limit::{NoPlace, Place};
pub use self::reactor_epoch::looked;
pub use self::site::Site;
pub use self::tls::RootsError;
pub use self::write_gate::{Closed, Recording, WriteGate};
