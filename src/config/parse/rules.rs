//! `[[upstream.policy.rule]]`: when it holds, and the keys that differ then.

use super::super::file::{Table, Value};
use super::super::suggest::nearest;
use super::super::{HeaderCondition, IpRange, Listen, PolicyRule, When};
use super::derive::header_name;
use super::external_files::Outside;
use super::policy::over;
use super::sockets;
use super::upstream::Draft;
use crate::domain::policy::{AliasUse, Beta, Missing, Mode, OptOut, Personal, Policy, Unknown};
use crate::domain::profile::Profile;

const FORM: &str = "[[upstream.policy.rule]] with when = { … } and the keys of [policy] that differ then";
const WHEN: &str = "when = { endpoint, method, client, header, listener }, one of them at least";
/// Every request that no rule meets asks all of them.
const RULES_MAX: usize = 64;

/// A rule, and where it stands.
#[derive(Debug)]
pub(super) struct RuleDraft<'a> {
    table: Table<'a>,
    pub(super) rule: PolicyRule,
}

/// The rules of one upstream's policy table.
pub(super) fn rules<'a>(
    value: &Value<'a>,
    base: &Policy,
    profile: Option<&Profile>,
    outside: &Outside<'_>,
) -> Vec<RuleDraft<'a>> {
    let entries = value.list(FORM);
    if entries.len() > RULES_MAX {
        value.fault(format!("has {} rules", entries.len()), format!("at most {RULES_MAX}"));
    }
    entries.iter().filter_map(|entry| rule(entry, base, profile, outside)).collect()
}

fn rule<'a>(
    entry: &Value<'a>,
    base: &Policy,
    profile: Option<&Profile>,
    outside: &Outside<'_>,
) -> Option<RuleDraft<'a>> {
    let table = entry.table(FORM)?;
    let when = table.need("when", WHEN).and_then(|value| when(&value, profile));
    let keys = table.keys().count();
    if keys < 2 && table.has("when") {
        table.report.fault(&table.place, "changes nothing", "a key of [policy], such as mode = \"observe\"");
    }
    if table.has("require") {
        let what = "belongs to the upstream, not to single calls";
        table.report.fault(&table.place_of("require"), what, "require in [upstream.policy]");
    }
    let policy = over(&table, base, outside);
    Some(RuleDraft { rule: PolicyRule { when: when?, policy }, table })
}

fn when(value: &Value<'_>, profile: Option<&Profile>) -> Option<When> {
    let table = value.table(WHEN)?;
    let words = |key, form: &str| {
        let value = table.get(key)?;
        let entries = if value.is_list() { value.list(form) } else { vec![value] };
        Some(entries)
    };
    let endpoints = words("endpoint", "a call as the profile writes it, or a list of them");
    let methods = words("method", "a method, such as \"POST\", or a list of them");
    let clients = words("client", "a list of addresses and ranges, such as [\"10.1.0.0/16\"]");
    let header = table.get("header");
    let listeners = words("listener", "a listener's address, or a list of them");
    table.close();
    let none = endpoints.is_none() && methods.is_none() && clients.is_none() && header.is_none() && listeners.is_none();
    let empty = [&endpoints, &methods, &clients, &listeners].into_iter().flatten().any(Vec::is_empty);
    if none || empty {
        value.fault(if none { "names no condition" } else { "has an empty list, which nothing meets" }, WHEN);
        return None;
    }
    Some(When {
        endpoints: endpoints.iter().flatten().filter_map(|entry| endpoint(entry, profile)).collect(),
        methods: methods.iter().flatten().filter_map(method).collect(),
        clients: clients.iter().flatten().filter_map(client).collect(),
        header: match header {
            Some(value) => Some(header_condition(&value)?),
            None => None,
        },
        listeners: listeners
            .iter()
            .flatten()
            .filter_map(|entry| sockets::address(entry, "a listener's address"))
            .collect(),
    })
}

fn endpoint(value: &Value<'_>, profile: Option<&Profile>) -> Option<Box<str>> {
    let form = "a call as the profile writes it, such as \"POST /v1/recognize\"";
    let text = value.text(form)?;
    let calls: Vec<&str> = profile?.endpoints().iter().map(|endpoint| &**endpoint.call()).collect();
    if !calls.contains(&text) {
        let right = match nearest(text, calls.iter().copied()) {
            Some(guess) => format!("did you mean {guess:?}? `forgetgate profiles` lists them"),
            None => format!("{form}; `forgetgate profiles` lists them"),
        };
        value.fault("is no call that the profile names", right);
        return None;
    }
    Some(text.into())
}

