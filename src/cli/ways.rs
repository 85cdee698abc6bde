//! All ways in together: one text gives the same ID, or the same refusal, whatever way it came in, and two texts never share
//! a label (P6). `FORGETGATE_CAMPAIGN` says how many texts, in per cent of 100,000.

use std::collections::HashMap;

use bytes::Bytes;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::json;
use unicode_normalization::UnicodeNormalization as _;

use super::customer::customer;
use crate::admin::customer_in;
use crate::domain::alias::AliasKey;
use crate::domain::decide::{
    Class, Decision, Derived, LabelLine, RequestFacts, Rules, decide, names_one, text_of, todays_label,
};
use crate::domain::label::from_delete_query;
use crate::domain::policy::{AliasUse, Invalid, Missing, Policy};
use crate::domain::profile::{LabelRule, built_in};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::token::Claims;
use crate::domain::{CustomerId, derive, log_filter, query};

const FULL: u64 = 100_000;

/// What generators of IDs get wrong, and what readers differ about.
const PIECES: [&str; 64] = [
    " ",
    " ",
    "\t",
    "\n",
    "\r",
    "\0",
    "\u{a0}",
    "\u{3000}",
    "\u{feff}",
    "\u{200b}",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{301}",
    "\u{323}",
    "e\u{301}",
    "é",
    "हिन्दी",
    "தமிழ்",
    "日本",
    "\u{1f600}",
    "\u{37e}",
    "\u{212a}",
    "K",
    "ß",
    "İ",
    "a",
    "b",
    "A",
    "user",
    "0",
    "7",
    "-7",
    "007",
    "108204268033311374519",
    "1.10",
    "1e3",
    "%",
    "%41",
    "%2541",
    "%00",
    "%3B",
    "+",
    "&",
    ";",
    "=",
    "\"",
    "\\",
    "'",
    ",",
    ":",
    "|",
    "@",
    "#",
    "undefined",
    "null",
    "${x}",
    "{{",
    "apikey",
    "customer_id",
    "version",
    "fg_",
    "_",
    "-",
];

fn text(random: &mut fastrand::Rng) -> String {
    if random.u8(..8) == 0 {
        return (0..random.usize(..6)).map(|_| random.char(..)).collect();
    }
    (0..random.usize(..6)).map(|_| PIECES[random.usize(..PIECES.len())]).collect()
}

type Outcome = Result<String, Code>;

fn outcome(read: Result<CustomerId, Refusal>) -> Outcome {
    read.map(|id| id.expose().to_owned()).map_err(|refusal| refusal.code)
}

fn derived(found: derive::Derived) -> Outcome {
    outcome(found.and_then(|id| id.ok_or_else(|| Code::LabelMissing.into())))
}

/// Whether a header's value is as it is, with blanks at neither end, which a parser of HTTP takes off.
fn fits_a_header(text: &str) -> bool {
    text.trim_matches([' ', '\t']) == text && !text.contains(|c: char| c.is_control() && c != '\t')
}

/// Every way to read a text that can be written in it, without any policy.
fn readings(text: &str) -> Vec<(&'static str, Outcome)> {
    let mut ways = Vec::new();
    let encoded = query::encoded(text);
    let plus = encoded.replace("%20", "+");
    let json = json!({ "id": text, "deep": [{ "a/b": text }] }).to_string();
    let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let basic = format!("Basic {}", BASE64.encode(format!("{text}:secret:more").as_bytes()));
    let token = format!("bearer x.{}.y", BASE64URL_NOPAD.encode(json.as_bytes()));
    let lines = |line: &str| std::iter::once(line.as_bytes().to_vec()).collect::<Vec<_>>();
    fn all(lines: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
        lines.iter().map(Vec::as_slice)
    }
    if fits_a_header(text) {
        ways.push(("header of derive", derived(derive::from_header(all(&lines(text))))));
    }
    ways.push(("query of derive", derived(derive::from_query(&format!("a=b&user={encoded}"), "user"))));
    ways.push(("query of derive, plus", derived(derive::from_query(&format!("user={plus}&a"), "user"))));
    if fits_a_header(text) && !text.contains(';') && !(text.starts_with('"') && text.ends_with('"')) {
        ways.push(("cookie", derived(derive::from_cookies(all(&lines(&format!("a=b; uid={text}; c=d"))), "uid"))));
    }
    if !text.contains(':') {
        ways.push(("user name", derived(derive::from_basic(all(&lines(&basic))))));
    }
    ways.push(("claim", derived(derive::from_jwt(all(&lines(&token)), "id"))));
    ways.push(("verified claim", derived(derive::from_claims(&Claims::unverified(json.as_bytes()), "id"))));
    ways.push(("json", derived(derive::from_json(json.as_bytes(), "/deep/0/a~1b"))));
    ways.push(("json with a mark", derived(derive::from_json(format!("\u{feff}{json}").as_bytes(), "/id"))));
    ways.push(("json, escaped", derived(derive::from_json(format!("{{\"id\":\"{escaped}\"}}").as_bytes(), "/id"))));
    if is_plain_integer(text) {
        ways.push(("json number", derived(derive::from_json(format!("{{\"id\":{text}}}").as_bytes(), "/id"))));
    }
    for (way, content, pointer) in [("part", text, None), ("json part", json.as_str(), Some("/id"))] {
        let body = format!("--b\r\nContent-Disposition: form-data; name=\"m\"\r\n\r\n{content}\r\n--b--\r\n");
        let read = derive::from_multipart("multipart/form-data; boundary=b", Bytes::from(body), "m", pointer);
        ways.push((way, derived(read)));
    }
    ways.push(("admin API", outcome(customer_in(json!({ "customer_id": text }).to_string().as_bytes()))));
    ways
}

