//! Scripts that are pinned by a hash, in a page's `integrity` or in its Content-Security-Policy: changed, they would not run.

use std::collections::HashSet;

use super::super::steps;
use data_encoding::BASE64_NOPAD;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Longest hash as it is written: of SHA-512, with what may stand before and behind it.
const PIN_BYTES_MAX: usize = 128;

/// Hashes of scripts. To ask for one costs the same however many there are.
#[derive(Default)]
pub(super) struct Pins(HashSet<Box<[u8]>>);

impl Pins {
    /// The hashes that a policy or an `integrity` names.
    pub(super) fn of(said: &[u8]) -> Self {
        let mut pins = Self::default();
        pins.learn(said);
        pins
    }

    /// Further ones.
    pub(super) fn learn(&mut self, said: &[u8]) {
        self.0.extend(hashes(said));
    }

    /// Whether the hash of this text is among them.
    pub(super) fn has(&self, text: &[u8]) -> bool {
        steps::add(text.len());
        !self.0.is_empty() && hashes_of(text).iter().any(|hash| self.0.contains(hash.as_bytes()))
    }
}

/// The hashes by which this text may be named, as [`hashes`] gives them.
#[must_use]
pub fn hashes_of(text: &[u8]) -> [String; 3] {
    [
        BASE64_NOPAD.encode(&Sha256::digest(text)),
        BASE64_NOPAD.encode(&Sha384::digest(text)),
        BASE64_NOPAD.encode(&Sha512::digest(text)),
    ]
}

/// The hashes that are named, such as in `script-src 'sha256-…'`, each in one spelling. A browser takes either alphabet of
/// Base64, with its padding or without, and any case of the algorithm's name.
pub fn hashes(said: &[u8]) -> impl Iterator<Item = Box<[u8]>> {
    steps::add(said.len());
    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'\'' | b'"' | b';' | b',');
    said.split(ends).filter(|word| word.len() <= PIN_BYTES_MAX).filter_map(hash)
}

fn hash(word: &[u8]) -> Option<Box<[u8]>> {
    let (algorithm, hash) = word.split_at_checked("sha256-".len())?;
    let known = [&b"sha256-"[..], b"sha384-", b"sha512-"].iter().any(|each| algorithm.eq_ignore_ascii_case(each));
    let plain = |byte: &u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    };
    // Options may stand behind it (SRI §3.5.1).
    let digits = hash.split(|byte| matches!(byte, b'=' | b'?')).next()?;
    known.then(|| digits.iter().map(plain).collect())
}
