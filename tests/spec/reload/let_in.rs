//! Who is let in may change, and who came in before has to come in again.

use std::sync::Arc;

use super::world::{BEFORE, Filed, upstream};
use crate::certificates::{Authority, Caller, Issued, secured};
use crate::client::request;
use crate::upstream::Upstream;

/// "open" is for those who have shown a certificate: nobody else is to be left from before.
#[test]
fn p10_who_came_in_without_a_certificate_does_not_stay_where_one_is_asked_for() {
    let (authority, service) = (Authority::new(), Upstream::scripted());
    let gate = authority.issue("gate", &["gate.test"]);
    let text = |client_ca: &str, erasure: &str| {
        let tls = format!("tls = {{ {}{client_ca} }}\n[process]", gate.keys());
        format!("{}{erasure}{}", BEFORE.replace("[process]", &tls), upstream("one", &service, ""))
    };
    let filed = Filed::start(&text("", ""));
    let config = Arc::clone(&Caller::believing(&authority).config());
    let mut idle = secured(filed.address, "gate.test", &config).unwrap().client;
    assert_eq!(idle.ask(request("GET /one/v1/workspaces", &[], "")).status, 200);
    let client_ca = format!(", client_ca = \"{}\"", authority.ca().display());
    filed.turn_to(&text(&client_ca, "[erasure]\nauthorize = \"open\"\n"));
    idle.try_send(request("DELETE /one/v1/user_data?customer_id=alice&version=2021-06-14", &[], "")).ok();
    let (came, _) = idle.until_its_end();
    assert!(came.is_empty(), "{}", String::from_utf8_lossy(&came));
}

#[test]
fn p11_a_reload_takes_no_expired_certificate_in_place_of_a_good_one_and_is_not_kept_from_other_things_by_one() {
    let (authority, service) = (Authority::new(), Upstream::scripted());
    let (good, old) = (authority.issue("gate", &["gate.test"]), authority.issue_until("old", &["gate.test"], 2021));
    let text = |shown: &Issued, policy: &str| {
        let tls = format!("tls = {{ {} }}\n[process]", shown.keys());
        format!("{}{}", BEFORE.replace("[process]", &tls), upstream("one", &service, policy))
    };
    let filed = Filed::start(&text(&good, ""));
    filed.write(&text(&old, ""));
    let refused = filed.reload();
    assert!(refused.status != 200 && refused.text().contains("has expired"), "{}", refused.text());
    // A start takes it, and what has nothing to do with it can be changed.
    let filed = Filed::start(&text(&old, ""));
    filed.turn_to(&text(&old, "beta = \"refuse\""));
    filed.turn_to(&text(&good, ""));
}
