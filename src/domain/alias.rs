//! The stand-in that is sent for an ID that may not leave as it is.
//!
//! `fg_` and 26 letters and digits of base32(HMAC-SHA-256(alias key, canonical ID)): legal in every service, the same
//! for the same customer at the same upstream, and unlinkable across upstreams. 130 bits are kept, so that nothing is
//! merged as it would be by cutting or stripping characters.

use std::fmt;

use data_encoding::{Encoding, Specification};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::CustomerId;

/// What every alias begins with.
pub const PREFIX: &str = "fg_";

/// Letters and digits after the prefix.
const DIGITS: usize = 26;

/// The key of one upstream's aliases in one epoch; derived from the store's key.
#[derive(Clone)]
#[expect(clippy::module_name_repetitions, reason = "it is used far from its module, where Key alone says too little")]
pub struct AliasKey {
    keyed: Hmac<Sha256>,
    epoch: u8,
    base32: Encoding,
}

impl fmt::Debug for AliasKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AliasKey").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl AliasKey {
    /// Takes the key of an epoch (1 or more).
    ///
    /// # Panics
    /// Never: HMAC takes keys of every length, and the alphabet is a constant.
    #[must_use]
    pub fn new(key: &[u8; 32], epoch: u8) -> Self {
        let keyed = Hmac::new_from_slice(key).expect("HMAC takes keys of every length");
        let mut alphabet = Specification::new();
        alphabet.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
        let base32 = alphabet.encoding().expect("32 distinct symbols make an encoding");
        Self { keyed, epoch, base32 }
    }

    /// Whose epoch this is.
    #[must_use]
    pub const fn epoch(&self) -> u8 {
        self.epoch
    }

    /// The alias of a customer.
    #[must_use]
    pub fn alias(&self, id: &CustomerId) -> Box<str> {
        let mut keyed = self.keyed.clone();
        keyed.update(id.expose().as_bytes());
        let mut text = String::from(PREFIX);
        self.base32.encode_append(&keyed.finalize().into_bytes(), &mut text);
        text.truncate(PREFIX.len() + DIGITS);
        text.into_boxed_str()
    }
}

/// Whether this ID has the form of an alias. Nobody may label data as another customer by having seen an alias, so a
/// caller's ID of this form counts as invalid. Letters of either case count, as some service may fold them, and so does
/// one between blanks or control characters, which some service may trim or end at.
#[must_use]
pub fn has_alias_form(id: &str) -> bool {
    let trimmed = id.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    let Some((prefix, digits)) = trimmed.split_at_checked(PREFIX.len()) else { return false };
    prefix.eq_ignore_ascii_case(PREFIX) && digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assume, proptest};

    use super::{AliasKey, has_alias_form};
    use crate::domain::CustomerId;
    use crate::domain::profile::GrammarName;

    fn id(text: &str) -> Option<CustomerId> {
        CustomerId::new(text)
    }

    proptest! {
        #[test]
        fn p6_an_alias_is_legal_everywhere_steady_and_distinct(a in any::<String>(), b in any::<String>()) {
            let (Some(a), Some(b)) = (id(&a), id(&b)) else { return Ok(()) };
            prop_assume!(a != b);
            let (here, there) = (AliasKey::new(&[1; 32], 1), AliasKey::new(&[2; 32], 1));

            let alias = here.alias(&a);

            assert!(has_alias_form(&alias));
            for grammar in [GrammarName::Watson, GrammarName::WatsonDiscovery, GrammarName::WatsonVr] {
                assert!(grammar.allows(&alias));
                assert_eq!(grammar.write(&alias), &*alias);
            }
            assert_eq!(alias, here.alias(&a));
            assert_ne!(alias, here.alias(&b));
            assert_ne!(alias, there.alias(&a), "unlinkable across upstreams");
        }
    }

    #[test]
    fn p6_an_alias_with_something_beside_it_that_a_service_may_trim_is_one() {
        let alias = AliasKey::new(&[7; 32], 1).alias(&id("bob").unwrap());
        for beside in ["", " ", "\t", "\0", "\u{a0}", "\r\n", " \0 "] {
            assert!(has_alias_form(&format!("{alias}{beside}")) && has_alias_form(&format!("{beside}{alias}")));
        }
        assert!(!has_alias_form(&format!("{alias}x")) && !has_alias_form("fg_"));
    }

    #[test]
    fn the_alias_of_an_id_never_changes_between_versions() {
        let key = AliasKey::new(&[7; 32], 1);
        let known = key.alias(&id("bob@example.com").unwrap());
        // HMAC-SHA-256 with key 07×32 over the text, in base32, computed with Python's hmac and base64 modules.
        assert_eq!(&*known, "fg_3damo5jx3ani3h2tn7mi2wk7bo");
    }
}
