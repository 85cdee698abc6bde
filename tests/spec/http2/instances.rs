//! A key that nothing was taken with says nothing of others, whichever HTTP the service speaks (P5).

use h2::server::Builder;

use super::service::{Exchange, Service, answer};
use super::world::Gate;
use crate::client::request;
use crate::world::{LABEL, MESSAGE};

const KNOWN: &str = "Authorization: Basic YXBpa2V5OmE=";
const MADE_UP: &str = "Authorization: Basic YXBpa2V5OmI=";

#[test]
fn p5_a_key_that_a_service_of_http2_refuses_makes_no_other_doubtful() {
    for (status, waiting) in [(401, 1), (200, 2)] {
        let service = Service::start(Builder::new(), move |exchange: Exchange| async move {
            let (seen, respond) = exchange.read().await;
            let is_made_up = seen.values("authorization").iter().any(|key| MADE_UP.ends_with(key));
            answer(respond, if is_made_up { status } else { 200 }, "{}");
        });
        let gate = Gate::before(service.address);
        for key in [MADE_UP, KNOWN] {
            let call = request(MESSAGE, &[LABEL, "Content-Length: 2", key], "{}");
            assert_eq!(gate.client().ask(call).status, if key == MADE_UP { status } else { 200 });
        }
        let expected = format!("forgetgate_instances_without_credentials {waiting}\n");
        assert!(gate.metrics().contains(&expected), "{status}: {}", gate.metrics());
    }
}
