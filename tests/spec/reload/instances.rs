//! P5: an instance that had a name keeps it while there is data, over reloads and restarts.

use std::fs;

use forgetgate::app;
use forgetgate::config::Source;
use forgetgate::net::ActivatedSockets;

use super::world::{BEFORE, Filed, message, upstream};
use crate::upstream::Upstream;

/// An upstream with a key of its own, and one or two instances that have names.
fn text(service: &Upstream, more: &str) -> String {
    let own = "credentials = { apikey = { file = \"own\" } }";
    let one = upstream("one", service, "").replace("[upstream.policy]", &format!("{own}\n{more}\n[upstream.policy]"));
    format!("{BEFORE}{one}").replace("\"memory\"", "\"sled\"")
}

fn entry(name: &str, key: &str) -> String {
    format!("{{ name = \"{name}\", credentials = {{ apikey = {{ file = \"{key}\" }} }} }}")
}

fn filed(text: &str) -> Filed {
    let folder = tempfile::tempdir().unwrap();
    for key in ["own", "a", "b"] {
        fs::write(folder.path().join(key), key).unwrap();
    }
    fs::write(folder.path().join("config.toml"), text).unwrap();
    Filed::start_in(folder)
}

#[test]
fn p5_an_instance_with_a_name_is_not_dropped_while_its_upstream_holds_data() {
    let service = Upstream::scripted();
    let both = text(&service, &format!("instance = [{}, {}]", entry("team-a", "a"), entry("team-b", "b")));
    let one = text(&service, &format!("instance = [{}]", entry("team-a", "a")));
    let mut filed = filed(&both);
    // Nothing was sent there yet: it may go, and come back.
    filed.turn_to(&one);
    filed.turn_to(&both);
    let key = "\r\nAuthorization: Basic YXBpa2V5OmI=\r\nContent-Length";
    let call = message("one", "alice").replace("\r\nContent-Length", key);
    assert_eq!(filed.client().ask(&call).status, 200);
    for fewer in [&one, &text(&service, "instances = \"open\""), &text(&service, "")] {
        filed.write(fewer);
        let answer = filed.reload();
        let fault = &answer.json()["faults"][0];
        assert_eq!((answer.status, fault["key"].as_str()), (422, Some("upstream[1].instance")), "{fault}");
        let what = fault["what"].as_str().unwrap();
        assert!(what.contains("instance \"team-") && what.contains("put it back"), "{what}");
    }
    assert_eq!(filed.client().ask(&call).status, 200, "the refused ones have changed nothing");
    // Renamed; found to be the other's; nor is a restart a way round.
    filed.turn_to(&text(&service, &format!("instance = [{}, {}]", entry("team-a", "a"), entry("renamed", "b"))));
    let also = entry("team-a", "a").replace("} } }", "} }, also = [{ apikey = { file = \"b\" } }] }");
    filed.turn_to(&text(&service, &format!("instance = [{also}]")));
    filed.gate.take().unwrap().stop();
    let start = |text: &str| {
        filed.write(text);
        let (source, loaded) = Source::read(&filed.path());
        app::start_from(source, loaded.unwrap().config, ActivatedSockets::default())
    };
    let refused = start(&text(&service, "")).err().unwrap();
    assert!(refused.is_config() && refused.to_string().contains("instance \"team-a\""), "{refused}");
    let said_to_be_one = start(&text(&service, "instances = \"one\"")).unwrap();
    said_to_be_one.stop();
}
