//! What opens a service to the gate's own calls, and what its callers may be known by.

use serde::Serialize;

use super::{BaseUrl, Secret, UpstreamTls};

/// What the gate's own calls authenticate with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Credentials {
    /// `Authorization: Basic` with user name `apikey`.
    ApiKey(Secret),
    /// An API key exchanged for a token at IAM.
    Iam {
        /// The key.
        apikey: Secret,
        /// The whole URL of the token call.
        url: BaseUrl,
        /// TLS towards it: that of the service is about the service alone.
        tls: Box<UpstreamTls>,
    },
    /// `Authorization: Basic`.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: Secret,
    },
    /// `Authorization: Bearer`.
    Bearer(Secret),
}

impl Credentials {
    /// Their kind, as the file names it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ApiKey(_) => "apikey",
            Self::Iam { .. } => "iam",
            Self::Basic { .. } => "basic",
            Self::Bearer(_) => "bearer",
        }
    }

    /// Whether a caller can be known by them. A bearer's token is another every hour.
    #[must_use]
    pub const fn are_a_key(&self) -> bool {
        !matches!(self, Self::Bearer(_))
    }
}
