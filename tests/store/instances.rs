//! Instances of upstreams: what every engine remembers of them, and what older files and unreadable entries stand for.

use forgetgate::domain::erasure::NamedInstance;
use forgetgate::domain::{Fingerprint, Instance, InstanceHash, PairKey};
use forgetgate::store::{INSTANCES_MAX, Opened, Placement};
use futures_util::future::join_all;

use crate::contract::record;
use crate::world::{NOW, World, fact, in_its_files, job, later, rows_of, step, wait};

on_every_engine! {
    each_instance_is_a_row_of_its_own_and_keeps_the_versions_that_were_used_p4
    the_instances_of_an_upstream_are_known_without_a_customer_p5
    instances_that_are_remembered_are_bounded_p12
    an_instance_is_answered_once_and_for_all_p5
    the_names_of_an_upstreams_instances_are_kept_p5
}

/// The same fact at another instance of its upstream.
fn at(store: &Opened, fact: Placement, prefix: &str, caller: Option<u8>) -> Placement {
    let instance = Instance { prefix: prefix.into(), caller: caller.map(|byte| Fingerprint([byte; 16])) };
    let hash = store.keys.instance_hash(fact.key.tag, &instance);
    Placement { key: PairKey { instance: hash, ..fact.key }, instance, ..fact }
}

async fn each_instance_is_a_row_of_its_own_and_keeps_the_versions_that_were_used_p4(store: &Opened) {
    let plain = fact(&store.keys, "anna", 1, "r");
    let places = [("", None), ("/instances/g1", None), ("/instances/g2", None), ("", Some(1)), ("", Some(2))];
    for api in [3, 4] {
        for (prefix, caller) in places {
            record(store, at(store, Placement { api: Some(api), ..plain.clone() }, prefix, caller)).await;
        }
    }
    let rows = rows_of(store, "anna").await;
    assert_eq!(rows.len(), 5);
    for (prefix, caller) in places {
        let there = at(store, plain.clone(), prefix, caller).instance;
        let row = rows.iter().find(|row| row.instance.as_ref() == Some(&there)).unwrap();
        assert!(row.readable && row.apis.iter().eq([3, 4]), "{prefix}");
    }
    store.jobs.commit(step(job(&store.keys, 1, "anna", b""), &[rows[1].key], later(5))).await.unwrap();
    let marked: Vec<_> = rows_of(store, "anna").await.into_iter().filter(|row| row.erased_at.is_some()).collect();
    assert_eq!(marked.iter().map(|row| row.key).collect::<Vec<_>>(), [rows[1].key]);
}

async fn the_instances_of_an_upstream_are_known_without_a_customer_p5(store: &Opened) {
    record(store, fact(&store.keys, "anna", 1, "r")).await;
    assert_eq!(store.index.instances().await.unwrap(), [], "the upstream itself is no instance");
    for (customer, prefix, caller) in [("anna", "/g1", None), ("bert", "/g1", None), ("anna", "", Some(7))] {
        record(store, at(store, fact(&store.keys, customer, 1, "r"), prefix, caller)).await;
    }
    let other = at(store, fact(&store.keys, "anna", 2, "r"), "/g1", None);
    record(store, other).await;
    let seen = store.index.instances().await.unwrap();
    let mut seen: Vec<_> = seen
        .into_iter()
        .map(|seen| (seen.upstream, seen.instance.unwrap(), seen.first_seen))
        .map(|(upstream, instance, first)| (upstream.0, instance.prefix.to_string(), instance.caller, first))
        .collect();
    seen.sort();
    let key = Some(Fingerprint([7; 16]));
    let expected = [(1, "", key), (1, "/g1", None), (2, "/g1", None)];
    assert_eq!(seen, expected.map(|(upstream, prefix, caller)| (upstream, prefix.to_owned(), caller, NOW)));
}

/// Those that anybody can make up take no place of the others.
async fn instances_that_are_remembered_are_bounded_p12(store: &Opened) {
    let fact = |number| at(store, fact(&store.keys, "anna", 1, ""), &format!("/g{number}"), None);
    let answered = async |number| {
        let fact = fact(number);
        store.index.answered(fact.key.upstream, &fact.instance, fact.seen).await.unwrap();
    };
    let counts = async || {
        let seen = store.index.instances().await.unwrap();
        let answered = seen.iter().filter(|seen| seen.answered).count();
        (seen.len() - answered, answered)
    };
    join_all((0..=INSTANCES_MAX).map(|number| record(store, fact(number)))).await;
    assert_eq!(counts().await, (INSTANCES_MAX, 0));
    assert_eq!(rows_of(store, "anna").await.len(), INSTANCES_MAX + 1, "its row is there all the same");
    let (late, known) = (INSTANCES_MAX + 7, 3);
    for number in [late, known, late, known] {
        answered(number).await;
    }
    assert_eq!(counts().await, (INSTANCES_MAX - 1, 2));
    join_all((2 * INSTANCES_MAX..3 * INSTANCES_MAX).map(answered)).await;
    assert_eq!(counts().await, (INSTANCES_MAX - 1, INSTANCES_MAX), "two were one too many each");
}

