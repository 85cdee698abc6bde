//! Stand-ins at free ports, and the shortest ways to give them something and to say what they should hold.

use std::net::{Ipv4Addr, SocketAddr};

use forgetgate_stand_ins::{Kind, Options, Running, Service};

use crate::wire::{request, send};

pub(crate) fn started(kind: Kind) -> Running {
    started_with(kind, Options::default())
}

pub(crate) fn started_with(kind: Kind, options: Options) -> Running {
    Service::start(kind, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), options).expect("a free port")
}

pub(crate) const MESSAGE: &str = "POST /assistant/api/v1/workspaces/w/message?version=2020-04-01";

/// One labelled message; its status.
pub(crate) fn say(assistant: &Running, label: &str) -> u16 {
    let label = format!("X-Watson-Metadata: {label}");
    send(assistant.addr, request(MESSAGE, &[&label], br#"{"input":{"text":"hello"}}"#)).status
}

pub(crate) fn customers(service: &Running) -> Vec<(Option<String>, usize)> {
    service.holdings()
}

pub(crate) fn held(pairs: &[(&str, usize)]) -> Vec<(Option<String>, usize)> {
    pairs.iter().map(|(id, count)| (Some((*id).to_owned()), *count)).collect()
}
