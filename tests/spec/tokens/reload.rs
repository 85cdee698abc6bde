//! Keys in a file, which is read with the configuration: at the start, at a reload, and when it changes.

use std::fs;

use super::issuer::{Key, Server, policy, set, verified};
use super::message;
use crate::client::eventually;
use crate::reload::world::{BEFORE, Filed, upstream};
use crate::upstream::Upstream;

fn said(key: &Key) -> String {
    message(&[&key.line("u-1")]).replace("/api/", "/one/")
}

#[test]
fn p11_keys_in_a_file_are_read_again_with_the_configuration_and_when_the_file_changes() {
    let (old, new, third) = (Key::new("old"), Key::new("new"), Key::new("third"));
    let service = Upstream::scripted();
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{BEFORE}{}", upstream("one", &service, policy(&verified("{ file = \"keys.json\" }"), true)));
    fs::write(folder.path().join("config.toml"), &text).unwrap();
    fs::write(folder.path().join("keys.json"), set(&[&old])).unwrap();
    let filed = Filed::start_in(folder);
    let file = filed.folder.path().join("keys.json");
    assert_eq!(filed.client().ask(said(&old)).status, 200);
    filed.client().ask(said(&new)).assert_refused(400, "token_invalid");

    fs::write(&file, set(&[&new])).unwrap();
    assert_eq!(filed.reload().status, 200);
    assert_eq!(filed.client().ask(said(&new)).status, 200);
    filed.client().ask(said(&old)).assert_refused(400, "token_invalid");

    // Nobody asks for this one.
    fs::write(&file, set(&[&third])).unwrap();
    eventually("the file's change is seen", || filed.client().ask(said(&third)).status == 200);

    fs::write(&file, "{\"keys\":[]}").unwrap();
    let refused = filed.reload();
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("upstream[1].policy.derive[1].jwks.file"), "{}", refused.text());
    assert_eq!(filed.client().ask(said(&third)).status, 200, "what was in force stays in force");
}

#[test]
fn p11_a_reload_brings_an_issuers_address_into_force_with_its_keys_and_keeps_what_it_knows() {
    let (one, two) = (Key::new("one"), Key::new("two"));
    let (first, second) = (Server::showing(&[&one]), Server::showing(&[&two]));
    let service = Upstream::scripted();
    let text = |server: &Server, more: &str| {
        let places = verified(&format!("{{ url = \"{}\" }}", server.url()));
        format!("{BEFORE}{}", upstream("one", &service, &format!("{}\n{more}", policy(&places, true))))
    };
    let filed = Filed::start(&text(&first, ""));
    assert_eq!(filed.client().ask(said(&one)).status, 200);
    filed.turn_to(&text(&first, "personal = \"allow\""));
    assert_eq!(filed.client().ask(said(&one)).status, 200);
    assert_eq!(first.asked(), 1, "the keys are still known");
    let changed = filed.turn_to(&text(&second, ""));
    assert!(changed.contains(&"upstream.one.policy.derive".to_owned()), "{changed:?}");
    assert_eq!(filed.client().ask(said(&two)).status, 200);
    filed.client().ask(said(&one)).assert_refused(400, "token_invalid");
}
