//! `instances`, `[[upstream.instance]]` and `erase_api`: what is refused, and what is read.

use super::{LEAST, around, check, read};
use crate::domain::instance::InstanceRule;

const KEY: &str = "credentials = { apikey = { env = \"A\" } }";

#[test]
fn each_fault_of_instances_is_reported_at_its_key() {
    let line = LEAST.lines().count() + 1;
    let table = |entry: &str| format!("instance = [{entry}]\n");
    for (below, key, phrase) in [
        ("instances = \"two\"\n".to_owned(), "instances", "none of its values"),
        (table("{ name = \"a\" }"), "instance[1]", "neither where the instance is"),
        (table(&format!("{{ {KEY} }}")), "instance[1].name", "is missing"),
        (table("{ name = \"a\", credentials = { bearer = { env = \"T\" } } }"), "instance[1]", "neither where"),
        (
            table("{ name = \"a\", also = [{ apikey = { env = \"A\" } }] }"),
            "instance[1].credentials",
            "nothing opens it",
        ),
        (
            table(&format!("{{ name = \"a\", {KEY}, also = [{{ bearer = {{ env = \"T\" }} }}] }}")),
            "instance[1].also[1]",
            "token",
        ),
        (table("{ name = \"a\", path = \"instances/g\" }"), "instance[1].path", "is no path"),
        (table("{ name = \"a\", path = \"/g?x\" }"), "instance[1].path", "is no path"),
        (table(&format!("{{ name = \"a\", {KEY}, colour = 1 }}")), "instance[1].colour", "no key that is known"),
        (
            table("{ name = \"a\", path = \"/g\" }, { name = \"a\", path = \"/h\" }"),
            "instance[2]",
            "second of the name \"a\"",
        ),
        (
            table("{ name = \"a\", path = \"/g\" }, { name = \"b\", path = \"/%67\" }"),
            "instance[2]",
            "the path of \"a\"",
        ),
        (format!("instances = \"one\"\ninstance = [{{ name = \"a\", {KEY} }}]\n"), "instances", "all keys open one"),
        ("erase_api = [9]\n".to_owned(), "erase_api[1]", "no version of the API"),
        ("erase_api = [\"v1\"]\n".to_owned(), "erase_api[1]", "list of versions"),
    ] {
        check(&around("", &below), (line, &format!("upstream[1].{key}"), phrase));
    }
}

#[test]
fn instances_are_read_as_they_are_written() {
    let text = "instances = \"open\"\nerase_api = [1, 2]\n[[upstream.instance]]\nname = \"team-a\"\n\
        credentials = { apikey = { env = \"A\" } }\nalso = [{ basic = { username = \"u\", password = { env = \"O\" } } }]\n\
        [[upstream.instance]]\nname = \"g1\"\npath = \"/instances/G1\"\n";
    let upstream = std::sync::Arc::clone(&read(&around("", text)).unwrap().config.upstreams[0]);
    assert_eq!((upstream.instances.rule, &*upstream.erase_api), (InstanceRule::Open, &[1, 2][..]));
    let [team, by_path] = upstream.instances.named.as_slice() else { panic!("{:?}", upstream.instances) };
    assert_eq!((&*team.name, team.path.as_deref(), team.keys().count()), ("team-a", None, 2));
    assert_eq!((&*by_path.name, by_path.path.as_deref(), by_path.keys().count()), ("g1", Some("/instances/G1"), 0));

    let customers = "policy.missing = \"derive\"\npolicy.derive = [{ basic = \"username\" }]\n";
    let upstream = std::sync::Arc::clone(&read(&around("", customers)).unwrap().config.upstreams[0]);
    assert_eq!(upstream.instance_rule(), InstanceRule::One, "user names are customers there");
}
