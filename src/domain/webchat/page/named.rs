//! Looks for the configuration's names in what streams by.

use super::super::{LOADER, OPTIONS};

/// How much of each name the last bytes were.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Named {
    options: usize,
    loader: usize,
    /// Whether one of them has come.
    pub(in super::super) found: bool,
}

impl Named {
    pub(in super::super) fn with(&mut self, byte: u8) {
        self.found |= step(&mut self.options, OPTIONS.as_bytes(), byte);
        // Its name alone is also in the address of Web Chat's own script.
        if self.loader == LOADER.len() {
            self.found |= byte == b'(';
        }
        step(&mut self.loader, LOADER.as_bytes(), byte);
    }
}

/// Whether that was its last byte. The first letter of either name stands nowhere else in it, so that no beginning is
/// missed.
fn step(so_far: &mut usize, name: &[u8], byte: u8) -> bool {
    let begins = usize::from(name.first() == Some(&byte));
    *so_far = if name.get(*so_far) == Some(&byte) { *so_far + 1 } else { begins };
    *so_far == name.len()
}
