//! A customer ID in its canonical form, and the proof that it is never printed.
//!
//! The canonical form is the text that the service itself compares. It comes out of exactly one reader
//! ([`crate::domain::label`]), for labels and for deletes alike, so that what was labelled can be found again (P6).

use std::fmt;

use zeroize::Zeroize;

/// One customer's ID: never blank, at most [`CustomerId::BYTES_MAX`] bytes of UTF-8.
///
/// It has no `Display`, and its `Debug` prints a placeholder: an ID must not reach a log, a metric or an error (P7).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CustomerId(Box<str>);

impl CustomerId {
    /// The longest ID that is accepted anywhere, in bytes: the gate's own bound, wider than any service's.
    pub const BYTES_MAX: usize = 4096;

    /// Takes a canonical text. `None` when it is blank or too long.
    #[must_use]
    pub fn new(canonical: &str) -> Option<Self> {
        let usable = !canonical.trim().is_empty() && canonical.len() <= Self::BYTES_MAX;
        usable.then(|| Self(canonical.into()))
    }

    /// The text that a service reads in this one which decodes it, as often as it can be, and trims it. Whether a service
    /// does is documented nowhere: what must hold for a customer however an ID is read asks about this text, too.
    #[must_use]
    pub fn read_loosely(&self) -> Self {
        let mut read = self.clone();
        while let Ok(decoded) = percent_encoding::percent_decode_str(read.expose()).decode_utf8()
            && let Some(next) = Self::new(decoded.trim())
            && next != read
        {
            read = next;
        }
        read
    }

    /// The text itself. Whoever calls this is responsible for where it goes: the wire, a hash or a seal, never a sink.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerId(…)")
    }
}

impl Drop for CustomerId {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::CustomerId;

    #[test]
    fn p4_the_loose_reading_of_an_id_is_one_for_all_texts_that_a_decoder_or_a_trimmer_takes_for_each_other() {
        let read = |text: &str| CustomerId::new(text).unwrap().read_loosely().expose().to_owned();
        for text in ["ann b", " ann b", "ann b\t", "ann%20b", "ann%2520b%20", "%61nn b"] {
            assert_eq!(read(text), "ann b", "{text:?}");
        }
        for other in ["Ann b", "ann", "100%", "%zz"] {
            assert_eq!(read(other), other, "an ID of its own");
        }
        assert_eq!(read("%FF"), "%FF");
        assert_eq!(read("%20"), "%20", "never blank");
    }
}
