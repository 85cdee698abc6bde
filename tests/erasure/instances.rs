//! An upstream that leads to several instances: by paths, by keys, under several versions of the API. Each that holds
//! something is asked with what opens it, and none is taken for another.

use std::path::Path;

use forgetgate::config::{Authorize, Credentials, InstanceEntry, Instances, Secret, Upstream};
use forgetgate::domain::Instance;
use forgetgate::domain::erasure::{JobState, TargetState, Verdict};
use forgetgate::domain::instance::InstanceRule;
use forgetgate::erasure::{Decided, TargetView, View};
use http::HeaderValue;
use http::header::AUTHORIZATION;

use crate::service::{Service, soon};
use crate::world::{Plan, World, erasure, erasure_of, limits, sites, submission, upstream};

/// `Authorization` of the API keys a, b and c.
const A: &str = "Basic YXBpa2V5OmE=";
const B: &str = "Basic YXBpa2V5OmI=";
const C: &str = "Basic YXBpa2V5OmM=";

fn apikey(folder: &Path, key: &str) -> Credentials {
    let path = folder.join(format!("key-{key}"));
    std::fs::write(&path, key).unwrap();
    Credentials::ApiKey(Secret::file(path))
}

fn named(name: &str, credentials: Credentials, also: Vec<Credentials>) -> InstanceEntry {
    InstanceEntry { name: name.into(), path: None, credentials: Some(credentials), also }
}

fn at_path(prefix: &str) -> Instance {
    Instance { prefix: prefix.into(), caller: None }
}

/// One upstream behind one service.
async fn one(plan: Plan, change: impl Fn(&mut Upstream, &Path)) -> (World, Service) {
    let service = Service::start().await;
    let mut one = upstream("one", &service.url);
    change(&mut one, plan.folder.path());
    (World::new(plan, vec![one]).await, service)
}

fn home() -> Plan {
    Plan { erasure: forgetgate::config::Erasure { authorize: Authorize::Home, ..erasure() }, ..Plan::default() }
}

/// Each call with its `Authorization`, in order.
fn calls(service: &Service) -> Vec<String> {
    let said = |seen: crate::service::Seen| format!("{} {}", seen.call, seen.authorization().unwrap_or("-"));
    let mut all: Vec<String> = service.seen().into_iter().map(said).collect();
    all.sort();
    all
}

fn delete_at(prefix: &str, api: u8, authorization: &str) -> String {
    format!("DELETE /base{prefix}/v{api}/user_data?customer_id=ann&version=2020-01-01 {authorization}")
}

async fn erased(world: &World) -> View {
    let id = world.submit(submission("ann")).await.unwrap().id;
    world.until(id, |view| !view.targets.is_empty() && view.targets.iter().all(|t| !is_under_way(t))).await
}

fn is_under_way(target: &TargetView) -> bool {
    let under_way = [TargetState::Pending, TargetState::Fenced, TargetState::Draining, TargetState::Sent];
    under_way.into_iter().any(|state| target.state == forgetgate::erasure::TargetWord::Of(state))
}

/// The targets as instance or path, and state.
fn states(view: &View) -> Vec<(String, String)> {
    let shown = |target: &TargetView| {
        let place = [target.path.clone(), target.instance.clone()].into_iter().flatten().collect::<String>();
        (place, serde_json::to_value(target.state).unwrap().as_str().unwrap().to_owned())
    };
    let mut all: Vec<_> = view.targets.iter().map(shown).collect();
    all.sort();
    all
}

async fn recipients(world: &World) -> Vec<(Option<String>, Option<String>, bool)> {
    let known = world.eraser.recipients(&crate::world::id("ann")).await.unwrap().recipients;
    known.into_iter().map(|known| (known.instance, known.path, !known.without_credentials)).collect()
}

