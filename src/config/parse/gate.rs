//! `[[listen]]`, `[process]`, `[log]` and `[admin]`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;

use tracing_subscriber::EnvFilter;

use super::super::file::{Table, Value};
use super::super::{Address, Admin, Listen, ListenMode, Log, LogFormat};
use super::outside::{Outside, Unreadable};
use super::tls;

const ADDRESS_FORM: &str = "an IP address and a port, such as \"127.0.0.1:8080\"";
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

pub(super) fn listen(root: &Table<'_>, outside: &Outside<'_>) -> Vec<Listen> {
    let form = "[[listen]] with address = \"127.0.0.1:8080\"";
    let entries = root.need("listen", form).map_or_else(Vec::new, |value| value.list(form));
    entries.iter().filter_map(|entry| listener(&entry.table(form)?, outside)).collect()
}

fn listener(table: &Table<'_>, outside: &Outside<'_>) -> Option<Listen> {
    let address = table.need("address", ADDRESS_FORM).and_then(|value| address(&value));
    if let Some(mode) = table.get("mode") {
        mode.choice(&[("reverse", ListenMode::Reverse)], &["transparent", "forward"]);
    }
    let tls = tls::listen(table, outside);
    off_for_now(table, "proxy_protocol", &[]);
    off_for_now(table, "http2", &["off"]);
    table.close();
    address.map(|address| Listen { address, mode: ListenMode::Reverse, proxy_protocol: false, tls, http2: false })
}

/// A switch of a later version: off is what this one does.
pub(super) fn off_for_now(table: &Table<'_>, key: &'static str, words_for_off: &[&str]) {
    let Some(value) = table.get(key) else { return };
    if value.is_text() && !words_for_off.is_empty() {
        let words: Vec<_> = words_for_off.iter().map(|word| (*word, ())).collect();
        value.choice(&words, &["auto", "prior-knowledge"]);
    } else if value.flag() == Some(true) {
        value.fault("true is not yet supported", "false, or leave it out");
    }
}

fn address(value: &Value<'_>) -> Option<Address> {
    let text = value.text(ADDRESS_FORM)?;
    if text.starts_with("unix:") {
        value.fault("Unix sockets are not yet supported", ADDRESS_FORM);
        return None;
    }
    let address = text.parse::<SocketAddr>();
    if address.is_err() {
        value.fault("is no address to listen at", ADDRESS_FORM);
    }
    address.ok().map(Address::Tcp)
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

/// A filter. A bare word that is no level would be taken for a target's name and silence everything else: it is refused.
fn level(value: &Value<'_>) -> Option<String> {
    let form = "error, warn, info, debug, trace or off, also per target: \"info,forgetgate::proxy=debug\"";
    let text = value.text(form)?;
    let mut directives = text.split(',').map(str::trim);
    let said = directives.all(|one| one.contains('=') || LEVELS.contains(&one.to_ascii_lowercase().as_str()));
    if !said || EnvFilter::try_new(text).is_err() {
        value.fault("is no log level or filter", form);
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
    admin.address = written.and_then(|value| address(&value)).unwrap_or(admin.address);
    let token = table.get("token");
    admin.token = token.as_ref().and_then(|value| outside.secret(value, Unreadable::IsFault));
    admin.tls = tls::listen(&table, outside);
    table.close();
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
