//! What comes over one WebSocket, kept under the label of its handshake.
//!
//! Label and opt-out of a WebSocket are documented as parameters of its query only, so nothing else is read for them.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::knobs::Shared;
use crate::memory::Arrival;
use crate::seen::Seen;
use crate::{Kind, label};

/// Keeps one WebSocket's data.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) kind: Kind,
    shared: Arc<Shared>,
    number: u64,
    what: &'static str,
    path: String,
    customers: Vec<String>,
    opted_out: bool,
    /// Bytes that came and are not kept yet.
    pending: u64,
    digest: Sha256,
}

impl Keeper {
    /// `number` is that of the handshake in the record.
    pub(crate) fn new(
        kind: Kind,
        shared: Arc<Shared>,
        number: u64,
        what: &'static str,
        path: String,
        query: &[(String, String)],
    ) -> Self {
        let (customers, opted_out) = (label::customers(kind, &[], query, &[]), label::opted_out(&[], query));
        Self { kind, shared, number, what, path, customers, opted_out, pending: 0, digest: Sha256::new() }
    }

    /// Notes a piece of data.
    pub(crate) fn take(&mut self, data: &[u8]) {
        self.pending += data.len() as u64;
        self.digest.update(data);
        self.shared.record.lock().amend(self.number, |seen| {
            seen.body_length += data.len() as u64;
            let room = Seen::BODY_START_MAX.saturating_sub(seen.body_start.len());
            seen.body_start.extend(data.iter().take(room));
        });
    }

    /// Stores what has come since the last time, if anything has.
    pub(crate) fn store(&mut self) {
        let bytes = std::mem::take(&mut self.pending);
        if bytes == 0 {
            return;
        }
        let digest = HEXLOWER.encode(&self.digest.clone().finalize());
        self.shared.record.lock().amend(self.number, |seen| seen.body_sha256 = digest);
        self.shared.memory.lock().store(Arrival {
            customers: self.customers.clone(),
            what: self.what,
            path: self.path.clone(),
            bytes,
            opted_out: self.opted_out,
            request: Value::Null,
        });
    }

    /// Nothing more comes; `is_complete` says whether both sides said goodbye.
    pub(crate) fn end(mut self, is_complete: bool) {
        self.store();
        self.shared.record.lock().amend(self.number, |seen| seen.complete = is_complete);
    }
}
