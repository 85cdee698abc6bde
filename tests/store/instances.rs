//! The list of instances as it lies in the files: what an older version wrote, and what nobody can read.

use forgetgate::domain::{Instance, InstanceHash, PairKey};
use forgetgate::store::{Opened, Placement};

use crate::world::{World, fact, in_its_files, later, wait};

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