fn method(value: &Value<'_>) -> Option<Box<str>> {
    let form = "a method in upper case, such as \"POST\"";
    let text = value.text(form)?;
    if text.is_empty() || text.len() > 16 || !text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        value.fault("is no method", form);
        return None;
    }
    Some(text.into())
}

fn client(value: &Value<'_>) -> Option<IpRange> {
    let form = "an address or a range, such as \"10.1.0.0/16\"";
    let range = value.text(form)?.parse();
    if range.is_err() {
        value.fault("is no range of addresses", form);
    }
    range.ok()
}

fn header_condition(value: &Value<'_>) -> Option<HeaderCondition> {
    if value.is_text() {
        return Some(HeaderCondition { name: header_name(value)?.into(), value: None });
    }
    let form = "header = \"X-App\", or { name = \"X-App\", value = \"…\" }";
    let table = value.table(form)?;
    let (name, wanted) = (table.need("name", form), table.get("value"));
    table.close();
    let name = header_name(&name?)?.into();
    let form = "visible characters and blanks between them";
    let wanted = match wanted {
        None => None,
        Some(wanted) => {
            let text = wanted.text(form)?;
            if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
                wanted.fault("is no value that a header can have", form);
                return None;
            }
            Some(text.into())
        }
    };
    Some(HeaderCondition { name, value: wanted })
}

/// What only the whole file shows: each listener is one, places to derive from are there and used, and what is loosened
/// for whoever sends a header is pointed out.
pub(super) fn check(drafts: &[Draft<'_>], listen: &[Listen]) {
    for draft in drafts {
        for one in &draft.rules {
            one.listeners_exist(listen);
            one.derives_soundly();
            one.is_not_for_everybody(&draft.policy);
        }
    }
}

impl<'a> RuleDraft<'a> {
    pub(super) const fn table(&self) -> &Table<'a> {
        &self.table
    }

    pub(super) fn lists_places(&self) -> bool {
        self.table.has("derive")
    }

    fn listeners_exist(&self, listen: &[Listen]) {
        for address in &self.rule.when.listeners {
            if !listen.iter().any(|each| each.address == *address) {
                let what = format!("nobody listens at {address}");
                let all: Vec<String> = listen.iter().map(|each| each.address.to_string()).collect();
                self.table.report.fault(&self.table.place_of("when"), what, format!("one of {}", all.join(", ")));
            }
        }
    }

    fn derives_soundly(&self) {
        let (table, policy) = (&self.table, &self.rule.policy);
        let right = "missing = \"derive\" and a list of places, such as derive = [ { header = \"X-User-Id\" } ]";
        if policy.missing == Missing::Derive && policy.derive.is_empty() {
            table.report.fault(
                &table.place_of("missing"),
                "is \"derive\", but `derive` lists no place to look in",
                right,
            );
        }
        if table.has("derive") && policy.missing != Missing::Derive {
            table.report.fault(&table.place_of("derive"), "is used by nobody: `missing` is not \"derive\"", right);
        }
    }

    /// A header is the caller's own word.
    fn is_not_for_everybody(&self, base: &Policy) {
        let When { header, clients, listeners, .. } = &self.rule.when;
        if header.is_some() && clients.is_empty() && listeners.is_empty() && loosens(base, &self.rule.policy) {
            let what = "lets every caller who sends this header out of the policy";
            let right = "a condition on `client` or `listener` beside it, unless all callers are trusted with that";
            self.table.report.warning(&self.table.place_of("when"), what, right);
        }
    }
}

/// Whether one policy lets through what another refuses or changes, or believes what the other does not.
fn loosens(base: &Policy, policy: &Policy) -> bool {
    (base.mode == Mode::Enforce && policy.mode == Mode::Observe)
        || (base.opt_out != policy.opt_out && policy.opt_out != OptOut::Force)
        || (base.personal != Personal::Allow && policy.personal == Personal::Allow)
        || (base.alias == AliasUse::Always && policy.alias != AliasUse::Always)
        || (base.beta == Beta::Refuse && policy.beta == Beta::Allow)
        || (base.unknown == Unknown::Refuse && policy.unknown == Unknown::Forward)
        || (base.overrides && (!policy.overrides || base.derive != policy.derive))
        || base.placeholders != policy.placeholders
        || base.personal_patterns != policy.personal_patterns
}
