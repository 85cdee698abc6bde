//! Builds the gate from a configuration in the one safe order, and takes it down again.
//!
//! The order is: store and keys; the upstreams, whose numbers the store gives; the in-flight table with the fences of
//! unfinished erasures; the listeners last.

mod access;
mod apply_config;
mod cert_reload;
mod components;
mod config_diff;
mod named;
mod reload;
mod sharing;
mod snapshots;
pub mod supervisor;
mod upstreams;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime;
use tokio::sync::{oneshot, watch};

use self::components::{Parts, Told};
use self::reload::Reloads;
pub use self::upstreams::SitesError;
use crate::admin::InForce;
use crate::config::{self, Address, Config, PemFault, Source};
use crate::listen::DoorError;
use crate::net::ActivatedSockets;
use crate::store::{self, OpenError, StoreError};
use crate::telemetry::{Registry, events};

/// Why the gate does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error("the store cannot be opened")]
    Store(#[from] OpenError),
    /// The store opened, and then did not answer.
    #[error("the store cannot be used")]
    StoreUse(#[from] StoreError),
    /// The upstreams do not fit the store, or cannot be prepared.
    #[error(transparent)]
    Sites(#[from] SitesError),
    /// A listener.
    #[error("cannot listen at {address}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The certificates of a listener.
    #[error("TLS cannot be set up at {place}")]
    Tls {
        /// Which.
        place: String,
        /// Why.
        source: PemFault,
    },
    /// A socket that was open before matches no listener: whoever calls there would never be answered.
    #[error("a socket was handed over for {address}, and neither [[listen]] nor [admin] is configured for that")]
    Unclaimed {
        /// Where it is.
        address: String,
    },
    /// The system gave no thread or runtime.
    #[error("the system gives no thread")]
    Thread(#[source] io::Error),
    /// The thread that builds everything panicked.
    #[error("the gate could not be built")]
    Panicked,
}

impl StartError {
    /// Whether the configuration is to blame.
    #[must_use]
    pub fn is_config(&self) -> bool {
        match self {
            Self::Sites(error) => !matches!(error, SitesError::Store(_)),
            // What the file names beside the address.
            Self::Listen { source, .. } => source.get_ref().is_some_and(|inner| inner.is::<DoorError>()),
            Self::Tls { .. } | Self::Unclaimed { .. } => true,
            Self::Store(_) | Self::StoreUse(_) | Self::Thread(_) | Self::Panicked => false,
        }
    }
}

/// A gate that runs. Stop it with [`Running::stop`]; dropping it cuts everything.
#[derive(Debug)]
pub struct Running {
    /// Where callers come in over TCP, in the order of the configuration that it was started with; the ports are real.
    pub addresses: Vec<SocketAddr>,
    /// The same, Unix sockets included.
    pub listeners: Vec<Address>,
    /// Where the admin API is.
    pub admin: Address,
    /// Threads that serve.
    pub workers: usize,
    registry: Arc<Registry>,
    in_force: Arc<InForce>,
    stop: Option<oneshot::Sender<()>>,
    ended: watch::Receiver<Option<bool>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a gate and comes back when its listeners are open. Its configuration stays as it is. Blocking: not to be called
/// on a runtime.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub fn start(config: Config) -> Result<Running, StartError> {
    begin(config, None, ActivatedSockets::default(), store::open)
}

/// The same for a configuration that `source` was last read as: it is read again when its files change, and when it is
/// asked for. Listeners that are configured for the addresses of sockets that were open before take those.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub fn start_from(source: Source, config: Config, inherited: ActivatedSockets) -> Result<Running, StartError> {
    begin(config, Some(source), inherited, store::open)
}

/// The same, and a store that is missing is made even where its key is there.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub fn start_anew(source: Source, config: Config, inherited: ActivatedSockets) -> Result<Running, StartError> {
    begin(config, Some(source), inherited, store::open_or_make)
}

fn begin(
    config: Config,
    source: Option<Source>,
    inherited: ActivatedSockets,
    open: fn(&config::Store) -> Result<store::Opened, OpenError>,
) -> Result<Running, StartError> {
    let opened = open(&config.store)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    let (built, told) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let (end, ended) = watch::channel(None);
    let control = move || {
        runtime.block_on(async move {
            let (reloads, in_force) = Reloads::new(source, &config);
            match Parts::build(config, opened, in_force, inherited).await {
                Err(error) => drop(built.send(Err(error))),
                Ok(mut parts) => {
                    drop(built.send(Ok(parts.told())));
                    let limit = reloads.serve(&mut parts, stopped).await;
                    end.send_replace(Some(parts.take_down(limit).await));
                }
            }
        });
        // What still looks up a name, or reads a file, has nothing to finish.
        runtime.shutdown_background();
    };
    let thread = std::thread::Builder::new().name("control".to_owned()).spawn(control).map_err(StartError::Thread)?;
    let told = told.recv().map_err(|_| StartError::Panicked)??;
    let Told { listeners, admin, workers, registry, in_force } = told;
    let addresses = listeners.iter().filter_map(tcp).collect();
    let (stop, thread) = (Some(stop), Some(thread));
    Ok(Running { addresses, listeners, admin, workers, registry, in_force, stop, ended, thread })
}

const fn tcp(address: &Address) -> Option<SocketAddr> {
    match address {
        Address::Tcp(address) => Some(*address),
        Address::Unix(_) => None,
    }
}

impl Running {
    /// Has the configuration's file read again, soon.
    pub fn reload(&self) {
        self.in_force.ask();
    }

    /// Requests that are being handled at this moment.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.registry.per_upstream().iter().map(|upstream| upstream.in_flight).sum()
    }

    /// Stops accepting, lets what is on its way finish within `drain_timeout`, and closes the store. `false` if something
    /// was cut. Blocking.
    pub fn stop(mut self) -> bool {
        if let Some(stop) = self.stop.take() {
            // If nobody listens any more it has ended already.
            stop.send(()).ok();
        }
        let joined = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        joined && *self.ended.borrow() == Some(true)
    }
}

/// Says that a gate runs.
pub fn announce(running: &Running) {
    for address in &running.listeners {
        events::Listening { what: "gate", address: &address.to_string() }.emit();
    }
    events::Listening { what: "admin", address: &running.admin.to_string() }.emit();
}
