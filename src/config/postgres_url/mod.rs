//! The URL of a PostgreSQL server, as `store.url` holds it: hosts in their order, and whether TLS is spoken with each.
//!
//! The URL is a secret as a whole. No fault repeats any of it but words that are known here, since a password that is not
//! percent-encoded could look like anything else. TLS always checks the certificate and its name.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr as _;

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::secret::SecretText;

/// What a URL looks like.
const FORM: &str = "postgres://user:password@host:5432/database, with what is special in the password percent-encoded";

/// Parameters of libpq that are read differently here, or not at all, and may be named in a fault.
const REFUSED: [(&str, &str); 9] = [
    ("sslrootcert", "store.tls = { ca = \"…\" }; without it the system's roots are believed"),
    ("sslcert", "store.tls = { cert = \"…\", key = \"…\" }"),
    ("sslkey", "store.tls = { cert = \"…\", key = \"…\" }"),
    ("sslpassword", "a key in PEM that is not encrypted"),
    ("sslcrl", "certificates that live for a short time"),
    ("passfile", "the password in the URL"),
    ("service", "host, user and database in the URL"),
    ("replication", "leave it out"),
    ("requirepeer", "a Unix socket in a folder that only the server's user may write to"),
];

/// Parameters of libpq that change nothing here.
const IGNORED: [&str; 4] = ["gssencmode", "sslsni", "sslcompression", "fallback_application_name"];

/// Where the server is, who the gate is there, and whether TLS is spoken on the way.
#[derive(Clone)]
pub struct PostgresUrl {
    /// Everything but the hosts.
    whole: tokio_postgres::Config,
    hosts: Vec<PostgresHost>,
    /// Which parameters are written.
    written: Vec<String>,
}

/// One of the hosts that are tried in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresHost {
    host: Host,
    address: Option<IpAddr>,
    port: u16,
    /// Whether TLS is spoken with it.
    pub tls: bool,
}

/// Why a URL cannot be used. No text holds any of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostgresUrlFault {
    /// It is something else.
    #[error("is not the URL of a PostgreSQL server; expected {FORM}")]
    NoUrl,
    /// It could be read in two ways.
    #[error("holds the character @ more than once; one that belongs to the password is written %40")]
    SeveralAt,
    /// A parameter that is not read, and what to write in its place.
    #[error("has the parameter {0}, which is not supported; use {1}")]
    Refused(&'static str, &'static str),
    /// A parameter that nobody knows, or a value that it cannot have. It may be a piece of a password, so it is not named.
    #[error("has a parameter or a value that is not known; expected {FORM}")]
    Unknown,
    /// Nobody to connect to.
    #[error("names no host; expected {FORM}")]
    NoHost,
    /// A host that cannot be one.
    #[error("names a host that is neither a name nor an address nor a folder; expected {FORM}")]
    BadHost,
    /// Hosts, addresses and ports do not fit each other.
    #[error(
        "names {hosts} hosts, {addresses} addresses (hostaddr) and {ports} ports; expected as many of each, or one port for all"
    )]
    Uneven {
        /// How many hosts.
        hosts: usize,
        /// How many addresses.
        addresses: usize,
        /// How many ports.
        ports: usize,
    },
    /// TLS that whoever is on the way can switch off.
    #[error(
        "has sslmode={0}, which whoever is on the way can turn into no TLS at all; write sslmode=verify-full, or \
         sslmode=disable where the network keeps it secret"
    )]
    WeakTls(&'static str),
    /// It asks for a server that cannot be written to.
    #[error("asks for a server that only reads (target_session_attrs); the store writes, so leave it out")]
    ReadOnly,
}

/// `sslmode`, as far as there is a difference: a certificate is always checked, with its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Not written: TLS, unless the host is this machine.
    Unsaid,
    Off,
    Weak(&'static str),
    On,
}

