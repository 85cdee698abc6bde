//! Erasures and recipients from the outside: asked for, looked at, decided about.

use serde_json::json;

use crate::world::{Wish, World};

const ID: &str = "018f0000-0000-7000-8000-000000000001";

#[tokio::test]
async fn an_erasure_is_accepted_with_its_place_and_runs_until_the_services_have_accepted() {
    let world = World::new(Wish::default()).await;
    world.labelled("someone").await;
    let path = world.erasure("someone").await;
    let erasure = world.until(&path, "settling").await;
    let target = &erasure["targets"][0];
    assert_eq!(
        (&target["upstream"], &target["state"], &target["form"]),
        (&json!("one"), &json!("accepted"), &json!("raw"))
    );
    assert_eq!(target["evidence"]["status"], 200);
    assert!(erasure["due"].as_str().unwrap().ends_with('Z'));
}

/// P5: the `id` is the idempotency key.
#[tokio::test]
async fn a_repeated_id_attaches_to_the_first_and_for_another_customer_it_is_a_conflict() {
    let world = World::new(Wish { approve: true, ..Wish::default() }).await;
    let body = |customer: &str| json!({ "customer_id": customer, "id": ID }).to_string();
    let first = world.post("/api/v1/erasures", &body("someone")).await;
    let again = world.post("/api/v1/erasures", &body("someone")).await;
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!((&first.json()["id"], &again.json()["id"]), (&json!(ID), &json!(ID)));
    let other = world.post("/api/v1/erasures", &body("another")).await;
    assert_eq!((other.status, other.problem().as_str()), (409, "id_in_use"));
}

#[tokio::test]
async fn a_dry_run_answers_200_names_the_targets_and_leaves_nothing() {
    let world = World::new(Wish::default()).await;
    world.labelled("someone").await;
    let reply = world.post("/api/v1/erasures", "{\"customer_id\": \"someone\", \"dry_run\": true}").await;
    assert_eq!((reply.status, &reply.json()["dry_run"]), (200, &json!(true)));
    assert_eq!(reply.json()["targets"][0]["upstream"], "one");
    assert_eq!(world.get("/api/v1/erasures").await.json()["erasures"], json!([]));
}

