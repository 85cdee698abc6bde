//! What comes back to the gate: its own connections, redirected because a rule was forgotten.

use crate::gate::{Gate, HOST, Plan, curl};
use crate::namespace::{eventually, in_its_own};
use crate::service::OTHER;

/// A gate whose user is not spared by the rules.
const SPARED_BY_NOBODY: u32 = 65533;

#[test]
fn p12_a_request_that_comes_back_to_the_gate_is_refused_the_first_time() {
    in_its_own("circles::p12_a_request_that_comes_back_to_the_gate_is_refused_the_first_time", |network| {
        network.redirect_with_nftables();
        let gate = Gate::start(&network, Plan { user: SPARED_BY_NOBODY, host: "10.77.2.2", ..Plan::default() });
        let back = curl(false, &[&format!("http://{HOST}/v1/workspaces")]);
        assert_eq!(back.status, "400", "{back:?}");
        assert!(back.text.contains("it runs in a circle"), "{back:?}");
        assert_eq!(gate.metric("forgetgate_requests_total{upstream=\"service\"}"), 1);
    });
}

#[test]
fn p12_a_tunnel_that_comes_back_to_the_gate_is_ended_the_first_time() {
    in_its_own("circles::p12_a_tunnel_that_comes_back_to_the_gate_is_ended_the_first_time", |network| {
        network.redirect_with_nftables();
        let listen = "others = \"tunnel\"";
        let gate = Gate::start(&network, Plan { user: SPARED_BY_NOBODY, listen, ..Plan::default() });
        let before = gate.metric("forgetgate_connections_opened_total");
        let said = curl(false, &["-k", &format!("https://{OTHER}/")]);
        assert_eq!(said.exit, 35, "{said:?}");
        eventually("both are closed", || gate.metric("forgetgate_connections_open") == 0);
        assert_eq!(gate.metric("forgetgate_connections_opened_total") - before, 2);
        assert_eq!(gate.metric("forgetgate_tunnels_opened_total"), 1);
    });
}

/// What the gate itself would answer must not pass for the service's word (P13).
#[test]
fn p13_the_gates_own_delete_that_comes_back_to_it_is_no_evidence() {
    in_its_own("circles::p13_the_gates_own_delete_that_comes_back_to_it_is_no_evidence", |network| {
        network.redirect_with_nftables();
        let limits = "[erasure]\nauthorize = \"open\"";
        let gate = Gate::start(&network, Plan { user: SPARED_BY_NOBODY, host: "10.77.2.2", limits, ..Plan::default() });
        let delete = format!("http://{HOST}/v1/user_data?customer_id=alice&version=2021-06-14");
        let accepted = curl(false, &["-X", "DELETE", "-H", "Prefer: wait=5", &delete]);
        assert_eq!(accepted.status, "202", "{accepted:?}");
        eventually("it is known at its way in", || gate.log().contains("refusal=\"header_ambiguous\""));
        eventually("the target is told of it", || gate.log().contains(" attempts=1 status=4"));
        let seen = gate.erasures();
        assert!(!seen.contains("\"status\":20"), "{seen}");
    });
}
