//! TLS of clients with a hard-coded host: opened for hosts that the upstream names, and for no others.

use crate::gate::{Gate, HOST, Plan, curl};
use crate::namespace::{eventually, in_its_own};
use crate::service::OTHER;

const MESSAGE: &str = "/v1/workspaces/w/message?version=2021-06-14";

#[test]
fn p1_p9_tls_to_a_named_host_is_opened_labelled_and_refused_as_plain_http_is() {
    in_its_own("opened::p1_p9_tls_to_a_named_host_is_opened_labelled_and_refused_as_plain_http_is", |network| {
        network.redirect_with_nftables();
        let gate = Gate::start(&network, Plan { ca: true, ..Plan::default() });
        let ca = gate.ca.to_str().unwrap();
        for v6 in [false, true] {
            let address = if v6 { "[fd77::1]" } else { "10.77.0.1" };
            // The second names nobody in its handshake: curl sends no address there.
            for url in [format!("https://{HOST}{MESSAGE}"), format!("https://{address}{MESSAGE}")] {
                let derived = curl(v6, &["--http1.1", "--cacert", ca, "-d", "{}", "-H", "X-User-Id: u-17", &url]);
                assert_eq!((derived.exit, &*derived.status), (0, "200"), "{derived:?}");
                assert!(derived.text.contains("\nX-Watson-Metadata: customer_id=u-17\r\n"), "{derived:?}");
                let refused = curl(v6, &["--http1.1", "--cacert", ca, "-d", "{}", &url]);
                assert_eq!(refused.status, "400", "{refused:?}");
                assert!(refused.text.contains("Forgetgate-Refusal: label_missing"), "{refused:?}");
            }
            for _ in 0..2 {
                let disbelieved = curl(v6, &[&format!("https://{HOST}{MESSAGE}")]);
                assert_eq!(disbelieved.exit, 60, "without the authority nobody is fooled: {disbelieved:?}");
            }
            let fronted = curl(
                v6,
                &["--http1.1", "--cacert", ca, "-H", "Host: 10.77.0.1", &format!("https://{HOST}/v1/workspaces")],
            );
            assert!(fronted.text.contains("Forgetgate-Refusal: header_ambiguous"), "{fronted:?}");
        }
        assert!(!gate.log().contains("u-17"), "P7");
        let lines = "forgetgate_connections_turned_away_total{code=\"tls_not_opened\"}";
        eventually("all four are counted", || gate.metric(lines) == 4);
        let log = gate.log();
        let said: Vec<&str> = log.lines().filter(|line| line.contains("broke off TLS")).collect();
        assert_eq!(said.len(), 2, "once by each of the two listeners: {log}");
        let is_told = |line: &&str| line.contains(&format!("host=\"{HOST}\"")) && line.contains("UnknownCA");
        assert!(said.iter().all(is_told), "{said:?}");
    });
}

#[test]
fn p9_tls_to_others_is_refused_and_nothing_reaches_them() {
    in_its_own("opened::p9_tls_to_others_is_refused_and_nothing_reaches_them", |network| {
        network.redirect_with_nftables();
        let gate = Gate::start(&network, Plan { ca: true, ..Plan::default() });
        for v6 in [false, true] {
            for url in [format!("https://{OTHER}/"), "https://unknown.test/".to_owned()] {
                let refused = curl(v6, &["-k", &url]);
                assert_eq!(refused.exit, 35, "{refused:?}");
                assert!(refused.text.contains("unrecognized name"), "{refused:?}");
            }
        }
        assert!(
            gate.log().contains(&format!("call=\"{OTHER}\" status=404 refusal=\"upstream_unknown\"")),
            "{}",
            gate.log()
        );
        assert_eq!(gate.metric("forgetgate_tunnels_opened_total"), 0);
    });
}

#[test]
fn p9_tls_to_others_passes_unseen_if_the_operator_lets_it_and_to_governed_hosts_never() {
    in_its_own(
        "opened::p9_tls_to_others_passes_unseen_if_the_operator_lets_it_and_to_governed_hosts_never",
        |network| {
            network.redirect_with_nftables();
            // Without an authority, so that a named host cannot be opened either.
            let gate = Gate::start(&network, Plan { listen: "others = \"tunnel\"", ..Plan::default() });
            let theirs = network.folder.join("other.pem");
            for v6 in [false, true] {
                let passed = curl(v6, &["--cacert", theirs.to_str().unwrap(), &format!("https://{OTHER}/x")]);
                assert_eq!((passed.exit, &*passed.status), (0, "200"), "{passed:?}");
                assert!(passed.text.contains("\nGET /x HTTP/1.1\r\n") && !passed.text.contains("Via"), "{passed:?}");
                let address = if v6 { "[fd77:2::2]" } else { "10.77.2.2" };
                // A named host, one that names nobody, and one that names another but calls where the upstream is.
                for url in [format!("https://{HOST}/x"), format!("https://{address}/x")] {
                    let refused = curl(v6, &["-k", &url]);
                    assert_eq!(refused.exit, 35, "{refused:?}");
                }
            }
            // The host that the upstream names, under another name.
            let same = "other-name.test:443:10.77.2.4";
            let refused = curl(false, &["-k", "--resolve", same, "https://other-name.test/x"]);
            assert_eq!(refused.exit, 35, "{refused:?}");
            assert_eq!(gate.metric("forgetgate_tunnels_opened_total"), 2);
            let log = gate.log();
            let line = log.lines().find(|line| line.contains("call=\"other.test\"")).unwrap();
            assert!(
                line.contains("method=\"CONNECT\"") && line.contains("status=200") && line.contains("ended=\"done\""),
                "{line}"
            );
            assert!(!line.contains("bytes_in=0 ") && !line.contains("bytes_out=0 "), "{line}");
        },
    );
}

/// HTTP/2 is agreed in the handshake where the listener speaks it, and judged alike.
#[test]
fn p1_p9_http2_in_tls_that_was_opened_is_judged_alike() {
    in_its_own("opened::p1_p9_http2_in_tls_that_was_opened_is_judged_alike", |network| {
        network.redirect_with_nftables();
        let gate = Gate::start(&network, Plan { ca: true, listen: "http2 = true", ..Plan::default() });
        let words = ["--http2", "--cacert", gate.ca.to_str().unwrap(), "-d", "{}"];
        let url = format!("https://{HOST}{MESSAGE}");
        let derived = curl(false, &[&words[..], &["-H", "X-User-Id: u-17", &url]].concat());
        assert!(derived.text.starts_with("HTTP/2 200"), "{derived:?}");
        assert!(
            derived.text.contains("customer_id=u-17\r\n") && derived.text.contains("1.1 forgetgate ("),
            "{derived:?}"
        );
        let refused = curl(false, &[&words[..], &[&url]].concat());
        assert!(refused.text.starts_with("HTTP/2 400") && refused.text.contains("label_missing"), "{refused:?}");
        let fronted = curl(false, &[&words[..], &["-H", "Host: 10.77.0.1", "-H", "X-User-Id: u-17", &url]].concat());
        assert!(fronted.text.contains("header_ambiguous"), "{fronted:?}");
    });
}
