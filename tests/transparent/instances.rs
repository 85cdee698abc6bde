//! Instances of one hard-coded host, in transparent mode: three hosts of three instances each, told apart by path and by
//! key, and clients that name none of it (P4).

use std::collections::BTreeSet;

use crate::gate::{Gate, Plan, ask};
use crate::namespace::{Network, eventually, in_its_own};

/// Where the clients believe all hosts to be.
const ADDRESS: &str = "10.77.0.1:80";

/// Each host's service, by the host's first word.
const SERVICES: [(&str, &str); 3] = [("paths", "10.77.2.2"), ("keys", "10.77.2.3"), ("some", "10.77.2.4")];

const KEYS: [&str; 6] = ["p", "k1", "k2", "k3", "s1", "s2"];

const CONFIG: &str = r#"
    [erasure]
    authorize = "home"
    erasures_per_minute = 100000
    [[upstream]]
    name = "paths"
    profile = "watson-assistant"
    url = "http://10.77.2.2"
    route = { hosts = ["paths.test"] }
    deletes_per_minute = 60000
    credentials = { apikey = { env = "KEY_p" } }
    [[upstream]]
    name = "keys"
    profile = "watson-assistant"
    url = "http://10.77.2.3"
    route = { hosts = ["keys.test"] }
    deletes_per_minute = 60000
    instance = [
      { name = "one", credentials = { apikey = { env = "KEY_k1" } }, also = [{ apikey = { env = "KEY_old" } }] },
      { name = "two", credentials = { apikey = { env = "KEY_k2" } } },
      { name = "three", credentials = { apikey = { env = "KEY_k3" } } },
    ]
    [[upstream]]
    name = "some"
    profile = "watson-assistant"
    url = "http://10.77.2.4"
    route = { hosts = ["some.test"] }
    deletes_per_minute = 60000
    instance = [
      { name = "one", credentials = { apikey = { env = "KEY_s1" } } },
      { name = "two", credentials = { apikey = { env = "KEY_s2" } } },
    ]
"#;

/// One instance: the host's first word, the path before the service's own, the key that clients show, and the key that a
/// delete has to show; `None` where the operator has named none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    host: &'static str,
    prefix: String,
    key: Option<String>,
    opened_by: Option<String>,
}

fn all_instances() -> Vec<Held> {
    let mut all = Vec::new();
    for n in 1..=3 {
        let (prefix, opened_by) = (format!("/instances/G{n}"), Some("p".to_owned()));
        all.push(Held { host: "paths", prefix, key: None, opened_by });
        let key = Some(format!("k{n}"));
        all.push(Held { host: "keys", prefix: String::new(), key: key.clone(), opened_by: key });
        let key = Some(format!("s{n}"));
        all.push(Held { host: "some", prefix: String::new(), key: key.clone(), opened_by: key.filter(|_| n != 3) });
    }
    let old = Some("old".to_owned());
    all.push(Held { host: "keys", prefix: String::new(), key: old, opened_by: Some("k1".to_owned()) });
    all
}

fn basic(key: &str) -> String {
    format!("Basic {}", data_encoding::BASE64.encode(format!("apikey:{key}").as_bytes()))
}

/// A call of a legacy client: to a host, with what it always shows.
fn call(place: &Held, line: &str, more: &str) -> String {
    let Held { host, key, .. } = place;
    let key = key.as_deref().unwrap_or("anybody");
    let (key, close) = (basic(key), "Connection: close");
    let answer =
        ask(ADDRESS, &format!("{line} HTTP/1.1\r\nHost: {host}.test\r\nAuthorization: {key}\r\n{close}\r\n{more}"));
    let answer = answer.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{line} at {host}: {answer}");
    answer
}

/// Which service was asked to delete, at which path, and what it was shown.
type Delete = (String, String, String);

