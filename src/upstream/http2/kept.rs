//! What has been sent of a request's body, kept for as long as the service may say that it has not looked at it.
//! See docs/decisions/003-requests-sent-again.md.

use bytes::Bytes;

/// So much is kept: most requests are smaller. Beyond it a request that was refused unread is not sent again.
const KEPT_MAX: usize = 64 * 1024;

/// Pieces of a body.
#[derive(Default)]
pub(super) struct Kept {
    pieces: Vec<Bytes>,
    bytes: usize,
}

// Its bytes are a customer's: they are never shown.
impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Kept {
    pub(super) fn keep(&mut self, piece: &Bytes) {
        self.bytes = self.bytes.saturating_add(piece.len());
        if self.is_whole() {
            self.pieces.push(piece.clone());
        } else {
            self.pieces = Vec::new();
        }
    }

    /// Whether it is all that was sent.
    pub(super) const fn is_whole(&self) -> bool {
        self.bytes <= KEPT_MAX
    }

    /// The service has looked at it: nothing need be kept from here on.
    pub(super) fn forget(&mut self) {
        self.bytes = usize::MAX;
        self.pieces = Vec::new();
    }

    /// All of it, in its order.
    pub(super) fn pieces(&self) -> Vec<Bytes> {
        self.pieces.clone()
    }
}
