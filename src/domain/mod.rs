//! The pure core: rules and state machines without sockets, files, clocks or a runtime.

pub mod alias;
mod base64;
mod careless;
pub mod customer_id;
pub mod decide;
pub mod derive;
pub mod erasure;
mod erasure_call;
mod glance;
pub mod grammar;
pub mod ids;
pub mod instance;
pub mod json;
pub mod keyed_hash;
pub mod label;
pub mod log_filter;
pub mod personal;
pub mod placeholders;
pub mod policy;
pub mod profile;
pub mod proxy_header;
pub mod query;
pub mod refusal;
pub mod steps;
pub mod token;
pub mod webchat;
pub mod websocket;

pub use self::customer_id::{CustomerId, NotAnId};
pub use self::erasure_call::ErasureCall;
pub use self::ids::{Apis, InstanceHash, LabelForm, PairKey, ResourceHash, Tag, UnixSeconds, UpstreamNumber};
pub use self::instance::{Fingerprint, Instance};
