//! What only several sections together can show: names, routes, who may erase, what crosses the net in the clear.

use std::net::IpAddr;

use super::super::file::Table;
use super::super::{Address, Admin, Authorize, Erasure, Listen};
use super::route::same;
use super::upstream::Draft;

/// No address is listened at twice, and `authorize = "open"` stays on this machine, or among those who can show a
/// certificate.
pub(super) fn listeners(root: &Table<'_>, listen: &[Listen], admin: &Admin, erasure: &Erasure) {
    let mut seen: Vec<&Address> = Vec::new();
    let every = listen.iter().map(|listener| ("listen", &listener.address));
    for (key, address) in every.chain([("admin", &admin.address)]) {
        if let Some(other) = seen.iter().find(|other| takes(other, address)) {
            let what = match *other == address {
                true => format!("{address} is listened at twice"),
                false => format!("{address} and {other} are one port of this machine"),
            };
            root.report.fault(&root.place_of(key), what, "one address each");
        }
        seen.push(address);
    }
    let outside = listen.iter().find(|listener| !listener.address.is_loopback() && !listener.asks_for_certificates());
    if let (Authorize::Open, Some(listener)) = (&erasure.authorize, outside) {
        let what = format!("\"open\" lets anyone who reaches {} erase anyone's data", listener.address);
        let place = root.get("erasure").and_then(|value| value.table("[erasure]"));
        let place = place.map_or_else(|| root.place_of("erasure"), |table| table.place_of("authorize"));
        root.report.fault(
            &place,
            what,
            "authorize = \"home\" or \"token\", listeners on loopback only, or tls.client_ca",
        );
    }
}

