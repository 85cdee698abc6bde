//! Who takes part: a stand-in for each upstream of the configuration, and where the gate is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forgetgate::config::{Address, Config, Upstream};
use forgetgate::domain::policy::Missing;
use forgetgate_stand_ins::{Kind, Options, Running, Service};

/// Why the demonstration cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SceneError {
    /// Only services on this machine are stood in for.
    #[error("upstream `{0}` is not at http://127.0.0.1:PORT: the demonstration speaks to nobody else")]
    Elsewhere(String),
    /// A profile without a stand-in.
    #[error("upstream `{upstream}` has profile `{profile}`, for which there is no stand-in")]
    NoStandIn {
        /// Its name.
        upstream: String,
        /// The profile's name.
        profile: String,
    },
    /// Something else listens there.
    #[error(
        "{addr} is taken: something else listens there (another demonstration?); stop it, or change the port in the config"
    )]
    Taken {
        /// Where.
        addr: SocketAddr,
    },
    /// A stand-in could not be started.
    #[error("the stand-in at {addr} could not be started")]
    Start {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The story needs a part that the configuration does not give to any upstream.
    #[error("the story needs {0}, and the config has none")]
    Uncast(&'static str),
    /// The temporary store could not be made.
    #[error("a temporary directory for the store could not be made")]
    Store(#[source] io::Error),
}

/// One upstream and its stand-in.
#[derive(Debug)]
pub(crate) struct Actor {
    /// The upstream's name.
    pub(crate) name: String,
    /// The path under which the gate offers it; `""` or `/…`.
    pub(crate) route: String,
    /// Whether the gate looks for the customer ID itself if there is no label.
    pub(crate) derives: bool,
    pub(crate) service: Running,
}

/// Starts a stand-in. A port that is taken is told from every other fault.
pub(crate) fn start(kind: Kind, addr: SocketAddr) -> Result<Running, SceneError> {
    Service::start(kind, addr, Options::default()).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => SceneError::Taken { addr },
        _ => SceneError::Start { addr, source },
    })
}

/// Starts a stand-in for each upstream, where the config says that the service is.
pub(crate) fn stand_ins(config: &Config) -> Result<Vec<Actor>, SceneError> {
    config.upstreams.iter().map(|upstream| actor(upstream)).collect()
}

fn actor(upstream: &Upstream) -> Result<Actor, SceneError> {
    let name = upstream.name.to_string();
    let ip = match upstream.url.host.as_str() {
        "localhost" => Some(IpAddr::from(Ipv4Addr::LOCALHOST)),
        host => host.parse().ok(),
    };
    let Some(ip) = ip.filter(|ip| ip.is_loopback() && !upstream.url.tls) else {
        return Err(SceneError::Elsewhere(name));
    };
    let profile = upstream.profile.name.as_str();
    let Some(kind) = Kind::of_profile(profile) else {
        return Err(SceneError::NoStandIn { upstream: name, profile: profile.to_owned() });
    };
    let service = start(kind, SocketAddr::new(ip, upstream.url.port))?;
    let derives = upstream.policy.missing == Missing::Derive;
    Ok(Actor { name, route: upstream.route.path.clone().unwrap_or_default(), derives, service })
}

/// Lets every listener take any free port, so that several demonstrations can run at once.
pub(crate) fn free_ports(config: &mut Config) {
    let listeners = config.listen.iter_mut().map(|listen| &mut listen.address);
    for address in listeners.chain([&mut config.admin.address]) {
        if let Address::Tcp(addr) = address {
            addr.set_port(0);
        }
    }
    for upstream in &mut config.upstreams {
        Arc::make_mut(upstream).url.port = 0;
    }
}

/// Tells the config where the stand-ins really listen.
pub(crate) fn rewire(config: &mut Config, actors: &[Actor]) {
    for (upstream, actor) in config.upstreams.iter_mut().zip(actors) {
        let url = &mut Arc::make_mut(upstream).url;
        url.port = actor.service.addr.port();
        url.authority = actor.service.addr.to_string();
    }
}

/// A directory that goes with its owner.
#[derive(Debug)]
pub(crate) struct TemporaryStore(PathBuf);

impl TemporaryStore {
    /// Makes one, and puts the config's store and key into it.
    pub(crate) fn put_in(config: &mut Config) -> Result<Self, SceneError> {
        let path = std::env::temp_dir().join(format!("forgetgate-demo-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&path).map_err(SceneError::Store)?;
        private(&path).map_err(SceneError::Store)?;
        config.store.path = path.join("store");
        config.store.key_file = path.join("store.key");
        Ok(Self(path))
    }
}

impl Drop for TemporaryStore {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning of temporary files.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[cfg(unix)]
fn private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn private(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The stage's occupants: the gate and the services behind it, by the parts that they play.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) gate: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) actors: Vec<Actor>,
}

impl Scene {
    /// The `nth` stand-in of a kind that insists on labels, or of those that derive them.
    pub(crate) fn part(&self, kind: Kind, derives: bool, nth: usize) -> Option<&Actor> {
        let of_kind = |actor: &&Actor| actor.service.kind == kind && actor.derives == derives;
        self.actors.iter().filter(of_kind).nth(nth)
    }
}
