//! Entries of the list of instances, sealed and opened: what writes them knows nothing of keys.

use super::seal::Keys;
use super::seen::Entry;
use super::{SeenInstance, StoreError};
use crate::domain::{Instance, InstanceHash, UnixSeconds, UpstreamNumber};

/// An entry, not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredInstance {
    pub(super) key: [u8; 10],
    pub(super) upstream: UpstreamNumber,
    pub(super) first_seen: UnixSeconds,
    pub(super) last_seen: UnixSeconds,
    pub(super) answered: bool,
    /// `None` where the entry does not read.
    pub(super) sealed: Option<Vec<u8>>,
}

/// An entry as it is written: key, what the instance is, when it was seen.
pub(super) type Noted = ([u8; 10], Vec<u8>, UnixSeconds);

/// The key of an entry.
fn instance_key(upstream: UpstreamNumber, hash: InstanceHash) -> [u8; 10] {
    let mut key = [0; 10];
    for (to, from) in key.iter_mut().zip(upstream.0.to_be_bytes().into_iter().chain(hash.0)) {
        *to = from;
    }
    key
}

/// What has to be written with a row.
pub(super) fn noted(keys: &Keys, due: Option<&Entry>) -> Result<Option<Noted>, StoreError> {
    let Some(entry) = due else { return Ok(None) };
    let key = instance_key(entry.upstream, entry.hash);
    Ok(Some((key, entry.sealed(keys, &key)?, entry.seen)))
}

/// Key and entry of an instance that was answered.
pub(super) fn answered(
    keys: &Keys,
    upstream: UpstreamNumber,
    instance: &Instance,
) -> Result<([u8; 10], Vec<u8>), StoreError> {
    let key = instance_key(upstream, keys.instance_entry(upstream, instance));
    let sealed = keys.seal_instance(&key, &instance.to_bytes()).map_err(|_| StoreError::Broken)?;
    Ok((key, sealed))
}

/// An entry, opened as far as it can be.
pub(super) fn opened(keys: &Keys, entry: StoredInstance) -> SeenInstance {
    let StoredInstance { key, upstream, first_seen, last_seen, answered, sealed } = entry;
    let plain = sealed.and_then(|sealed| keys.open_instance(&key, &sealed).ok());
    let instance = plain.and_then(|plain| Instance::from_bytes(&plain));
    // What does not read may be any.
    let answered = answered || instance.is_none();
    SeenInstance { upstream, instance, answered, first_seen, last_seen }
}
