//! A delete by label, as a caller sends it to a service.

use core::net::IpAddr;
use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::Instance;

/// `DELETE …/user_data` of the data path. It is made where the request is read and goes unchanged to the erasure, which may
/// send it again under another form of the label.
#[derive(Clone)]
pub struct ErasureCall {
    /// `{api}` of its path.
    pub api: Option<u8>,
    /// Which of the upstream's instances it is for: by its path, or by its key.
    pub instance: Instance,
    /// Its path below the upstream's base, as it was sent.
    pub path: String,
    /// Its query, as it was sent.
    pub query: Option<String>,
    /// Its headers, ready to be sent to the upstream: nothing of the connection or of the gate is in them, and no label.
    pub headers: HeaderMap,
    /// What it brought to authorise itself at the gate.
    pub forgetgate_authorization: Option<HeaderValue>,
    /// How long the caller wants to wait until every upstream has accepted: `Prefer: wait` (RFC 7240 §4.3), at most
    /// [`Self::WAIT_MAX`].
    pub prefer_wait: Option<Duration>,
    /// Who calls; `None` over a Unix socket.
    pub peer: Option<IpAddr>,
}

impl ErasureCall {
    /// The longest wait that is honoured.
    pub const WAIT_MAX: Duration = Duration::from_secs(60);
}

// Path, query and headers name the customer: they are never shown.
impl fmt::Debug for ErasureCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasureCall").field("api", &self.api).finish_non_exhaustive()
    }
}
