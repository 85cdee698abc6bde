//! Plain HTTP of clients with a hard-coded host or address.

use crate::gate::{ADDRESSES, Gate, HOST, Plan, ask, curl};
use crate::namespace::{Network, in_its_own};

const MESSAGE: &str = "/v1/workspaces/w/message?version=2021-06-14";

#[test]
fn p1_p9_a_client_that_knows_nothing_of_the_gate_is_labelled_or_refused_with_nftables() {
    in_its_own(
        "plain::p1_p9_a_client_that_knows_nothing_of_the_gate_is_labelled_or_refused_with_nftables",
        |network| {
            network.redirect_with_nftables();
            clients_are_labelled_or_refused(&network);
        },
    );
}

#[test]
fn p1_p9_a_client_that_knows_nothing_of_the_gate_is_labelled_or_refused_with_iptables() {
    in_its_own(
        "plain::p1_p9_a_client_that_knows_nothing_of_the_gate_is_labelled_or_refused_with_iptables",
        |network| {
            network.redirect_with_iptables();
            clients_are_labelled_or_refused(&network);
        },
    );
}

#[test]
fn p4_instances_behind_one_hard_coded_host_are_told_apart_by_their_paths() {
    in_its_own("plain::p4_instances_behind_one_hard_coded_host_are_told_apart_by_their_paths", |network| {
        network.redirect_with_nftables();
        let gate = Gate::start(&network, Plan::default());
        let at = |instance: &str, rest: &str| format!("http://{HOST}/instances/{instance}{rest}");
        for instance in ["G1", "G2"] {
            let sent = curl(false, &["-d", "{}", "-H", "X-User-Id: u-17", &at(instance, MESSAGE)]);
            assert_eq!(sent.status, "200", "{sent:?}");
        }
        let delete = at("G1", "/v1/user_data?customer_id=u-17&version=2021-06-14");
        let deleted = curl(false, &["-X", "DELETE", &delete]);
        assert_eq!(deleted.status, "200", "{deleted:?}");
        crate::namespace::eventually("both instances have accepted the delete", || {
            let erasures = gate.erasures();
            ["/instances/G1", "/instances/G2"].iter().all(|path| erasures.contains(&format!("\"path\":\"{path}\"")))
                && erasures.matches("\"state\":\"accepted\"").count() == 2
        });
    });
}

fn clients_are_labelled_or_refused(network: &Network) {
    let _gate = Gate::start(network, Plan::default());
    let url = format!("http://{HOST}{MESSAGE}");
    let mut requests = 0;
    for v6 in [false, true] {
        let derived = curl(v6, &["-d", "{}", "-H", "X-User-Id: u-17", &url]);
        requests += 1;
        assert_eq!(derived.status, "200", "{derived:?}");
        for seen in [
            &*format!("\n{requests}\nPOST /base{MESSAGE} HTTP/1.1\r\n"),
            "\nX-Watson-Metadata: customer_id=u-17\r\n",
            "\nX-Watson-Learning-Opt-Out: true\r\n",
            "\nHost: 10.77.2.2\r\n",
            "\nVia: 1.1 forgetgate (",
        ] {
            assert!(derived.text.contains(seen), "{seen:?}: {derived:?}");
        }
        let refused = curl(v6, &["-d", "{}", &url]);
        assert_eq!(refused.status, "400", "{refused:?}");
        assert!(refused.text.contains("Forgetgate-Refusal: label_missing"), "{refused:?}");
        let unknown = curl(v6, &["-d", "{}", "-H", "X-User-Id: u-17", &format!("http://unknown.test{MESSAGE}")]);
        assert_eq!(unknown.status, "404", "{unknown:?}");
        assert!(unknown.text.contains("Forgetgate-Refusal: upstream_unknown"), "{unknown:?}");
    }
    for address in ADDRESSES {
        let written = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let body = "X-User-Id: u-18\r\nContent-Length: 2\r\n\r\n{}";
        for head in
            [format!("HTTP/1.0\r\n{body}"), format!("HTTP/1.1\r\nHost: {written}\r\nConnection: close\r\n{body}")]
        {
            let answer = ask(&format!("{written}:80"), &format!("POST {MESSAGE} {head}")).unwrap();
            requests += 1;
            assert!(answer.contains(&format!("\n{requests}\nPOST ")), "nothing that was refused was sent: {answer}");
            assert!(answer.contains("\nX-Watson-Metadata: customer_id=u-18\r\n"), "{answer}");
        }
    }
}