/// The same of an upstream that is open by its own word: no listener, and no proxy before one, may bring strangers to it.
pub(super) fn open_upstreams(drafts: &[Draft<'_>], listen: &[Listen]) {
    let brings = |listener: &&Listen| {
        let outside = !listener.address.is_loopback() && !listener.asks_for_certificates();
        outside || listener.proxy_protocol.is_some()
    };
    let Some(listener) = listen.iter().find(brings) else { return };
    for draft in drafts.iter().filter(|draft| draft.is_open_itself()) {
        let what = format!("\"open\" lets anyone who reaches {} erase anyone's data there", listener.address);
        let right = "authorize = \"home\" or \"token\", listeners on loopback only, or tls.client_ca";
        draft.table.report.fault(&draft.table.place_of("erasure"), what, right);
    }
}

/// Whether a listener at one of these keeps the other from being listened at.
fn takes(one: &Address, other: &Address) -> bool {
    match (one, other) {
        (Address::Tcp(one), Address::Tcp(other)) => {
            let (a, b) = (one.ip(), other.ip());
            let all = |any: IpAddr, ip: IpAddr| any.is_unspecified() && (any.is_ipv6() || ip.is_ipv4());
            one.port() != 0 && one.port() == other.port() && (a == b || all(a, b) || all(b, a))
        }
        (Address::Unix(one), Address::Unix(other)) => one == other,
        _ => false,
    }
}

/// No upstream is the gate itself: what it sends there would come back to it, and round again. Names are not looked up.
pub(super) fn leads_elsewhere(listen: &[Listen], admin: &Admin, drafts: &[Draft<'_>]) {
    for draft in drafts {
        let Some(url) = &draft.url else { continue };
        let host =
            if url.is_loopback() && url.host.parse::<IpAddr>().is_err() { "127.0.0.1" } else { url.host.as_str() };
        let Ok(ip) = host.parse::<IpAddr>() else { continue };
        let is_ours = |address: &&Address| match address {
            Address::Tcp(own) if own.port() == url.port => {
                own.ip().to_canonical() == ip.to_canonical() || (own.ip().is_unspecified() && ip.is_loopback())
            }
            Address::Tcp(_) | Address::Unix(_) => false,
        };
        let mut every = listen.iter().map(|listener| &listener.address).chain([&admin.address]);
        if let Some(address) = every.find(is_ours) {
            let what = format!("leads to {address}, where the gate itself listens");
            draft.table.report.fault(&draft.table.place_of("url"), what, "the service's own address");
        }
    }
}

/// Names and routes are each one upstream's own; what is passed on reaches someone.
pub(super) fn upstreams(drafts: &[Draft<'_>]) {
    for (i, draft) in drafts.iter().enumerate() {
        let earlier = drafts.get(..i).unwrap_or_default();
        name_is_new(draft, earlier);
        route_is_new(draft, earlier);
        for (j, (value, name)) in draft.passes_to.iter().enumerate() {
            if draft.name.as_ref() == Some(name) {
                value.fault("passes a customer's ID on to itself", "the names of other upstreams");
            } else if !drafts.iter().any(|other| other.name.as_ref() == Some(name)) {
                value.fault(format!("no upstream is named {name:?}"), known_names(drafts, draft));
            } else if draft.passes_to.iter().take(j).any(|(_, before)| before == name) {
                value.fault("stands in the list twice", "each name once");
            }
        }
    }
}

fn name_is_new(draft: &Draft<'_>, earlier: &[Draft<'_>]) {
    let twin = earlier.iter().find(|other| other.name.is_some() && other.name == draft.name);
    if let Some(twin) = twin {
        let what = format!("is also the name of {}", twin.table.place.key);
        draft.table.report.fault(&draft.table.place_of("name"), what, "a name of its own: the index goes by it");
    }
}

fn route_is_new(draft: &Draft<'_>, earlier: &[Draft<'_>]) {
    let routed = |draft: &'_ Draft<'_>| draft.route.clone().filter(|_| !draft.flags().retired);
    let Some(route) = routed(draft) else { return };
    let twin = earlier.iter().find(|other| routed(other).is_some_and(|other| same(&other, &route)));
    if let Some(twin) = twin {
        let named = twin.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
        let what = format!("leads where the route of {}{named} leads", twin.table.place.key);
        draft.table.report.fault(&draft.table.place_of("route"), what, "another path or other hosts");
    }
}

fn known_names(drafts: &[Draft<'_>], but: &Draft<'_>) -> String {
    let names = drafts.iter().filter(|draft| draft.name != but.name).filter_map(|draft| draft.name.as_deref());
    match names.collect::<Vec<_>>().join(", ") {
        names if names.is_empty() => "the names of other upstreams; there are none".to_owned(),
        names => format!("one of {names}"),
    }
}

/// Authority proved at one group ends at its border, and so does the way of a customer's ID.
fn passes_within_the_group(drafts: &[Draft<'_>], draft: &Draft<'_>) {
    for (value, name) in &draft.passes_to {
        let reached = drafts.iter().find(|other| other.name.as_ref() == Some(name));
        if reached.is_some_and(|other| other.group != draft.group) {
            let what = format!("{name:?} is in another group: an erasure authorised here does not follow the ID there");
            value.report.warning(&value.place, what, "the same group, or erasures through the admin API");
        }
    }
}

/// What is injected needs credentials, proves nothing of a caller, and should not cross the net in the clear.
pub(super) fn authority(drafts: &[Draft<'_>], erasure: &Erasure) {
    for draft in drafts {
        let (table, report) = (&draft.table, draft.table.report);
        let inject = draft.flags().inject;
        if inject && !table.has("credentials") {
            report.fault(&table.place_of("inject"), "there are no credentials to inject", "credentials = { … }");
        }
        let is_home = matches!(draft.erasure.authorize_over(erasure), Authorize::Home);
        if inject && is_home && !draft.flags().retired {
            let what =
                "makes authorize = \"home\" worthless: every caller would be let in by the gate's own credentials";
            report.fault(&table.place_of("inject"), what, "erasure.authorize = \"token\", or inject = false");
        }
        if is_home {
            passes_within_the_group(drafts, draft);
        }
        let plain = draft.url.as_ref().is_some_and(|url| !url.tls && !url.is_loopback());
        if plain && draft.has_credentials() {
            let what = "sends the gate's credentials over plain http";
            report.warning(&table.place_of("url"), what, "https, or a network that nobody else reads");
        }
        if draft.url.as_ref().is_some_and(|url| !url.tls) && table.has("tls") {
            report.fault(&table.place_of("tls"), "is read by nobody: the url is plain http", "https, or no `tls`");
        }
    }
}
