//! `[[upstream.policy.rule]]`: another policy for some of an upstream's calls.
//!
//! A rule says when it holds and carries the whole policy that holds then: the upstream's with the rule's keys over it. The
//! first rule that holds wins; where none does, the upstream's own policy stands.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Serialize;

use super::{Address, IpRange, Upstream};
use crate::domain::policy::Policy;
use crate::domain::token::KeysAt;
use crate::http1::Lines;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyRule {
    /// When it holds.
    pub when: When,
    /// What holds then.
    pub policy: Policy,
}

/// A rule's conditions: all that are written must be met, and of a list one entry. At least one is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct When {
    /// Calls as the profile writes them: `POST /v1/recognize`.
    #[serde(rename = "endpoint")]
    pub endpoints: Vec<Box<str>>,
    /// Methods, in upper case.
    #[serde(rename = "method")]
    pub methods: Vec<Box<str>>,
    /// Where the caller's address lies. A caller over a Unix socket has none, and meets no such condition.
    #[serde(rename = "client")]
    pub clients: Vec<IpRange>,
    /// A header that the caller sends.
    pub header: Option<HeaderCondition>,
    /// Listeners at which the request came in.
    #[serde(rename = "listener")]
    pub listeners: Vec<Address>,
}

/// A condition on a request's headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeaderCondition {
    /// Its name, in lower case.
    pub name: Box<str>,
    /// The value that one of its lines must have, byte for byte but for blanks around it; `None`: any.
    pub value: Option<Box<str>>,
}

/// What of a request the conditions look at.
#[derive(Clone, Copy, Debug)]
pub struct CallFacts<'a> {
    /// The profile's name for the call; `None`: the profile does not know it.
    pub endpoint: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// The caller's address.
    pub client: Option<IpAddr>,
    /// Where the request came in.
    pub listener: Option<&'a Address>,
    /// Its headers.
    pub lines: &'a Lines,
}

impl Upstream {
    /// The policy of its own, and those of its rules.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        [&self.policy].into_iter().chain(self.rules.iter().map(|rule| &rule.policy))
    }

    /// The files of keys that its policies name.
    pub fn key_files(&self) -> impl Iterator<Item = PathBuf> {
        let trusts = self.policies().flat_map(|policy| policy.derive.iter().filter_map(|place| place.trust()));
        trusts.filter_map(|trust| match &trust.keys {
            KeysAt::File(path) => Some(path.clone()),
            KeysAt::Url { .. } => None,
        })
    }

    /// The policy for one request.
    #[must_use]
    pub fn policy_for(&self, asked: &CallFacts<'_>) -> &Policy {
        self.rules.iter().find(|rule| rule.when.holds(asked)).map_or(&self.policy, |rule| &rule.policy)
    }
}

impl When {
    /// Whether all conditions are met.
    #[must_use]
    pub fn holds(&self, asked: &CallFacts<'_>) -> bool {
        let one_of = |words: &[Box<str>], word: Option<&str>| {
            words.is_empty() || word.is_some_and(|word| words.iter().any(|each| **each == *word))
        };
        let from = |ip: IpAddr| self.clients.iter().any(|range| range.has(ip));
        let at = |listener: &Address| self.listeners.contains(listener);
        one_of(&self.endpoints, asked.endpoint)
            && one_of(&self.methods, Some(asked.method))
            && (self.clients.is_empty() || asked.client.is_some_and(from))
            && (self.listeners.is_empty() || asked.listener.is_some_and(at))
            && self.header.as_ref().is_none_or(|header| header.is_met(asked.lines))
    }
}

impl HeaderCondition {
    fn is_met(&self, lines: &Lines) -> bool {
        let wanted = self.value.as_deref().map(str::as_bytes);
        lines.all(&self.name).any(|value| wanted.is_none_or(|wanted| value.trim_ascii() == wanted))
    }
}

impl fmt::Display for When {
    /// The conditions for people: `POST /v1/recognize, clients in 10.1.0.0/16`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = |words: Vec<String>| words.join(" or ");
        let texts = |words: &[Box<str>]| any(words.iter().map(ToString::to_string).collect());
        let written = |holds: bool, text: String| holds.then_some(text);
        let header = self.header.as_ref().map(|header| match &header.value {
            Some(value) => format!("header {}: {value}", header.name),
            None => format!("header {}", header.name),
        });
        let clients = any(self.clients.iter().map(ToString::to_string).collect());
        let listeners = any(self.listeners.iter().map(ToString::to_string).collect());
        let all = [
            written(!self.endpoints.is_empty(), texts(&self.endpoints)),
            written(!self.methods.is_empty(), format!("method {}", texts(&self.methods))),
            written(!self.clients.is_empty(), format!("clients in {clients}")),
            header,
            written(!self.listeners.is_empty(), format!("at {listeners}")),
        ];
        f.write_str(&all.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}
