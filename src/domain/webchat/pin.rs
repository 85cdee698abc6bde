//! Scripts that are pinned by a hash, in a page's `integrity` or in its Content-Security-Policy: changed, they would not run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Is the hash of this text among what was said, such as `sha256-…` in a policy? A browser takes either alphabet of Base64,
/// with its padding or without, and so what stands before the hash need not be looked at.
#[must_use]
pub fn is_pinned(text: &[u8], said: &[u8]) -> bool {
    if said.is_empty() {
        return false;
    }
    let plain = |byte: &u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    };
    let said: Vec<u8> = said.iter().map(plain).collect();
    let says = |hash: &[u8]| memchr::memmem::find(&said, STANDARD_NO_PAD.encode(hash).as_bytes()).is_some();
    says(&Sha256::digest(text)) || says(&Sha384::digest(text)) || says(&Sha512::digest(text))
}
