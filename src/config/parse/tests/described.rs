//! P11: what a configuration means is shown whole, by the file's own keys: `check --json` and `GET /api/v1/config`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::{LEAST, around, parse, read};

#[track_caller]
fn check(text: &str, shown: &str) {
    let described = format!("{:#}\n", read(text).unwrap().config.describe());
    let first = described.lines().zip(shown.lines()).find(|(is, was)| is != was);
    assert!(described == shown, "the first difference is {first:?}; whole:\n{described}");
}

#[test]
fn p11_the_least_configuration_is_shown_with_every_default_filled_in() {
    check(LEAST, include_str!("described/least.json"));
}

#[test]
fn p11_every_key_is_shown_and_a_secret_by_its_place() {
    check(include_str!("described/every_key.toml"), include_str!("described/every_key.json"));
}

#[test]
fn p11_the_other_shapes_of_values_are_shown() {
    check(include_str!("described/other_shapes.toml"), include_str!("described/other_shapes.json"));
}

#[test]
fn p11_who_may_erase_is_shown_where_anyone_may() {
    let config =
        read(&around("[erasure]\nauthorize = \"open\"\n", "erasure = { authorize = \"open\" }\n")).unwrap().config;
    let described = config.describe();
    assert_eq!((&described["erasure"]["authorize"], &described["erasure"]["token"]), (&"open".into(), &().into()));
    assert_eq!(described["upstream"][0]["erasure"]["authorize"], "open");
}

#[test]
fn p11_a_folder_whose_name_is_not_utf_8_is_shown_all_the_same() {
    let config = parse(LEAST, Path::new(OsStr::from_bytes(b"/etc/\xff"))).unwrap().config;
    assert_eq!(config.describe()["store"]["path"], "/etc/\u{fffd}/var/forgetgate");
}
