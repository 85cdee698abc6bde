//! From what traffic showed to the instances that deletes are sent to: the configuration's names are looked up when an
//! erasure is planned, never before, so that a key that is named later is known from then on.
//! See docs/decisions/030-instances.md.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::instance::{InstanceRule, names_an_instance};
use crate::domain::{Fingerprint, Instance, InstanceHash};

/// Whose credentials open an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The upstream's own; without any, the caller's.
    #[default]
    Own,
    /// Those of the `[[upstream.instance]]` of this name.
    Named(Box<str>),
    /// Nobody's whom the configuration names: of this key, or of requests that showed none.
    Unnamed(Option<Fingerprint>),
    /// The row does not read, and fits no instance that was ever seen.
    Unknown(InstanceHash),
}

/// Where a delete goes at its upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Where {
    /// Stands between the upstream's URL and the profile's call.
    pub prefix: Box<str>,
    /// With whose credentials.
    pub which: Which,
}

/// Stands for a [`Where`] in the name of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WhereId(pub [u8; 8]);

impl Where {
    /// Of more than can be remembered: nobody can be asked.
    fn nobodys() -> Self {
        Self { prefix: "".into(), which: Which::Unnamed(None) }
    }

    /// Zeros for the upstream itself.
    #[must_use]
    pub fn id(&self) -> WhereId {
        let (kind, whose): (u8, &[u8]) = match &self.which {
            Which::Own if self.prefix.is_empty() => return WhereId::default(),
            Which::Own => (0, &[]),
            Which::Named(name) => (1, name.as_bytes()),
            Which::Unnamed(None) => (2, &[]),
            Which::Unnamed(Some(key)) => (3, &key.0),
            Which::Unknown(hash) => (4, &hash.0),
        };
        let place = Instance { prefix: self.prefix.clone(), caller: None };
        let (prefix, _) = place.canonical();
        let digest = Sha256::new().chain_update([kind]).chain_update(whose).chain_update([0]);
        let digest = digest.chain_update(prefix.as_bytes()).chain_update([0]);
        WhereId(digest.finalize().first_chunk::<8>().copied().unwrap_or_default())
    }

    /// What people are shown beside the upstream's name: the instance's name, or the beginning of its key's fingerprint.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        match &self.which {
            Which::Own => None,
            Which::Named(name) => Some(name.to_string()),
            Which::Unnamed(Some(key)) => Some(format!("key {}…", key.short())),
            Which::Unnamed(None) => Some("without a key".into()),
            Which::Unknown(_) => Some("unknown".into()),
        }
    }
}

/// One `[[upstream.instance]]`; as stores keep it, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedInstance {
    /// Its name; empty: what the upstream's own credentials open.
    pub name: Box<str>,
    /// The prefix that stands for it, if it has one of its own.
    pub path: Option<Box<str>>,
    /// The fingerprints of its credentials, older ones included.
    pub keys: Vec<Fingerprint>,
}

/// What is known of an upstream's instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instances {
    /// What holds for keys that have no name.
    pub rule: InstanceRule,
    /// Those with a name.
    pub named: Vec<NamedInstance>,
    /// Whether the upstream has credentials of its own.
    pub has_own: bool,
    /// Their fingerprint.
    pub own: Option<Fingerprint>,
    /// Whether the upstream's URL names an instance already.
    pub url_names_one: bool,
    /// Those that traffic has shown and where the service has taken something, as far as they are remembered.
    pub seen: Vec<Instance>,
    /// Those that traffic has shown and where nothing is known to have been taken: anybody can make one up. They say nothing of
    /// others.
    pub refused: Vec<Instance>,
    /// Whether there were more of the first than are remembered.
    pub more: bool,
}

impl Instances {
    /// Where data is that was seen there. Of requests that showed no key it may be in several instances.
    #[must_use]
    pub fn resolve(&self, seen: &Instance) -> Vec<Where> {
        let at = |which| Where { prefix: seen.prefix.clone(), which };
        let names = self.names_of(seen);
        if !names.is_empty() {
            return names.into_iter().map(|name| at(Which::Named(name))).collect();
        }
        if self.rule == InstanceRule::One || self.is_decided(&seen.prefix) {
            return vec![at(Which::Own)];
        }
        match seen.caller {
            Some(key) if self.own == Some(key) || !self.is_doubtful(seen) => vec![at(Which::Own)],
            Some(key) => vec![at(Which::Unnamed(Some(key)))],
            None => self.without_key(&seen.prefix, self.is_doubtful(seen)),
        }
    }

