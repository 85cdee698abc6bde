//! Governed names in a query: on a WebSocket a label and an opt-out travel there, since a browser can set no headers on
//! one. On every other call the headers say it, and a query may not say something else beside them.
//! See docs/decisions/019-websocket-query.md.

use std::borrow::Cow;

use super::governed_headers::{either, legacy_wish, wish};
use super::names::{LEGACY_OPT_OUT, Role};
use super::rewrite::Moved;
use super::route::Destination;
use crate::domain::decide::{OptOutLine, Permit, Wish};
use crate::domain::profile::Profile;
use crate::domain::query::{self, Pair};
use crate::domain::refusal::{Code, Refusal};

/// What a query says by governed names. It is never shown: a label is a customer's (P7).
#[derive(Default)]
pub(super) struct InQuery<'q> {
    /// The label's value, decoded.
    pub(super) label: Option<Cow<'q, [u8]>>,
    /// The caller's wish about learning.
    pub(super) wish: Option<Wish>,
}

/// Which governed parameter this is, if it is one. Names are compared decoded and in any case.
fn role(profile: &Profile, pair: Pair<'_>) -> Option<Role> {
    let name = query::decoded(pair.name);
    let is = |governed: &str| name.eq_ignore_ascii_case(governed.as_bytes());
    if profile.label.query.as_deref().is_some_and(is) {
        return Some(Role::Label);
    }
    if profile.opt_out.as_ref().and_then(|rule| rule.query.as_deref()).is_some_and(is) {
        return Some(Role::OptOut);
    }
    (profile.opt_out.is_some() && is(LEGACY_OPT_OUT)).then_some(Role::LegacyOptOut)
}

/// As how many governed parameters a reader that divides, decodes or folds further could take a pair.
fn governed_in(profile: &Profile, pair: Pair<'_>) -> usize {
    names(profile).map(|name| query::spellings(pair.whole, name)).fold(0, usize::saturating_add)
}

/// The names of the governed parameters.
fn names(profile: &Profile) -> impl Iterator<Item = &str> {
    let opt_out = profile.opt_out.as_ref();
    let legacy = opt_out.map(|_| LEGACY_OPT_OUT);
    [profile.label.query.as_deref(), opt_out.and_then(|rule| rule.query.as_deref()), legacy].into_iter().flatten()
}

/// The fewest letters that any governed parameter's name has.
pub(super) fn letters_min(profile: &Profile) -> usize {
    names(profile).map(query::letters_in).min().unwrap_or(usize::MAX)
}

/// Reads the query of a governed call.
pub(super) fn read<'q>(query: Option<&'q str>, destination: &Destination) -> Result<InQuery<'q>, Refusal> {
    let mut found = InQuery::default();
    let Some(query) = query else { return Ok(found) };
    let (profile, letters_min) = (&destination.site.upstream.profile, destination.governed.query_letters_min);
    let is_plain = query::is_plain(query);
    for pair in query::pairs(query) {
        // Nobody reads more in it than is written, and that is too short.
        if is_plain && pair.name.len() < letters_min {
            continue;
        }
        let role = role(profile, pair);
        if governed_in(profile, pair) > usize::from(role.is_some()) {
            let sentence = "The query has a second spelling of a parameter that the gate depends on";
            return Err(Refusal::new(Code::HeaderAmbiguous, sentence));
        }
        match role {
            Some(Role::Label) if found.label.is_some() => {
                return Err(Refusal::new(Code::HeaderAmbiguous, "The query has two parameters of its label"));
            }
            Some(Role::Label) => found.label = Some(query::decoded(pair.value)),
            Some(Role::OptOut) => found.wish = either(found.wish, wish(&query::decoded(pair.value))),
            Some(Role::LegacyOptOut) => found.wish = either(found.wish, legacy_wish(&query::decoded(pair.value))),
            Some(Role::LabelTwin) | None => {}
        }
    }
    Ok(found)
}

/// What becomes of the governed parameters of a query. It is never shown: a label is a customer's (P7).
#[derive(Default)]
pub(super) struct QueryOrders {
    /// The label's go.
    label_goes: bool,
    /// Those that opt out, or in, go.
    opt_out_goes: bool,
    /// What is appended.
    own: String,
}

impl QueryOrders {
    /// Headers say it all: what the query said beside them goes. Where it said nothing, it need not be read again.
    pub(super) fn of_headers(permit: &Permit, asked: &InQuery<'_>, labelled: bool) -> Self {
        let opt_out_goes = asked.wish.is_some() && matches!(permit.opt_out(), OptOutLine::Out | OptOutLine::In);
        Self { label_goes: asked.label.is_some() && labelled, opt_out_goes, own: String::new() }
    }

    /// The query says it all. `label` is what is to be read there as the label, if it is to be written.
    pub(super) fn of_websocket(permit: &Permit, profile: &Profile, label: Option<&[u8]>) -> Self {
        let mut orders = Self::default();
        let mut append = |name: &str, value: &[u8]| {
            if !orders.own.is_empty() {
                orders.own.push('&');
            }
            orders.own.push_str(name);
            orders.own.push('=');
            orders.own.push_str(&query::encoded(value));
        };
        if let (Some(name), Some(label)) = (&profile.label.query, label) {
            append(name, label);
            orders.label_goes = true;
        }
        let opt_out = profile.opt_out.as_ref().and_then(|rule| Some((rule.query.as_deref()?, rule.value.as_str())));
        match (opt_out, permit.opt_out()) {
            (Some((name, value)), OptOutLine::Out) => append(name, value.as_bytes()),
            (Some((name, _)), OptOutLine::In) => append(name, b"false"),
            (None, _) | (_, OptOutLine::Untouched | OptOutLine::Absent) => return orders,
        }
        orders.opt_out_goes = true;
        orders
    }

    /// What need not be said in headers.
    pub(super) const fn moved(&self) -> Moved {
        let websocket = !self.own.is_empty();
        Moved { label: websocket && self.label_goes, opt_out: websocket && self.opt_out_goes }
    }

    /// The query as it goes on; `None` if it stays as it is.
    pub(super) fn apply(&self, query: Option<&str>, profile: &Profile) -> Option<String> {
        let goes = |pair: Pair<'_>| match role(profile, pair) {
            Some(Role::Label) => self.label_goes,
            Some(Role::OptOut | Role::LegacyOptOut) => self.opt_out_goes,
            Some(Role::LabelTwin) | None => false,
        };
        let any = (self.label_goes || self.opt_out_goes) && query.is_some_and(|query| query::pairs(query).any(goes));
        if !any && self.own.is_empty() {
            return None;
        }
        let mut written = query::rewritten(query.unwrap_or_default(), |pair| goes(pair).then(String::new));
        if !written.is_empty() && !self.own.is_empty() {
            written.push('&');
        }
        written.push_str(&self.own);
        Some(written)
    }
}
