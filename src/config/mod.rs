//! The configuration as types that cannot be wrong.
//!
//! `file` is config.toml as it was written. [`parse()`] turns it into these types once, and reports every fault with
//! its place. Nothing outside this module reads the written form.

mod credentials;
mod defaults;
mod describe;
mod fault;
mod file;
mod file_watch;
mod host;
mod http_proxy;
mod instances;
mod ip_range;
mod key_set;
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

pub use self::credentials::Credentials;
pub use self::fault::{Fault, Warning};
pub use self::file_watch::{Renew, Renewed};
pub use self::host::{Authority, canonical_host};
pub use self::http_proxy::{BadProxy, HttpProxy, NamedProxy, from_environment};
pub use self::instances::{InstanceEntry, Instances};
pub use self::ip_range::{IpRange, NoRange};
pub use self::key_set::{KeyFileFault, key_set_in};
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

/// Everything that an operator can set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the gate listens for callers; at least one.
    pub listen: Vec<Listen>,
    /// How many worker threads; `None` is "auto".
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
    pub profiles_dir: Option<PathBuf>,
    /// The services, in the order of the file; at least one.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct Log {
    /// Text or JSON.
    pub format: LogFormat,
    /// A filter as tracing writes them; `RUST_LOG` wins.
    pub level: String,
    /// Whether each request has a line.
    pub access: bool,
}

/// `[admin]`
#[derive(Clone, Debug)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metrics {
    /// Whoever has the token, where there is one: small numbers give away what becomes of one customer.
    #[default]
    Token,
    /// Whoever reaches the listener.
    Open,
}

impl Metrics {
    /// As the file writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Open => "open",
        }
    }
}

/// `erasure.authorize`
#[derive(Clone, Debug)]
pub enum Authorize {
    /// The addressed upstream's answer to the caller's own credentials is the proof.
    Home,
    /// The caller presents `Forgetgate-Authorization: Bearer …`.
    Token(Secret),
    /// Anyone who reaches the listener.
    Open,
}

/// `erasure.open_websockets`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenWebsockets {
    /// An erasure waits for them.
    #[default]
    Wait,
    /// An erasure closes them.
    Close,
}

/// `[erasure]`
#[derive(Clone, Debug)]
pub struct Erasure {
    /// Who may erase on the data path.
    pub authorize: Authorize,
    /// When an unfinished erasure is late.
    pub deadline: Duration,
    /// Above this rate they wait for approval.
    pub erasures_per_minute: u32,
    /// How long a request for X waits while X is being erased; also the bound of a fence's life and of a delete. A drain has
    /// half of it.
    pub barrier_timeout: Duration,
    /// How long finished erasures are kept.
    pub retention: Duration,
    /// What happens to open WebSockets.
    pub open_websockets: OpenWebsockets,
}

/// `[limits]`. The table in `docs/limits.md` says what happens at each.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Client connections at once.
    pub connections_max: usize,
    /// Requests in flight at once; more are answered 503 `overloaded`.
    pub in_flight_max: usize,
    /// Header lines in a request.
    pub headers_max: usize,
    /// Bytes of a request's head.
    pub header_bytes_max: usize,
    /// Bytes of a body that `derive` may look at.
    pub inspected_body_bytes_max: usize,
    /// From the first byte of a head to its last.
    pub header_timeout: Duration,
    /// A connection on which nothing is going on.
    pub idle_timeout: Duration,
    /// A body of which too little comes or goes.
    pub body_stall_timeout: Duration,
    /// Bytes a second that a caller must send of a body that is waited for, or take of an answer that waits, on average over
    /// `body_stall_timeout`.
    pub body_rate_min: u64,
    /// TCP connect and TLS handshake to an upstream.
    pub connect_timeout: Duration,
    /// Exchanges with one upstream at once, and so connections to it.
    pub upstream_connections_max: usize,
    /// How long an idle connection to a service is kept. Shorter than what servers commonly allow (Node: 5 s), so that the
    /// gate closes first and no request meets a connection that is being closed.
    pub upstream_idle_timeout: Duration,
    /// A connection to a service that is older is not used again, so that a name that leads elsewhere by now is followed.
    pub upstream_connection_age: Duration,
    /// From the end of a request to the head of its answer.
    pub response_timeout: Duration,
    /// How long a service may be silent in its answer.
    pub answer_stall_timeout: Duration,
    /// The same where the answer is a stream of events.
    pub event_stream_timeout: Duration,
    /// From SIGTERM to the hard end.
    pub drain_timeout: Duration,
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Path prefix, matched on whole segments and stripped; begins with a slash and has none at its end (`""` for `/`).
    pub path: Option<String>,
    /// Host names and addresses, each in its one spelling (see [`canonical_host`]).
    pub hosts: Vec<String>,
}

/// `http2` of an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http2 {
    /// Over TLS, if the service chooses it (ALPN); never without TLS.
    #[default]
    Auto,
    /// Always, unasked.
    PriorKnowledge,
    /// Never.
    Off,
}

impl Http2 {
    /// As the file writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::PriorKnowledge => "prior-knowledge",
            Self::Off => "off",
        }
    }
}

/// `erase` of an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EraseBy {
    /// By label, as the profile says.
    #[default]
    Label,
}

impl Upstream {
    /// How long the service takes to delete after it said so.
    #[must_use]
    pub fn settle(&self) -> Duration {
        self.settle.unwrap_or(self.profile.settle)
    }

    /// How many deletes a minute the service takes; `None`: no bound is known.
    #[must_use]
    pub fn deletes_per_minute(&self) -> Option<u32> {
        self.deletes_per_minute.or(self.profile.deletes_per_minute)
    }
}

/// One `[[upstream]]`.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name: in logs, metrics and receipts; never changes.
    pub name: Arc<str>,
    /// What kind of service.
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
    /// How long the service takes to delete after it said so, in place of what the profile says.
    pub settle: Option<Duration>,
    /// How many deletes a minute it takes, in place of what the profile says.
    pub deletes_per_minute: Option<u32>,
    /// The effective policy: `[policy]` with this upstream's overrides.
    pub policy: Policy,
    /// Other policies for some of its calls; the first that holds wins. See [`Upstream::policy_for`].
    pub rules: Vec<PolicyRule>,
}