#[tokio::test]
async fn p4_a_delete_at_one_instance_reaches_the_other_by_its_own_path() {
    let (world, service) = one(home(), |_, _| {}).await;
    for prefix in ["/instances/G1", "/instances/G2"] {
        world.labelled_at("ann", "one", at_path(prefix), 1).await;
    }
    assert_eq!(recipients(&world).await.len(), 2);
    let mut call = world.call("ann", "one");
    (call.path, call.instance) = ("/instances/G1/v1/user_data".into(), at_path("/instances/G1"));
    call.query = Some("customer_id=ann&version=2020-01-01".into());
    let id = erasure_of(&soon(world.send("one", call)).await.unwrap());
    world.until_state(id, JobState::Settling).await;
    let caller = "Basic Y2FsbGVy";
    assert_eq!(
        calls(&service),
        [
            delete_at("/instances/G1", 1, caller),
            // No credentials are known for it, and the caller's were for the other one.
            delete_at("/instances/G2", 1, "-"),
        ]
    );
    assert_eq!(recipients(&world).await, []);
    assert!(world.show(id).await.targets.iter().all(|target| {
        let address = &target.evidence.as_ref().unwrap().address;
        address.ends_with(target.path.as_deref().unwrap())
    }));
}

#[tokio::test]
async fn p4_the_fan_out_keeps_the_prefix_and_uses_the_upstreams_credentials() {
    let (world, service) = one(Plan::default(), |one, folder| one.credentials = Some(apikey(folder, "a"))).await;
    world.labelled_at("ann", "one", at_path("/instances/G1"), 1).await;
    let view = erased(&world).await;
    assert_eq!(states(&view), [("/instances/G1".into(), "accepted".into())]);
    assert_eq!(calls(&service), [delete_at("/instances/G1", 1, A)]);
}

#[tokio::test]
async fn p5_two_keys_at_one_url_of_which_nothing_was_said_are_never_taken_for_one() {
    let (world, service) = one(Plan::default(), |one, folder| one.credentials = Some(apikey(folder, "a"))).await;
    world.labelled_at("ann", "one", world.with_key("one", A), 1).await;
    world.labelled_at("ann", "one", world.with_key("one", B), 1).await;
    let view = erased(&world).await;
    let word: Vec<_> = states(&view).into_iter().map(|(_, state)| state).collect();
    assert_eq!(word, ["accepted", "blocked"]);
    assert_eq!(calls(&service), [delete_at("", 1, A)], "B's instance is not asked with A's key");
    let blocked = view.targets.iter().find(|target| target.needs_person).unwrap();
    let said = blocked.last_error.as_deref().unwrap();
    assert!(blocked.instance.as_deref().unwrap().starts_with("key "), "{blocked:?}");
    for way_out in ["no credentials", "[[upstream.instance]]", "instances = \"one\"", "path"] {
        assert!(said.contains(way_out), "{said}");
    }
    assert_eq!(view.state, JobState::ActionRequired);
    let left = recipients(&world).await;
    assert_eq!(left.len(), 1);
    assert!(!left[0].2, "{left:?}");
    // A single key, whoever's it is, was the upstream's own.
    world.labelled_at("bob", "one", Instance::default(), 1).await;
}

#[tokio::test]
async fn p4_each_named_instance_is_asked_with_its_own_credentials_and_a_rotated_key_is_the_same() {
    let (world, service) = one(Plan::default(), |one, folder| {
        let rotated = named("team-a", apikey(folder, "a"), vec![apikey(folder, "c")]);
        let entries = vec![rotated, named("team-b", apikey(folder, "b"), vec![])];
        one.instances = Instances { rule: InstanceRule::Unsaid, named: entries };
    })
    .await;
    for key in [A, B, C] {
        world.labelled_at("ann", "one", world.with_key("one", key), 1).await;
    }
    let view = erased(&world).await;
    assert_eq!(states(&view), [("team-a".into(), "accepted".into()), ("team-b".into(), "accepted".into())]);
    assert_eq!(calls(&service), [delete_at("", 1, A), delete_at("", 1, B)]);
    assert_eq!(recipients(&world).await, []);
}

