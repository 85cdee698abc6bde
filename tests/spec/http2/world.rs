//! A gate before a service that speaks HTTP/2.

use std::net::SocketAddr;

use forgetgate::app::{self, Running};
use forgetgate::config::{self, Address};
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

    /// The page of metrics.
    pub(crate) fn metrics(&self) -> String {
        let Address::Tcp(admin) = self.running.as_ref().unwrap().admin else { panic!("the admin API is not on TCP") };
        Client::to(admin).ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").text()
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.running.as_ref().unwrap().in_flight()
    }

    /// The gate, to be stopped from another thread.
    pub(crate) fn take(&mut self) -> Running {
        self.running.take().unwrap()
    }
}
