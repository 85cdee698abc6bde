//! The one reader from bytes to customer IDs, for the header, the WebSocket query and the delete query (P6).
//!
//! A label is a list of `field=value` divided by semicolons, of which only the profile's field (`customer_id`) counts:
//! `customer_id=abc;platform=iOS`. The other fields are the caller's own and pass on as they are. What is no field could be
//! the rest of an ID that holds a semicolon, so nothing else may stand beside an ID.
//! See docs/decisions/016-second-spellings.md.

use smallvec::SmallVec;

use super::profile::{GrammarName, LabelRule};
use super::query;
use super::refusal::{Code, Refusal};
use super::{CustomerId, NotAnId};

/// IDs in one label beyond which it is not a label any more.
const IDS_MAX: usize = 16;

/// What was read from a label.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reading<'a> {
    /// The IDs as they stand on the wire, in order, the same one only once, blank ones left out.
    pub ids: SmallVec<[&'a [u8]; 1]>,
    /// Whether writing the IDs back, as they were read, would give other bytes than these: then the label is written
    /// anew.
    pub irregular: bool,
}

/// Reads a label's value, from a header line or from a decoded query parameter.
///
/// # Errors
/// `LabelInvalid` when there are more IDs than any policy can use, a second spelling of the field, or beside an ID
/// something that is no field.
pub fn read<'a>(value: &'a [u8], field: &str, grammar: GrammarName) -> Result<Reading<'a>, Refusal> {
    let mut reading = Reading::default();
    let (mut strays, mut named) = (false, 0_usize);
    for part in value.split(|byte| *byte == b';') {
        let Some(found) = id_in(part, field) else {
            strays |= !(is_field(part) && grammar.knows_fields());
            if spells(part, field) {
                return Err(Refusal::new(Code::LabelInvalid, SECOND_SPELLING));
            }
            // Such a part is written as it came, and from a query anything may come.
            if part.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
                return Err(Refusal::new(Code::LabelInvalid, "The label holds a character that no header may hold"));
            }
            continue;
        };
        named += 1;
        reading.irregular |= found.respelled;
        if found.id.trim_ascii().is_empty() || reading.ids.contains(&found.id) {
            reading.irregular = true;
        } else if reading.ids.len() == IDS_MAX {
            return Err(Refusal::new(Code::LabelInvalid, "The label names more customers than the gate reads"));
        } else {
            reading.ids.push(found.id);
        }
    }
    let sentence = if grammar.knows_fields() { STRAY } else { NO_SEMICOLON };
    let stray = strays || (!grammar.knows_fields() && named > reading.ids.len());
    if stray && !reading.ids.is_empty() { Err(Refusal::new(Code::LabelInvalid, sentence)) } else { Ok(reading) }
}

const STRAY: &str = "Beside the customer ID the label holds something that is no name=value: an ID holds no semicolon";
const NO_SEMICOLON: &str = "The label holds a semicolon, which this service knows neither in an ID nor beside one";

/// Whether it is a `name=value`.
fn is_field(part: &[u8]) -> bool {
    memchr::memchr(b'=', part).and_then(|at| part.get(..at)).is_some_and(|name| !name.trim_ascii().is_empty())
}

pub(super) const SECOND_SPELLING: &str =
    "The label spells its field a second time in a way that a service could read as another customer";

/// Whether a part that is not the field spells it all the same, to a reader that decodes, folds or splits further.
fn spells(part: &[u8], field: &str) -> bool {
    let folded = |byte: u8| if matches!(byte, b'-' | b'.') { b'_' } else { byte.to_ascii_lowercase() };
    let decoded = percent_encoding::percent_decode(part).map(folded).filter(|byte| !byte.is_ascii_whitespace());
    let decoded: Vec<u8> = decoded.collect();
    memchr::memmem::find_iter(&decoded, field.as_bytes()).any(|at| decoded.get(at + field.len()) == Some(&b'='))
}

struct Found<'a> {
    id: &'a [u8],
    respelled: bool,
}

/// The ID in one part of the list, if that part is the field, in whatever case or spacing of its name.
fn id_in<'a>(part: &'a [u8], field: &str) -> Option<Found<'a>> {
    let equals = memchr::memchr(b'=', part)?;
    let (name, value) = part.split_at_checked(equals)?;
    let is_field = name.trim_ascii().eq_ignore_ascii_case(field.as_bytes());
    is_field.then(|| Found { id: value.get(1..).unwrap_or_default(), respelled: name != field.as_bytes() })
}

