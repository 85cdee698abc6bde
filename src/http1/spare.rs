//! Memory for what is to be written, which a thread keeps for the next message: a connection on which nothing is going on
//! has none.

use std::cell::RefCell;

/// What is larger goes back to the system.
const KEPT: usize = 4 * 1024;
/// Buffers that a thread keeps.
const SPARE_MAX: usize = 128;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer, with memory if the thread has some.
#[must_use]
pub fn spare_output() -> Vec<u8> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Leaves a buffer's memory to the next.
pub(super) fn give(mut bytes: Vec<u8>) {
    if (1..=KEPT).contains(&bytes.capacity()) {
        bytes.clear();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < SPARE_MAX {
                spare.push(bytes);
            }
        });
    }
}
