//! Blind names and sealed values: what lets the index be found and opened only by someone who names the customer (P7).
//!
//! Everything derives from the 32 bytes of `store.key` by labelled HKDF-SHA-256. The key of a row needs the
//! customer's ID as well, so that not even the key's owner opens a row without it; the key of a job does not, because a
//! retry after a restart must find the ID by itself.

pub mod key_file;

use std::fmt;

use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{AeadInOut, KeyInit, Nonce, Tag as AeadTag};
use hkdf::Hkdf;
use sha2::Sha256;
use smallvec::{SmallVec, smallvec};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::instance::FingerprintKey;
use crate::domain::mac::MacKey;
use crate::domain::{CustomerId, Instance, InstanceHash, PairKey, ResourceHash, Tag, UpstreamNumber};

/// Bytes that sealing adds: a random nonce in front and the authentication tag behind.
pub const OVERHEAD: usize = NONCE + MAC;

const NONCE: usize = 12;
const MAC: usize = 16;

/// Why something could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It was sealed for another customer, row or job, with another key, or it has been changed.
    #[error("the sealed value does not open with this key")]
    NotOurs,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness,
}

/// All keys of one store, in a form that is quick to use. Wiped when dropped, and never printed.
pub struct Keys {
    root: Hkdf<Sha256>,
    /// Makes tags, keyed with the index key.
    tagger: MacKey,
    /// The same for resources, with a key of its own.
    resources: MacKey,
    /// And for instances.
    instances: MacKey,
    rows: Hkdf<Sha256>,
    jobs: ChaCha20Poly1305,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// The key epoch under which new tags, rows and aliases are made.
    pub const EPOCH: u8 = 1;

    /// Derives all keys from the bytes of `store.key`.
    #[must_use]
    pub fn derive(store_key: &[u8; 32]) -> Self {
        let root = Hkdf::<Sha256>::new(Some(b"forgetgate store"), store_key);
        let index = expand(&root, &[b"index\0", &[Self::EPOCH]]);
        let job = expand(&root, &[b"job\0"]);
        // Extracted under salts of their own: an expansion of the index key itself would be the HMAC of a text that a caller
        // could send as an ID, and so half a key would be somebody's tag.
        let resource = expand(&Hkdf::<Sha256>::new(Some(b"forgetgate resource"), &*index), &[]);
        let instance = expand(&Hkdf::<Sha256>::new(Some(b"forgetgate instance"), &*index), &[]);
        Self {
            tagger: MacKey::new(&index),
            resources: MacKey::new(&resource),
            instances: MacKey::new(&instance),
            rows: Hkdf::<Sha256>::new(Some(b"forgetgate row"), &*index),
            jobs: ChaCha20Poly1305::new(&(*job).into()),
            root,
        }
    }

    /// The blind name of a customer in the present epoch: the first 16 bytes of HMAC-SHA-256(index key, canonical ID).
    #[must_use]
    pub fn tag(&self, id: &CustomerId) -> Tag {
        Tag(self.tagger.of(&[id.expose().as_bytes()]))
    }

    /// What stands for a resource such as `assistants/a1` in the key of this customer's rows: enough to tell the customer's
    /// resources apart, and of no use to whoever has the store without its key, or compares two customers. No resource: zeros.
    #[must_use]
    pub fn resource_hash(&self, tag: Tag, resource: &str) -> ResourceHash {
        if resource.is_empty() {
            return ResourceHash([0; 8]);
        }
        ResourceHash(self.resources.of(&[&tag.0, resource.as_bytes()]))
    }

    /// What stands for an instance in the key of this customer's rows, as [`Self::resource_hash`] does for resources. The
    /// default instance: zeros, and no work.
    #[must_use]
    pub fn instance_hash(&self, tag: Tag, instance: &Instance) -> InstanceHash {
        self.instance_in(&tag.0, instance)
    }

    /// What stands for an instance of an upstream in the list of those that were seen, where no customer is.
    #[must_use]
    pub fn instance_entry(&self, upstream: UpstreamNumber, instance: &Instance) -> InstanceHash {
        self.instance_in(&upstream.0.to_be_bytes(), instance)
    }

    fn instance_in(&self, of: &[u8], instance: &Instance) -> InstanceHash {
        if instance.is_default() {
            return InstanceHash::DEFAULT;
        }
        let (prefix, caller) = instance.canonical();
        let hash: [u8; 8] = self.instances.of(&[of, prefix.as_bytes(), &[0], caller]);
        // Never that of the default one.
        InstanceHash(if hash == [0; 8] { [1; 8] } else { hash })
    }

