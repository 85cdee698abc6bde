//! `proxy_protocol` of a listener: whether connections begin with a PROXY header, and whose is believed.

use super::super::file::{Table, Value};
use super::super::{Authorize, Erasure, Listen, ProxyProtocol};
use super::gate::LISTEN_FORM;

const FORM: &str = "true, false or { from = [\"10.0.0.0/8\"] }";
const RANGE_FORM: &str = "a range of addresses, such as \"10.0.0.0/8\" or \"fd00::/8\", or one address";

pub(super) fn believed(value: &Value<'_>) -> Option<ProxyProtocol> {
    if value.is_flag() {
        return value.flag()?.then(ProxyProtocol::default);
    }
    let table = value.table(FORM)?;
    let entries = table.need("from", FORM).map_or_else(Vec::new, |from| {
        let entries = from.list(FORM);
        if from.is_list() && entries.is_empty() {
            from.fault("is empty: no proxy would be believed", RANGE_FORM);
        }
        entries
    });
    table.close();
    let range = |entry: &Value<'_>| {
        let range = entry.text(RANGE_FORM)?.parse();
        if range.is_err() {
            entry.fault("is no range of addresses", RANGE_FORM);
        }
        range.ok()
    };
    Some(ProxyProtocol { from: entries.iter().filter_map(range).collect() })
}

/// Whoever reaches a listener is believed about who calls: that should not be everybody. And behind a proxy, a listener
/// that only this machine reaches is open to all whom the proxy lets in.
pub(super) fn check(root: &Table<'_>, listen: &[Listen], erasure: &Erasure) {
    let entries = root.get("listen").map_or_else(Vec::new, |value| value.list(LISTEN_FORM));
    for (entry, listener) in entries.iter().zip(listen) {
        let (Some(protocol), Some(table)) = (&listener.proxy_protocol, entry.table(LISTEN_FORM)) else { continue };
        let place = table.place_of("proxy_protocol");
        if protocol.from.is_empty() && !listener.address.is_private() {
            let what = "believes everybody who reaches this listener about who they are";
            root.report.warning(&place, what, "{ from = [\"…\"] } with the proxies' addresses, or a private address");
        }
        if let Authorize::Open = erasure.authorize {
            let what = "lets callers in from elsewhere, and \"open\" lets every one of them erase anyone's data";
            root.report.fault(&place, what, "erasure.authorize = \"home\" or \"token\", or no proxy_protocol");
        }
    }
}
