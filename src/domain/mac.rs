//! HMAC-SHA-256 (RFC 2104) of short texts with a key that is used for each request.
//!
//! What the key has to do with it is worked out once. A general MAC is an object that is cloned, filled, finished and wiped,
//! and for the two blocks of a tag all that costs more than to hash them.

use std::fmt;

use sha2::block_api::compress256;
use zeroize::{Zeroize, Zeroizing};

const BLOCK: usize = 64;
/// Behind the text of the last block: one bit, and how many bits there were.
const LENGTH: usize = 8;

/// What SHA-256 begins with (FIPS 180-4 §5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A key, hashed as far as it goes. Wiped when dropped, and never printed.
#[derive(Clone)]
pub struct MacKey {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(…)")
    }
}

impl Drop for MacKey {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

impl MacKey {
    /// Takes a key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        let begun = |pad: u8| {
            let mut block = Zeroizing::new([pad; BLOCK]);
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            let mut state = INITIAL;
            compress256(&mut state, std::slice::from_ref(&*block));
            state
        };
        Self { inner: begun(0x36), outer: begun(0x5c) }
    }

    /// The beginning of the MAC of a text that comes in parts.
    #[must_use]
    pub fn of<const N: usize>(&self, parts: &[&[u8]]) -> [u8; N] {
        const { assert!(N <= 32, "SHA-256 gives 32 bytes") };
        // Used for both hashes: the second leaves nothing of the text in it.
        let mut block = [0; BLOCK];
        let inner = bytes(&hash(self.inner, parts, &mut block));
        let outer = bytes(&hash(self.outer, &[&inner], &mut block));
        outer.first_chunk().copied().unwrap_or([0; N])
    }
}

/// Hashes a text behind one block that is hashed already.
fn hash(mut state: [u32; 8], parts: &[&[u8]], block: &mut [u8; BLOCK]) -> [u32; 8] {
    let (mut filled, mut length) = (0, BLOCK as u64);
    for part in parts {
        let mut rest = *part;
        length += rest.len() as u64;
        while !rest.is_empty() {
            let (now, later) = rest.split_at_checked(BLOCK - filled).unwrap_or((rest, &[]));
            if let Some(room) = block.get_mut(filled..filled + now.len()) {
                room.copy_from_slice(now);
            }
            filled += now.len();
            rest = later;
            if filled == BLOCK {
                compress256(&mut state, std::slice::from_ref(block));
                filled = 0;
            }
        }
    }
    if let Some([first, behind @ ..]) = block.get_mut(filled..) {
        *first = 0x80;
        behind.fill(0);
    }
    if filled >= BLOCK - LENGTH {
        compress256(&mut state, std::slice::from_ref(block));
        block.fill(0);
    }
    if let Some(end) = block.last_chunk_mut::<LENGTH>() {
        *end = (length * 8).to_be_bytes();
    }
    compress256(&mut state, std::slice::from_ref(block));
    state
}

fn bytes(state: &[u32; 8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.as_chunks_mut::<4>().0.iter_mut().zip(state).for_each(|(to, word)| *to = word.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::{any, prop, proptest};
    use sha2::Sha256;

    use super::MacKey;

    fn expected(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text);
        mac.finalize().into_bytes().into()
    }

    #[test]
    fn p7_it_is_the_mac_that_everybody_computes_whatever_the_length() {
        let (key, text) = ([7; 32], [b'x'; 300]);
        for length in 0..=text.len() {
            let (short, long) = (MacKey::new(&key).of::<16>(&[&text[..length]]), expected(&key, &text[..length]));
            assert_eq!(short, long[..16], "{length}");
        }
    }

    proptest! {
        #[test]
        fn p7_it_does_not_matter_how_a_text_is_divided(
            key: [u8; 32],
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..5),
        ) {
            let refs: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            assert_eq!(MacKey::new(&key).of::<32>(&refs), expected(&key, &parts.concat()));
        }
    }
}
