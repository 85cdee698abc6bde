//! The numbers of upstreams: given once to a name, never given again to another.

use sled::IVec;

use super::{TableError, Tables};
use crate::domain::UpstreamNumber;
use crate::domain::erasure::NamedInstance;
use crate::store::KnownUpstream;
use crate::store::sled::journal::Done;

/// The longest name and identity together. Both come from the configuration.
const NAMES_MAX: usize = 4000;

const NAMED: &str = "a named instance";

/// The key in `meta` of an instance of this name.
fn named_key(upstream: UpstreamNumber, name: &str) -> Vec<u8> {
    [b"named", upstream.0.to_be_bytes().as_slice(), name.as_bytes()].concat()
}

impl Tables {
    pub(super) fn read_upstreams(&mut self) -> Result<(), TableError> {
        for entry in &self.upstreams.clone() {
            let (key, value) = entry?;
            // Without it nobody knows whose number it was, and what is there could not be erased.
            let unreadable = TableError::Unreadable("an entry of the table `upstreams`");
            let (number, (name, identity)) = number(&key).zip(read_names(&value)).ok_or(unreadable)?;
            let known = KnownUpstream { number, name, identity, has_rows: false, named: self.read_named(number)? };
            self.known_upstreams.insert(number, known);
        }
        let last = self.known_upstreams.keys().next_back().map_or(0, |number| number.0);
        self.tip.upstreams = self.tip.upstreams.max(last);
        Ok(())
    }

    /// The number of this name.
    pub(in super::super) fn upstream_number(
        &mut self,
        name: &str,
        identity: &str,
    ) -> Result<UpstreamNumber, TableError> {
        if name.len() + identity.len() > NAMES_MAX {
            return Err(TableError::TooLarge("an upstream's name and address"));
        }
        let known = self.known_upstreams.values().find(|known| known.name == name);
        if let Some(known) = known.filter(|known| known.identity == identity) {
            return Ok(known.number);
        }
        let number = known.map(|known| known.number);
        let number = number.or_else(|| self.tip.upstreams.checked_add(1).map(UpstreamNumber));
        let number = number.ok_or(TableError::TooLarge("the list of upstreams"))?;
        self.give_number(number, name, identity)?;
        self.note_done(|| Done::Upstream { number, name: name.into(), identity: identity.into() });
        Ok(number)
    }

    /// Says whose number it is from now on.
    pub(super) fn give_number(&mut self, number: UpstreamNumber, name: &str, identity: &str) -> Result<(), TableError> {
        // Its tip outlasts the store, and whoever restores it goes on from there.
        self.tip.upstreams = self.tip.upstreams.max(number.0);
        self.put(&self.upstreams.clone(), &number.0.to_be_bytes(), &write_names(name, identity))?;
        let named = self.known_upstreams.remove(&number).map(|known| known.named).unwrap_or_default();
        let known = KnownUpstream { number, name: name.into(), identity: identity.into(), has_rows: false, named };
        self.known_upstreams.insert(number, known);
        Ok(())
    }

    /// None of the numbers up to this one is given to anybody any more.
    pub(in super::super) fn leave_numbers(&mut self, given: u16) {
        self.tip.upstreams = self.tip.upstreams.max(given);
    }

    /// Says which instances of an upstream have a name: an entry of `meta` each.
    pub(in super::super) fn name_instances(
        &mut self,
        upstream: UpstreamNumber,
        named: Vec<NamedInstance>,
    ) -> Result<(), TableError> {
        let before = self.known_upstreams.get(&upstream).map(|known| known.named.clone()).unwrap_or_default();
        let meta = self.meta.clone();
        for gone in before.iter().filter(|old| named.iter().all(|new| new.name != old.name)) {
            self.remove(&meta, &named_key(upstream, &gone.name))?;
        }
        for new in named.iter().filter(|new| !before.contains(new)) {
            let value = serde_json::to_vec(new).map_err(|_| TableError::Unreadable(NAMED))?;
            if value.len() > NAMES_MAX {
                return Err(TableError::TooLarge("an instance's name, path and keys"));
            }
            self.put(&meta, &named_key(upstream, &new.name), &value)?;
        }
        if let Some(known) = self.known_upstreams.get_mut(&upstream) {
            known.named = named;
        }
        Ok(())
    }

    fn read_named(&self, upstream: UpstreamNumber) -> Result<Vec<NamedInstance>, TableError> {
        let entries = self.meta.scan_prefix(named_key(upstream, ""));
        // Without it a delete could go to another instance, and be called accepted.
        let read = |(_, value): (IVec, IVec)| serde_json::from_slice(&value).map_err(|_| TableError::Unreadable(NAMED));
        entries.map(|entry| entry.and_then(read)).collect()
    }

    pub(in super::super) fn upstreams(&self) -> Vec<KnownUpstream> {
        let has_rows = |number| self.count.get(&number).is_some_and(|count| count.rows > 0);
        let known = self.known_upstreams.values();
        known.map(|known| KnownUpstream { has_rows: has_rows(known.number), ..known.clone() }).collect()
    }
}

pub(super) fn number(bytes: &[u8]) -> Option<UpstreamNumber> {
    bytes.try_into().ok().map(u16::from_be_bytes).map(UpstreamNumber)
}

/// Length of the name (u32), name, identity.
fn write_names(name: &str, identity: &str) -> Vec<u8> {
    let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), name.as_bytes(), identity.as_bytes()].concat()
}

fn read_names(bytes: &[u8]) -> Option<(String, String)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (name, identity) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some((String::from_utf8(name.into()).ok()?, String::from_utf8(identity.into()).ok()?))
}
