//! How many steps readers of requests and pages make: for tests and for fuzzing, which hold that work grows with the bytes
//! that are read and not faster (P12). In the product this is nothing.

#[cfg(any(test, fuzzing))]
use std::cell::Cell;

#[cfg(any(test, fuzzing))]
thread_local! {
    static STEPS: Cell<usize> = const { Cell::new(0) };
}

/// So many bytes, or tokens, were looked at.
#[cfg(any(test, fuzzing))]
pub(in crate::domain) fn add(steps: usize) {
    STEPS.set(STEPS.get() + steps);
}

/// Counts nothing.
#[cfg(not(any(test, fuzzing)))]
#[inline]
pub(in crate::domain) const fn add(_: usize) {}

/// How many steps this work makes on this thread.
#[cfg(any(test, fuzzing))]
pub fn of<T>(work: impl FnOnce() -> T) -> usize {
    let before = STEPS.get();
    std::hint::black_box(work());
    STEPS.get() - before
}
