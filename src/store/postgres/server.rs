//! The way to a server: which hosts are tried, how long, with which TLS, and what a server must be before it is used.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault::ServerFault;
use super::session::{Driven, Session};
use crate::config::pem::LastRead;
use crate::config::{self, PemFault, PostgresHost, PostgresUrl, PostgresUrlFault, Secret, SecretError, UpstreamTls};
use crate::tls::{client_config, system_roots};

/// How long one host may take, from its name to the end of the questions it is asked.
const HOST_LIMIT: Duration = Duration::from_secs(5);

/// How long one address of a host may take to accept a connection: a name can have several, of which one does not answer.
const ADDRESS_LIMIT: Duration = Duration::from_secs(2);

/// How long a connection is silent before it is asked whether it is there, and how often.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(5), Duration::from_secs(2), 3);

/// The oldest server that is used, as `server_version_num` says it.
const VERSION_MIN: u32 = 120_000;

/// What the server is told with the connection, so that a statement whose gate is gone does not hold locks. A pooler may refuse
/// it; nothing depends on it.
const OPTIONS: &str = "-c statement_timeout=30000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=30000 \
                       -c default_transaction_isolation=read\\ committed";

/// A server that speaks PostgreSQL's protocol, as configured. Its URL and certificates are read anew for each connection.
#[derive(Debug)]
pub struct Server {
    url: Secret,
    tls: UpstreamTls,
    user_timeout: Duration,
    last: LastRead,
    /// Whether a pooler refused [`OPTIONS`].
    plain: AtomicBool,
}

/// Why there is no connection. No text holds the URL or the password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is not there.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The URL cannot be used.
    #[error("the URL of the store's server {0}")]
    Url(#[from] PostgresUrlFault),
    /// A certificate or a key cannot be used.
    #[error(transparent)]
    Tls(#[from] PemFault),
    /// The machine has no roots of its own.
    #[error("no trusted roots were found on this system; set store.tls.ca or SSL_CERT_FILE")]
    NoSystemRoots,
    /// None of the hosts gave a connection that can be used.
    #[error("no server of the store can be used: {0}")]
    NoHost(Refusals),
}

/// What each of the hosts said.
#[derive(Debug)]
pub struct Refusals(Vec<(String, Refusal)>);

/// Why a host is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It, or the way to it, said no.
    #[error("{0}")]
    Fault(ServerFault),
    /// It took too long.
    #[error("no connection within {} s", .0.as_secs_f32())]
    Slow(Duration),
    /// It is too old.
    #[error("it is PostgreSQL {found}, expected 12 or newer")]
    Old {
        /// What it says of itself.
        found: String,
    },
    /// It does not keep what it acknowledges.
    #[error("{setting} = {found} there, so what it acknowledges can be lost; {right}")]
    Lossy {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What to do.
        right: &'static str,
    },
}

/// What a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What it says of itself, such as `PostgreSQL 15.18 …`.
    pub version: String,
    /// Whose engine it is.
    pub kind: Kind,
    /// `synchronous_commit`, where it has such a setting.
    pub synchronous_commit: Option<String>,
    /// `synchronous_standby_names`, where it has such a setting.
    pub synchronous_standby_names: Option<String>,
}

/// Which servers speak the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL, or what is made of it.
    Postgres,
    /// CockroachDB.
    Cockroach,
    /// YugabyteDB.
    Yugabyte,
}

impl Server {
    /// Nothing is read or connected to yet.
    #[must_use]
    pub fn new(config: &config::Postgres) -> Self {
        Self::at(config.url.clone(), config)
    }

    /// Where notifications are listened for.
    #[must_use]
    pub fn of_notifications(config: &config::Postgres) -> Self {
        Self::at(config.notify_url.clone().unwrap_or_else(|| config.url.clone()), config)
    }

    fn at(url: Secret, config: &config::Postgres) -> Self {
        let last = LastRead::default();
        Self { url, tls: config.tls.clone(), user_timeout: config.ttl, last, plain: AtomicBool::new(false) }
    }

    /// Connects to the first of the hosts that can be written to and keeps what it acknowledges. Its driver runs on this runtime.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], with what each host said.
    pub async fn connect(&self) -> Result<Session, ConnectError> {
        let url = PostgresUrl::parse(&self.url.read()?)?;
        let tls = self.tls_for(&url)?;
        let mut refusals = Vec::new();
        for host in url.hosts() {
            match self.connect_to(&url, host, tls.as_ref()).await {
                Ok(session) => return Ok(session),
                Err(refusal) => refusals.push((host.to_string(), refusal)),
            }
        }
        Err(ConnectError::NoHost(Refusals(refusals)))
    }

    fn tls_for(&self, url: &PostgresUrl) -> Result<Option<MakeRustlsConnect>, ConnectError> {
        if !url.hosts().iter().any(|host| host.tls) {
            return Ok(None);
        }
        let system = match self.tls.ca {
            Some(_) => None,
            None => Some(system_roots().ok_or(ConnectError::NoSystemRoots)?),
        };
        let mut config = client_config(&self.tls, system.as_ref(), &self.last)?;
        // Asked for by servers that are spoken to in TLS from the first byte, ignored by others.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Some(MakeRustlsConnect::new(config)))
    }

    /// What the URL does not say of a connection that breaks without a word.
    fn within_bounds(&self, url: &PostgresUrl, host: &PostgresHost) -> Config {
        let mut to = url.towards(host);
        if !url.says("connect_timeout") {
            to.connect_timeout(ADDRESS_LIMIT);
        }
        if !url.says("tcp_user_timeout") {
            to.tcp_user_timeout(self.user_timeout);
        }
        if !url.says("keepalives_idle") {
            to.keepalives_idle(KEEPALIVE.0);
        }
        if !url.says("keepalives_interval") {
            to.keepalives_interval(KEEPALIVE.1);
        }
        if !url.says("keepalives_retries") {
            to.keepalives_retries(KEEPALIVE.2);
        }
        to
    }

