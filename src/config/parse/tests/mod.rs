//! P11: a bad file is refused with every place and reason, and nothing that is known is ignored.

mod described;
mod faults;
mod instances;
mod interception;
mod known;
mod listeners;
mod rules;
mod tls;
mod tokens;
mod upstreams;
mod whole;

use std::path::Path;

use super::parse;
use crate::config::{Fault, Loaded};

/// The least that is a configuration. It ends inside `[[upstream]]`.
const LEAST: &str = r#"
[[listen]]
address = "127.0.0.1:8080"
[[upstream]]
name = "one"
profile = "watson-assistant"
url = "http://127.0.0.1:9101"
route = { path = "/one" }
"#;

fn read(text: &str) -> Result<Loaded, Vec<Fault>> {
    parse(text, Path::new("/etc/forgetgate"))
}

/// `above` is what stands before [`LEAST`] (whole tables), `below` what stands after it (keys of the upstream).
fn around(above: &str, below: &str) -> String {
    format!("{above}{LEAST}{below}")
}

/// The one fault of a text: its line, its key and a phrase of its sentence.
#[track_caller]
fn check(text: &str, (line, key, phrase): (usize, &str, &str)) {
    let Err(faults) = read(text) else { panic!("no fault was found in:\n{text}") };
    let [fault] = faults.as_slice() else { panic!("one fault was expected in:\n{text}\nbut there are {faults:#?}") };
    let sentence = fault.to_string();

    assert_eq!((fault.line, fault.key.as_str()), (line, key), "{sentence}\n{text}");
    assert!(sentence.contains(phrase), "{phrase:?} is not in {sentence:?}");
}
