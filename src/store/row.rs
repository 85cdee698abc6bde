//! A row's value as every engine keeps it: a few packed fields in the clear, and the private rest sealed.
//!
//! The clear part is what the engine must change or judge without knowing whose row it is: times, mark, version.

use zeroize::Zeroizing;

use super::seal::{Failure, Keys, OVERHEAD};
use super::{Placement, Row, StoreError};
use crate::domain::{Apis, CustomerId, Instance, PairKey, UnixSeconds};

/// The longest value in bytes. sled keeps about twenty neighbours on one page, and a page of more than 128 KiB goes to a
/// file of its own which sled does not make durable; so no row may come near a twentieth of that.
pub(crate) const BYTES_MAX: usize = 6000;

/// With a set of versions of the API, and the instance in the sealed part.
const LAYOUT: u8 = 2;
/// Layout, versions, and three times of five bytes (enough until the year 36,812).
const CLEAR: usize = 1 + 8 + 3 * 5;
/// Before there were instances: the version used last, and none in the sealed part.
const LAYOUT_1: u8 = 1;
/// The same, seen again since: with a set of versions. What it stood for before may be in any instance, whatever is seen now.
const LAYOUT_1_AGAIN: u8 = 3;
const HAS_API: u8 = 1;
/// Beside the layout: the number of its latest write by traffic stands before the sealed part, since a mark was written over it.
const NUMBERED: u8 = 0x80;

/// A row's value, not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRow {
    pub(crate) first_seen: UnixSeconds,
    pub(crate) last_seen: UnixSeconds,
    pub(crate) erased_at: Option<UnixSeconds>,
    /// Of a row that is marked: the number of its latest write by traffic. Of any other the engine knows it by itself.
    pub(crate) written: Option<u64>,
    pub(crate) apis: Apis,
    pub(crate) layout: u8,
    pub(crate) sealed: Vec<u8>,
}

impl StoredRow {
    /// Seals a fact. This is the dear part of a write, and it is done by whoever asks, not by the writer.
    pub(crate) fn seal(keys: &Keys, placement: &Placement) -> Result<Self, StoreError> {
        let (resource, instance) = (placement.resource.as_bytes(), placement.instance.to_bytes());
        let wire = placement.wire.as_deref().map(str::as_bytes);
        let length = 5 + resource.len() + instance.len() + wire.map_or(0, <[u8]>::len);
        if CLEAR + OVERHEAD + length > BYTES_MAX {
            return Err(StoreError::TooLarge { what: "a row" });
        }
        let mut plain = Zeroizing::new(Vec::with_capacity(length));
        for part in [resource, &instance] {
            let length = u16::try_from(part.len()).map_err(|_| StoreError::TooLarge { what: "a row" })?;
            plain.extend_from_slice(&length.to_be_bytes());
            plain.extend_from_slice(part);
        }
        plain.push(u8::from(wire.is_some()));
        plain.extend_from_slice(wire.unwrap_or_default());
        let sealed = keys.seal_row(&placement.id, placement.key, &plain).map_err(|error| match error {
            Failure::NotOurs | Failure::NoRandomness => StoreError::Broken,
        })?;
        let (seen, apis) = (placement.seen, Apis::of(placement.api));
        Ok(Self { first_seen: seen, last_seen: seen, erased_at: None, written: None, apis, layout: LAYOUT, sealed })
    }

    /// What a new sighting makes of an older row: the mark goes, versions of the API are added, and the first time stays,
    /// unless what was seen then has been erased. One that does not say its instance does not say it after that either.
    pub(crate) fn after(self, old: &Self) -> Self {
        let unsaid = old.erased_at.is_none() && old.layout != LAYOUT;
        let (layout, sealed) = if unsaid { (LAYOUT_1_AGAIN, old.sealed.clone()) } else { (self.layout, self.sealed) };
        Self {
            layout,
            sealed,
            first_seen: if old.erased_at.is_some() { self.first_seen } else { old.first_seen },
            last_seen: self.last_seen.max(old.last_seen),
            apis: self.apis.with(old.apis),
            erased_at: self.erased_at,
            written: None,
        }
    }

    /// It is marked erased. `number`: of its latest write.
    pub(crate) fn marked(self, at: UnixSeconds, number: u64) -> Self {
        let written = if self.erased_at.is_some() { self.written } else { Some(number) };
        Self { erased_at: Some(at), written, ..self }
    }

