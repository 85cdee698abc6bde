//! Calls of the admin API by the commands that need a gate that runs: where it is, with which token, and what came back.
//!
//! The address and the token come from the configuration that the gate itself runs with, unless they are given. A
//! customer's ID is sent in bodies only, and is not quoted in any message (P7).

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::answer::{Failure, text};
use crate::config::{self, Address, BaseUrl, Identity, Secret, SecretText, UpstreamTls};
use crate::net::Stream;
use crate::telemetry::chain;
use crate::upstream::Connector;

/// For one call, from the connection to the last byte. The gate bounds its own answers at thirty seconds.
const WITHIN: Duration = Duration::from_secs(40);
/// For the connection, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Where the gate is and how its answers are shown.
#[derive(Args, Clone, Debug)]
pub struct GateArgs {
    /// The configuration file of the gate; it names the address of the admin API
    #[arg(long, value_name = "FILE", default_value = "config.toml")]
    pub config: PathBuf,
    /// The URL of the admin API: http://127.0.0.1:8081, https://10.0.0.1:8081 or unix:/run/forgetgate/admin.sock; no
    /// configuration file is read then
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// The authorities to trust over TLS, in PEM. The default with --admin is the system's roots; else only the
    /// certificates that admin.tls of the configuration names
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The client certificate to show over TLS, in PEM, if admin.tls has a client_ca
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The key of the client certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// The file with the admin token, instead of the one that the configuration names
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl GateArgs {
    /// The gate that runs with the configuration in this file.
    pub(super) fn of(config: &std::path::Path) -> Self {
        Self { config: config.into(), admin: None, ca: None, cert: None, key: None, token_file: None, json: false }
    }
}

/// A gate that runs, to be called.
pub(super) struct Client {
    place: Place,
    /// Where it is reached over TLS.
    tls: Option<Connector>,
    token: Option<SecretText>,
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Client {
    /// Finds the gate. Nothing is connected yet.
    pub(super) fn find(args: &GateArgs) -> Result<Self, Failure> {
        let (place, trust, mut token) = match &args.admin {
            Some(url) => {
                let (place, tls) = place_of(url)?;
                (place, tls.then_some(Trust::Signers), None)
            }
            None => configured(args)?,
        };
        let tls = trust.map(|trust| connector(&place, trust, args)).transpose()?;
        if let Some(path) = &args.token_file {
            token = Some(Secret::file(path));
        }
        let token = token.map(|token| token.read()).transpose().map_err(|error| Failure::failed(chain(&error)))?;
        Ok(Self { place, tls, token })
    }

    /// Calls it. Any 2xx is an answer; a problem is a failure in its own words.
    pub(super) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let (status, body) = self.fetch(method, path, body).await?;
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        match answer {
            Some(answer) if status.is_success() => Ok(answer),
            Some(problem) if !text(&problem, "detail").is_empty() => Err(Failure::refused(&problem)),
            _ => Err(self.stranger(status)),
        }
    }

    /// Reads a page that is text.
    pub(super) async fn page(&self, path: &str) -> Result<String, Failure> {
        let (status, body) = self.fetch(Method::GET, path, None).await?;
        let page = String::from_utf8(body.into()).ok().filter(|_| status.is_success());
        page.ok_or_else(|| self.stranger(status))
    }

    /// Writes what it answers to a file, as it comes.
    pub(super) async fn download(&self, path: &str, file: &mut File) -> Result<(), Failure> {
        let stalled = |_| Failure::failed(format!("the gate at {} does not answer", self.place));
        let asked = async {
            let stream = self.connect().await?;
            self.send(stream, Method::GET, path, None).await
        };
        let (response, _connection) = timeout(WITHIN, asked).await.map_err(stalled)??;
        let status = response.status();
        let mut body = response.into_body();
        if !status.is_success() {
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let problem = body.ok().and_then(|body| serde_json::from_slice::<Value>(&body.to_bytes()).ok());
            return Err(problem.map_or_else(|| self.stranger(status), |problem| Failure::refused(&problem)));
        }
        while let Some(frame) = timeout(WITHIN, body.frame()).await.map_err(stalled)? {
            let frame = frame.map_err(|error| self.unreachable(&error))?;
            let bytes = frame.into_data().unwrap_or_default();
            file.write_all(&bytes).map_err(|error| Failure::failed(format!("the file cannot be written: {error}")))?;
        }
        Ok(())
    }

    async fn fetch(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Bytes), Failure> {
        let exchange = async {
            let stream = self.connect().await?;
            self.exchange(stream, method, path, body).await
        };
        timeout(WITHIN, exchange)
            .await
            .unwrap_or_else(|_| Err(Failure::failed(format!("the gate at {} does not answer", self.place))))
    }

    async fn connect(&self) -> Result<Stream, Failure> {
        match (&self.place, &self.tls) {
            (_, Some(tls)) => tls.connect().await.map_err(|error| self.unreachable(&error)),
            (Place::Tcp { host, port }, None) => {
                let socket = TcpStream::connect((host.as_str(), *port)).await;
                Ok(Stream::Tcp(socket.map_err(|error| self.unreachable(&error))?))
            }
            (Place::Unix(path), None) => {
                Ok(Stream::Unix(UnixStream::connect(path).await.map_err(|error| self.unreachable(&error))?))
            }
        }
    }

