//! A row's value as every engine keeps it: a few packed fields in the clear, and the private rest sealed.
//!
//! The clear part is what the engine must change or judge without knowing whose row it is: times, mark, version.

use zeroize::Zeroizing;

use super::seal::{Failure, Keys, OVERHEAD};
use super::{Placement, Row, StoreError};
use crate::domain::{CustomerId, PairKey, UnixSeconds};

/// The longest value in bytes. sled keeps about twenty neighbours on one page, and a page of more than 128 KiB goes to a
/// file of its own which sled does not make durable; so no row may come near a twentieth of that.
pub(crate) const BYTES_MAX: usize = 6000;

const LAYOUT: u8 = 1;
const HAS_API: u8 = 1;
/// Layout, flags, API version, and three times of five bytes (enough until the year 36,812).
const CLEAR: usize = 3 + 3 * 5;

/// A row's value, not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRow {
    pub(crate) first_seen: UnixSeconds,
    pub(crate) last_seen: UnixSeconds,
    pub(crate) erased_at: Option<UnixSeconds>,
    pub(crate) api: Option<u8>,
    pub(crate) sealed: Vec<u8>,
}

impl StoredRow {
    /// Seals a fact. This is the dear part of a write, and it is done by whoever asks, not by the writer.
    pub(crate) fn seal(keys: &Keys, placement: &Placement) -> Result<Self, StoreError> {
        let resource = placement.resource.as_bytes();
        let wire = placement.wire.as_deref().map(str::as_bytes);
        let length = 3 + resource.len() + wire.map_or(0, <[u8]>::len);
        if CLEAR + OVERHEAD + length > BYTES_MAX {
            return Err(StoreError::TooLarge { what: "a row" });
        }
        let mut plain = Zeroizing::new(Vec::with_capacity(length));
        let resource_length = u16::try_from(resource.len()).map_err(|_| StoreError::TooLarge { what: "a row" })?;
        plain.extend_from_slice(&resource_length.to_be_bytes());
        plain.extend_from_slice(resource);
        plain.push(u8::from(wire.is_some()));
        plain.extend_from_slice(wire.unwrap_or_default());
        let sealed = keys.seal_row(&placement.id, placement.key, &plain).map_err(|error| match error {
            Failure::NotOurs | Failure::NoRandomness => StoreError::Broken,
        })?;
        Ok(Self { first_seen: placement.seen, last_seen: placement.seen, erased_at: None, api: placement.api, sealed })
    }

    /// What a new sighting makes of an older row: the mark goes, and the first time stays, unless what was seen then has
    /// been erased.
    pub(crate) fn after(self, old: &Self) -> Self {
        Self {
            first_seen: if old.erased_at.is_some() { self.first_seen } else { old.first_seen },
            last_seen: self.last_seen.max(old.last_seen),
            api: self.api.or(old.api),
            ..self
        }
    }

    /// A row of which nothing is known but its key.
    pub(crate) const fn unknown(seen: UnixSeconds) -> Self {
        Self { first_seen: seen, last_seen: seen, erased_at: None, api: None, sealed: Vec::new() }
    }

    /// Opens it with the customer's ID. What does not open still says in its key where data is.
    pub(crate) fn open(self, keys: &Keys, id: &CustomerId, key: PairKey) -> Row {
        let plain = keys.open_row(id, key, &self.sealed).ok();
        let private = plain.and_then(|plain| read_private(&plain));
        let readable = private.is_some();
        let (resource, wire) = private.unwrap_or_default();
        Row {
            key,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            erased_at: self.erased_at,
            api: self.api,
            resource,
            wire,
            readable,
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CLEAR + self.sealed.len());
        bytes.extend_from_slice(&[LAYOUT, u8::from(self.api.is_some()) * HAS_API, self.api.unwrap_or(0)]);
        for time in [self.first_seen, self.last_seen, self.erased_at.unwrap_or_default()] {
            let [_, _, _, kept @ ..] = time.0.to_be_bytes();
            bytes.extend_from_slice(&kept);
        }
        bytes.extend_from_slice(&self.sealed);
        bytes
    }

    /// `None` when it is not a row of a layout that is known.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[layout, flags, api], rest) = bytes.split_first_chunk::<3>()?;
        let (first, rest) = rest.split_first_chunk::<5>()?;
        let (last, rest) = rest.split_first_chunk::<5>()?;
        let (erased, sealed) = rest.split_first_chunk::<5>()?;
        let time = |kept: &[u8; 5]| {
            let [a, b, c, d, e] = *kept;
            UnixSeconds(u64::from_be_bytes([0, 0, 0, a, b, c, d, e]))
        };
        (layout == LAYOUT).then(|| Self {
            first_seen: time(first),
            last_seen: time(last),
            erased_at: Some(time(erased)).filter(|at| at.0 != 0),
            api: (flags & HAS_API != 0).then_some(api),
            sealed: sealed.to_vec(),
        })
    }
}

type Private = (Box<str>, Option<Box<str>>);

fn read_private(plain: &[u8]) -> Option<Private> {
    let (length, rest) = plain.split_first_chunk::<2>()?;
    let (resource, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (has_wire, wire) = rest.split_first()?;
    let wire = if *has_wire == 0 { None } else { Some(std::str::from_utf8(wire).ok()?.into()) };
    Some((std::str::from_utf8(resource).ok()?.into(), wire))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{LabelForm, ResourceHash, Tag, UpstreamNumber};

    fn placement(resource: &str, wire: Option<&str>, api: Option<u8>) -> Placement {
        Placement {
            key: PairKey {
                tag: Tag([1; 16]),
                upstream: UpstreamNumber(1),
                form: LabelForm::RAW,
                resource: ResourceHash([2; 8]),
            },
            id: CustomerId::new("anna").unwrap(),
            resource: resource.into(),
            wire: wire.map(Into::into),
            api,
            seen: UnixSeconds(1_800_000_000),
        }
    }

    proptest! {
        #[test]
        fn a_row_reads_back_as_it_was_written(resource in ".{0,40}", wire in proptest::option::of(".{0,40}"), api: Option<u8>) {
            let keys = Keys::derive(&[7; 32]);
            let fact = placement(&resource, wire.as_deref(), api);
            let stored = StoredRow::seal(&keys, &fact).unwrap();
            let read = StoredRow::from_bytes(&stored.to_bytes()).unwrap();
            prop_assert_eq!(&read, &stored);
            let row = read.open(&keys, &fact.id, fact.key);
            prop_assert!(row.readable);
            prop_assert_eq!((&*row.resource, row.wire.as_deref(), row.api), (&*resource, wire.as_deref(), api));
        }

        #[test]
        fn bytes_that_are_no_row_are_refused_and_never_panic(bytes: Vec<u8>) {
            if let Some(row) = StoredRow::from_bytes(&bytes) {
                prop_assert_eq!(bytes[0], LAYOUT);
                prop_assert!(row.sealed.len() < bytes.len());
            }
        }
    }

    #[test]
    fn a_row_that_would_leave_the_page_is_refused() {
        let keys = Keys::derive(&[7; 32]);
        let fits = "x".repeat(BYTES_MAX - CLEAR - OVERHEAD - 3);
        assert_eq!(StoredRow::seal(&keys, &placement(&fits, None, None)).unwrap().to_bytes().len(), BYTES_MAX);
        let too_long = StoredRow::seal(&keys, &placement(&fits, Some("y"), None));
        assert!(matches!(too_long, Err(StoreError::TooLarge { .. })));
    }
}