#[tokio::test]
async fn p5_what_showed_no_key_is_asked_for_at_every_named_instance_and_marked_when_all_have_accepted() {
    let (world, service) = one(Plan::default(), |one, folder| {
        let entries = ["a", "b"].map(|key| named(key, apikey(folder, key), vec![]));
        one.instances = Instances { rule: InstanceRule::Unsaid, named: entries.to_vec() };
    })
    .await;
    world.labelled_at("ann", "one", Instance::default(), 1).await;
    service.will_say(&[200, 404]);
    let view = erased(&world).await;
    assert_eq!(view.targets.len(), 2);
    assert_eq!(view.state, JobState::ActionRequired);
    assert_eq!(recipients(&world).await.len(), 2, "half of it is not erased");
}

#[tokio::test]
async fn p5_a_key_that_is_named_later_goes_on_by_itself_and_one_that_is_not_may_be_given_up() {
    let (world, service) = one(Plan::default(), |one, _| {
        one.instances = Instances { rule: InstanceRule::Open, named: vec![] };
    })
    .await;
    world.labelled_at("ann", "one", world.with_key("one", B), 1).await;
    let view = erased(&world).await;
    assert_eq!(view.state, JobState::ActionRequired);
    assert!(service.seen().is_empty(), "nobody was asked with credentials that are not his");

    let mut changed = (*world.sites[0].upstream).clone();
    let entry = named("team-b", apikey(world.folder.path(), "b"), vec![]);
    changed.instances = Instances { rule: InstanceRule::Open, named: vec![entry] };
    let sites = sites(&world.store, vec![changed]).await;
    world.eraser.reconfigure(sites, erasure(), limits().response_timeout);
    let view = world.until_state(view.id, JobState::Settling).await;
    assert_eq!(states(&view), [("team-b".into(), "accepted".into())]);
    assert_eq!(calls(&service), [delete_at("", 1, B)]);

    world.labelled_at("ann", "one", world.with_key("one", C), 1).await;
    let id = world.submit(submission("ann")).await.unwrap().id;
    world.until_target(id, "one", TargetState::Blocked).await;
    let close = Decided { verdict: Verdict::Close, by: "P".into(), note: "gone".into(), upstream: Some("one".into()) };
    let view = world.eraser.decide(id, close).await.unwrap();
    assert!(states(&view).iter().any(|(_, state)| state == "closed"), "{view:?}");
    assert_eq!(calls(&service).iter().filter(|call| call.ends_with(C)).count(), 0);
}

#[tokio::test]
async fn p10_a_delete_with_ones_own_key_covers_ones_own_instance_and_no_other() {
    let (world, service) = one(home(), |_, _| {}).await;
    world.labelled_at("ann", "one", world.with_key("one", A), 1).await;
    world.labelled_at("ann", "one", world.with_key("one", B), 1).await;
    let mut call = world.call("ann", "one");
    call.instance = world.with_key("one", A);
    call.headers.insert(AUTHORIZATION, HeaderValue::from_static(A));
    call.query = Some("customer_id=ann&version=2020-01-01".into());
    let id = erasure_of(&soon(world.send("one", call)).await.unwrap());
    let view = world.until_state(id, JobState::ActionRequired).await;
    let word: Vec<_> = states(&view).into_iter().map(|(_, state)| state).collect();
    assert_eq!(word.iter().filter(|state| *state == "accepted").count(), 1, "{word:?}");
    assert_eq!(word.iter().filter(|state| *state == "blocked").count(), 1, "{word:?}");
    assert_eq!(calls(&service), [delete_at("", 1, A)]);
    assert_eq!(recipients(&world).await.len(), 1);
}

#[tokio::test]
async fn p4_every_version_of_the_api_that_was_used_is_deleted_by() {
    for authorize in [Authorize::Open, Authorize::Home] {
        let plan = Plan { erasure: forgetgate::config::Erasure { authorize, ..erasure() }, ..Plan::default() };
        let (world, service) = one(plan, |_, _| {}).await;
        for api in [1, 2] {
            world.labelled_at("ann", "one", world.with_key("one", "Basic Y2FsbGVy"), api).await;
        }
        let mut call = world.call("ann", "one");
        call.query = Some("customer_id=ann&version=2020-01-01".into());
        let id = erasure_of(&soon(world.send("one", call)).await.unwrap());
        world.until_state(id, JobState::Settling).await;
        let sent: Vec<String> = service.calls().into_iter().map(|call| call.replace("/base", "")).collect();
        assert_eq!(sent.len(), 2, "{sent:?}");
        for version in ["DELETE /v1/", "DELETE /v2/"] {
            assert!(sent.iter().any(|call| call.starts_with(version)), "{sent:?}");
        }
        assert_eq!(recipients(&world).await, [], "marked when both were accepted");
    }
}

