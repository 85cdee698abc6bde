//! The last bytes that came, to see whether they are an end that is looked for.

/// The last sixteen bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recent(u128);

impl Recent {
    pub(super) fn push(&mut self, byte: u8) {
        self.0 = self.0 << 8 | u128::from(byte);
    }

    /// Whether these, sixteen at most, are the last ones.
    pub(super) fn are(self, end: &[u8]) -> bool {
        let (wanted, mask) =
            end.iter().fold((0, 0), |(wanted, mask), byte| (wanted << 8 | u128::from(*byte), mask << 8 | 0xff_u128));
        self.0 & mask == wanted
    }
}
