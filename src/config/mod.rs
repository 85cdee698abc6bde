//! The configuration as types that cannot be wrong.
//!
//! `file` is config.toml as it was written. [`parse()`] turns it into these types once, and reports every fault with
//! its place. Nothing outside this module reads the written form.

mod credentials;
mod defaults;
mod describe;
mod erasure;
mod fault;
mod file;
mod file_watch;
mod host;
mod http_proxy;
mod instances;
mod ip_range;
mod key_set;
mod limits;
mod listen;
mod load;
mod log_filter;
mod own;
mod parse;
pub mod pem;
mod postgres_url;
mod quantity;
mod reloadable;
mod rules;
pub mod secret;
mod source;
mod store;
mod suggest;
mod tls;
mod url;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

pub use self::credentials::Credentials;
pub use self::erasure::{Authorize, Erasure, OpenWebsockets};
pub use self::fault::{Fault, Warning};
pub use self::file_watch::{Renew, Renewed};
pub use self::host::{Authority, canonical_host};
pub use self::http_proxy::{BadProxy, HttpProxy, NamedProxy, ProxyLogin, from_environment};
pub use self::instances::{InstanceEntry, Instances};
pub use self::ip_range::{IpRange, NoRange};
pub use self::key_set::{KeyFileFault, key_set_in};
pub use self::limits::Limits;
pub use self::listen::{Address, CaFiles, Interception, Listen, ListenMode, Others, ProxyProtocol};
pub use self::load::{load, load_without_secrets};
pub use self::log_filter::{LOG_FILTER_FORM, is_log_filter};
pub use self::own::{OwnErasure, OwnLimits};
pub use self::parse::parse;
pub use self::pem::Fault as PemFault;
pub use self::postgres_url::{PostgresHost, PostgresUrl, PostgresUrlFault};
pub(crate) use self::quantity::DURATION_FORM;
pub use self::quantity::{format_duration, format_size, parse_duration, parse_size};
pub use self::reloadable::Files;
pub use self::rules::{CallFacts, HeaderCondition, PolicyRule, When};
pub use self::secret::{Secret, SecretError, SecretSource, SecretText};
pub use self::source::Source;
pub use self::store::{Engine, Postgres, Snapshot, Store};
pub use self::tls::{Identity, ListenTls, TlsVersion, UpstreamTls};
pub use self::url::UrlFault;
use crate::domain::policy::Policy;
use crate::domain::profile::Profile;

/// Everything that an operator can set, checked. It is shown by [`Config::describe`], with the file's own key names.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// Where the gate listens for callers; at least one.
    pub listen: Vec<Listen>,
    /// How many worker threads; `None` is "auto".
    #[serde(rename = "process", serialize_with = "describe::process")]
    pub workers: Option<NonZeroUsize>,
    /// Logging.
    pub log: Log,
    /// The admin listener.
    pub admin: Admin,
    /// The index and the jobs.
    pub store: Store,
    /// Erasures.
    pub erasure: Erasure,
    /// Bounds on everything.
    pub limits: Limits,
    /// The folder of the operator's own profiles.
    #[serde(skip)]
    pub profiles_dir: Option<PathBuf>,
    /// The services, in the order of the file; at least one.
    #[serde(rename = "upstream")]
    pub upstreams: Vec<Arc<Upstream>>,
}

/// A file that was read without a fault.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What its operator should know all the same, in the order of the file.
    pub warnings: Vec<Warning>,
    /// The file itself.
    text: Arc<str>,
}

impl Loaded {
    /// Whether this key is written in the file, such as `upstream[2].url`.
    #[must_use]
    pub fn is_written(&self, key: &str) -> bool {
        file::is_written(&self.text, key)
    }

