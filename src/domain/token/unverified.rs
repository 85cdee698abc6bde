//! Why a token names nobody, in words for the caller. They hold nothing of the token.

use crate::domain::refusal::{Code, Refusal};

/// What is wrong with a token, or with there being none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// There is no `Authorization: Bearer`.
    NoToken,
    /// It is no signed JSON Web Token.
    Unreadable,
    /// It is unsigned, signed with a shared secret or with an algorithm that its key is not for.
    Algorithm,
    /// It asks for an extension (`crit`).
    Critical,
    /// It is signed with a key that the issuer does not show.
    UnknownKey,
    /// It names no key, and too many would have to be tried.
    ManyKeys,
    /// Its signature is not that of the key that it names.
    Signature,
    /// It has no `exp`.
    NoEnd,
    /// Its `exp` is over.
    Expired,
    /// Its `nbf` is to come.
    NotYet,
    /// It is another issuer's.
    Issuer,
    /// It is for others.
    Audience,
    /// It is good, and has not the claim that names the customer.
    NoClaim,
}

/// Makes of each reason the two sentences that it is refused with.
macro_rules! sentences {
    ($($reason:ident $text:literal)*) => {
        impl Unverified {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$reason),*];

            /// The refusal where a verified token is what decides (`policy.override`).
            #[must_use]
            pub const fn refusal(self) -> Refusal {
                let sentence = match self {
                    $(Self::$reason => concat!("The customer is taken from a verified bearer token, and ", $text),)*
                };
                Refusal::new(Code::TokenInvalid, sentence)
            }

            /// The refusal where a label would have been as good.
            #[must_use]
            pub const fn no_label(self) -> Refusal {
                let sentence = match self {
                    $(Self::$reason => concat!("The call has no label (X-Watson-Metadata: customer_id=...), and ", $text),)*
                };
                Refusal::new(Code::LabelMissing, sentence)
            }
        }
    };
}

sentences! {
    NoToken "there is none: send Authorization: Bearer with a token of the expected issuer"
    Unreadable "the one that was sent is no signed JSON Web Token in its compact form"
    Algorithm "the algorithm of the one that was sent is not one of its key's (RS256 to PS512, ES256, ES384, EdDSA)"
    Critical "the one that was sent asks for an extension (crit) that is not supported"
    UnknownKey "the one that was sent is not signed with a key that its issuer shows"
    ManyKeys "the one that was sent names no key (kid), and its issuer shows too many to try"
    Signature "the signature of the one that was sent is wrong"
    NoEnd "the one that was sent has no expiry (exp)"
    Expired "the one that was sent has expired (exp)"
    NotYet "the one that was sent is not valid yet (nbf)"
    Issuer "the one that was sent is of another issuer (iss) than the expected one"
    Audience "the one that was sent is for another audience (aud) than the expected one"
    NoClaim "the one that was sent does not hold the claim that names the customer"
}

#[cfg(test)]
mod tests {
    use super::Unverified;

    #[test]
    fn every_sentence_fits_a_reason_phrase() {
        for reason in Unverified::ALL {
            for refusal in [reason.refusal(), reason.no_label()] {
                assert!(refusal.sentence.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{reason:?}");
                assert!(!refusal.sentence.ends_with('.'), "{reason:?}");
                assert_eq!(refusal.code.status(), 400);
            }
        }
    }
}
