//! P1, P2, P6 and P7, decided: a table for every clause of the policy.

use proptest::prelude::{any, proptest};

use super::{Class, Decision, Derived, LabelLine, OptOutLine, Permit, RequestFacts, Rules, Wish, decide, todays_label};
use crate::domain::alias::{AliasKey, has_alias_form};
use crate::domain::placeholders::Placeholders;
use crate::domain::policy::{AliasUse, Beta, Invalid, Missing, Mode, OptOut, Personal, Policy, Several, Unknown};
use crate::domain::profile::{GrammarName, LabelRule};
use crate::domain::refusal::Code;
use crate::domain::{CustomerId, LabelForm};

const LABELLED: Class = Class { named: true, labelled: true, opt_out: true, beta: false };
const PLAIN: Class = Class { named: true, labelled: false, opt_out: false, beta: false };

fn rule(grammar: GrammarName, several: bool) -> LabelRule {
    LabelRule {
        header: "x-watson-metadata".into(),
        header_written: "X-Watson-Metadata".into(),
        field: "customer_id".into(),
        query: Some("x-watson-metadata".into()),
        grammar,
        several,
    }
}

fn judged(policy: &Policy, grammar: GrammarName, facts: &RequestFacts<'_>) -> Decision {
    let aliases = AliasKey::new(&[3; 32], 1);
    let label = rule(grammar, grammar == GrammarName::Watson);
    decide(Rules { policy, label: &label, aliases: &aliases }, facts)
}

fn labelled(header: &str) -> RequestFacts<'_> {
    RequestFacts { class: LABELLED, header: Some(header.as_bytes()), ..RequestFacts::default() }
}

