//! Where a customer is looked for: bodies (JSON, multipart), queries, cookies, user names, and the filters of log queries. What
//! is found is what another reader finds there, and to look costs no more than the bytes are worth (P6, P12).

#![no_main]

mod budget;

use forgetgate::domain::derive::{from_basic, from_cookies, from_json, from_jwt, from_multipart, from_query, is_json};
use forgetgate::domain::{json, log_filter, query};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const POINTERS: [&str; 4] = ["/id", "/context/metadata/user_id", "/a/0/b~1c", "/"];
const MULTIPART: &str = "multipart/form-data; boundary=b";

fuzz_target!(|data: &[u8]| {
    let Some(([kind, rest @ ..], data)) = data.split_first_chunk::<3>().map(|(first, _)| (first, &data[1..])) else {
        return;
    };
    let pointer = POINTERS[usize::from(rest[0]) % POINTERS.len()];
    look(*kind, pointer, &data[2..]);
    if *kind % 8 == 0 {
        agrees(&data[2..], pointer);
    }
    budget::keeps(data, 1024, |text| {
        look(*kind, pointer, text);
        text.len()
    });
});

fn look(kind: u8, pointer: &str, data: &[u8]) {
    let text = || std::str::from_utf8(data).unwrap_or_default();
    let line = || std::iter::once(data);
    match kind % 8 {
        0 => drop(from_json(data, pointer)),
        1 => drop(from_multipart(MULTIPART, data.to_vec().into(), "m", Some(pointer))),
        2 => drop(from_multipart(MULTIPART, data.to_vec().into(), "m", None)),
        3 => drop((from_query(text(), "user"), query::spellings(text(), "customer_id"))),
        4 => drop((from_cookies(line(), "uid"), from_basic(line()))),
        5 => drop((from_jwt(line(), "sub"), is_json(text()))),
        6 => drop(log_filter::values(text(), "customer_id")),
        _ => drop(log_filter::rewritten(text(), "customer_id", |id| (id.len() % 2 == 0).then(|| "fg_1".into()))),
    }
}

/// A text that is found is the one that the pointer leads to for a reader into a tree.
fn agrees(data: &[u8], pointer: &str) {
    let (Ok(Some(found)), Ok(tree)) =
        (json::find(data, &json::names_of(pointer)), serde_json::from_slice::<Value>(data))
    else {
        return;
    };
    match tree.pointer(pointer) {
        Some(Value::String(text)) => assert_eq!(*text, found),
        Some(Value::Number(number)) => assert!(number.as_f64() == found.parse().ok(), "{number} and {found}"),
        other => panic!("{found:?} is found, and {other:?} is there"),
    }
}
