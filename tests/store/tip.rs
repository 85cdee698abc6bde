//! P11: what says how far the store had come, and what a store has to show before it is used.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use forgetgate::store::{Check, OpenError, Tuning, open, open_with};

use crate::world::{World, fact, rows_of, wait};

fn tip(world: &World) -> PathBuf {
    world.config.path.with_extension("tip")
}

/// A store with a fact of anna's, closed in good order.
fn closed() -> World {
    let world = World::sled();
    let store = world.open();
    wait(store.index.record(fact(&store.keys, "anna", 1, "r"))).unwrap();
    world
}

fn holds_its_fact(world: &World) -> bool {
    wait(rows_of(&world.open(), "anna")).len() == 1
}

/// Removes an entry behind the store's back, as sled forgets what it cannot read.
fn forget(world: &World, table: &str, key: &[u8]) {
    let db = sled::open(&world.config.path).unwrap();
    db.open_tree(table).unwrap().remove(key).unwrap().unwrap();
}

#[test]
fn p11_a_store_that_ended_in_good_order_and_lacks_the_mark_of_that_is_refused() {
    let world = closed();
    forget(&world, "meta", b"closed");
    let refused = open(&world.config).unwrap_err();
    assert!(matches!(refused, OpenError::Damaged { .. } | OpenError::Behind { .. }), "{refused}");
    assert!(refused.to_string().contains("forgetgate index restore"), "{refused}");
}

#[test]
fn p5_p11_a_store_that_lacks_one_entry_of_any_table_is_refused() {
    let whole = closed();
    let entries: Vec<(String, Vec<u8>)> = {
        let db = sled::open(&whole.config.path).unwrap();
        let names = db.tree_names().into_iter().map(|name| String::from_utf8(name.to_vec()).unwrap());
        let keys = |name: &String| db.open_tree(name).unwrap().iter().keys().map(|key| key.unwrap().to_vec()).collect();
        names
            .flat_map(|name| {
                let keys: Vec<_> = keys(&name);
                keys.into_iter().map(move |key| (name.clone(), key))
            })
            .collect()
    };
    assert!(entries.len() > 5, "{entries:?}");
    for (table, key) in entries {
        let world = closed();
        // Each store has keys of its own in this table, and one row.
        let key =
            if table == "placements" { wait(rows_of(&world.open(), "anna"))[0].key.to_bytes().to_vec() } else { key };
        forget(&world, &table, &key);
        assert!(open(&world.config).is_err(), "{table}");
    }
}

#[test]
fn p11_a_store_without_its_tip_is_refused_with_words() {
    let spoil: [(&str, fn(PathBuf)); 3] = [
        ("is missing", |tip| fs::remove_file(tip).unwrap()),
        ("does not read", |tip| fs::write(tip, [7; 9000]).unwrap()),
        ("is another store's", |tip| assert!(fs::copy(self::tip(&closed()), tip).unwrap() > 0)),
    ];
    for (reason, spoil) in spoil {
        let world = closed();
        spoil(tip(&world));
        let refused = open(&world.config).unwrap_err();
        let said = refused.to_string();
        assert!(matches!(refused, OpenError::NoTip { .. }), "{said}");
        assert!(said.contains(reason) && said.contains("forgetgate index accept"), "{said}");
        drop(open_with(&world.config, Tuning { check: Check::Entries, ..Tuning::default() }).unwrap());
        assert!(holds_its_fact(&world), "taken as it is, it has a tip again");
    }
}

/// A crash may come after the store's sync and before the tip's.
#[test]
fn a_store_that_is_ahead_of_its_tip_opens() {
    let world = World::sled();
    let store = world.open();
    let before = fs::read(tip(&world)).unwrap();
    for number in 0..10 {
        wait(store.index.record(fact(&store.keys, "anna", 1, &number.to_string()))).unwrap();
    }
    assert_ne!(fs::read(tip(&world)).unwrap(), before);
    drop(store);
    fs::write(tip(&world), before).unwrap();
    assert_eq!(wait(rows_of(&world.open(), "anna")).len(), 10);
}

#[test]
fn a_tip_of_which_one_half_was_torn_is_read_from_the_other() {
    let world = closed();
    for slot in [0, 4096] {
        let file = fs::File::options().write(true).open(tip(&world)).unwrap();
        file.write_all_at(&[7; 20], slot + 30).unwrap();
        assert!(holds_its_fact(&world));
    }
}

#[test]
fn only_the_owner_can_read_the_tip() {
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(tip(&closed())).unwrap().permissions().mode() & 0o777, 0o600);
}