#[test]
fn p9_one_socket_for_both_families_knows_where_each_was_going() {
    in_its_own("plain::p9_one_socket_for_both_families_knows_where_each_was_going", |network| {
        network.redirect_with_nftables();
        let _gate = Gate::start(&network, Plan { addresses: &["[::]:15001"], ..Plan::default() });
        for address in ["10.77.0.1:80", "[fd77::1]:80"] {
            let answer = ask(address, "GET /v1/workspaces HTTP/1.0\r\n\r\n").unwrap();
            assert!(answer.starts_with("HTTP/1.0 200"), "{address}: {answer}");
        }
        for address in ["10.77.0.2:80", "[fd77::2]:80"] {
            let answer = ask(address, "GET /v1/workspaces HTTP/1.0\r\n\r\n").unwrap();
            assert!(answer.starts_with("HTTP/1.0 404"), "{address}: {answer}");
        }
    });
}

#[test]
fn p9_who_calls_the_listener_itself_is_refused() {
    in_its_own("plain::p9_who_calls_the_listener_itself_is_refused", |network| {
        network.redirect_with_nftables();
        let gate = Gate::start(&network, Plan::default());
        for address in ["127.0.0.1:15001", "[::1]:15001"] {
            for host in [HOST, "127.0.0.1"] {
                let answer =
                    ask(address, &format!("GET /v1/workspaces HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
                let answer = answer.unwrap();
                assert!(answer.starts_with("HTTP/1.1 404 This port takes connections"), "{answer}");
            }
        }
        assert_eq!(gate.metric("forgetgate_requests_total{upstream=\"service\"}"), 0);
    });
}

#[test]
fn p12_a_client_that_waits_for_its_service_to_speak_first_does_not_wait_for_ever() {
    in_its_own("plain::p12_a_client_that_waits_for_its_service_to_speak_first_does_not_wait_for_ever", |network| {
        network.redirect_with_nftables();
        let _gate = Gate::start(&network, Plan { limits: "header_timeout = \"300ms\"", ..Plan::default() });
        for first in ["", "\u{16}\u{3}\u{1}"] {
            assert_eq!(ask("10.77.0.1:80", first).as_deref(), Some(""), "closed, and nothing said");
        }
    });
}

/// Without rules nobody knows where a connection was going. It is not guessed, and both ends are told what is wrong.
#[test]
fn p9_a_connection_of_which_the_system_knows_nothing_is_refused_in_words_and_counted() {
    in_its_own("plain::p9_a_connection_of_which_the_system_knows_nothing_is_refused_in_words_and_counted", |network| {
        let gate = Gate::start(&network, Plan::default());
        for _ in 0..2 {
            for address in ["127.0.0.1:15001", "[::1]:15001"] {
                let asked = format!("GET /v1/workspaces HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
                let answer = ask(address, &asked).unwrap();
                assert!(answer.starts_with("HTTP/1.1 404 This port takes connections"), "{answer}");
            }
        }
        assert_eq!(gate.metric("forgetgate_requests_total{upstream=\"service\"}"), 0);
        assert_eq!(gate.metric("forgetgate_connections_turned_away_total{code=\"undirected\"}"), 4);
        let log = gate.log();
        let said: Vec<&str> =
            log.lines().filter(|line| line.contains("came straight to a transparent listener")).collect();
        assert_eq!(said.len(), 2, "once by each of the two listeners: {log}");
    });
}