#[tokio::test]
async fn named_people_hold_release_and_approve_and_their_words_are_kept() {
    let world = World::new(Wish { approve: true, ..Wish::default() }).await;
    let path = world.erasure("someone").await;
    assert_eq!(world.get(&path).await.json()["state"], "awaiting_approval");
    for (decision, body, state) in [
        ("hold", json!({ "by": "Ada", "reason": "litigation" }), "held"),
        ("unhold", json!({ "by": "Ada", "reason": "settled" }), "awaiting_approval"),
        ("approve", json!({ "by": "Grace", "reason": "genuine" }), ""),
    ] {
        let reply = world.post(&format!("{path}/{decision}"), &body.to_string()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(state.is_empty() || reply.json()["state"] == state, "{reply:?}");
    }
    let decisions = world.get(&path).await.json()["decisions"].clone();
    let said: Vec<_> =
        decisions.as_array().unwrap().iter().map(|one| (one["decision"].as_str(), one["by"].as_str())).collect();
    assert_eq!(said, [(Some("hold"), Some("Ada")), (Some("unhold"), Some("Ada")), (Some("approve"), Some("Grace"))]);
    let late = world.post(&format!("{path}/approve"), "{\"by\": \"Grace\", \"reason\": \"again\"}").await;
    assert_eq!((late.status, late.problem().as_str()), (409, "state_conflict"));
}

#[tokio::test]
async fn a_decision_needs_a_name_and_a_hold_its_reason() {
    let world = World::new(Wish { approve: true, ..Wish::default() }).await;
    let path = world.erasure("someone").await;
    for (decision, body, code) in [
        ("approve", "{\"reason\": \"x\"}", "by_missing"),
        ("approve", "{\"by\": \"  \", \"reason\": \"x\"}", "by_missing"),
        ("hold", "{\"by\": \"Ada\"}", "reason_missing"),
        ("cancel", "", "by_missing"),
        ("approve", "{\"by\": \"Ada\", \"upstream\": \"one\"}", "upstream_refused"),
        ("hold", "{\"by\": \"Ada\", \"reason\": \"x\", \"upstream\": \"three\"}", "upstream_unknown"),
    ] {
        let reply = world.post(&format!("{path}/{decision}"), body).await;
        assert_eq!((reply.status, reply.problem().as_str()), (400, code), "{decision} {body}");
    }
    assert_eq!(world.get(&path).await.json()["state"], "awaiting_approval");
}

#[tokio::test]
async fn it_is_called_off_only_before_the_first_delete() {
    let world = World::new(Wish { approve: true, ..Wish::default() }).await;
    let path = world.erasure("someone").await;
    let cancel = "{\"by\": \"Ada\", \"note\": \"a mistake\"}";
    assert_eq!(world.post(&format!("{path}/cancel"), cancel).await.json()["state"], "cancelled");
    let other = World::new(Wish::default()).await;
    other.labelled("someone").await;
    let path = other.erasure("someone").await;
    other.until(&path, "settling").await;
    let reply = other.post(&format!("{path}/cancel"), cancel).await;
    assert_eq!((reply.status, reply.problem().as_str()), (409, "state_conflict"));
    assert_eq!(other.post(&format!("{path}/retry"), "").await.status, 200);
}

#[tokio::test]
async fn a_label_is_no_ticket_receipts_are_said_not_to_be_there_and_nobody_reloads() {
    let world = World::new(Wish::default()).await;
    world.labelled("someone").await;
    let path = world.erasure("someone").await;
    world.until(&path, "settling").await;
    let named = "{\"by\": \"Ada\", \"note\": \"closed\"}";
    let confirmed = world.post(&format!("{path}/targets/one/confirm"), named).await;
    assert_eq!((confirmed.status, confirmed.problem().as_str()), (409, "not_a_ticket"));
    let unknown = world.post(&format!("{path}/targets/three/confirm"), named).await;
    assert_eq!((unknown.status, unknown.problem().as_str()), (404, "target_unknown"));
    let receipt = world.get(&format!("{path}/receipt")).await;
    assert_eq!((receipt.status, receipt.problem().as_str()), (404, "receipt_unknown"));
    let reload = world.post("/api/v1/config/reload", "").await;
    assert_eq!((reload.status, reload.problem().as_str()), (503, "draining"), "nobody reloads in this world");
}

/// One of several targets at an upstream is named by what the erasure shows of it.
#[tokio::test]
async fn p13_a_target_is_closed_by_what_is_shown_of_it_and_no_other_decision_takes_that() {
    let world = World::new(Wish::default()).await;
    world.labelled("someone").await;
    let path = world.erasure("someone").await;
    world.until(&path, "settling").await;
    for (which, why) in [
        ("", "no target there waits"),
        (", \"instance\": \"\", \"path\": \"\", \"form\": \"raw\"", "no target there waits"),
        (", \"instance\": \"team-a\"", "no such target"),
        (", \"path\": \"/instances/G1\"", "no such target"),
        (", \"form\": \"alias-1\"", "no such target"),
        (", \"api\": 9", "no such target"),
    ] {
        let body = format!("{{\"by\": \"Ada\", \"note\": \"gone\"{which}}}");
        let reply = world.post(&format!("{path}/targets/one/close"), &body).await;
        assert_eq!((reply.status, reply.problem().as_str()), (409, "state_conflict"), "{which}");
        assert!(reply.body.contains(why), "{which}: {}", reply.body);
    }
    let retry = world.post(&format!("{path}/retry"), "{\"instance\": \"team-a\"}").await;
    assert_eq!((retry.status, retry.problem().as_str()), (400, "target_refused"));
}

#[tokio::test]
async fn the_list_goes_page_by_page_and_by_state() {
    let world = World::new(Wish { approve: true, ..Wish::default() }).await;
    let mut paths = Vec::new();
    for customer in ["a", "b", "c"] {
        paths.push(world.erasure(customer).await);
    }
    world.post(&format!("{}/cancel", paths[1]), "{\"by\": \"Ada\"}").await;
    let first = world.get("/api/v1/erasures?limit=2").await.json();
    assert_eq!(first["erasures"].as_array().unwrap().len(), 2);
    let next = format!("/api/v1/erasures?limit=2&cursor={}", first["next"].as_str().unwrap());
    let second = world.get(&next).await.json();
    assert_eq!((second["erasures"].as_array().unwrap().len(), &second["next"]), (1, &json!(null)));
    let cancelled = world.get("/api/v1/erasures?state=cancelled").await.json();
    assert!(paths[1].ends_with(cancelled["erasures"][0]["id"].as_str().unwrap()));
    assert_eq!(cancelled["erasures"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn recipients_are_where_the_customers_data_is_and_since_when() {
    let world = World::new(Wish::default()).await;
    world.labelled("someone").await;
    let reply = world.post("/api/v1/recipients", "{\"customer_id\": \"someone\"}").await.json();
    let time = "2018-05-25T00:00:00Z";
    let place = json!({ "resource": "assistants/a1", "label": "the ID itself", "since": time, "last_seen": time });
    let found = &reply["recipients"][0];
    assert_eq!((&found["upstream"], &found["since"], &found["places"]), (&json!("one"), &json!(time), &json!([place])));
    let nobody = world.post("/api/v1/recipients", "{\"customer_id\": \"nobody\"}").await;
    assert_eq!((nobody.status, &nobody.json()["recipients"]), (200, &json!([])));
}

/// A customer with recognitions and two models was shown with two models only.
#[tokio::test]
async fn recipients_show_every_place_also_those_outside_of_any_resource() {
    let world = World::new(Wish::default()).await;
    for (resource, hash) in [("models/1", 1), ("", 2), ("models/2", 3)] {
        world.labelled_in("someone", resource, hash).await;
    }
    let reply = world.post("/api/v1/recipients", "{\"customer_id\": \"someone\"}").await.json();
    let found = &reply["recipients"][0];
    assert_eq!(found["resources"], json!(["models/1", "models/2"]));
    let places: Vec<_> = found["places"].as_array().unwrap().iter().map(|place| &place["resource"]).collect();
    assert_eq!(places, [&json!(null), &json!("models/1"), &json!("models/2")]);
    let url = format!("http://{}", world.address);
    let table = crate::cli::typed(&["recipients", "someone", "--admin", &url], "").await.text;
    assert!(["models/1", "models/2", "(the service itself)"].iter().all(|place| table.contains(place)), "{table}");
}

#[tokio::test]
async fn the_configuration_is_shown_with_the_place_of_a_secret_and_not_the_secret() {
    let world = World::new(Wish { token: true, ..Wish::default() }).await;
    let reply = world.get("/api/v1/config").await;
    let mut shown = reply.json();
    let reload = shown.as_object_mut().unwrap().remove("reload").unwrap();
    assert_eq!((shown, &reload["refused"]), (world.config.describe(), &json!(null)));
    assert!(!reply.body.contains(crate::world::TOKEN));
    assert!(reply.json()["admin"]["token"]["file"].as_str().unwrap().ends_with("token"));
}