    async fn exchange(
        &self,
        stream: Stream,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let (response, _connection) = self.send(stream, method, path, body).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok((status, body.map_err(|error| self.unreachable(&*error))?.to_bytes()))
    }

    /// Gives the answer's head; its body comes as long as the connection is held.
    async fn send(
        &self,
        stream: Stream,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(Response<Incoming>, AbortOnDropHandle<hyper::Result<()>>), Failure> {
        let broke_off = |error: hyper::Error| self.unreachable(&error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broke_off)?;
        let connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.host());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = Full::new(Bytes::from(body.map_or_else(String::new, Value::to_string)));
        let request =
            request.body(body).map_err(|_| Failure::failed("the token is not a text that a header can hold".into()))?;
        Ok((sender.send_request(request).await.map_err(broke_off)?, connection))
    }

    fn stranger(&self, status: StatusCode) -> Failure {
        Failure::failed(format!("what answers at {} is no Forgetgate ({status})", self.place))
    }

    fn host(&self) -> String {
        match &self.place {
            Place::Tcp { .. } => self.place.to_string(),
            Place::Unix(_) => "localhost".to_owned(),
        }
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        Failure::failed(format!("no answer from the gate at {} ({}); does it run?", self.place, chain(error)))
    }
}

/// Whom to believe over TLS where `--ca` does not say it.
enum Trust {
    /// Whoever has a certificate that was signed for the name.
    Signers,
    /// Whoever has one of these.
    Only(Vec<PathBuf>),
}

fn configured(args: &GateArgs) -> Result<(Place, Option<Trust>, Option<Secret>), Failure> {
    let loaded = config::load(&args.config).map_err(|faults| Failure::config(&args.config, &faults))?;
    let admin = loaded.config.admin;
    let trust = admin.tls.map(|tls| Trust::Only(tls.identities.into_iter().map(|identity| identity.cert).collect()));
    let place = match admin.address {
        // A socket of this machine needs no TLS, and has none.
        Address::Unix(path) => return Ok((Place::Unix(path), None, admin.token)),
        // A gate that listens everywhere is on this machine, too.
        Address::Tcp(address) if address.ip().is_unspecified() => {
            let host = if address.is_ipv6() { "::1" } else { "127.0.0.1" };
            Place::Tcp { host: host.to_owned(), port: address.port() }
        }
        Address::Tcp(address) => Place::Tcp { host: address.ip().to_string(), port: address.port() },
    };
    Ok((place, trust, admin.token))
}

fn connector(place: &Place, trust: Trust, args: &GateArgs) -> Result<Connector, Failure> {
    let url =
        BaseUrl::parse(&format!("https://{place}")).map_err(|fault| Failure::usage(format!("--admin: {fault}")))?;
    let identity = args.cert.clone().zip(args.key.clone()).map(|(cert, key)| Identity { cert, key });
    let tls = UpstreamTls { ca: args.ca.clone(), identity, ..UpstreamTls::default() };
    let connector = match trust {
        Trust::Only(believed) if args.ca.is_none() => Connector::pinned(&url, &believed, &tls, CONNECT_WITHIN),
        Trust::Only(_) | Trust::Signers => Connector::to(&url, &tls, CONNECT_WITHIN),
    };
    connector.map_err(|error| Failure::failed(chain(&error)))
}

/// Where that is, and whether it is reached over TLS.
fn place_of(url: &str) -> Result<(Place, bool), Failure> {
    let wrong = || Failure::usage("--admin is http://HOST:PORT, https://HOST:PORT or unix:PATH".into());
    if let Some(path) = url.strip_prefix("unix:") {
        return if path.is_empty() { Err(wrong()) } else { Ok((Place::Unix(path.into()), false)) };
    }
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let (tls, own_port) = match uri.scheme_str() {
        Some("http") => (false, 80),
        Some("https") => (true, 443),
        _ => return Err(wrong()),
    };
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let host = uri.host().filter(|_| bare).ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((Place::Tcp { host, port: uri.port_u16().unwrap_or(own_port) }, tls))
}

#[cfg(test)]
mod tests {
    use super::{Place, place_of};

    #[test]
    fn the_admin_api_is_found_by_url_or_socket_and_nothing_else() {
        let tcp = |host: &str, port| Place::Tcp { host: host.into(), port };
        assert_eq!(place_of("http://127.0.0.1:8081").unwrap(), (tcp("127.0.0.1", 8081), false));
        assert_eq!(place_of("http://[::1]:8081/").unwrap(), (tcp("::1", 8081), false));
        assert_eq!(place_of("https://gate.internal").unwrap(), (tcp("gate.internal", 443), true));
        assert_eq!(place_of("unix:/run/gate.sock").unwrap(), (Place::Unix("/run/gate.sock".into()), false));
        for wrong in ["ftp://gate:1", "https://gate:1/api", "http://gate:1/api", "gate:1", "unix:", "", "http://"] {
            assert!(place_of(wrong).is_err(), "{wrong}");
        }
        assert_eq!(tcp("::1", 8081).to_string(), "[::1]:8081");
    }
}