#[track_caller]
fn refused(policy: &Policy, facts: &RequestFacts<'_>) -> Code {
    match judged(policy, GrammarName::Watson, facts) {
        Decision::Refuse(refusal) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

#[track_caller]
fn passed(policy: &Policy, facts: &RequestFacts<'_>) -> Permit {
    match judged(policy, GrammarName::Watson, facts) {
        Decision::Pass(permit) => permit,
        other => panic!("did not pass: {other:?}"),
    }
}

fn line(permit: &Permit) -> Option<String> {
    match permit.label_line() {
        LabelLine::Keep => None,
        LabelLine::Write(value) => Some(String::from_utf8(value.clone()).unwrap()),
    }
}

fn ids(permit: &Permit) -> Vec<(&str, LabelForm)> {
    permit.labels().iter().map(|label| (label.id.expose(), label.form)).collect()
}

#[test]
fn p1_a_good_label_passes_as_it_is() {
    let permit = passed(&Policy::default(), &labelled("customer_id=abc;platform=iOS"));
    assert_eq!(ids(&permit), [("abc", LabelForm::RAW)]);
    assert_eq!(line(&permit), None);
}

#[test]
fn p1_a_missing_or_blank_label_is_refused() {
    let policy = Policy::default();
    let none = RequestFacts { class: LABELLED, ..RequestFacts::default() };
    assert_eq!(refused(&policy, &none), Code::LabelMissing);
    for blank in ["", "customer_id=", "customer_id=  ", "platform=iOS", "customer_id"] {
        assert_eq!(refused(&policy, &labelled(blank)), Code::LabelMissing, "{blank:?}");
    }
}

#[test]
fn p1_an_invalid_id_is_refused_or_aliased_as_the_operator_chose() {
    let rewriting = Policy { invalid: Invalid::Rewrite, ..Policy::default() };
    for bad in ["customer_id=a=b", "customer_id=a%41", "customer_id=é", "customer_id=fg_3damo5jx3ani3h2tn7mi2wk7bo"] {
        assert_eq!(refused(&Policy::default(), &labelled(bad)), Code::LabelInvalid, "{bad:?}");
        let permit = passed(&rewriting, &labelled(bad));
        assert!(has_alias_form(line(&permit).unwrap().strip_prefix("customer_id=").unwrap()), "{bad:?}");
        assert!(permit.marks().rewritten);
    }
    let not_text = RequestFacts { class: LABELLED, header: Some(b"customer_id=\xff"), ..RequestFacts::default() };
    assert_eq!(refused(&rewriting, &not_text), Code::LabelInvalid);
}

#[test]
fn p7_a_personal_id_is_judged_before_an_invalid_one() {
    let facts = labelled("customer_id=bob@example.com");
    let policy = |personal, invalid| Policy { personal, invalid, ..Policy::default() };
    assert_eq!(refused(&policy(Personal::Refuse, Invalid::Rewrite), &facts), Code::LabelPersonal);
    let aliased = passed(&policy(Personal::Rewrite, Invalid::Refuse), &facts);
    assert!(!line(&aliased).unwrap().contains("bob"));
    assert_eq!(ids(&aliased), [("bob@example.com", LabelForm::alias(1))]);
    assert_eq!(line(&passed(&policy(Personal::Allow, Invalid::Refuse), &facts)), None);

    let on_vr = judged(&policy(Personal::Allow, Invalid::Refuse), GrammarName::WatsonVr, &facts);
    assert!(matches!(on_vr, Decision::Refuse(refusal) if refusal.code == Code::LabelInvalid));
}

#[test]
fn p1_several_ids_are_cut_kept_or_refused() {
    let facts = labelled("customer_id=abc;customer_id=xyz");
    let policy = |several| Policy { several, ..Policy::default() };
    let first = passed(&policy(Several::First), &facts);
    assert_eq!((ids(&first), line(&first)), (vec![("abc", LabelForm::RAW)], Some("customer_id=abc".into())));
    assert!(first.marks().cut);
    let all = passed(&policy(Several::All), &facts);
    assert_eq!((ids(&all).len(), line(&all)), (2, None));
    assert_eq!(refused(&policy(Several::Refuse), &facts), Code::LabelSeveral);

    let elsewhere = judged(&policy(Several::All), GrammarName::WatsonDiscovery, &facts);
    assert!(matches!(elsewhere, Decision::Refuse(refusal) if refusal.code == Code::LabelSeveral));
    let mixed = labelled("customer_id=ok;customer_id=a=b");
    assert_eq!(refused(&policy(Several::All), &mixed), Code::LabelInvalid, "every ID is judged");
}

#[test]
fn p6_header_and_query_must_agree() {
    let facts = |query| RequestFacts { query: Some(query), ..labelled("customer_id=abc") };
    assert_eq!(ids(&passed(&Policy::default(), &facts(b"customer_id=abc"))), [("abc", LabelForm::RAW)]);
    assert_eq!(refused(&Policy::default(), &facts(b"customer_id=xyz")), Code::LabelConflict);
    assert_eq!(refused(&Policy::default(), &facts(b"")), Code::LabelConflict);
}

#[test]
fn p1_derivation_is_asked_for_once_and_judged_like_a_label() {
    let policy = Policy { missing: Missing::Derive, ..Policy::default() };
    let facts = |derived| RequestFacts { class: LABELLED, derived, ..RequestFacts::default() };
    assert!(matches!(judged(&policy, GrammarName::Watson, &facts(Derived::NotTried)), Decision::Derive));
    assert_eq!(refused(&policy, &facts(Derived::Nothing)), Code::LabelMissing);
    let [illegal, shared, id] = ["a;b", "apikey", "u_1"].map(|text| CustomerId::read(text).unwrap());
    assert_eq!(refused(&policy, &facts(Derived::Found(&illegal))), Code::LabelInvalid);
    assert_eq!(refused(&policy, &facts(Derived::Found(&shared))), Code::LabelPlaceholder);

    let permit = passed(&policy, &facts(Derived::Found(&id)));
    assert_eq!(line(&permit).as_deref(), Some("customer_id=u_1"));
    assert!(permit.marks().derived);
    assert_eq!(ids(&passed(&policy, &labelled("customer_id=abc"))), [("abc", LabelForm::RAW)], "a label wins");
}

#[test]
fn p6_an_id_that_is_a_mistake_is_refused_counted_or_allowed() {
    let facts = labelled("customer_id=undefined");
    assert_eq!(refused(&Policy::default(), &facts), Code::LabelPlaceholder);
    let observing = Policy { mode: Mode::Observe, ..Policy::default() };
    assert_eq!(passed(&observing, &facts).marks().would_refuse, Some(Code::LabelPlaceholder));
    let none = Policy { placeholders: Placeholders::new([]), ..Policy::default() };
    assert_eq!(ids(&passed(&none, &facts)), [("undefined", LabelForm::RAW)]);
}

/// `acme;bob@example.com` left as `fg_…;bob@example.com`.
#[test]
fn p7_under_an_alias_no_part_of_the_callers_text_leaves() {
    let always = Policy { alias: AliasUse::Always, ..Policy::default() };
    for value in ["customer_id=acme;name=Bob", "name=Bob;customer_id=bob@example.com"] {
        let line = line(&passed(&always, &labelled(value))).unwrap();
        assert!(has_alias_form(line.strip_prefix("customer_id=").unwrap()), "{line}");
    }
    let unlabelled = |policy: &Policy, value: &'static str| {
        judged(
            policy,
            GrammarName::Watson,
            &RequestFacts { class: Class { named: true, ..Class::default() }, ..labelled(value) },
        )
    };
    for (policy, value) in [(&always, "customer_id=a;b"), (&Policy::default(), "customer_id=acme;bob@example.com")] {
        let refusal = unlabelled(policy, value);
        assert!(matches!(refusal, Decision::Refuse(refusal) if refusal.code == Code::LabelInvalid), "{value}");
    }
    assert!(matches!(unlabelled(&Policy::default(), "customer_id=a;b"), Decision::Pass(_)));
}

#[test]
fn p2_opting_out_follows_the_operator_and_then_the_caller() {
    let cases = [
        (OptOut::Force, None, OptOutLine::Out),
        (OptOut::Force, Some(Wish::OptIn), OptOutLine::Out),
        (OptOut::Default, None, OptOutLine::Out),
        (OptOut::Default, Some(Wish::OptIn), OptOutLine::In),
        (OptOut::Off, None, OptOutLine::Absent),
        (OptOut::Off, Some(Wish::OptOut), OptOutLine::Out),
        (OptOut::Off, Some(Wish::OptIn), OptOutLine::In),
    ];
    for (opt_out, wish, expected) in cases {
        for mode in [Mode::Enforce, Mode::Observe] {
            let policy = Policy { opt_out, mode, ..Policy::default() };
            let facts = RequestFacts { wish, ..labelled("customer_id=abc") };
            assert_eq!(passed(&policy, &facts).opt_out(), expected, "{opt_out:?} {wish:?} {mode:?}");
        }
    }
    let plain = RequestFacts { class: PLAIN, wish: Some(Wish::OptIn), ..RequestFacts::default() };
    assert_eq!(passed(&Policy::default(), &plain).opt_out(), OptOutLine::Untouched);
}

#[test]
fn p8_a_label_on_another_call_passes_untouched_unless_it_would_leak_what_is_rewritten() {
    let plain = |header: &'static str| RequestFacts { class: PLAIN, ..labelled(header) };
    for header in ["customer_id=abc", "customer_id=a=b", "customer_id=abc;customer_id=xyz", "nonsense"] {
        let permit = passed(&Policy::default(), &plain(header));
        assert_eq!((line(&permit), ids(&permit)), (None, vec![]), "{header}");
    }
    let permit = passed(&Policy::default(), &plain("customer_id=bob@example.com;x=1"));
    assert!(has_alias_form(line(&permit).unwrap().strip_prefix("customer_id=").unwrap()));
    assert!(permit.labels().is_empty(), "it is not indexed: the call stores nothing");
}

#[test]
fn p11_observing_changes_nothing_and_says_what_would_have_happened() {
    let policy = Policy { mode: Mode::Observe, unknown: Unknown::Refuse, ..Policy::default() };
    let cases = [
        ("customer_id=abc", vec!["abc"], None),
        ("customer_id=bob@example.com", vec!["bob@example.com"], None),
        ("customer_id=a=b", vec![], Some(Code::LabelInvalid)),
        ("", vec![], Some(Code::LabelMissing)),
        ("customer_id=abc;customer_id=xyz", vec!["abc", "xyz"], None),
    ];
    for (header, indexed, would) in cases {
        let permit = passed(&policy, &labelled(header));
        assert_eq!(line(&permit), None, "{header}");
        assert_eq!(ids(&permit), indexed.into_iter().map(|id| (id, LabelForm::RAW)).collect::<Vec<_>>(), "{header}");
        assert_eq!(permit.marks().would_refuse, would, "{header}");
        assert_eq!(permit.marks().unlabelled, permit.labels().is_empty(), "{header}");
    }
    let unknown = RequestFacts::default();
    assert_eq!(passed(&policy, &unknown).marks().would_refuse, Some(Code::EndpointUnknown));
}

#[test]
fn endpoints_are_refused_as_the_operator_chose() {
    let unknown = RequestFacts::default();
    let beta = RequestFacts { class: Class { beta: true, ..PLAIN }, ..RequestFacts::default() };
    assert!(passed(&Policy::default(), &unknown).marks().unknown);
    assert!(passed(&Policy::default(), &beta).marks().beta);
    let strict = Policy { unknown: Unknown::Refuse, beta: Beta::Refuse, ..Policy::default() };
    assert_eq!(refused(&strict, &unknown), Code::EndpointUnknown);
    assert_eq!(refused(&strict, &beta), Code::BetaRefused);
}

#[test]
fn p6_visual_recognition_ids_are_encoded_on_the_wire() {
    let policy = Policy::default();
    for header in ["customer_id=é1", "customer_id=%C3%A91"] {
        let Decision::Pass(permit) = judged(&policy, GrammarName::WatsonVr, &labelled(header)) else {
            panic!("{header}")
        };
        assert_eq!(ids(&permit), [("é1", LabelForm::RAW)]);
        let wire = line(&permit).unwrap_or_else(|| header.to_owned());
        assert_eq!(wire, "customer_id=%C3%A91");
    }
}

#[test]
fn p10_a_delete_takes_todays_form_and_never_an_alias_as_an_id() {
    let aliases = AliasKey::new(&[3; 32], 1);
    let label = rule(GrammarName::Watson, true);
    let form = |policy: &Policy, id: &str| {
        let id = CustomerId::new(id).unwrap();
        todays_label(Rules { policy, label: &label, aliases: &aliases }, &id)
            .map(|label| label.form)
            .map_err(|r| r.code)
    };
    let policy = Policy::default();
    assert_eq!(form(&policy, "abc"), Ok(LabelForm::RAW));
    assert_eq!(form(&policy, "bob@example.com"), Ok(LabelForm::alias(1)));
    assert_eq!(form(&policy, "a;b"), Ok(LabelForm::RAW), "whatever was once labelled can be erased");
    assert_eq!(form(&policy, "fg_3damo5jx3ani3h2tn7mi2wk7bo"), Err(Code::LabelInvalid));
    let observing = Policy { mode: Mode::Observe, ..Policy::default() };
    assert_eq!(form(&observing, "fg_3damo5jx3ani3h2tn7mi2wk7bo"), Err(Code::LabelInvalid));
    let rewriting = Policy { invalid: Invalid::Rewrite, alias: AliasUse::Always, ..Policy::default() };
    assert_eq!(form(&rewriting, "fg_3damo5jx3ani3h2tn7mi2wk7bo"), Ok(LabelForm::alias(1)));
    assert_eq!(form(&rewriting, "abc"), Ok(LabelForm::alias(1)));
}

proptest! {
    #[test]
    fn p1_whatever_the_header_what_passes_carries_exactly_the_judged_ids_in_legal_form(value in any::<Vec<u8>>(), several in 0..3_usize) {
        let policy = Policy {
            several: [Several::First, Several::All, Several::Refuse][several],
            invalid: Invalid::Rewrite,
            ..Policy::default()
        };
        for grammar in [GrammarName::Watson, GrammarName::WatsonDiscovery, GrammarName::WatsonVr] {
            let facts = RequestFacts { class: LABELLED, header: Some(&value), ..RequestFacts::default() };
            let Decision::Pass(permit) = judged(&policy, grammar, &facts) else { continue };
            let sent = match permit.label_line() { LabelLine::Keep => &value, LabelLine::Write(line) => line };
            let reading = crate::domain::label::read(sent, "customer_id", grammar).unwrap();
            assert_eq!(reading.ids.len(), permit.labels().len());
            assert!(!reading.irregular);
            for (wire, label) in reading.ids.iter().zip(permit.labels()) {
                let text = grammar.read(wire).unwrap();
                assert!(grammar.allows(&text));
                if label.form.is_alias() { assert!(has_alias_form(&text)); } else { assert_eq!(text, label.id.expose()); }
            }
        }
    }
}
