//! What is taken over, by whichever way it is told.

use std::fs;
use std::os::unix::fs::symlink;

use super::world::{BEFORE, Filed, message, upstream};
use crate::client::{Client, eventually};
use crate::upstream::Upstream;

#[test]
fn p11_a_file_that_changes_is_seen_without_being_told() {
    let service = Upstream::scripted();
    let filed = Filed::start(&format!("{BEFORE}{}", upstream("one", &service, "missing = \"refuse\"")));
    let mut client = filed.client();
    let unlabelled = message("one", "alice").replace("X-Watson-Metadata", "X-Other");
    client.ask(&unlabelled).assert_refused(400, "label_missing");
    filed.write(&format!("{BEFORE}{}", upstream("one", &service, "mode = \"observe\"")));
    eventually("the connection's next request is judged anew", || client.ask(&unlabelled).status == 200);
}

/// Kubernetes: `config.toml -> ..data/config.toml`, `..data -> ..2026_01`, and only the second link is swapped.
#[test]
fn p11_a_config_map_whose_inner_link_is_swapped_is_taken_over() {
    let service = Upstream::scripted();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, policy) in [("..1", "beta = \"allow\""), ("..2", "beta = \"refuse\"")] {
        fs::create_dir(at(version)).unwrap();
        let text = format!("{BEFORE}{}", upstream("one", &service, policy));
        fs::write(at(version).join("config.toml"), text).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/config.toml", at("config.toml")).unwrap();
    let (new, link) = (at("..data_tmp"), at("..data"));
    let filed = Filed::start_in(folder);
    let before = filed.standing();
    symlink("..2", &new).unwrap();
    fs::rename(new, link).unwrap();
    eventually("the other folder's file is in force", || filed.standing()["hash"] != before["hash"]);
    assert_eq!(filed.call("GET /api/v1/config", "").json()["upstream"][0]["policy"]["beta"], "refuse");
}

#[test]
fn p11_an_upstream_that_is_added_is_used_and_its_figures_go_on_when_it_comes_back() {
    let (service, other) = (Upstream::scripted(), Upstream::scripted());
    let (one, two) = (upstream("one", &service, ""), upstream("two", &other, ""));
    let filed = Filed::start(&format!("{BEFORE}{one}"));
    let mut client = filed.client();
    let plain = "GET /two/v1/workspaces HTTP/1.1\r\nHost: gate\r\n\r\n";
    client.ask(plain).assert_refused(404, "upstream_unknown");
    assert_eq!(filed.turn_to(&format!("{BEFORE}{two}{one}")), ["upstream.two added"]);
    assert_eq!(client.ask(plain).status, 200);
    assert_eq!(client.ask(message("one", "alice")).status, 200);
    assert_eq!(filed.metric("forgetgate_requests_total{upstream=\"two\"}"), 1);
    assert_eq!(filed.turn_to(&format!("{BEFORE}{one}")), ["upstream.two removed"]);
    client.ask(plain).assert_refused(404, "upstream_unknown");
    assert_eq!(filed.turn_to(&format!("{BEFORE}{one}{two}")), ["upstream.two added"]);
    assert_eq!(client.ask(plain).status, 200);
    assert_eq!(filed.metric("forgetgate_requests_total{upstream=\"two\"}"), 2);
    assert_eq!(filed.metric("forgetgate_requests_total{upstream=\"one\"}"), 1);
    assert_eq!(filed.metric("forgetgate_requests_in_flight{upstream=\"two\"}"), 0);
}

#[test]
fn p8_connections_to_an_upstream_that_is_reached_as_before_are_kept_and_those_to_another_are_closed() {
    let (service, moved, moved_to) = (Upstream::scripted(), Upstream::scripted(), Upstream::scripted());
    let text = |policy: &str, two: &Upstream| {
        format!("{BEFORE}{}{}", upstream("one", &service, policy), upstream("two", two, policy))
    };
    let filed = Filed::start(&text("", &moved).replace("workers = 2", "workers = 1"));
    let plain = |name: &str| format!("GET /{name}/v1/workspaces HTTP/1.1\r\nHost: gate\r\n\r\n");
    let mut client = filed.client();
    assert_eq!((client.ask(plain("one")).status, client.ask(plain("two")).status), (200, 200));
    filed.turn_to(&text("beta = \"refuse\"", &moved_to).replace("workers = 2", "workers = 1"));
    eventually("the connection to where it was is closed", || moved.open() == 0);
    assert_eq!((client.ask(plain("one")).status, client.ask(plain("two")).status), (200, 200));
    assert_eq!((service.connections(), moved.connections(), moved_to.connections()), (1, 1, 1));
}

#[test]
fn p8_a_listener_that_is_added_is_open_and_one_that_goes_lets_its_connections_end() {
    let service = Upstream::scripted();
    let one = upstream("one", &service, "");
    let filed = Filed::start(&format!("{BEFORE}{one}"));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    filed.turn_to(&format!("{BEFORE}[[listen]]\naddress = \"{free}\"\n{one}"));
    let (mut idle, mut busy, mut stays) = (Client::to(free), Client::to(free), filed.client());
    assert_eq!(idle.ask(message("one", "alice")).status, 200);
    let (answer, wait) = std::sync::mpsc::channel();
    service.will(crate::upstream::Reply::When(wait, crate::upstream::OK.into()));
    busy.send(message("one", "alice"));
    service.saw(2);
    assert_eq!(filed.turn_to(&format!("{BEFORE}{one}")), ["listen"]);
    assert_eq!(idle.rest(), b"");
    assert!(std::net::TcpStream::connect(free).is_err(), "nobody listens there any more");
    answer.send(()).unwrap();
    let last = busy.answer();
    assert_eq!((last.status, busy.rest()), (200, Vec::new()), "it is answered, and its connection ends");
    assert_eq!(stays.ask(message("one", "alice")).status, 200);
}