    /// A fault that shows only beside what is running, at the place where `key` stands in the file, such as
    /// `upstream[2].url`, or where the nearest table stands that could hold it.
    #[must_use]
    pub fn fault(&self, key: &str, what: impl Into<String>, right: impl Into<String>) -> Fault {
        let (line, column) = file::place_of(&self.text, key);
        Fault { line, column, key: key.to_owned(), what: what.into(), right: right.into() }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// `[log]`
#[derive(Clone, Debug, Serialize)]
pub struct Log {
    /// Text or JSON.
    pub format: LogFormat,
    /// A filter as tracing writes them; `RUST_LOG` wins.
    pub level: String,
    /// Whether each request has a line.
    pub access: bool,
}

/// `[admin]`
#[derive(Clone, Debug, Serialize)]
pub struct Admin {
    /// Where.
    pub address: Address,
    /// The bearer token of the API; required unless the address is loopback or a Unix socket.
    pub token: Option<Secret>,
    /// Who may read the metrics.
    pub metrics: Metrics,
    /// As a listener's; `None` is no TLS.
    pub tls: Option<ListenTls>,
}

/// `admin.metrics`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Metrics {
    /// Whoever has the token, where there is one: small numbers give away what becomes of one customer.
    #[default]
    Token,
    /// Whoever reaches the listener.
    Open,
}

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// Whether the scheme is https.
    pub tls: bool,
    /// Host name or address literal as it stands in the URL (IPv6 without brackets).
    pub host: String,
    /// Port, defaulted by scheme.
    pub port: u16,
    /// `Host` header towards it: with the port if it is not the scheme's own.
    pub authority: String,
    /// Path prefix without a slash at its end; `""` or `/…`.
    pub path: String,
}

/// How requests find an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Route {
    /// Path prefix, matched on whole segments and stripped; begins with a slash and has none at its end (`""` for `/`).
    pub path: Option<String>,
    /// Host names and addresses, each in its one spelling (see [`canonical_host`]).
    pub hosts: Vec<String>,
}

/// `http2` of an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Http2 {
    /// Over TLS, if the service chooses it (ALPN); never without TLS.
    #[default]
    Auto,
    /// Always, unasked.
    PriorKnowledge,
    /// Never.
    Off,
}

/// `erase` of an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EraseBy {
    /// By label, as the profile says.
    #[default]
    Label,
}

/// One `[[upstream]]`.
#[derive(Clone, Debug, Serialize)]
pub struct Upstream {
    /// Its name: in logs, metrics and receipts; never changes.
    pub name: Arc<str>,
    /// What kind of service.
    #[serde(serialize_with = "describe::profile")]
    pub profile: Arc<Profile>,
    /// Where it is.
    pub url: BaseUrl,
    /// How requests find it.
    pub route: Route,
    /// For the gate's own calls.
    pub credentials: Option<Credentials>,
    /// How far authority proved here reaches.
    pub group: String,
    /// No traffic any more; erasures still go there.
    pub retired: bool,
    /// Send `X-Forwarded-*` and `Forwarded`.
    pub forwarded: bool,
    /// Also put `credentials` on callers' requests.
    pub inject: bool,
    /// Set `learningOptOut: true` in the Web Chat of its pages.
    pub webchat_opt_out: bool,
    /// `?version=` of the gate's own calls.
    pub version: Option<String>,
    /// The instances that it leads to.
    #[serde(flatten)]
    pub instances: Instances,
    /// Versions of the API by which deletes are sent where none was seen.
    pub erase_api: Vec<u8>,
    /// It held labelled data before the gate.
    pub held_labels_before: bool,
    /// A customer's ID travels on to these upstreams, by name.
    pub passes_to: Vec<Arc<str>>,
    /// How its data is erased.
    pub erase: EraseBy,
    /// TLS towards it.
    pub tls: UpstreamTls,
    /// Whether HTTP/2 is spoken to it.
    pub http2: Http2,
    /// The HTTP proxy on the way to it, and to IAM.
    pub proxy: HttpProxy,
    /// Where it differs from `[limits]`.
    pub limits: OwnLimits,
    /// Where it differs from `[erasure]`.
    pub erasure: OwnErasure,
    /// IBM's plan, region and date of creation, for `require`.
    pub plan: Option<String>,
    /// See `plan`.
    pub region: Option<String>,
    /// See `plan`; an ISO date.
    pub created: Option<String>,
    /// How long the service takes to delete after it said so: what is said here, or else what the profile says.
    #[serde(serialize_with = "describe::duration")]
    pub settle: Duration,
    /// How many deletes a minute it takes: as for `settle`; `None`: no bound is known.
    pub deletes_per_minute: Option<u32>,
    /// The effective policy: `[policy]` with this upstream's overrides.
    pub policy: Policy,
    /// Other policies for some of its calls; the first that holds wins. See [`Upstream::policy_for`].
    pub rules: Vec<PolicyRule>,
}