    async fn connect_to(
        &self,
        url: &PostgresUrl,
        host: &PostgresHost,
        tls: Option<&MakeRustlsConnect>,
    ) -> Result<Session, Refusal> {
        let to = self.within_bounds(url, host);
        let said = to.get_connect_timeout().filter(|_| url.says("connect_timeout"));
        let limit = said.map_or(HOST_LIMIT, |limit| HOST_LIMIT.min(*limit));
        let session = async {
            if self.plain.load(Ordering::Relaxed) {
                return used(connected(&to, tls).await?, host).await;
            }
            let with_options = with_options(&to);
            let driven = match connected(&with_options, tls).await {
                Err(Refusal::Fault(fault)) if fault.is_about_startup() => {
                    let driven = connected(&to, tls).await?;
                    self.plain.store(true, Ordering::Relaxed);
                    driven
                }
                driven => driven?,
            };
            used(driven, host).await
        };
        tokio::time::timeout(limit, session).await.unwrap_or(Err(Refusal::Slow(limit)))
    }
}

/// The URL's own options come last and so win.
fn with_options(to: &Config) -> Config {
    let own = to.get_options().map(|own| format!("{OPTIONS} {own}"));
    let mut to = to.clone();
    to.options(own.unwrap_or_else(|| OPTIONS.to_owned()));
    to
}

async fn connected(to: &Config, tls: Option<&MakeRustlsConnect>) -> Result<Driven, Refusal> {
    let refused = |error: tokio_postgres::Error| Refusal::Fault(ServerFault::of(&error));
    match tls {
        Some(tls) => {
            let (client, connection) = to.connect(tls.clone()).await.map_err(refused)?;
            Ok(Session::driven(client, connection))
        }
        None => {
            let (client, connection) = to.connect(NoTls).await.map_err(refused)?;
            Ok(Session::driven(client, connection))
        }
    }
}

/// A connection that keeps what it acknowledges.
async fn used(driven: Driven, host: &PostgresHost) -> Result<Session, Refusal> {
    let facts = Facts::of(&driven.client).await?;
    Ok(driven.into_session(host, facts))
}

/// What is asked of every server. A setting that one does not have is not in the answer.
const QUESTIONS: &str = "SELECT 'version', pg_catalog.version() UNION ALL SELECT name, setting FROM pg_catalog.pg_settings \
    WHERE name IN ('server_version_num', 'synchronous_commit', 'synchronous_standby_names', 'fsync', 'full_page_writes')";

impl Facts {
    async fn of(client: &Client) -> Result<Self, Refusal> {
        let said = client.query_typed(QUESTIONS, &[] as &[(&(dyn tokio_postgres::types::ToSql + Sync), Type)]).await;
        let said = said.map_err(|error| Refusal::Fault(ServerFault::of(&error)))?;
        let answer = |question: &str| {
            let asked = said.iter().find(|row| row.try_get::<_, &str>(0).is_ok_and(|name| name == question));
            asked.and_then(|row| row.try_get::<_, String>(1).ok())
        };
        let version = answer("version").unwrap_or_default();
        let facts = Self {
            kind: Kind::of(&version),
            synchronous_commit: answer("synchronous_commit"),
            synchronous_standby_names: answer("synchronous_standby_names").filter(|names| !names.is_empty()),
            version,
        };
        if facts.kind == Kind::Postgres {
            let number = answer("server_version_num").and_then(|number| number.parse::<u32>().ok()).unwrap_or_default();
            if number < VERSION_MIN {
                return Err(Refusal::Old { found: facts.version });
            }
            for (setting, found) in [("fsync", answer("fsync")), ("full_page_writes", answer("full_page_writes"))] {
                if let Some(found) = found.filter(|found| found == "off") {
                    return Err(Refusal::Lossy { setting, found, right: "set it to on and restart the server" });
                }
            }
        }
        facts.keeps_what_it_acknowledges()?;
        Ok(facts)
    }

    /// `off` loses commits in a crash. `local` loses them in a failover to the standby that is there so that none is lost.
    /// Everything else waits for the disk here, and for the standby as far as it was asked to.
    fn keeps_what_it_acknowledges(&self) -> Result<(), Refusal> {
        let lossy =
            |found: &str, right| Err(Refusal::Lossy { setting: "synchronous_commit", found: found.to_owned(), right });
        match self.synchronous_commit.as_deref() {
            Some("off") => lossy("off", "give the gate's role its own: ALTER ROLE … SET synchronous_commit = on"),
            Some("local") if self.synchronous_standby_names.is_some() => lossy(
                "local",
                "the server has synchronous standbys, so give the gate's role its own: ALTER ROLE … SET synchronous_commit = on",
            ),
            _ => Ok(()),
        }
    }
}

impl Kind {
    fn of(version: &str) -> Self {
        if version.contains("CockroachDB") {
            Self::Cockroach
        } else if version.contains("-YB-") {
            Self::Yugabyte
        } else {
            Self::Postgres
        }
    }
}

impl Refusals {
    /// What the hosts said, in the order in which they were tried.
    pub fn each(&self) -> impl Iterator<Item = (&str, &Refusal)> {
        self.0.iter().map(|(host, refusal)| (host.as_str(), refusal))
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (host, refusal)) in self.0.iter().enumerate() {
            write!(f, "{}{host}: {refusal}", if number == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}
