//! What one stand-in keeps, and what a delete takes away.
//!
//! Rows are numbered when they are stored. A delete reaches the rows that were there when it arrived: neither a call
//! that was still on its way then, nor a later one. That is the strictest reading of "received before the delete".

use jiff::Timestamp;
use serde_json::Value;

/// Data of one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Whose; empty if it came without a label and can never be deleted.
    pub customers: Vec<String>,
    /// What kind of data: `message`, `audio`, `document`…
    pub what: &'static str,
    /// The path of the call, as it was sent.
    pub path: String,
    /// How long the body was.
    pub bytes: u64,
    /// Whether the call opted out of learning.
    pub opted_out: bool,
    /// When it was stored.
    pub stored: Timestamp,
    /// The request, where it is short JSON: what a log query shows.
    pub(crate) request: Value,
    number: u64,
}

impl Row {
    /// Whether the row belongs to this customer.
    #[must_use]
    pub fn is_of(&self, customer: &str) -> bool {
        self.customers.iter().any(|id| id == customer)
    }
}

/// A call's data on its way into the memory.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) customers: Vec<String>,
    pub(crate) what: &'static str,
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) opted_out: bool,
    pub(crate) request: Value,
}

/// The memory of one stand-in.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    rows: Vec<Row>,
    next: u64,
}

impl Memory {
    /// Keeps the data of a call that has ended.
    pub(crate) fn store(&mut self, arrival: Arrival) {
        let Arrival { customers, what, path, bytes, opted_out, request } = arrival;
        let (number, stored) = (self.next, Timestamp::now());
        self.next += 1;
        self.rows.push(Row { customers, what, path, bytes, opted_out, stored, request, number });
    }

    /// This moment, as [`Self::delete`] understands it.
    pub(crate) const fn moment(&self) -> u64 {
        self.next
    }

    /// Takes away a customer's rows that were stored before `moment`.
    pub(crate) fn delete(&mut self, customer: &str, moment: u64) {
        self.rows.retain(|row| row.number >= moment || !row.is_of(customer));
    }

    /// Everything, in the order in which it was stored.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// How many rows each customer has, sorted; `None` counts the unlabelled ones.
    pub(crate) fn holdings(&self) -> Vec<(Option<String>, usize)> {
        let mut counts = std::collections::BTreeMap::<Option<String>, usize>::new();
        for row in &self.rows {
            for id in row.customers.iter().cloned().map(Some).chain(row.customers.is_empty().then_some(None)) {
                *counts.entry(id).or_default() += 1;
            }
        }
        counts.into_iter().collect()
    }
}