fn is_plain_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits == "0" || !digits.starts_with('0');
    plain && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// On the command line there are no codes.
fn typed(text: &str) -> Vec<(&'static str, Option<String>)> {
    let id = |read: Result<CustomerId, _>| read.ok().map(|id| id.expose().to_owned());
    let mut ways = Vec::new();
    if text != "-" {
        ways.push(("argument", id(customer(text, &mut &b""[..]))));
    }
    if !text.contains(['\r', '\n']) {
        for end in ["", "\n", "\r\n"] {
            ways.push(("standard input", id(customer("-", &mut format!("\u{feff}{text}{end}").as_bytes()))));
        }
    }
    ways
}

struct Service<'a> {
    rules: Rules<'a>,
}

impl Service<'_> {
    fn decided(&self, facts: &RequestFacts<'_>) -> Result<(String, String), Code> {
        let class = Class { named: true, labelled: true, ..Class::default() };
        match decide(self.rules, &RequestFacts { class, ..*facts }) {
            Decision::Refuse(refusal) => Err(refusal.code),
            Decision::Derive => Err(Code::LabelMissing),
            Decision::Pass(permit) => {
                let [label] = permit.labels() else { panic!("one customer") };
                let line = match permit.label_line() {
                    LabelLine::Write(line) => line.clone(),
                    LabelLine::Keep => facts.header.or(facts.query).unwrap().to_vec(),
                };
                let sent = String::from_utf8(line).unwrap();
                assert!(!label.form.is_alias() || !sent.contains(';'), "under an alias nothing else leaves: {sent:?}");
                let first = sent.split(';').find(|part| part.starts_with("customer_id=")).unwrap().to_owned();
                Ok((label.id.expose().to_owned(), first))
            }
        }
    }

    /// What is labelled from an ID that was read.
    fn labelled(&self, read: &Result<CustomerId, Refusal>) -> Result<(String, String), Code> {
        let id = read.as_ref().map_err(|refusal| refusal.code)?;
        self.decided(&RequestFacts { derived: Derived::Found(id), ..RequestFacts::default() })
    }

    fn erased(&self, read: Result<CustomerId, Refusal>) -> Result<(String, String), Code> {
        let erase = |id: CustomerId| {
            names_one(self.rules, &id)?;
            let label = todays_label(self.rules, &id)?;
            let text = text_of(self.rules.aliases, &id, label.form);
            Ok((id.expose().to_owned(), format!("customer_id={}", self.rules.label.grammar.write(&text))))
        };
        read.and_then(erase).map_err(|refusal: Refusal| refusal.code)
    }

    fn check(&self, text: &str) -> Result<(String, String), Code> {
        let read = CustomerId::read(text).map_err(Refusal::from);
        let labelled = self.labelled(&read);
        let wire = self.rules.label.grammar.write(text);
        let alone = format!("customer_id={wire}");
        let by_query = self.decided(&RequestFacts { query: Some(alone.as_bytes()), ..RequestFacts::default() });
        // A semicolon ends the ID in a label, and a percent sign may be another's first: neither text can be written there.
        let written = !wire.contains(';') && self.rules.label.grammar.read(wire.as_bytes()).as_deref() == Some(text);
        if written {
            assert_eq!(by_query, labelled, "a label in the query: {text:?}");
            let beside = format!("v=2;{alone};platform=iOS");
            if fits_a_header(&wire) {
                let by_header =
                    self.decided(&RequestFacts { header: Some(alone.as_bytes()), ..RequestFacts::default() });
                assert_eq!(by_header, labelled, "a label: {text:?}");
            }
            let by_header = self.decided(&RequestFacts { header: Some(beside.as_bytes()), ..RequestFacts::default() });
            match self.rules.label.grammar.knows_fields() {
                true => assert_eq!(by_header, labelled, "a label between others: {text:?}"),
                false => assert!(by_header.is_err(), "{text:?}"),
            }
        } else if let Ok((id, _)) = &by_query {
            let begins = text.strip_prefix(id.as_str()).is_some_and(|rest| rest.starts_with(';') && rest.contains('='));
            let normal = text.nfc().collect::<String>();
            assert!(
                begins || text.trim_start().starts_with(';') || normal.starts_with(&format!("{id};")),
                "the rest of {text:?} was cut off {id:?}"
            );
        }
        for query in [query::encoded(text), query::encoded(text).replace("%20", "+")] {
            let deleted =
                self.erased(from_delete_query(Some(&format!("version=1&customer_id={query}")), self.rules.label));
            match (&deleted, &labelled) {
                // Whatever was once labelled can be erased: what the service does not allow, too.
                (Ok((id, _)), Err(Code::LabelInvalid)) => assert_eq!(Ok(id.clone()), outcome(read.clone()), "{text:?}"),
                (Err(Code::LabelSeveral | Code::HeaderAmbiguous), Err(Code::LabelInvalid)) => {}
                _ => assert_eq!(deleted, labelled, "a delete: {text:?}"),
            }
        }
        labelled
    }
}

