//! Scripts that are pinned by a hash, in a page's `integrity` or in its Content-Security-Policy: changed, they would not run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Whether the hash of this text is among what was said, such as `sha256-…` in a policy.
#[must_use]
pub fn is_pinned(text: &[u8], said: &[u8]) -> bool {
    let says = |kind: &str, hash: &dyn Fn() -> Vec<u8>| {
        let names = memchr::memmem::find(said, kind.as_bytes()).is_some();
        names && memchr::memmem::find(said, format!("{kind}{}", STANDARD.encode(hash())).as_bytes()).is_some()
    };
    says("sha256-", &|| Sha256::digest(text).to_vec())
        || says("sha384-", &|| Sha384::digest(text).to_vec())
        || says("sha512-", &|| Sha512::digest(text).to_vec())
}