    /// Makes the fingerprints of callers' keys.
    #[must_use]
    pub fn fingerprints(&self) -> FingerprintKey {
        FingerprintKey::new(&expand(&self.root, &[b"caller\0"]))
    }

    /// The blind names of a customer in every live epoch, the present one first: what a look-up has to try.
    #[must_use]
    pub fn tags_all_epochs(&self, id: &CustomerId) -> SmallVec<[Tag; 2]> {
        smallvec![self.tag(id)]
    }

    /// The alias key of an upstream in the present epoch: HKDF(store key, "alias", epoch, upstream name).
    #[must_use]
    pub fn alias_key(&self, upstream_name: &str) -> Zeroizing<[u8; 32]> {
        expand(&self.root, &[b"alias\0", &[Self::EPOCH], upstream_name.as_bytes()])
    }

    /// What a store remembers of its key, so that a wrong one is refused and not taken for an empty index.
    #[must_use]
    pub fn check_value(&self) -> [u8; 16] {
        let whole = expand(&self.root, &[b"check\0"]);
        let mut check = [0; 16];
        for (to, from) in check.iter_mut().zip(whole.iter()) {
            *to = *from;
        }
        check
    }

    /// Seals the private part of a row so that it opens only with the customer's ID, and only in this row.
    ///
    /// # Errors
    ///
    /// [`Failure::NoRandomness`].
    pub fn seal_row(&self, id: &CustomerId, row: PairKey, plain: &[u8]) -> Result<Vec<u8>, Failure> {
        seal(&self.row_cipher(id), &row.to_bytes(), plain)
    }

    /// Opens what [`Self::seal_row`] sealed.
    ///
    /// # Errors
    ///
    /// [`Failure::NotOurs`] with another ID, row or key.
    pub fn open_row(&self, id: &CustomerId, row: PairKey, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        open(&self.row_cipher(id), &row.to_bytes(), sealed)
    }

    /// Seals what an unfinished job must remember, under the job key and for this job only.
    ///
    /// # Errors
    ///
    /// [`Failure::NoRandomness`].
    pub fn seal_job(&self, job: Uuid, plain: &[u8]) -> Result<Vec<u8>, Failure> {
        seal(&self.jobs, job.as_bytes(), plain)
    }

    /// Opens what [`Self::seal_job`] sealed.
    ///
    /// # Errors
    ///
    /// [`Failure::NotOurs`] for another job or key.
    pub fn open_job(&self, job: Uuid, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        open(&self.jobs, job.as_bytes(), sealed)
    }

    /// Seals what an instance is, for its entry in the list of those that were seen.
    ///
    /// # Errors
    ///
    /// [`Failure::NoRandomness`].
    pub fn seal_instance(&self, key: &[u8], plain: &[u8]) -> Result<Vec<u8>, Failure> {
        seal(&self.jobs, &[b"instance", key].concat(), plain)
    }

    /// Opens what [`Self::seal_instance`] sealed.
    ///
    /// # Errors
    ///
    /// [`Failure::NotOurs`] for another entry or key.
    pub fn open_instance(&self, key: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        open(&self.jobs, &[b"instance", key].concat(), sealed)
    }

    fn row_cipher(&self, id: &CustomerId) -> ChaCha20Poly1305 {
        let key = expand(&self.rows, &[id.expose().as_bytes()]);
        ChaCha20Poly1305::new(&(*key).into())
    }
}

fn expand(from: &Hkdf<Sha256>, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    // HKDF-SHA-256 gives up to 8,160 bytes.
    from.expand_multi_info(info, &mut *key).expect("32 bytes are within HKDF's bound");
    key
}

fn seal(cipher: &ChaCha20Poly1305, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|_| Failure::NoRandomness)?;
    let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let (_, body) = sealed.split_at_mut(NONCE);
    let mac = cipher
        .encrypt_inout_detached(&Nonce::<ChaCha20Poly1305>::from(nonce), context, body.into())
        .expect("the bound of ChaCha20-Poly1305 is 256 GiB");
    sealed.extend_from_slice(&mac);
    Ok(sealed)
}

fn open(cipher: &ChaCha20Poly1305, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or(Failure::NotOurs)?;
    let (body, mac) = rest.split_last_chunk::<MAC>().ok_or(Failure::NotOurs)?;
    let mut plain = Zeroizing::new(body.to_vec());
    cipher
        .decrypt_inout_detached(
            &Nonce::<ChaCha20Poly1305>::from(*nonce),
            context,
            plain.as_mut_slice().into(),
            &AeadTag::<ChaCha20Poly1305>::from(*mac),
        )
        .map_err(|_| Failure::NotOurs)?;
    Ok(plain)
}

#[cfg(test)]
mod tests;