    /// A row of which nothing is known but its key.
    pub(crate) const fn unknown(seen: UnixSeconds) -> Self {
        Self {
            first_seen: seen,
            last_seen: seen,
            erased_at: None,
            written: None,
            apis: Apis::NONE,
            layout: LAYOUT,
            sealed: Vec::new(),
        }
    }

    /// Opens it with the customer's ID. What does not open still says in its key where data is. `number`: of its latest write.
    pub(crate) fn open(self, keys: &Keys, id: &CustomerId, key: PairKey, number: u64) -> Row {
        let plain = keys.open_row(id, key, &self.sealed).ok();
        let private = plain.and_then(|plain| read_private(self.layout, &plain));
        let readable = private.is_some();
        let (resource, instance, wire) = private.unwrap_or_default();
        Row {
            key,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            erased_at: self.erased_at,
            written: self.written.unwrap_or(number),
            apis: self.apis,
            resource,
            instance,
            wire,
            readable,
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CLEAR + self.sealed.len());
        bytes.push(self.layout | if self.written.is_some() { NUMBERED } else { 0 });
        match self.layout {
            LAYOUT_1 => {
                let last = self.apis.iter().last();
                bytes.extend_from_slice(&[u8::from(last.is_some()) * HAS_API, last.unwrap_or(0)]);
            }
            _ => bytes.extend_from_slice(&self.apis.0.to_be_bytes()),
        }
        for time in [self.first_seen, self.last_seen, self.erased_at.unwrap_or_default()] {
            let [_, _, _, kept @ ..] = time.0.to_be_bytes();
            bytes.extend_from_slice(&kept);
        }
        bytes.extend(self.written.into_iter().flat_map(u64::to_be_bytes));
        bytes.extend_from_slice(&self.sealed);
        bytes
    }

    /// `None` when it is not a row of a layout that is known.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&first, rest) = bytes.split_first()?;
        let (layout, is_numbered) = (first & !NUMBERED, first & NUMBERED != 0);
        let (apis, rest) = match layout {
            LAYOUT_1 => {
                let (&[flags, api], rest) = rest.split_first_chunk::<2>()?;
                (Apis::of((flags & HAS_API != 0).then_some(api)), rest)
            }
            LAYOUT | LAYOUT_1_AGAIN => {
                rest.split_first_chunk::<8>().map(|(apis, rest)| (Apis(u64::from_be_bytes(*apis)), rest))?
            }
            _ => return None,
        };
        let (first, rest) = rest.split_first_chunk::<5>()?;
        let (last, rest) = rest.split_first_chunk::<5>()?;
        let (erased, rest) = rest.split_first_chunk::<5>()?;
        let (written, sealed) = if is_numbered {
            rest.split_first_chunk::<8>().map(|(number, rest)| (Some(u64::from_be_bytes(*number)), rest))?
        } else {
            (None, rest)
        };
        let time = |kept: &[u8; 5]| {
            let [a, b, c, d, e] = *kept;
            UnixSeconds(u64::from_be_bytes([0, 0, 0, a, b, c, d, e]))
        };
        Some(Self {
            first_seen: time(first),
            last_seen: time(last),
            erased_at: Some(time(erased)).filter(|at| at.0 != 0),
            written,
            apis,
            layout,
            sealed: sealed.to_vec(),
        })
    }
}

type Private = (Box<str>, Option<Instance>, Option<Box<str>>);

