//! A gate that was started from a file, which can be written anew.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use forgetgate::app::{self, Running};
use forgetgate::config::{Address, Source};
use forgetgate::net::ActivatedSockets;
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Answer, Client, request};
use crate::upstream::Upstream;

pub(crate) struct Filed {
    pub(crate) gate: Option<Running>,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) folder: TempDir,
}

/// What every configuration here begins with.
pub(crate) const BEFORE: &str = r#"
[[listen]]
address = "127.0.0.1:0"
[process]
workers = 2
[log]
access = false
[admin]
address = "127.0.0.1:0"
[store]
engine = "memory"
path = "index"
key = { file = "index.key" }
"#;

/// One upstream at `/name`, with lines of its policy.
pub(crate) fn upstream(name: &str, service: &Upstream, policy: &str) -> String {
    upstream_at(name, service.address, policy)
}

pub(crate) fn upstream_at(name: &str, address: SocketAddr, policy: &str) -> String {
    format!(
        r#"
[[upstream]]
name = "{name}"
profile = "watson-assistant"
url = "http://{address}"
route = {{ path = "/{name}" }}
[upstream.policy]
{policy}
"#
    )
}

/// A labelled call of the Assistant to this upstream.
pub(crate) fn message(name: &str, label: &str) -> String {
    let label = format!("X-Watson-Metadata: customer_id={label}");
    request(&format!("POST /{name}/v1/workspaces/w/message?version=2021-06-14"), &[&label, "Content-Length: 2"], "{}")
}

impl Filed {
    pub(crate) fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.toml"), text).unwrap();
        Self::start_in(folder)
    }

    /// A folder that has its `config.toml` already.
    pub(crate) fn start_in(folder: TempDir) -> Self {
        let (source, loaded) = Source::read(&folder.path().join("config.toml"));
        let loaded = loaded.unwrap_or_else(|faults| panic!("{faults:?}"));
        let gate = app::start_from(source, loaded.config, ActivatedSockets::default()).unwrap();
        let (address, admin) = (gate.addresses[0], gate.admin.clone());
        let Address::Tcp(admin) = admin else { panic!("{admin}") };
        Self { gate: Some(gate), address, admin, folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    /// Puts another file in the place of the first, in one step as editors and tools do.
    pub(crate) fn write(&self, text: &str) {
        let new = self.folder.path().join("config.toml.new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path()).unwrap();
    }

    pub(crate) fn client(&self) -> Client {
        Client::to(self.address)
    }

    /// One call of the admin API.
    #[track_caller]
    pub(crate) fn call(&self, line: &str, body: &str) -> Answer {
        let length = format!("Content-Length: {}", body.len());
        let text = request(line, &[&length, "Connection: close"], body).replace("Host: gate", "Host: 127.0.0.1");
        Client::to(self.admin).ask(text)
    }

    #[track_caller]
    pub(crate) fn reload(&self) -> Answer {
        self.call("POST /api/v1/config/reload", "")
    }

    /// Writes another configuration and has it read; gives what has changed.
    #[track_caller]
    pub(crate) fn turn_to(&self, text: &str) -> Vec<String> {
        self.write(text);
        let answer = self.reload();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let changed = answer.json()["changed"].as_array().unwrap().clone();
        changed.iter().map(|key| key.as_str().unwrap().to_owned()).collect()
    }

    /// What `GET /api/v1/config` says of the reload.
    pub(crate) fn standing(&self) -> Value {
        self.call("GET /api/v1/config", "").json()["reload"].clone()
    }

    /// One figure of `/metrics`, by its name and labels.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.call("GET /metrics", "").text();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}: {page}")).parse().unwrap()
    }
}
