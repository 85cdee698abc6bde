//! `[[listen]]`, `[process]`, `[log]` and `[admin]`.

use std::num::NonZeroUsize;

use super::super::file::{Table, Value};
use super::super::{Address, Admin, LOG_FILTER_FORM, Listen, ListenMode, Log, LogFormat, Metrics, is_log_filter};
use super::external_files::{Outside, Unreadable};
use super::interception::interception;
use super::{proxies, sockets, tls};

const ADDRESS_FORM: &str = "an IP address and a port (\"127.0.0.1:8080\"), or \"unix:\" and an absolute path";
pub(super) const LISTEN_FORM: &str = "[[listen]] with address = \"127.0.0.1:8080\"";
const MODES: [(&str, ListenMode); 3] =
    [("reverse", ListenMode::Reverse), ("transparent", ListenMode::Transparent), ("forward", ListenMode::Forward)];

pub(super) fn listen(root: &Table<'_>, outside: &Outside<'_>) -> Vec<Listen> {
    let entries = root.need("listen", LISTEN_FORM).map_or_else(Vec::new, |value| value.list(LISTEN_FORM));
    entries.iter().filter_map(|entry| listener(&entry.table(LISTEN_FORM)?, outside)).collect()
}

fn listener(table: &Table<'_>, outside: &Outside<'_>) -> Option<Listen> {
    let address = table.need("address", ADDRESS_FORM).and_then(|value| sockets::address(&value, ADDRESS_FORM));
    let mode = table.get("mode").and_then(|value| value.choice(&MODES, &[])).unwrap_or_default();
    let interception = interception(table, mode, address.as_ref(), outside);
    let tls = tls::listen(table, outside);
    if tls.is_some() && mode == ListenMode::Transparent {
        let what = "is for callers who mean the gate, and whoever is redirected here means a service";
        table.report.fault(&table.place_of("tls"), what, "`ca`, which opens TLS that is meant for services");
    }
    let proxy_protocol = table.get("proxy_protocol").and_then(|value| proxies::believed(&value));
    let socket_mode = sockets::mode(table, address.as_ref());
    let http2 = table.get("http2").and_then(|value| value.flag()).unwrap_or(true);
    table.close();
    address.map(|address| Listen { address, mode, socket_mode, proxy_protocol, tls, http2, interception })
}

/// `None` is "auto".
pub(super) fn process(root: &Table<'_>) -> Option<NonZeroUsize> {
    let table = root.get("process")?.table("[process]")?;
    let workers = table.get("workers");
    table.close();
    let value = workers?;
    let form = "\"auto\" or a whole number from 1 to 1024";
    if value.is_text() {
        value.choice(&[("auto", ())], &[]);
        return None;
    }
    let number = value.number(form)?;
    let workers = usize::try_from(number).ok().filter(|number| *number <= 1024).and_then(NonZeroUsize::new);
    if workers.is_none() {
        value.fault("is out of bounds", form);
    }
    workers
}

pub(super) fn log(root: &Table<'_>) -> Log {
    let mut log = Log::default();
    let Some(table) = root.get("log").and_then(|value| value.table("[log]")) else {
        return log;
    };
    let format = table.get("format");
    let words = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    log.format = format.and_then(|value| value.choice(&words, &[])).unwrap_or(log.format);
    log.level = table.get("level").and_then(|value| level(&value)).unwrap_or(log.level);
    log.access = table.get("access").and_then(|value| value.flag()).unwrap_or(log.access);
    table.not_yet("otlp", "leave it out; metrics are at the admin listener's /metrics");
    table.close();
    log
}

fn level(value: &Value<'_>) -> Option<String> {
    let text = value.text(LOG_FILTER_FORM)?;
    if !is_log_filter(text) {
        value.fault("is no log level or filter", LOG_FILTER_FORM);
        return None;
    }
    Some(text.to_owned())
}

pub(super) fn admin(root: &Table<'_>, outside: &Outside<'_>) -> Admin {
    let mut admin = Admin::default();
    let Some(table) = root.get("admin").and_then(|value| value.table("[admin]")) else {
        return admin;
    };
    let written = table.get("address");
    admin.address = written.and_then(|value| sockets::address(&value, ADDRESS_FORM)).unwrap_or(admin.address);
    let token = table.get("token");
    admin.token = token.as_ref().and_then(|value| outside.secret(value, Unreadable::IsFault));
    let metrics = table.get("metrics");
    let words = [("token", Metrics::Token), ("open", Metrics::Open)];
    let chosen = metrics.as_ref().and_then(|value| value.choice(&words, &[]));
    admin.metrics = chosen.unwrap_or(admin.metrics);
    admin.tls = tls::listen(&table, outside);
    table.close();
    if let (Some(value), Some(Metrics::Token), None) = (&metrics, chosen, &token) {
        value.fault("asks for a token, and there is none: the metrics would be open", "`token` beside it, or \"open\"");
    }
    if admin.tls.is_some() && matches!(admin.address, Address::Unix(_)) {
        let what = "is no use on a Unix socket, which only this machine reaches";
        table.report.fault(&table.place_of("tls"), what, "an IP address and a port, or no `tls`");
    }
    if token.is_none() && !admin.address.is_loopback() {
        let what = "is missing: the admin API is not on loopback, and whoever reaches it can erase";
        table.report.fault(&table.place_of("token"), what, "token = { file = \"…\" }, or an address on loopback");
    }
    admin
}
