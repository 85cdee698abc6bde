//! The description and the router are one table, and answers have the form that it says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::caller::call;
use crate::schema::conforms;
use crate::world::{Wish, World};

/// The calls of the contract.
const CONTRACT: [(&str, &str); 25] = [
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/openapi.json"),
    ("POST", "/api/v1/erasures"),
    ("GET", "/api/v1/erasures"),
    ("GET", "/api/v1/erasures/{id}"),
    ("POST", "/api/v1/erasures/{id}/approve"),
    ("POST", "/api/v1/erasures/{id}/hold"),
    ("POST", "/api/v1/erasures/{id}/unhold"),
    ("POST", "/api/v1/erasures/{id}/cancel"),
    ("POST", "/api/v1/erasures/{id}/retry"),
    ("POST", "/api/v1/erasures/{id}/targets/{upstream}/confirm"),
    ("POST", "/api/v1/erasures/{id}/targets/{upstream}/close"),
    ("POST", "/api/v1/holds"),
    ("GET", "/api/v1/holds"),
    ("DELETE", "/api/v1/holds/{id}"),
    ("GET", "/api/v1/erasures/{id}/receipt"),
    ("POST", "/api/v1/recipients"),
    ("GET", "/api/v1/replicas"),
    ("GET", "/api/v1/upstreams"),
    ("GET", "/api/v1/config"),
    ("POST", "/api/v1/config/reload"),
    ("GET", "/api/v1/index/export"),
    ("POST", "/api/v1/index/export"),
];

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Every method and path of the description.
pub(crate) async fn operations(world: &World) -> Vec<(String, String)> {
    let description = world.get("/api/v1/openapi.json").await.json();
    let paths = description["paths"].as_object().unwrap();
    let methods = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().unwrap().keys().map(|method| method.to_ascii_uppercase()).collect::<Vec<_>>();
        methods.into_iter().map(|method| (method, path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(methods).collect()
}

/// A path with something in the place of its parameters.
pub(crate) fn concrete(path: &str) -> String {
    path.replace("{id}", "018f0000-0000-7000-8000-000000000009").replace("{upstream}", "one")
}

#[tokio::test]
async fn the_description_lists_the_calls_of_the_contract_and_no_other() {
    let world = World::new(Wish::default()).await;
    let listed: BTreeSet<_> = operations(&world).await.into_iter().collect();
    let contract = CONTRACT.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(listed, contract);
}

#[tokio::test]
async fn what_is_listed_is_routed_and_every_other_method_is_405_with_those_that_are() {
    let world = World::new(Wish::default()).await;
    let mut by_path: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (method, path) in operations(&world).await {
        let allowed = by_path.entry(path).or_default();
        if method == "GET" {
            allowed.insert("HEAD".to_owned());
        }
        allowed.insert(method);
    }
    for (path, allowed) in by_path {
        for method in METHODS {
            let reply = call(world.address, method, &concrete(&path), &[], "").await;
            if allowed.contains(method) {
                assert_ne!(reply.status, 405, "{method} {path}");
                assert!(!reply.body.contains("call_unknown"), "{method} {path}");
            } else {
                let listed: BTreeSet<_> = reply.header("allow").unwrap().split(", ").map(str::to_owned).collect();
                assert_eq!((reply.status, &listed), (405, &allowed), "{method} {path}");
            }
        }
    }
    for path in ["/", "/api/v1", "/api/v1/erasures/", "/api/v2/erasures", "/healthz/"] {
        let reply = world.get(path).await;
        assert_eq!((reply.status, reply.problem().as_str()), (404, "call_unknown"), "{path}");
    }
}

#[tokio::test]
async fn answers_have_the_form_that_the_description_gives_them() {
    let world = World::new(Wish::default()).await;
    world.labelled("someone").await;
    let description = world.get("/api/v1/openapi.json").await.json();
    let path = world.erasure("someone").await;
    world.until(&path, "settling").await;
    let held = world.post(&format!("{path}/retry"), "{\"by\": \"Ada\", \"note\": \"now\"}").await;
    let dry = world.post("/api/v1/erasures", "{\"customer_id\": \"someone\", \"dry_run\": true}").await;
    for (schema, answer) in [
        ("Health", world.get("/healthz").await.json()),
        ("Readiness", world.get("/readyz").await.json()),
        ("Erasure", world.get(&path).await.json()),
        ("Erasure", held.json()),
        ("DryRun", dry.json()),
        ("ErasureList", world.get("/api/v1/erasures").await.json()),
        (
            "Hold",
            world
                .post("/api/v1/holds", "{\"customer_id\": \"third\", \"by\": \"Ada\", \"reason\": \"court\"}")
                .await
                .json(),
        ),
        ("Config", world.get("/api/v1/config").await.json()),
        ("HoldList", world.get("/api/v1/holds").await.json()),
        ("Recipients", world.post("/api/v1/recipients", "{\"customer_id\": \"another\"}").await.json()),
        ("Upstreams", world.get("/api/v1/upstreams").await.json()),
        ("Problem", world.get(&format!("{path}/receipt")).await.json()),
    ] {
        let wanted = &description["components"]["schemas"][schema];
        conforms(&description, wanted, &answer, schema);
    }
}
