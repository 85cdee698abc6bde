//! Queries: what is not ours keeps its bytes, what is encoded decodes to itself, and no parameter that any common reader
//! would take for a governed one is overlooked (P8, P9).

#![no_main]

use forgetgate::domain::label::from_delete_query;
use forgetgate::domain::log_filter;
use forgetgate::domain::profile::built_in;
use forgetgate::domain::query::{decoded, encoded, may_spell, pairs, rewritten};
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;

const NAMES: [&str; 3] = ["x-watson-metadata", "x-watson-learning-opt-out", "customer_id"];

fuzz_target!(|data: &[u8]| {
    assert_eq!(&*decoded(&encoded(data)), data);
    let Ok(raw) = std::str::from_utf8(data) else { return };
    assert_eq!(rewritten(raw, |_| None), raw);
    assert_eq!(rewritten(raw, |pair| Some(pair.whole.to_owned())), raw);
    assert_eq!(rewritten(raw, |_| Some(String::new())).replace('&', ""), "");
    for part in raw.split('&').flat_map(|pair| pair.split(';').chain([pair])) {
        for name in NAMES {
            assert!(!reads_as(part, name) || may_spell(part, name), "{part:?} can be read as {name}");
        }
    }
    let named = pairs(raw).filter(|pair| decoded(pair.name).eq_ignore_ascii_case(b"customer_id")).count();
    let rule = &built_in("watson-assistant").expect("a built-in profile").label;
    if let Ok(id) = from_delete_query(Some(raw), rule) {
        assert!(named == 1 && !id.expose().trim().is_empty());
        for name in ["customer_id", "version"] {
            for decode in [0, 1, 2] {
                let found = found_by(raw, name, decode);
                assert!(found <= 1, "{raw:?} names {found} of {name}, decoded {decode} times before it is divided");
            }
        }
    }
    // The substitute keeps what it is given: then nothing may change but the spelling of the same filter.
    if let Some(changed) = log_filter::rewritten(raw, "customer_id", |id| Some(format!("fg_{id}").into())) {
        assert!(changed.contains("fg_"));
    }
});

/// How many parameters of this name does a reader find that decodes a query so many times before it divides it?
fn found_by(raw: &str, name: &str, decode: usize) -> usize {
    let decoded = |text: String| percent_decode_str(&text).decode_utf8_lossy().into_owned();
    let text = (0..decode).fold(raw.to_owned(), |text, _| decoded(text));
    text.split(['&', ';']).filter(|part| (decode == 0 || part.contains('=')) && reads_as(part, name)).count()
}

/// Would a common reader take this part for that parameter? It decodes once or twice, does not tell upper from lower case,
/// and makes one name of `a-b`, `a_b`, `a.b` and `a-b[]`.
fn reads_as(part: &str, name: &str) -> bool {
    let written = part.split_once('=').map_or(part, |(name, _)| name);
    let once = percent_decode_str(written).decode_utf8_lossy().into_owned();
    let twice = percent_decode_str(&once).decode_utf8_lossy().into_owned();
    let fold = |text: &str| text.trim().trim_end_matches("[]").to_ascii_lowercase().replace(['_', '.', ' ', '+'], "-");
    [written, &once, &twice].into_iter().any(|text| fold(text) == fold(name))
}
