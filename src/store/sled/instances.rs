//! Entries of the list of instances, sealed and opened: the writer knows nothing of keys.

use super::tables::{StoredInstance, instance_key};
use crate::domain::{Instance, UnixSeconds, UpstreamNumber};
use crate::store::seal::Keys;
use crate::store::seen::Entry;
use crate::store::{SeenInstance, StoreError};

/// An entry as it is written: key, what the instance is, when it was seen.
pub(super) type Noted = ([u8; 10], Vec<u8>, UnixSeconds);

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
