//! The small numbers and hashes that name things in the index.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// The blind name of a customer: the first 16 bytes of HMAC-SHA-256(index key of the epoch, canonical ID).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub [u8; 16]);

impl fmt::Debug for Tag {
    /// A tag is a pseudonym, and logs should not let two lines be joined by customer: it is not printed either.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(…)")
    }
}

/// The number of an upstream in the store. Given once to a name and never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UpstreamNumber(pub u16);

/// Which form of a customer's ID was sent to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LabelForm(pub u8);

impl LabelForm {
    /// The ID as the caller wrote it.
    pub const RAW: Self = Self(0);

    /// The alias of this key epoch (1 or more).
    #[must_use]
    pub const fn alias(epoch: u8) -> Self {
        Self(epoch)
    }

    /// Whether this is an alias.
    #[must_use]
    pub const fn is_alias(self) -> bool {
        self.0 != 0
    }
}

/// What stands for a resource path such as `assistants/a1` in a customer's rows: a keyed hash, which the store's keys give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceHash(pub [u8; 8]);

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// How many seconds lie between `earlier` and this moment; 0 if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What stands for an instance of an upstream in a customer's rows: a keyed hash, as for resources. Zeros: the upstream's
/// URL as it is, under credentials that say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InstanceHash(pub [u8; 8]);

impl InstanceHash {
    /// The instance that has no name of its own.
    pub const DEFAULT: Self = Self([0; 8]);
}

/// Versions of an API, 0 to 63, as far as they were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Apis(pub u64);

impl Apis {
    /// None was seen.
    pub const NONE: Self = Self(0);
    /// The last version that fits.
    pub const MAX: u8 = 63;

    /// This one; none of what is beyond [`Self::MAX`].
    #[must_use]
    pub fn of(api: Option<u8>) -> Self {
        Self(api.and_then(|api| 1_u64.checked_shl(api.into())).unwrap_or(0))
    }

    /// These and those.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether all of those are among these.
    #[must_use]
    pub const fn contains(self, others: Self) -> bool {
        others.0 & !self.0 == 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each, the lowest first.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..=Self::MAX).filter(move |api| self.contains(Self::of(Some(*api))))
    }
}

/// The full name of one fact in the index: this customer, at this upstream, under this form, in this resource of this
/// instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairKey {
    /// Whose data.
    pub tag: Tag,
    /// Which upstream holds it.
    pub upstream: UpstreamNumber,
    /// What it is labelled with there.
    pub form: LabelForm,
    /// In which resource.
    pub resource: ResourceHash,
    /// In which of the upstream's instances.
    pub instance: InstanceHash,
}

/// A [`PairKey`] as stores write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyBytes {
    bytes: [u8; PairKey::LEN_MAX],
    length: usize,
}

impl Deref for KeyBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}

impl AsRef<[u8]> for KeyBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PairKey {
    /// Bytes of [`Self::to_bytes`] for the instance that has no name of its own: all that there was before instances.
    pub const LEN: usize = 27;
    /// Bytes for every other one.
    pub const LEN_MAX: usize = Self::LEN + 8;

    /// The key as stores write it: tag, upstream (big endian), form, resource, and the instance unless it is the default
    /// one. Rows of a customer are neighbours.
    #[must_use]
    pub fn to_bytes(self) -> KeyBytes {
        let length = if self.instance == InstanceHash::DEFAULT { Self::LEN } else { Self::LEN_MAX };
        KeyBytes { bytes: self.whole(), length }
    }

    fn whole(self) -> [u8; Self::LEN_MAX] {
        let mut bytes = [0; Self::LEN_MAX];
        let upstream = self.upstream.0.to_be_bytes();
        let parts: [&[u8]; 5] = [&self.tag.0, &upstream, &[self.form.0], &self.resource.0, &self.instance.0];
        let mut at = 0;
        for part in parts {
            if let Some(to) = bytes.get_mut(at..at + part.len()) {
                to.copy_from_slice(part);
            }
            at += part.len();
        }
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote. `None` when the length is wrong.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first_chunk::<16>()?;
        let (upstream, rest) = rest.split_first_chunk::<2>()?;
        let (form, rest) = rest.split_first_chunk::<1>()?;
        let (resource, rest) = rest.split_first_chunk::<8>()?;
        let instance = if rest.is_empty() { [0; 8] } else { rest.try_into().ok()? };
        Some(Self {
            tag: Tag(*tag),
            upstream: UpstreamNumber(u16::from_be_bytes(*upstream)),
            form: LabelForm(form[0]),
            resource: ResourceHash(*resource),
            instance: InstanceHash(instance),
        })
    }

    /// Several keys in one text. As long as none has an instance they stand as they did before there were instances, 27
    /// bytes each. Otherwise it is 35 bytes each, and behind them one or two, so that the length is no multiple of 27.
    #[must_use]
    pub fn list_to_bytes(keys: &[Self]) -> Vec<u8> {
        if keys.iter().all(|key| key.instance == InstanceHash::DEFAULT) {
            return keys.iter().flat_map(|key| key.to_bytes().to_vec()).collect();
        }
        let mut bytes: Vec<u8> = keys.iter().flat_map(|key| key.whole()).chain([0]).collect();
        if bytes.len().is_multiple_of(Self::LEN) {
            bytes.push(0);
        }
        bytes
    }

    /// Reads what [`Self::list_to_bytes`] wrote. `None` when the length is wrong.
    #[must_use]
    pub fn list_from_bytes(bytes: &[u8]) -> Option<Vec<Self>> {
        if bytes.len().is_multiple_of(Self::LEN) {
            return bytes.chunks(Self::LEN).map(Self::from_bytes).collect();
        }
        let (keys, rest) = bytes.as_chunks::<{ Self::LEN_MAX }>();
        matches!(rest, [0] | [0, 0]).then(|| keys.iter().map(|key| Self::from_bytes(key)).collect())?
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(instance: [u8; 8]) -> PairKey {
        let (upstream, form) = (UpstreamNumber(3), LabelForm::RAW);
        PairKey { tag: Tag([1; 16]), upstream, form, resource: ResourceHash([2; 8]), instance: InstanceHash(instance) }
    }

    proptest! {
        #[test]
        fn keys_read_back_alone_and_in_lists(instances in proptest::collection::vec(any::<Option<[u8; 8]>>(), 0..60)) {
            let keys: Vec<PairKey> = instances.into_iter().map(|instance| key(instance.unwrap_or_default())).collect();
            for key in &keys {
                prop_assert_eq!(PairKey::from_bytes(&key.to_bytes()), Some(*key));
            }
            prop_assert_eq!(PairKey::list_from_bytes(&PairKey::list_to_bytes(&keys)), Some(keys));
        }

        #[test]
        fn a_set_of_versions_holds_what_was_put_in(apis in proptest::collection::btree_set(0..=Apis::MAX, 0..10)) {
            let set = apis.iter().fold(Apis::NONE, |set, api| set.with(Apis::of(Some(*api))));
            prop_assert!(set.iter().eq(apis.iter().copied()));
            prop_assert_eq!(set.is_empty(), apis.is_empty());
        }
    }

    #[test]
    fn keys_of_the_default_instance_are_written_as_before_there_were_instances() {
        assert_eq!((key([0; 8]).to_bytes().len(), key([7; 8]).to_bytes().len()), (27, 35));
        assert_eq!(PairKey::list_to_bytes(&[key([0; 8]); 35]).len(), 945);
        assert_eq!(PairKey::list_to_bytes(&[key([7; 8]); 27]).len(), 946);
        assert_eq!(Apis::of(Some(64)), Apis::NONE);
    }
}
