//! `ca`, `others` and `tunnel_ports` of a listener whose callers mean another host than the gate.

use super::super::file::{Table, Value};
use super::super::{Address, CaFiles, Interception, Listen, ListenMode, Others};
use super::external_files::Outside;
use super::upstream::Draft;

const CA_FORM: &str =
    "{ cert = \"var/forgetgate-ca.pem\", key = \"var/forgetgate-ca.key\" }, as `forgetgate ca init` makes";
const PORTS_FORM: &str = "a list of ports from 1 to 65535, such as [443]";
const OTHERS: [(&str, Others); 2] = [("refuse", Others::Refuse), ("tunnel", Others::Tunnel)];

/// `address` is the listener's, as far as it could be read.
pub(super) fn interception(
    table: &Table<'_>,
    mode: ListenMode,
    address: Option<&Address>,
    outside: &Outside<'_>,
) -> Interception {
    let by_default = Interception::default();
    let (ca, others, ports) = (table.get("ca"), table.get("others"), table.get("tunnel_ports"));
    if mode == ListenMode::Reverse {
        for value in [&ca, &others, &ports].into_iter().flatten() {
            value.fault("is read by nobody where mode is \"reverse\"", "mode = \"transparent\" or \"forward\"");
        }
        return by_default;
    }
    if mode == ListenMode::Transparent && table.has("proxy_protocol") {
        let right =
            "no `proxy_protocol`: what is redirected comes from this machine or its network, and not from a proxy";
        table.report.fault(&table.place_of("proxy_protocol"), "is sent by nobody where mode is \"transparent\"", right);
    }
    if let (ListenMode::Transparent, Some(Address::Unix(_))) = (mode, address) {
        let right = "an IP address and a port, to which TCP connections are redirected";
        table.report.fault(&table.place_of("address"), "is a Unix socket, to which nothing can be redirected", right);
    }
    let chosen = others.as_ref().and_then(|value| value.choice(&OTHERS, &[])).unwrap_or_default();
    if let (Some(value), false) = (&ports, mode == ListenMode::Forward && chosen == Others::Tunnel) {
        let right = "mode = \"forward\" with others = \"tunnel\", or no `tunnel_ports`";
        value.fault("is read by nobody: this listener makes no tunnels on demand", right);
    }
    let open = mode == ListenMode::Forward && chosen == Others::Tunnel;
    if let (Some(value), Some(address), true) = (&others, address.filter(|address| !address.is_loopback()), open) {
        let what = format!("makes tunnels for anyone who reaches {address}");
        value.report.warning(&value.place, what, "a listener on loopback, or a network of your own");
    }
    Interception {
        ca: ca.and_then(|value| files(&value, outside)),
        others: chosen,
        tunnel_ports: ports.map_or(by_default.tunnel_ports, |value| tunnel_ports(&value)),
    }
}

fn files(value: &Value<'_>, outside: &Outside<'_>) -> Option<CaFiles> {
    let table = value.table(CA_FORM)?;
    let cert = table.need("cert", CA_FORM).and_then(|value| outside.certificates(&value));
    let key = table.need("key", CA_FORM).and_then(|value| outside.private_key(&value));
    table.close();
    let files = CaFiles { cert: cert?, key: key? };
    outside.fits(value, &files.cert, &files.key);
    Some(files)
}

fn tunnel_ports(value: &Value<'_>) -> Vec<u16> {
    let entries = value.list(PORTS_FORM);
    if value.is_list() && entries.is_empty() {
        value.fault("is empty", PORTS_FORM);
    }
    let port = |entry: &Value<'_>| {
        let number = entry.number(PORTS_FORM)?;
        let port = u16::try_from(number).ok().filter(|port| *port != 0);
        if port.is_none() {
            entry.fault("is no port", PORTS_FORM);
        }
        port
    };
    entries.iter().filter_map(port).collect()
}

/// Whoever means another host than the gate finds an upstream by that host only.
pub(super) fn hosts_are_named(root: &Table<'_>, listen: &[Listen], drafts: &[Draft<'_>]) {
    let named = drafts.iter().any(|draft| draft.route.as_ref().is_some_and(|route| !route.hosts.is_empty()));
    let by_host = listen.iter().find(|listener| listener.mode != ListenMode::Reverse);
    if let (Some(listener), false) = (by_host, named) {
        let what = format!("{} finds no upstream: none has hosts in its route", listener.address);
        root.report.warning(&root.place_of("listen"), what, "route = { hosts = [\"gateway.watsonplatform.net\"] }");
    }
}