impl PostgresUrl {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// [`PostgresUrlFault`].
    pub fn parse(text: &SecretText) -> Result<Self, PostgresUrlFault> {
        Self::read(text.expose())
    }

    fn read(text: &str) -> Result<Self, PostgresUrlFault> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(PostgresUrlFault::NoUrl);
        }
        if text.matches('@').count() > 1 {
            return Err(PostgresUrlFault::SeveralAt);
        }
        let from = text.find('@').unwrap_or_default();
        let (before, query) = match text.get(from..).and_then(|rest| rest.find('?')) {
            Some(at) => text.split_at(from + at),
            None => (text, ""),
        };
        let mut asked = Asked::default();
        let kept = query.trim_start_matches('?').split('&').filter(|pair| !pair.is_empty());
        let kept = kept.map(|pair| asked.take(pair)).collect::<Result<Vec<_>, _>>()?;
        let kept: Vec<&str> = kept.into_iter().flatten().collect();
        let rest = if kept.is_empty() { before.to_owned() } else { format!("{before}?{}", kept.join("&")) };
        let rest = zeroize::Zeroizing::new(rest);
        let whole = tokio_postgres::Config::from_str(&rest).map_err(|_| PostgresUrlFault::Unknown)?;
        let hosts = hosts(&whole, asked.mode)?;
        let mut url = Self { whole, hosts, written: asked.written };
        if !url.says("target_session_attrs") {
            url.whole.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        Ok(url)
    }

    /// The hosts, in the order in which they are tried.
    #[must_use]
    pub fn hosts(&self) -> &[PostgresHost] {
        &self.hosts
    }

    /// Whether a parameter is written in it.
    #[must_use]
    pub fn says(&self, parameter: &str) -> bool {
        self.written.iter().any(|written| written == parameter)
    }

    /// Whether what is sent to a host on another machine goes there in the clear.
    #[must_use]
    pub fn is_in_the_clear(&self) -> bool {
        self.hosts.iter().any(|host| !host.tls && !host.is_here())
    }

    /// What is needed to connect to one of the hosts.
    #[must_use]
    pub fn towards(&self, host: &PostgresHost) -> tokio_postgres::Config {
        let (from, mut to) = (&self.whole, tokio_postgres::Config::new());
        if let Some(user) = from.get_user() {
            to.user(user);
        }
        if let Some(password) = from.get_password() {
            to.password(password);
        }
        if let Some(database) = from.get_dbname() {
            to.dbname(database);
        }
        if let Some(options) = from.get_options() {
            to.options(options);
        }
        to.application_name(from.get_application_name().unwrap_or("forgetgate"));
        if let Some(limit) = from.get_connect_timeout() {
            to.connect_timeout(*limit);
        }
        if let Some(limit) = from.get_tcp_user_timeout() {
            to.tcp_user_timeout(*limit);
        }
        to.keepalives(from.get_keepalives()).keepalives_idle(from.get_keepalives_idle());
        if let Some(interval) = from.get_keepalives_interval() {
            to.keepalives_interval(interval);
        }
        if let Some(retries) = from.get_keepalives_retries() {
            to.keepalives_retries(retries);
        }
        to.target_session_attrs(from.get_target_session_attrs());
        to.channel_binding(from.get_channel_binding()).ssl_negotiation(from.get_ssl_negotiation());
        to.ssl_mode(if host.tls { SslMode::Require } else { SslMode::Disable });
        match &host.host {
            Host::Tcp(name) => to.host(name),
            Host::Unix(folder) => to.host_path(folder),
        };
        if let Some(address) = host.address {
            to.hostaddr(address);
        }
        to.port(host.port);
        to
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresUrl").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl PostgresHost {
    /// Whether it is this machine.
    fn is_here(&self) -> bool {
        let is_here = |address: &IpAddr| address.to_canonical().is_loopback();
        match (&self.host, &self.address) {
            (Host::Unix(_), _) => true,
            (Host::Tcp(_), Some(address)) => is_here(address),
            (Host::Tcp(name), None) => {
                name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address| is_here(&address))
            }
        }
    }
}

