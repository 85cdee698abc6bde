//! A script that is an answer of its own: held back until it has ended, unless it is too long for that.

use std::fmt;

use super::super::page::Named;
use super::super::{Finding, Findings, edited};

/// A script, of which any part may have come.
pub struct Script {
    held: Vec<u8>,
    held_max: usize,
    is_long: bool,
    named: Named,
    findings: Findings,
    changed: bool,
}

// What it holds is a customer's: it is never shown.
impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("findings", &self.findings).finish_non_exhaustive()
    }
}

impl Script {
    /// A script of which nothing has come.
    #[must_use]
    pub fn new(held_max: usize) -> Self {
        let (named, findings) = (Named::default(), Findings::default());
        Self { held: Vec::new(), held_max, is_long: false, named, findings, changed: false }
    }

    /// Takes what came next, and appends what goes on.
    pub fn push(&mut self, came: &[u8], out: &mut Vec<u8>) {
        if !self.is_long {
            self.held.extend_from_slice(came);
            if self.held.len() <= self.held_max {
                return;
            }
            self.is_long = true;
            let held = std::mem::take(&mut self.held);
            self.pass(&held, out);
        } else {
            self.pass(came, out);
        }
    }

    fn pass(&mut self, came: &[u8], out: &mut Vec<u8>) {
        came.iter().for_each(|byte| self.named.with(*byte));
        if self.named.found {
            self.findings.add(Finding::TooLong);
        }
        out.extend_from_slice(came);
    }

    /// The script has ended. `is_pinned` says whether pages have asked for it by its hash.
    pub fn end(&mut self, is_pinned: impl FnOnce(&[u8]) -> bool, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        let mut found = edited(&held);
        if found.text.is_some() && is_pinned(&held) {
            found.text = None;
            found.findings = Findings::from_iter([Finding::Pinned]);
        }
        self.changed = found.text.is_some();
        self.findings.join(found.findings);
        out.extend_from_slice(found.text.as_deref().unwrap_or(&held));
    }

    /// What was found.
    #[must_use]
    pub const fn findings(&self) -> Findings {
        self.findings
    }

    /// Whether something else goes on than came.
    #[must_use]
    pub const fn has_changed(&self) -> bool {
        self.changed
    }
}