#[tokio::test]
async fn p5_the_operator_fixes_the_versions_where_none_was_seen() {
    let services = [Service::start().await, Service::start().await];
    let first = Upstream { passes_to: vec!["two".into()], ..upstream("one", &services[0].url) };
    let second = Upstream { erase_api: vec![1, 2], ..upstream("two", &services[1].url) };
    let world = World::new(Plan::default(), vec![first, second]).await;
    world.labelled_at("ann", "one", Instance::default(), 1).await;
    let view = erased(&world).await;
    assert_eq!(view.state, JobState::Settling);
    assert_eq!(calls(&services[1]), [delete_at("", 1, "-"), delete_at("", 2, "-")]);
}

#[tokio::test]
async fn p5_an_instance_that_is_known_to_no_index_is_asked_for_where_data_was_before_the_gate() {
    let (world, service) = one(Plan::default(), |one, folder| {
        let by_path = InstanceEntry { path: Some("/instances/G1".into()), ..named("g1", apikey(folder, "b"), vec![]) };
        one.instances = Instances { rule: InstanceRule::Open, named: vec![by_path] };
        one.credentials = Some(apikey(folder, "a"));
        one.held_labels_before = true;
    })
    .await;
    let view = erased(&world).await;
    assert_eq!(view.state, JobState::Settling);
    assert_eq!(calls(&service), [delete_at("/instances/G1", 1, B), delete_at("", 1, A)]);
}

/// Where one customer's data is, and what a delete there has to show.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    upstream: &'static str,
    prefix: String,
    /// The caller's `Authorization`, where keys tell instances apart.
    key: Option<String>,
    /// What the delete shows; `None` where nobody has named its credentials.
    opened_by: Option<String>,
}

fn basic(key: &str) -> String {
    format!("Basic {}", data_encoding::BASE64.encode(format!("apikey:{key}").as_bytes()))
}

/// By paths; by keys, one of them rotated; and by keys of which one has no name.
fn all_instances() -> Vec<Held> {
    let mut all = Vec::new();
    for n in 1..=3 {
        let prefix = format!("/instances/G{n}");
        all.push(Held { upstream: "paths", prefix, key: None, opened_by: Some(basic("p")) });
        let key = |letter: &str| Some(basic(&format!("{letter}{n}")));
        all.push(Held { upstream: "keys", prefix: String::new(), key: key("k"), opened_by: key("k") });
        all.push(Held {
            upstream: "some",
            prefix: String::new(),
            key: key("s"),
            opened_by: key("s").filter(|_| n != 3),
        });
    }
    let rotated = Some(basic("old"));
    all.push(Held { upstream: "keys", prefix: String::new(), key: rotated, opened_by: Some(basic("k1")) });
    all
}

async fn campaign_world(services: &[Service; 3]) -> World {
    let plan = home();
    let folder = plan.folder.path().to_owned();
    let entries = |letter: &str, count: u8| {
        let entry = |n: u8| {
            let also = if letter == "k" && n == 1 { vec![apikey(&folder, "old")] } else { vec![] };
            named(&format!("{letter}{n}"), apikey(&folder, &format!("{letter}{n}")), also)
        };
        Instances { rule: InstanceRule::Open, named: (1..=count).map(entry).collect() }
    };
    let credentials = Some(apikey(&folder, "p"));
    let paths = Upstream { credentials, ..upstream("paths", &services[0].url) };
    let keys = Upstream { instances: entries("k", 3), ..upstream("keys", &services[1].url) };
    let some = Upstream { instances: entries("s", 2), ..upstream("some", &services[2].url) };
    let erasure = forgetgate::config::Erasure { erasures_per_minute: 100_000, ..plan.erasure.clone() };
    World::new(Plan { erasure, ..plan }, vec![paths, keys, some]).await
}