/// Writes a label: the given IDs at the place of the first one, the caller's other fields around them.
#[must_use]
pub fn write(value: &[u8], field: &str, wire_ids: &[&str]) -> Vec<u8> {
    let mut written = Vec::with_capacity(value.len() + 32);
    let mut ids_written = false;
    for part in value.split(|byte| *byte == b';') {
        if id_in(part, field).is_none() {
            push_part(&mut written, part);
        } else if !ids_written {
            push_ids(&mut written, field, wire_ids);
            ids_written = true;
        }
    }
    if !ids_written {
        push_ids(&mut written, field, wire_ids);
    }
    written
}

fn push_ids(written: &mut Vec<u8>, field: &str, wire_ids: &[&str]) {
    for id in wire_ids {
        push_part(written, field.as_bytes());
        written.push(b'=');
        written.extend_from_slice(id.as_bytes());
    }
}

fn push_part(written: &mut Vec<u8>, part: &[u8]) {
    if part.trim_ascii().is_empty() {
        return;
    }
    if !written.is_empty() {
        written.push(b';');
    }
    written.extend_from_slice(part);
}

/// The canonical ID of one that was read off a label.
///
/// # Errors
/// `LabelInvalid` when its bytes are no text, or it is longer than any ID may be.
pub fn canonical(wire: &[u8], grammar: GrammarName) -> Result<CustomerId, Refusal> {
    let text = grammar.read(wire).ok_or(NotAnId::NotText)?;
    Ok(CustomerId::read(&text)?)
}

/// The query parameter by which services are told of which version of their API a call is.
const VERSION: &str = "version";

const ONE_CUSTOMER: &str = "A delete must name one customer: send the query parameter customer_id=YOUR_CUSTOMER_ID";

/// The customer that a `DELETE …/user_data?customer_id=…` names: form-decoded and nothing else, in every service. Since
/// the query goes on to the service, no reader may find another customer in it, nor another version.
///
/// # Errors
/// `LabelMissing` for none or a blank one, `LabelSeveral` for several, `LabelInvalid` for one that is no text or that
/// some reader would cut, `HeaderAmbiguous` for a second spelling of another parameter.
pub fn from_delete_query(raw_query: Option<&str>, rule: &LabelRule) -> Result<CustomerId, Refusal> {
    let raw = raw_query.unwrap_or_default();
    let pair = only(raw, &rule.field).map_err(|()| Refusal::new(Code::LabelSeveral, ONE_SPELLING))?;
    let label_too = rule.query.as_deref().is_some_and(|name| query::spellings(raw, name) > 0);
    if label_too || only(raw, VERSION).is_err() {
        return Err(Refusal::new(Code::HeaderAmbiguous, SECOND_PARAMETER));
    }
    let missing = Refusal::new(Code::LabelMissing, ONE_CUSTOMER);
    let pair = pair.ok_or(missing)?;
    CustomerId::read_bytes(&query::decoded(pair.value))
        .map_err(|why| if why == NotAnId::Blank { missing } else { why.into() })
}

/// Whether some reader could take this ID for another customer's label, or for another parameter of a delete.
/// It is refused in every way in, since it could be labelled by one and not be erased by the other.
#[must_use]
pub fn reads_as_another(id: &CustomerId, rule: &LabelRule) -> bool {
    let text = id.expose();
    // Whatever is such a thing has an equals sign, written or encoded.
    if text.is_ascii() && !text.bytes().any(|byte| matches!(byte, b'=' | b'%')) {
        return false;
    }
    let value = format!("x={}", query::encoded(text));
    let parameters = [Some(rule.field.as_str()), Some(VERSION), rule.query.as_deref()];
    spells(text.as_bytes(), &rule.field)
        || parameters.into_iter().flatten().any(|name| query::spellings(&value, name) > 0)
}

const ONE_SPELLING: &str = "The delete's query can be read as naming several customers: send the parameter customer_id once, \
     encoded, and nothing that looks like it";
const SECOND_PARAMETER: &str =
    "The delete's query has a parameter that the gate depends on twice, or in a spelling that not every service reads";

