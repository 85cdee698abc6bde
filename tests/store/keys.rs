//! The key file and the store belong together: whatever does not fit is refused, with words, and nothing is overwritten.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use forgetgate::store::seal::Keys;
use forgetgate::store::seal::key_file::{self, Failure as KeyFailure};
use forgetgate::store::{OpenError, Tuning, open, open_with};

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

fn said(world: &World) -> String {
    let refused = open(&world.config).unwrap_err();
    assert!(matches!(refused, OpenError::Gone { .. }), "{refused}");
    refused.to_string()
}

/// P11: a volume that is not mounted looks like this.
#[test]
fn p11_a_key_without_its_store_is_refused_with_words_unless_a_new_store_is_wanted() {
    let world = with_one_fact();
    let key = fs::read(&world.config.key_file).unwrap();
    fs::rename(&world.config.path, world.config.path.with_extension("away")).unwrap();
    for _ in 0..2 {
        let said = said(&world);
        assert!(said.contains("its key (") && said.contains("--new-store"), "{said}");
        assert!(!world.config.path.exists(), "nothing is made in its place");
    }
    fs::rename(world.config.path.with_extension("away"), &world.config.path).unwrap();
    assert!(still_holds_its_fact(&world));
    fs::remove_dir_all(&world.config.path).unwrap();
    let wanted = || open_with(&world.config, Tuning { new_store: true, ..Tuning::default() }).unwrap();
    assert_eq!(wait(rows_of(&wanted(), "anna")).len(), 0);
    assert_eq!(fs::read(&world.config.key_file).unwrap(), key);
    assert!(!still_holds_its_fact(&world), "it opens without the wish from now on");
    wait(wanted().index.record(fact(&wanted_keys(&world), "anna", 1, "r"))).unwrap();
    assert!(still_holds_its_fact(&world), "and the wish harms no store that is there");
}

fn wanted_keys(world: &World) -> Keys {
    Keys::derive(&key_file::read(&world.config.key_file).unwrap().unwrap())
}

#[test]
fn p11_a_store_that_is_gone_with_its_key_is_refused_by_what_its_tip_remembers() {
    let world = with_one_fact();
    fs::remove_dir_all(&world.config.path).unwrap();
    fs::remove_file(&world.config.key_file).unwrap();
    assert!(said(&world).contains("its tip is there"));
    assert!(!world.config.key_file.exists(), "no key is made");
}

/// A crash between the making of the key and that of the store.
#[test]
fn a_first_start_that_was_cut_short_after_its_key_is_begun_again() {
    let world = World::sled();
    fs::create_dir(&world.config.path).unwrap();
    fs::write(world.config.path.join("creating"), "").unwrap();
    key_file::read_or_make(&world.config.key_file).unwrap();
    drop(world.open());
    assert!(!world.config.path.join("creating").exists());
}
