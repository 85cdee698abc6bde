//! IDs that no upstream takes as a label: a delete of one would be called done, and the customer who was meant would stay.

use super::Eraser;
use crate::domain::CustomerId;
use crate::domain::decide::names_one;
use crate::domain::refusal::Refusal;

impl Eraser {
    /// Does this ID name one customer at any upstream? What no upstream takes as a label is refused here, too.
    ///
    /// # Errors
    /// The first upstream's refusal if it names nobody anywhere.
    pub fn names_one(&self, id: &CustomerId) -> Result<(), Refusal> {
        let settings = self.settings();
        let mut judged = settings.sites().iter().map(|site| names_one(site.rules(), id));
        let Some(first) = judged.next() else { return Ok(()) };
        if judged.any(|other| other.is_ok()) { Ok(()) } else { first }
    }
}