    /// Where data may be of which nothing was seen: at each instance that has a name, or at the upstream itself, and wherever
    /// traffic has shown that there is one. Where several keys were seen that nobody names, it may be in any of theirs as well.
    #[must_use]
    pub fn anywhere(&self) -> Vec<Where> {
        let is_decided = self.rule == InstanceRule::One || self.url_names_one || self.with_keys().next().is_some();
        let doubtful = !is_decided && self.is_doubtful(&Instance::default());
        let which = if doubtful { Which::Unnamed(None) } else { Which::Own };
        let own = (self.has_own || self.named.is_empty()).then(|| Where { prefix: "".into(), which });
        let named = self.named.iter().map(|named| Where {
            prefix: named.path.clone().unwrap_or_default(),
            which: Which::Named(named.name.clone()),
        });
        let mut all: Vec<Where> = own.into_iter().chain(named).collect();
        for place in self.paths_seen().chain(self.more.then(Where::nobodys)) {
            if !all.contains(&place) {
                all.push(place);
            }
        }
        all
    }

    /// Where the paths lead that traffic has shown. What stands behind an instance's own URL is none of its own.
    fn paths_seen(&self) -> impl Iterator<Item = Where> {
        let paths = self.seen.iter().filter(|seen| !seen.prefix.is_empty() && !self.url_names_one);
        let mut known: Vec<&str> = paths.map(|seen| &*seen.prefix).collect();
        known.sort_unstable();
        known.dedup();
        known.into_iter().flat_map(|path| self.resolve(&Instance { prefix: path.into(), caller: None }))
    }

    /// Where a delete goes that was sent here without showing whose it is.
    #[must_use]
    pub fn addressed(&self, prefix: &str) -> Vec<Where> {
        let instance = Instance { prefix: prefix.into(), caller: None };
        let names = self.names_of(&instance);
        if names.is_empty() { self.without_key(prefix, false) } else { self.resolve(&instance) }
    }

    /// Whether this is an instance that the configuration names. The upstream's own counts.
    #[must_use]
    pub fn names(&self, seen: &Instance) -> bool {
        let own = match seen.caller {
            Some(key) => self.own == Some(key),
            None if self.url_names_one => true,
            None if self.is_decided(&seen.prefix) || self.with_keys().next().is_some() => false,
            None => self.has_own || self.named.is_empty(),
        };
        own || !self.names_of(seen).is_empty()
    }

    /// The most particular first: path and key, the key alone, the path alone.
    fn names_of(&self, seen: &Instance) -> Vec<Box<str>> {
        let has_key = |named: &&NamedInstance| seen.caller.is_some_and(|key| named.keys.contains(&key));
        let is_there = |named: &&NamedInstance| named.path.as_deref().is_some_and(|path| seen.is_under(path));
        let there = || self.named.iter().filter(is_there);
        let name = |named: &NamedInstance| named.name.clone();
        let by_key = self.named.iter().filter(|named| named.path.is_none()).find(has_key);
        if let Some(found) = there().find(has_key).or(by_key) {
            return vec![name(found)];
        }
        match (there().count(), seen.caller) {
            (2.., Some(_)) => Vec::new(),
            _ => there().map(name).collect(),
        }
    }

    /// Instances that are told by their keys alone.
    fn with_keys(&self) -> impl Iterator<Item = &NamedInstance> {
        self.named.iter().filter(|named| named.path.is_none())
    }

    /// Whether the path alone says which instance it is.
    fn is_decided(&self, prefix: &str) -> bool {
        self.url_names_one || names_an_instance(prefix)
    }

    fn without_key(&self, prefix: &str, doubtful: bool) -> Vec<Where> {
        let at = |which| Where { prefix: prefix.into(), which };
        if self.rule == InstanceRule::One || self.is_decided(prefix) {
            return vec![at(Which::Own)];
        }
        let named: Vec<Where> = self.with_keys().map(|named| at(Which::Named(named.name.clone()))).collect();
        if named.is_empty() && doubtful {
            return vec![at(Which::Unnamed(None))];
        }
        let own = (self.has_own || named.is_empty()).then(|| at(Which::Own));
        own.into_iter().chain(named).collect()
    }

    /// All that traffic has shown.
    pub fn shown(&self) -> impl Iterator<Item = &Instance> {
        self.seen.iter().chain(&self.refused)
    }

    /// Whether an unnamed key under this prefix is not simply the upstream's own. Where nothing was said about keys,
    /// one key is; of two the gate cannot know which. A key that was only ever refused makes no other doubtful, and is
    /// itself, beside any.
    fn is_doubtful(&self, seen: &Instance) -> bool {
        let said = self.rule != InstanceRule::Unsaid || !self.named.is_empty();
        if said && seen.caller.is_some() {
            return true;
        }
        let keys_there = |all: &[Instance]| -> Vec<Fingerprint> {
            all.iter().filter(|other| other.is_under(&seen.prefix)).filter_map(|other| other.caller).collect()
        };
        let mut keys = keys_there(&self.seen);
        if let Some(key) = seen.caller.filter(|key| !keys.contains(key)) {
            keys.extend(keys_there(&self.refused).into_iter().chain([key]));
        }
        keys.sort_unstable();
        keys.dedup();
        self.more || keys.len() > 1
    }
}
