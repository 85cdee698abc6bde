//! Labels: whatever is read can be written and is read again alike, by a header's reader and by a delete's; two customers
//! never share a label (P1, P6).

#![no_main]

use forgetgate::domain::label::{canonical, from_delete_query, read, write};
use forgetgate::domain::profile::{GrammarName, built_in};
use forgetgate::domain::query::encoded;
use libfuzzer_sys::fuzz_target;

const FIELD: &str = "customer_id";
const GRAMMARS: [GrammarName; 3] = [GrammarName::Watson, GrammarName::WatsonDiscovery, GrammarName::WatsonVr];

fuzz_target!(|value: &[u8]| {
    for grammar in GRAMMARS {
        let Ok(reading) = read(value, FIELD, grammar) else { continue };
        assert!(!reading.ids.iter().any(|id| id.contains(&b';') || id.trim_ascii().is_empty()));
        let ids: Vec<_> = reading.ids.iter().filter_map(|id| canonical(id, grammar).ok()).collect();
        let legal: Vec<_> = ids.iter().filter(|id| grammar.allows(id.expose())).collect();
        let wire: Vec<_> = legal.iter().map(|id| grammar.write(id.expose())).collect();
        for (at, (id, text)) in legal.iter().zip(&wire).enumerate() {
            assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "what goes into a header is printable");
            let twin = legal.iter().zip(&wire).take(at).find(|(other, written)| *written == text && other != &id);
            assert!(twin.is_none(), "two customers share a label");
        }
        if legal.is_empty() {
            continue;
        }
        let wire: Vec<&str> = wire.iter().map(AsRef::as_ref).collect();
        let written = write(value, FIELD, &wire);
        assert!(!written.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "a label adds header lines");
        let again = read(&written, FIELD, grammar).expect("what was written is a label");
        let read_again: Vec<_> = again.ids.iter().filter_map(|id| canonical(id, grammar).ok()).collect();
        let mut once: Vec<_> = Vec::new();
        for id in legal {
            if !once.contains(id) {
                once.push(id.clone());
            }
        }
        assert!(read_again == once, "what was written is read as another customer");
        assert_eq!(write(&written, FIELD, &wire), written, "to write it again changes it");
        let rule = &built_in("watson-assistant").expect("a built-in profile").label;
        for id in once {
            let query = format!("version=1&customer_id={}", encoded(id.expose()));
            assert!(from_delete_query(Some(&query), rule).ok() == Some(id), "a delete reads another customer");
        }
    }
});
