//! Who can erase what: how far each proof of authority reaches (P10).

use super::table::{paragraph, table};
use crate::config::{Authorize, Config, format_duration};

pub(super) fn authority(config: &Config) -> String {
    let erasure = &config.erasure;
    let data_path = match &erasure.authorize {
        Authorize::Home => {
            let how = "A caller whose delete the addressed upstream answers with 2xx, to the caller's own credentials:";
            format!("{}\n{}\n", paragraph(how, " "), homes(config))
        }
        Authorize::Token(token) => {
            let place = token.source();
            paragraph(
                &format!("At every upstream: whoever sends the token (in {place}) in Forgetgate-Authorization."),
                " ",
            )
        }
        Authorize::Open => paragraph(&format!("At every upstream: anyone who reaches {}.", reached(config)), " "),
    };
    let data_path = format!("{data_path}{}", own(config));
    let admin = match &config.admin.token {
        Some(token) => format!("with its token (in {})", token.source()),
        None => "which is anyone on this machine, since it has no token".to_owned(),
    };
    let admin = format!("At every upstream: whoever uses the admin API at {}, {admin}.", config.admin.address);
    let bounds = format!(
        "More than {} a minute wait for approval; each is due within {}; a customer's new requests wait up to {}.",
        erasure.erasures_per_minute,
        format_duration(erasure.deadline),
        format_duration(erasure.barrier_timeout),
    );
    format!("{data_path}{}{}", paragraph(&admin, " "), paragraph(&bounds, " "))
}

/// A paragraph for each upstream that says itself who may erase there.
fn own(config: &Config) -> String {
    let said = config.upstreams.iter().filter_map(|upstream| {
        let (name, group) = (&upstream.name, &upstream.group);
        let who = match upstream.erasure.authorize.as_ref()? {
            Authorize::Home => "a caller whose delete it answers with 2xx, to the caller's own credentials".to_owned(),
            Authorize::Token(token) => {
                format!("whoever sends its own token (in {}) in Forgetgate-Authorization", token.source())
            }
            Authorize::Open => format!("anyone who reaches {}", reached(config)),
        };
        Some(paragraph(&format!("By a delete at {name}, which says so itself, in the group {group}: {who}."), " "))
    });
    said.collect()
}

/// The listeners, each with what it asks for.
fn reached(config: &Config) -> String {
    let listeners = config.listen.iter().map(|listen| {
        let certificate = listen.tls.as_ref().and_then(|tls| tls.client_ca.as_ref());
        let asked = certificate.map(|ca| format!(" with a certificate signed by one in {}", ca.display()));
        format!("{}{}", listen.address, asked.unwrap_or_default())
    });
    listeners.collect::<Vec<_>>().join(" or ")
}

/// One row for each group: where authority can be proved, and where it then reaches.
fn homes(config: &Config) -> String {
    let mut groups: Vec<&str> = config.upstreams.iter().map(|upstream| upstream.group.as_str()).collect();
    groups.sort_unstable();
    groups.dedup();
    let rows = groups.into_iter().map(|group| {
        let names = |homes_only: bool| {
            let members = config.upstreams.iter().filter(|upstream| upstream.group == group);
            let members = members.filter(|upstream| !(homes_only && upstream.retired));
            members.map(|upstream| &*upstream.name).collect::<Vec<_>>().join(", ")
        };
        let reached = if names(true) == names(false) { "all of them".to_owned() } else { names(false) };
        [group.to_owned(), names(true), reached]
    });
    table(["group", "accepted by one of", "erases a customer at"], rows)
}
