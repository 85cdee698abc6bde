//! The pure core: what is decided, with no socket, file, clock or runtime in sight.

pub mod customer_id;
pub mod erasure;
pub mod ids;
pub mod policy;
pub mod profile;

pub use self::customer_id::CustomerId;
pub use self::ids::{LabelForm, PairKey, ResourceHash, Tag, UnixSeconds, UpstreamNumber};
