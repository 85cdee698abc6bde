//! A gate before a service that speaks HTTP/2.

use std::net::SocketAddr;

use forgetgate::app::{self, Running};
use forgetgate::config;
use tempfile::TempDir;

use crate::client::Client;
use crate::world::{Plan, text};

/// A gate that runs.
pub(crate) struct Gate {
    running: Option<Running>,
    pub(crate) address: SocketAddr,
    _folder: TempDir,
}

/// Without TLS HTTP/2 is spoken by prior knowledge.
pub(crate) fn plan() -> Plan {
    Plan { upstream: "http2 = \"prior-knowledge\"".to_owned(), ..Plan::default() }
}

impl Gate {
    pub(crate) fn before(service: SocketAddr) -> Self {
        Self::of(service, &plan())
    }

    pub(crate) fn of(service: SocketAddr, plan: &Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = text(plan, service);
        let loaded = config::parse(&text, folder.path()).unwrap_or_else(|faults| panic!("{faults:?}\n{text}"));
        let running = app::start(loaded.config).unwrap();
        let address = running.addresses[0];
        Self { running: Some(running), address, _folder: folder }
    }

    pub(crate) fn client(&self) -> Client {
        Client::to(self.address)
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.running.as_ref().unwrap().in_flight()
    }

    /// The gate, to be stopped from another thread.
    pub(crate) fn take(&mut self) -> Running {
        self.running.take().unwrap()
    }
}