async fn an_instance_is_answered_once_and_for_all_p5(store: &Opened) {
    let fact = at(store, fact(&store.keys, "anna", 1, ""), "/g%31", None);
    let again = async |seen| {
        record(store, Placement { seen, ..fact.clone() }).await;
        let [entry] = store.index.instances().await.unwrap().try_into().unwrap();
        (entry.answered, entry.first_seen, entry.last_seen)
    };
    let day = 86_400;
    assert_eq!(again(NOW).await, (false, NOW, NOW));
    assert_eq!(again(later(day)).await, (false, NOW, later(day)));
    let spelt = Instance { prefix: "/g1".into(), caller: None };
    store.index.answered(fact.key.upstream, &spelt, later(day + 1)).await.unwrap();
    let [entry] = store.index.instances().await.unwrap().try_into().unwrap();
    assert_eq!((entry.answered, entry.first_seen), (true, NOW));
    assert_eq!(again(later(3 * day)).await, (true, NOW, later(3 * day)));
    store.index.answered(fact.key.upstream, &Instance::default(), NOW).await.unwrap();
    assert_eq!(store.index.instances().await.unwrap().len(), 1, "the upstream itself is no instance");
}

async fn the_names_of_an_upstreams_instances_are_kept_p5(store: &Opened) {
    let one = store.index.upstream_number("one", "https://one").await.unwrap();
    let two = store.index.upstream_number("two", "https://two").await.unwrap();
    let named = |name: &str, path: Option<&str>, keys: &[u8]| {
        let keys = keys.iter().map(|byte| Fingerprint([*byte; 16])).collect();
        NamedInstance { name: name.into(), path: path.map(Into::into), keys }
    };
    let all = [vec![named("", None, &[1]), named("a", Some("/instances/a"), &[])], vec![named("a", None, &[2, 3])]];
    let kept = async || {
        let known = store.index.upstreams().await.unwrap();
        known.into_iter().map(|known| known.named).collect::<Vec<_>>()
    };
    for (number, named) in [one, two].into_iter().zip(&all) {
        store.index.name_instances(number, named.clone()).await.unwrap();
    }
    assert_eq!(kept().await, all);
    store.index.upstream_number("one", "https://moved").await.unwrap();
    assert_eq!(kept().await, all);
    let fewer = vec![named("a", None, &[4])];
    store.index.name_instances(one, fewer.clone()).await.unwrap();
    assert_eq!(kept().await, [fewer, all[1].clone()]);
}

const PREFIXES: [&str; 3] = ["/old", "/broken", "/new"];

fn seen(store: &Opened, prefix: &str) {
    let instance = Instance { prefix: prefix.into(), caller: None };
    let plain = fact(&store.keys, "anna", 1, "r");
    let hash: InstanceHash = store.keys.instance_hash(plain.key.tag, &instance);
    let key = PairKey { instance: hash, ..plain.key };
    wait(store.index.record(Placement { key, instance, seen: later(0), ..plain })).unwrap();
}

/// Prefix of each entry that reads, and whether it is answered.
fn listed(store: &Opened) -> Vec<(String, bool)> {
    let prefix = |instance: Option<Instance>| instance.map_or_else(String::new, |instance| instance.prefix.into());
    let mut all: Vec<_> = wait(store.index.instances()).unwrap();
    all.sort_by_key(|seen| prefix(seen.instance.clone()));
    all.into_iter().map(|seen| (prefix(seen.instance), seen.answered)).collect()
}

#[test]
fn p5_what_says_nothing_of_answers_or_does_not_read_counts_as_answered() {
    let world = World::sled();
    let store = world.open();
    PREFIXES.iter().for_each(|prefix| seen(&store, prefix));
    let keys: Vec<[u8; 10]> = PREFIXES.map(|prefix| entry(&store, prefix)).into();
    assert!(listed(&store).iter().all(|(_, answered)| !answered));
    drop(store);
    in_its_files(&world, |table| {
        let instances = table("instances");
        // As all entries began before answers were noted, and as none ever did.
        for (key, first) in [(keys[0], 1), (keys[1], 99)] {
            let mut value = instances.get(key).unwrap();
            value[0] = first;
            instances.insert(key, value);
        }
    });
    let store = world.open_changed();
    let answered = [("", true), ("/new", false), ("/old", true)].map(|(prefix, is)| (prefix.to_owned(), is));
    assert_eq!(listed(&store), answered);
}

fn entry(store: &Opened, prefix: &str) -> [u8; 10] {
    let upstream = fact(&store.keys, "anna", 1, "r").key.upstream;
    let hash = store.keys.instance_entry(upstream, &Instance { prefix: prefix.into(), caller: None });
    [&upstream.0.to_be_bytes()[..], &hash.0].concat().try_into().unwrap()
}