fn seen(network: &Network, customer: &str) -> BTreeSet<Delete> {
    let theirs = |line: &&str| line.split(['?', '&', ' ']).any(|part| part == format!("customer_id={customer}"));
    let mut all = BTreeSet::new();
    for (host, address) in SERVICES {
        let heads = network.seen_at(address);
        for head in heads.split("\r\n\r\n").filter(|head| head.starts_with("DELETE ")) {
            let Some(line) = head.lines().next().filter(theirs) else { continue };
            let prefix = line.trim_start_matches("DELETE ").split("/v1/").next().unwrap();
            let shown = head
                .lines()
                .find_map(|line| line.split_once(": ").filter(|line| line.0.eq_ignore_ascii_case("authorization")));
            all.insert((host.to_owned(), prefix.to_owned(), shown.unwrap().1.to_owned()));
        }
    }
    all
}

/// Every other instance that holds something and has a name is asked with its own key; the home with its caller's.
fn expected(held: &[Held], home: &Held) -> BTreeSet<Delete> {
    let place = |held: &Held, key: &str| (held.host.to_owned(), held.prefix.clone(), basic(key));
    let same_instance = |other: &&Held| {
        let by_key = other.opened_by.is_some() && other.opened_by == home.opened_by;
        *other == home || (by_key && (other.host, &other.prefix) == (home.host, &home.prefix))
    };
    let others = held.iter().filter(|other| !same_instance(other));
    let others = others.filter_map(|other| Some(place(other, other.opened_by.as_deref()?)));
    others.chain([place(home, home.key.as_deref().unwrap_or("anybody"))]).collect()
}

fn erased_everywhere(network: &Network, gate: &Gate, random: &mut fastrand::Rng, number: u64) {
    let (customer, all) = (format!("customer-{number}"), all_instances());
    let held: BTreeSet<Held> = (0..random.usize(1..5)).map(|_| all[random.usize(..all.len())].clone()).collect();
    let held: Vec<Held> = held.into_iter().collect();
    for place in &held {
        let message = format!("POST {}/v1/workspaces/w/message?version=2021-06-14", place.prefix);
        call(place, &message, &format!("X-Watson-Metadata: customer_id={customer}\r\nContent-Length: 2\r\n\r\n{{}}"));
    }
    let home = &held[random.usize(..held.len())];
    let delete = format!("DELETE {}/v1/user_data?customer_id={customer}&version=2021-06-14", home.prefix);
    let answer = call(home, &delete, "\r\n");
    let named = answer.lines().filter_map(|line| line.split_once(": "));
    let (_, id) = named.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("forgetgate-erasure")).unwrap();
    // A home that nobody has named is opened by its own caller's key.
    let blocked = held.iter().any(|place| place.opened_by.is_none() && place != home);
    let state = if blocked { "\"state\":\"action_required\"" } else { "\"state\":\"settling\"" };
    eventually("every instance that has a name was asked", || {
        let shown = gate.erasure(id);
        let under_way = ["pending", "fenced", "draining", "sent", "retrying"];
        shown.contains(state) && !under_way.iter().any(|word| shown.contains(&format!("\"state\":\"{word}\"")))
    });
    assert_eq!(seen(network, &customer), expected(&held, home), "{customer}, {}", gate.erasure(id));
    let shown = gate.erasure(id);
    assert_eq!(shown.contains("no credentials for instance"), blocked, "{customer}: {shown}");
}

#[test]
fn p4_the_campaign_through_redirected_hosts_asks_every_instance_with_its_own_key_and_none_else() {
    let test = "instances::p4_the_campaign_through_redirected_hosts_asks_every_instance_with_its_own_key_and_none_else";
    in_its_own(test, |network| {
        network.redirect_with_nftables();
        let secrets: Vec<(String, String)> =
            KEYS.iter().chain(&["old"]).map(|key| (format!("KEY_{key}"), (*key).to_owned())).collect();
        let gate = Gate::start_with(&network, Plan { upstreams: CONFIG, ..Plan::default() }, &secrets);
        let percent: u64 = std::env::var("FORGETGATE_CAMPAIGN").map_or(10, |percent| percent.parse().unwrap());
        let mut random = fastrand::Rng::with_seed(11);
        for number in 0..(500 * percent).div_ceil(100).max(1) {
            erased_everywhere(&network, &gate, &mut random, number);
        }
    });
}