fn rules<'a>(policy: &'a Policy, label: &'a LabelRule, aliases: &'a AliasKey) -> Service<'a> {
    Service { rules: Rules { policy, label, aliases } }
}

fn in_a_filter(text: &str) -> Outcome {
    let mut quoted = String::from("language::en,customer_id::\"");
    text.chars().for_each(|c| {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    });
    let values = log_filter::values(&format!("{quoted}\",a:b"), "customer_id");
    let [value] = values.as_slice() else { panic!("{values:?}") };
    outcome(CustomerId::read(value).map_err(Refusal::from))
}

#[test]
fn p6_one_text_is_one_customer_whatever_way_it_comes_in_and_two_texts_never_share_a_label() {
    let percent = std::env::var("FORGETGATE_CAMPAIGN").map_or(10, |percent| percent.parse::<u64>().unwrap());
    let aliases = AliasKey::new(&[5; 32], 1);
    let derive = Policy { missing: Missing::Derive, ..Policy::default() };
    let rewrite = Policy { invalid: Invalid::Rewrite, ..derive.clone() };
    let always = Policy { alias: AliasUse::Always, ..rewrite.clone() };
    let profiles =
        ["watson-assistant", "watson-discovery", "watson-visual-recognition"].map(|name| built_in(name).unwrap());
    let mut whose: Vec<HashMap<String, String>> = vec![HashMap::new(); profiles.len() * 3];
    let (mut random, mut usable) = (fastrand::Rng::with_seed(6), 0_u64);
    for round in 0..(FULL * percent / 100).max(100) {
        let text = text(&mut random);
        let expected = outcome(CustomerId::read(&text).map_err(Refusal::from));
        if let Ok(id) = &expected {
            assert_eq!(*id, text.nfc().collect::<String>(), "nothing but its spelling is changed");
            usable += 1;
        }
        for (way, read) in readings(&text) {
            assert_eq!(read, expected, "{way}: {text:?}");
        }
        for (way, read) in typed(&text) {
            assert_eq!(read, expected.clone().ok(), "{way}: {text:?}");
        }
        assert_eq!(in_a_filter(&text), expected, "a filter: {text:?}");
        for (at, profile) in profiles.iter().enumerate() {
            let of = usize::try_from(round).unwrap() % 3;
            let policy = [&derive, &rewrite, &always][of];
            let Ok((id, label)) = rules(policy, &profile.label, &aliases).check(&text) else { continue };
            let other = whose[at * 3 + of].entry(label).or_insert_with(|| id.clone());
            assert_eq!(*other, id, "two customers share a label");
        }
    }
    assert!(usable * 10 > FULL * percent / 100, "the generator makes IDs, too: {usable}");
}
