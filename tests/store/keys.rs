//! The key file and the store belong together: whatever does not fit is refused, with words, and nothing is overwritten.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use forgetgate::store::seal::key_file::Failure as KeyFailure;
use forgetgate::store::{OpenError, open};

use crate::world::{World, fact, rows_of, wait};

/// A store with one fact in it, closed again.
fn with_one_fact() -> World {
    let world = World::sled();
    let store = world.open();
    wait(store.index.record(fact(&store.keys, "anna", 1, "r"))).unwrap();
    world
}

fn still_holds_its_fact(world: &World) -> bool {
    wait(rows_of(&world.open(), "anna")).len() == 1
}

#[test]
fn an_old_store_without_its_key_is_refused_and_never_given_a_new_one() {
    let world = with_one_fact();
    let key = fs::read(&world.config.key_file).unwrap();
    fs::remove_file(&world.config.key_file).unwrap();
    let refused = open(&world.config).unwrap_err();
    assert!(matches!(refused, OpenError::Key(KeyFailure::Missing { .. })));
    assert!(refused.source().unwrap().to_string().contains("restore the file from its backup"));
    assert!(!world.config.key_file.exists());
    fs::write(&world.config.key_file, key).unwrap();
    fs::set_permissions(&world.config.key_file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(still_holds_its_fact(&world));
}

#[test]
fn another_stores_key_is_refused_and_changes_nothing() {
    let (world, other) = (with_one_fact(), with_one_fact());
    let ours = fs::read(&world.config.key_file).unwrap();
    fs::copy(&other.config.key_file, &world.config.key_file).unwrap();
    let refused = open(&world.config).unwrap_err();
    assert!(matches!(refused, OpenError::WrongKey { .. }));
    assert!(refused.to_string().contains("store.key is not the key that the store in"));
    fs::write(&world.config.key_file, ours).unwrap();
    assert!(still_holds_its_fact(&world));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let world = with_one_fact();
    fs::set_permissions(&world.config.key_file, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = open(&world.config).unwrap_err();
    assert!(matches!(refused, OpenError::Key(KeyFailure::Exposed { mode: 0o644, .. })));
    assert!(refused.source().unwrap().to_string().contains("0600"));
    fs::set_permissions(&world.config.key_file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(still_holds_its_fact(&world));
}

#[test]
fn a_key_without_a_store_makes_a_store_with_that_key() {
    let world = with_one_fact();
    let key = fs::read(&world.config.key_file).unwrap();
    fs::remove_dir_all(&world.config.path).unwrap();
    assert!(!still_holds_its_fact(&world));
    assert_eq!(fs::read(&world.config.key_file).unwrap(), key);
}