fn read_private(layout: u8, plain: &[u8]) -> Option<Private> {
    let text = |rest| {
        let (length, rest): (&[u8; 2], &[u8]) = <[u8]>::split_first_chunk(rest)?;
        rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
    };
    let (resource, mut rest) = text(plain)?;
    let mut instance = None;
    if layout == LAYOUT {
        let (bytes, after) = text(rest)?;
        (instance, rest) = (Some(Instance::from_bytes(bytes)?), after);
    }
    let (has_wire, wire) = rest.split_first()?;
    let wire = if *has_wire == 0 { None } else { Some(std::str::from_utf8(wire).ok()?.into()) };
    Some((std::str::from_utf8(resource).ok()?.into(), instance, wire))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Fingerprint, InstanceHash, LabelForm, ResourceHash, Tag, UpstreamNumber};

    fn placement(resource: &str, wire: Option<&str>, api: Option<u8>) -> Placement {
        Placement {
            key: PairKey {
                tag: Tag([1; 16]),
                upstream: UpstreamNumber(1),
                form: LabelForm::RAW,
                resource: ResourceHash([2; 8]),
                instance: InstanceHash([5; 8]),
            },
            id: CustomerId::new("anna").unwrap(),
            resource: resource.into(),
            instance: Instance { prefix: "/instances/g1".into(), caller: Some(Fingerprint([4; 16])) },
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
            let row = read.open(&keys, &fact.id, fact.key, 7);
            prop_assert!(row.readable);
            prop_assert_eq!((&*row.resource, row.wire.as_deref()), (&*resource, wire.as_deref()));
            prop_assert_eq!((row.apis, row.instance), (Apis::of(api), Some(fact.instance)));
        }

        #[test]
        fn bytes_that_are_no_row_are_refused_and_never_panic(bytes: Vec<u8>) {
            if let Some(row) = StoredRow::from_bytes(&bytes) {
                prop_assert!([LAYOUT, LAYOUT_1, LAYOUT_1_AGAIN].contains(&(bytes[0] & !NUMBERED)));
                prop_assert!(row.sealed.len() < bytes.len());
            }
        }
    }

    #[test]
    fn p4_a_mark_leaves_the_number_of_the_latest_write_by_traffic_and_a_sighting_has_its_own() {
        let keys = Keys::derive(&[7; 32]);
        let fact = placement("r", None, None);
        let written = |row: &StoredRow, number| {
            let read = StoredRow::from_bytes(&row.to_bytes()).unwrap();
            assert_eq!(read, *row);
            let row = read.open(&keys, &fact.id, fact.key, number);
            assert!(row.readable && &*row.resource == "r");
            row.written
        };
        let row = StoredRow::seal(&keys, &fact).unwrap();
        assert_eq!(written(&row, 4), 4);
        let marked = row.clone().marked(UnixSeconds(9), 4);
        assert_eq!(written(&marked, 5), 4);
        assert_eq!(written(&marked.clone().marked(UnixSeconds(10), 5), 6), 4, "marked once more");
        assert_eq!(written(&row.after(&marked), 7), 7);
    }

    #[test]
    fn a_row_that_would_leave_the_page_is_refused() {
        let keys = Keys::derive(&[7; 32]);
        let rest = 5 + placement("", None, None).instance.to_bytes().len();
        let fits = "x".repeat(BYTES_MAX - CLEAR - OVERHEAD - rest);
        assert_eq!(StoredRow::seal(&keys, &placement(&fits, None, None)).unwrap().to_bytes().len(), BYTES_MAX);
        let too_long = StoredRow::seal(&keys, &placement(&fits, Some("y"), None));
        assert!(matches!(too_long, Err(StoreError::TooLarge { .. })));
    }

    #[test]
    fn p5_a_row_of_the_first_layout_is_read_and_kept_and_a_sighting_adds_its_version() {
        let keys = Keys::derive(&[7; 32]);
        let fact = placement("", None, Some(2));
        let key = PairKey { instance: InstanceHash::DEFAULT, ..fact.key };
        let sealed = keys.seal_row(&fact.id, key, &[&[0, 1, b'r', 0][..]].concat()).unwrap();
        let bytes = [&[LAYOUT_1, HAS_API, 1], [0, 0, 0, 0, 9].repeat(2).as_slice(), &[0; 5], &sealed].concat();
        let old = StoredRow::from_bytes(&bytes).unwrap();
        assert_eq!(old.to_bytes(), bytes, "a mark leaves it as it was");
        let row = old.clone().open(&keys, &fact.id, key, 7);
        assert_eq!((&*row.resource, row.apis, row.instance), ("r", Apis::of(Some(1)), None), "nobody wrote it down");
        let seen = StoredRow::seal(&keys, &Placement { key, instance: Instance::default(), ..fact.clone() }).unwrap();
        let mut new = seen.clone().after(&old);
        for again in [1, 2] {
            let row = StoredRow::from_bytes(&new.to_bytes()).unwrap().open(&keys, &fact.id, key, 7);
            assert!(row.readable && row.apis.iter().eq([1, 2]) && &*row.resource == "r");
            assert_eq!(row.instance, None, "{again}: what was sent before may be anywhere");
            new = seen.clone().after(&new);
        }
        let erased = StoredRow { erased_at: Some(UnixSeconds(9)), ..new };
        assert!(seen.after(&erased).open(&keys, &fact.id, key, 7).instance.is_some(), "what was sent before is gone");
    }
}