/// The one pair of this name, if there is one. `Err`: a reader of queries may find another, or not find this.
fn only<'q>(raw: &'q str, name: &str) -> Result<Option<query::Pair<'q>>, ()> {
    let mut named = query::pairs(raw).filter(|pair| query::decoded(pair.name).eq_ignore_ascii_case(name.as_bytes()));
    let (first, second) = (named.next(), named.next());
    let spellings = query::spellings(raw, name);
    // What stands behind a semicolon is the value's with one reader and a pair of its own with another.
    let divided = first.is_some_and(|pair| pair.whole.contains(';'));
    if second.is_some() || divided || spellings != usize::from(first.is_some()) { Err(()) } else { Ok(first) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{canonical, from_delete_query, read, write};
    use crate::domain::CustomerId;
    use crate::domain::profile::{GrammarName, LabelRule};
    use crate::domain::refusal::Code;

    fn rule() -> LabelRule {
        LabelRule {
            header: "x-watson-metadata".into(),
            header_written: "X-Watson-Metadata".into(),
            field: "customer_id".into(),
            query: None,
            grammar: GrammarName::Watson,
            several: true,
        }
    }

    #[track_caller]
    fn check(value: &str, ids: &[&str], irregular: bool) {
        let reading = read(value.as_bytes(), "customer_id", GrammarName::Watson).unwrap();
        let texts: Vec<_> = reading.ids.iter().map(|id| std::str::from_utf8(id).unwrap()).collect();
        assert_eq!(texts, ids, "{value:?}");
        assert_eq!(reading.irregular, irregular, "{value:?}");
    }

    #[test]
    fn p6_a_label_is_read_in_every_spelling() {
        check("customer_id=abc", &["abc"], false);
        check("customer_id=abc;customer_id=xyz", &["abc", "xyz"], false);
        check("customer_id=abc;customer_id=abc", &["abc"], true);
        check("v=;customer_id=1242;platform=iOS", &["1242"], false);
        check(" customer_id=abc", &["abc"], true);
        check("Customer_ID=abc", &["abc"], true);
        check("customer_id=a=b", &["a=b"], false);
        check("customer_id=", &[], true);
        check("customer_id=  ;customer_id=x", &["x"], true);
        check("", &[], false);
    }

    #[test]
    fn p1_a_second_spelling_of_the_field_is_refused() {
        for value in [
            "customer%5Fid=v;customer_id=me",
            "x,customer_id=v;customer_id=me",
            "customer_id%3Dv;customer_id=me",
            "Customer-ID=v",
            "xcustomer_id=v",
        ] {
            assert_eq!(
                read(value.as_bytes(), "customer_id", GrammarName::Watson).unwrap_err().code,
                Code::LabelInvalid,
                "{value}"
            );
        }
    }

    /// `corp;1` and `corp;2` were one customer, `corp`.
    #[test]
    fn p6_beside_an_id_stands_nothing_that_could_be_the_rest_of_it() {
        for value in [
            "customer_id=corp;1",
            "corp;customer_id=1",
            "customer_id=a;",
            ";customer_id=a",
            "customer_id=a;;v=2",
            "customer_id=a; ",
            "customer_id=a;=b",
        ] {
            let refused = |grammar| read(value.as_bytes(), "customer_id", grammar).unwrap_err().code;
            assert_eq!(refused(GrammarName::Watson), Code::LabelInvalid, "{value}");
            assert_eq!(refused(GrammarName::WatsonVr), Code::LabelInvalid, "{value}");
        }
        for value in ["customer_id=a;platform=iOS", "v=2;customer_id=a", "customer_id=a;customer_id="] {
            let on = |grammar| read(value.as_bytes(), "customer_id", grammar).map(drop).map_err(|refusal| refusal.code);
            assert_eq!(
                (on(GrammarName::Watson), on(GrammarName::WatsonVr)),
                (Ok(()), Err(Code::LabelInvalid)),
                "{value}"
            );
        }
        for value in ["a;b", ";", "customer_id=;b"] {
            assert!(
                read(value.as_bytes(), "customer_id", GrammarName::Watson).unwrap().ids.is_empty(),
                "it names nobody"
            );
        }
    }

    #[test]
    fn p12_a_label_with_very_many_ids_is_refused() {
        let many: Vec<String> = (0..17).map(|n| format!("customer_id={n}")).collect();
        assert_eq!(
            read(many.join(";").as_bytes(), "customer_id", GrammarName::Watson).unwrap_err().code,
            Code::LabelInvalid
        );
    }

    #[test]
    fn p8_the_callers_other_fields_stay_in_their_place() {
        let written =
            |value: &str, ids: &[&str]| String::from_utf8(write(value.as_bytes(), "customer_id", ids)).unwrap();
        assert_eq!(written("a=1;customer_id=x;b", &["y"]), "a=1;customer_id=y;b");
        assert_eq!(written("customer_id=x;a;customer_id=z", &["x"]), "customer_id=x;a");
        assert_eq!(written("a", &["x"]), "a;customer_id=x");
        assert_eq!(written("", &["x", "y"]), "customer_id=x;customer_id=y");
    }

    #[test]
    fn p6_a_delete_names_exactly_one_customer() {
        let deleted =
            |query: &str| from_delete_query(Some(query), &rule()).map(|id| id.expose().to_owned()).map_err(|r| r.code);
        assert_eq!(deleted("customer_id=ab+c%2F%C3%A9%2B%26%25"), Ok("ab c/é+&%".into()));
        assert_eq!(deleted("customer_id=ab%20c"), Ok("ab c".into()));
        assert_eq!(deleted("version=1&customer%5Fid=x"), Ok("x".into()));
        assert_eq!(deleted("customer_id=a%3Db%3B"), Ok("a=b;".into()), "what was once labelled can be erased");
        assert_eq!(deleted("version=1"), Err(Code::LabelMissing));
        assert_eq!(deleted("customer_id=+%20"), Err(Code::LabelMissing));
        assert_eq!(deleted("customer_id=a&customer_id=a"), Err(Code::LabelSeveral));
        assert_eq!(deleted("customer_id=a&Customer_Id=b"), Err(Code::LabelSeveral));
        assert_eq!(deleted("customer_id=%FF"), Err(Code::LabelInvalid));
        for cut in ["victim%00", "victim%00x", "victim%0a", "%09victim", "victim%7f", "victim%C2%85"] {
            assert_eq!(deleted(&format!("customer_id={cut}")), Err(Code::LabelInvalid), "{cut}");
        }
    }

    #[test]
    fn p10_no_reader_finds_another_customer_or_version_in_a_delete() {
        let mut rule = rule();
        rule.query = Some("x-watson-metadata".into());
        let deleted = |query: &str| from_delete_query(Some(query), &rule).map(drop).map_err(|refusal| refusal.code);
        let second = [
            "customer_id=v",
            "customer_id",
            "customer.id=v",
            "customer+id=v",
            "customer%5Fid=v",
            "customer%255Fid=v",
            "customer_id%00=v",
            "customer_id[]=v",
            "customer_id[a]=v",
            "CUSTOMER_ID=v",
            "Customer-Id=v",
            "x=1;customer_id=v",
            "x=1%26customer_id=v",
            "x%26customer_id=v",
            "x=1%2526customer_id%253Dv",
        ];
        for second in second {
            for query in [format!("customer_id=me&{second}"), format!("{second}&customer_id=me&version=1")] {
                assert_eq!(deleted(&query), Err(Code::LabelSeveral), "{query}");
            }
        }
        for second in
            ["version=2", "version", "Ver.Sion=2", "versio%6E=2", "version[]=2", "x=1;version=2", "x%26version=2"]
        {
            let query = format!("customer_id=me&version=1&{second}");
            assert_eq!(deleted(&query), Err(Code::HeaderAmbiguous), "{query}");
        }
        for one in ["customer_id=me;x=1", "customer_id=me;", "customer.id=me", "customer_id%00=me", "customer_id[]=me"]
        {
            assert_eq!(deleted(one), Err(Code::LabelSeveral), "{one}");
        }
        for other in ["x-watson-metadata=customer_id%3Dv", "X_Watson_Metadata=customer_id%3Dv", "ver.sion=2"] {
            assert_eq!(deleted(&format!("customer_id=me&{other}")), Err(Code::HeaderAmbiguous), "{other}");
        }
        for fine in
            ["customer_id=me", "version=2020-01-01&customer_id=me&x=1;y=2&trace=%26", "customer_id=a%26b%3Bc&v=1"]
        {
            assert_eq!(deleted(fine), Ok(()), "{fine}");
        }
    }

    proptest! {
        #[test]
        fn p6_whatever_is_written_in_a_label_is_read_again_and_by_a_delete_too(id in any::<String>()) {
            for grammar in [GrammarName::Watson, GrammarName::WatsonDiscovery, GrammarName::WatsonVr] {
                if !grammar.allows(&id) { continue }
                let Ok(known) = CustomerId::read(&id) else { continue };
                if !grammar.allows(known.expose()) { continue }
                let id = known.expose();
                let wire = grammar.write(id);
                let header = write(b"platform=iOS", "customer_id", &[&wire]);
                let reading = read(&header, "customer_id", GrammarName::Watson).unwrap();
                let labelled = canonical(reading.ids[0], grammar).unwrap();

                let query: String = percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).collect();
                let deleted = from_delete_query(Some(&format!("customer_id={query}")), &rule()).unwrap();

                assert_eq!(labelled.expose(), id);
                assert_eq!(labelled, deleted);
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(value in any::<Vec<u8>>()) {
            if let Ok(reading) = read(&value, "customer_id", GrammarName::Watson) {
                for id in &reading.ids {
                    drop(canonical(id, GrammarName::WatsonVr));
                }
            }
        }
    }
}