#[tokio::test]
async fn p4_the_campaign_every_instance_that_holds_a_customer_is_asked_with_its_own_credentials_and_none_else() {
    let percent: u64 = std::env::var("FORGETGATE_CAMPAIGN").map_or(10, |percent| percent.parse().unwrap());
    let services = [Service::start().await, Service::start().await, Service::start().await];
    let world = campaign_world(&services).await;
    let (all, mut random) = (all_instances(), fastrand::Rng::with_seed(7));
    for number in 0..(500 * percent).div_ceil(100).max(1) {
        let customer = format!("customer-{number}");
        let mut held: Vec<Held> = (0..random.usize(1..5)).map(|_| all[random.usize(..all.len())].clone()).collect();
        held.sort();
        held.dedup();
        for place in &held {
            let key = place.key.as_deref();
            let caller = key.and_then(|key| world.with_key(place.upstream, key).caller);
            let instance = Instance { prefix: place.prefix.as_str().into(), caller };
            world.labelled_at(&customer, place.upstream, instance, 1).await;
        }
        let home = held[random.usize(..held.len())].clone();
        let mut call = world.call(&customer, home.upstream);
        let shown = home.key.clone().unwrap_or_else(|| basic("anybody"));
        call.headers.insert(AUTHORIZATION, HeaderValue::from_str(&shown).unwrap());
        let caller = home.key.as_deref().and_then(|key| world.with_key(home.upstream, key).caller);
        call.instance = Instance { prefix: home.prefix.as_str().into(), caller };
        call.path = format!("{}/v1/user_data", home.prefix);
        let id = erasure_of(&soon(world.send(home.upstream, call)).await.unwrap());
        // A home that nobody has named is opened by its own caller's credentials.
        let blocked = held.iter().any(|place| place.opened_by.is_none() && *place != home);
        let state = if blocked { JobState::ActionRequired } else { JobState::Settling };
        world.until(id, |view| view.state == state && !view.targets.iter().any(is_under_way)).await;
        let expected = expected(&held, &home, &shown);
        assert_eq!(seen_of(&services, &customer), expected, "{customer}");
        let left = world.eraser.recipients(&crate::world::id(&customer)).await.unwrap().recipients;
        assert!(left.iter().all(|left| left.without_credentials), "{customer}: {left:?}");
        assert_eq!(!left.is_empty(), blocked, "{customer}: {left:?}");
    }
}

/// Which service, at which prefix, shown what.
type Delete = (usize, String, String);

fn expected(held: &[Held], home: &Held, shown: &str) -> Vec<Delete> {
    // An older key of the home's instance is the same target, and the home's own delete is the probe.
    let is_home = |place: &&Held| {
        let same = place.opened_by.is_some() && place.opened_by == home.opened_by;
        *place == home || (same && (place.upstream, &place.prefix) == (home.upstream, &home.prefix))
    };
    let others = held
        .iter()
        .filter(|place| !is_home(place))
        .filter_map(|place| Some((services_number(place.upstream), place.prefix.clone(), place.opened_by.clone()?)));
    let home = (services_number(home.upstream), home.prefix.clone(), shown.to_owned());
    let mut expected: Vec<Delete> = others.chain([home]).collect();
    expected.sort();
    expected.dedup();
    expected
}

fn seen_of(services: &[Service], customer: &str) -> Vec<Delete> {
    let theirs = |call: &str| call.split(['?', '&']).any(|part| part == format!("customer_id={customer}"));
    let mut seen = Vec::new();
    for (number, service) in services.iter().enumerate() {
        for each in service.seen().into_iter().filter(|seen| theirs(&seen.call)) {
            let prefix = each.call.trim_start_matches("DELETE /base").split("/v1/").next().unwrap().to_owned();
            seen.push((number, prefix, each.authorization().unwrap().to_owned()));
        }
    }
    seen.sort();
    seen
}

fn services_number(upstream: &str) -> usize {
    ["paths", "keys", "some"].iter().position(|name| *name == upstream).unwrap()
}
