//! The small numbers and hashes that name things in the index.

use std::fmt;

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

    /// Is this an alias?
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

/// The full name of one fact in the index: this customer, at this upstream, under this form, in this resource.
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
}

impl PairKey {
    /// Bytes of [`Self::to_bytes`].
    pub const LEN: usize = 27;

    /// The key as stores write it: tag, upstream (big endian), form, resource. Rows of a customer are neighbours.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let parts: [&[u8]; 4] = [&self.tag.0, &self.upstream.0.to_be_bytes(), &[self.form.0], &self.resource.0];
        for (to, from) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote. `None` when the length is wrong.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first_chunk::<16>()?;
        let (upstream, rest) = rest.split_first_chunk::<2>()?;
        let (form, rest) = rest.split_first_chunk::<1>()?;
        let resource: [u8; 8] = rest.try_into().ok()?;
        Some(Self {
            tag: Tag(*tag),
            upstream: UpstreamNumber(u16::from_be_bytes(*upstream)),
            form: LabelForm(form[0]),
            resource: ResourceHash(resource),
        })
    }
}