impl fmt::Display for PostgresHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Tcp(name) if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Host::Tcp(name) => write!(f, "{name}:{}", self.port),
            Host::Unix(folder) => write!(f, "{}/.s.PGSQL.{}", folder.display(), self.port),
        }
    }
}

/// What is taken out of a URL before the client reads the rest of it.
struct Asked {
    mode: Mode,
    written: Vec<String>,
}

impl Default for Asked {
    fn default() -> Self {
        Self { mode: Mode::Unsaid, written: Vec::new() }
    }
}

impl Asked {
    /// One parameter: `None` if the client need not see it.
    fn take<'a>(&mut self, pair: &'a str) -> Result<Option<&'a str>, PostgresUrlFault> {
        let (key, value) = pair.split_once('=').ok_or(PostgresUrlFault::Unknown)?;
        if let Some((key, right)) = REFUSED.into_iter().find(|(refused, _)| *refused == key) {
            // All that libpq can say with it and means the same here.
            return if pair == "sslrootcert=system" { Ok(None) } else { Err(PostgresUrlFault::Refused(key, right)) };
        }
        if IGNORED.contains(&key) {
            return Ok(None);
        }
        self.written.push(key.to_owned());
        match (key, value) {
            ("sslmode", mode) => {
                self.mode = match mode {
                    "disable" => Mode::Off,
                    "allow" => Mode::Weak("allow"),
                    "prefer" => Mode::Weak("prefer"),
                    "require" | "verify-ca" | "verify-full" => Mode::On,
                    _ => return Err(PostgresUrlFault::Unknown),
                };
                Ok(None)
            }
            ("target_session_attrs", "primary") => {
                self.written.retain(|written| written != key);
                Ok(None)
            }
            ("target_session_attrs", "read-only" | "standby" | "prefer-standby") => Err(PostgresUrlFault::ReadOnly),
            _ => Ok(Some(pair)),
        }
    }
}

fn hosts(whole: &tokio_postgres::Config, mode: Mode) -> Result<Vec<PostgresHost>, PostgresUrlFault> {
    let (names, addresses, ports) = (whole.get_hosts(), whole.get_hostaddrs(), whole.get_ports());
    let count = names.len().max(addresses.len());
    if count == 0 {
        return Err(PostgresUrlFault::NoHost);
    }
    let fits = |found: usize, may_be_one: bool| found == 0 || found == count || (may_be_one && found == 1);
    if !fits(names.len(), false) || !fits(addresses.len(), false) || !fits(ports.len(), true) {
        return Err(PostgresUrlFault::Uneven { hosts: names.len(), addresses: addresses.len(), ports: ports.len() });
    }
    let host = |number: usize| {
        let address = addresses.get(number).copied();
        let name = names.get(number).cloned().or_else(|| address.map(|address| Host::Tcp(address.to_string())));
        let name = name.filter(is_host).ok_or(PostgresUrlFault::BadHost)?;
        let port = ports.get(number).or_else(|| ports.first()).copied().unwrap_or(5432);
        let mut host = PostgresHost { host: name, address, port, tls: false };
        host.tls = match mode {
            Mode::Off => false,
            Mode::On => !matches!(host.host, Host::Unix(_)),
            Mode::Weak(_) | Mode::Unsaid if host.is_here() => false,
            Mode::Weak(mode) => return Err(PostgresUrlFault::WeakTls(mode)),
            Mode::Unsaid => true,
        };
        Ok(host)
    };
    (0..count).map(host).collect()
}

/// Whether it looks like a host, so that it may be said where one is named.
fn is_host(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
            !name.is_empty() && name.bytes().all(legal)
        }
        Host::Unix(folder) => folder.is_absolute(),
    }
}

#[cfg(test)]
mod tests;
