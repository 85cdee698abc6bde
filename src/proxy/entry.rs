//! A guard for a request's access log line and counters: it writes them when it is dropped, whatever happened.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::time::Instant;
use uuid::Uuid;

use super::Gate;
use super::trace::RequestId;
use crate::domain::decide::{OptOutLine, Permit};
use crate::domain::profile::{Classes, Endpoint};
use crate::domain::refusal::Code;
use crate::domain::webchat::Findings;
use crate::telemetry::{AccessRecord, EndReason, FailureKind, UpstreamCounters};

type Count = fn(&UpstreamCounters);

/// What is known of a request while it is on its way.
#[derive(Debug)]
pub(super) struct Entry {
    gate: Rc<Gate>,
    began: Instant,
    /// Where somebody has looked at the clock already.
    ended_at: Option<Instant>,
    record: AccessRecord,
}

impl Entry {
    /// Its head has come.
    pub(super) fn begin(gate: &Rc<Gate>, method: &Method) -> Self {
        let began = gate.begins();
        let record = AccessRecord {
            upstream: None,
            method: method.clone(),
            call: None,
            status: 0,
            refusal: None,
            bytes_in: 0,
            bytes_out: 0,
            took: Duration::ZERO,
            ended: EndReason::ClientGone,
            request_id: None,
        };
        Self { gate: Rc::clone(gate), began, ended_at: None, record }
    }

    /// The request's upstream is known.
    pub(super) fn routed(&mut self, slot: usize) {
        self.record.upstream = u16::try_from(slot).ok();
        let counters = self.gate.counters().upstream(slot);
        counters.request();
        counters.request_began();
    }

    /// The endpoint is known, as the profile names it.
    pub(super) fn called(&mut self, endpoint: &Endpoint) {
        if self.gate.access_log().is_some() {
            self.record.call = Some(Arc::clone(endpoint.call()));
        }
    }

    /// It is no request, but a connection to this host; empty where none was understood.
    pub(super) fn crosses_to(&mut self, host: &str) {
        if self.gate.access_log().is_some() && !host.is_empty() {
            self.record.call = Some(Arc::from(host));
        }
    }

    /// The request's name: the caller's own, if it is sound, or a new one. Only a UUID is logged.
    pub(super) fn request_id(&mut self, sent: Option<&[u8]>) -> RequestId {
        if let Some(sent) = sent.and_then(RequestId::sound) {
            self.record.request_id = Uuid::try_parse(sent.as_str()).ok();
            return sent;
        }
        let (uuid, request_id) = RequestId::new();
        self.record.request_id = Some(uuid);
        request_id
    }

    /// It was judged, and passes.
    pub(super) fn judged(&self, permit: &Permit, classes: Classes) {
        let Some(upstream) = self.upstream() else { return };
        let marks = permit.marks();
        let counted: [(bool, Count); 10] = [
            (!permit.labels().is_empty(), UpstreamCounters::labelled),
            (permit.opt_out() == OptOutLine::Out, UpstreamCounters::opted_out),
            (marks.rewritten, UpstreamCounters::rewritten),
            (marks.derived, UpstreamCounters::derived),
            (marks.cut, UpstreamCounters::cut),
            (marks.overridden, UpstreamCounters::overridden),
            (marks.unlabelled, UpstreamCounters::unlabelled),
            (classes.carries_data(), UpstreamCounters::unlabellable),
            (marks.unknown, UpstreamCounters::unknown),
            (marks.beta, UpstreamCounters::beta),
        ];
        for (holds, count) in counted {
            if holds {
                count(upstream);
            }
        }
        if let Some(code) = marks.would_refuse {
            upstream.would_refuse(code);
        }
    }

    /// The counters of the request's upstream, once it is known.
    pub(super) fn upstream(&self) -> Option<&UpstreamCounters> {
        self.record.upstream.map(|slot| self.gate.counters().upstream(usize::from(slot)))
    }

    /// The upstream failed, for this reason.
    pub(super) fn failed(&self, kind: FailureKind, reason: &str) {
        if let Some(upstream) = self.upstream() {
            upstream.upstream_failed(kind);
            upstream.trouble().failed(kind, reason);
        }
    }

    /// The gate answers itself.
    pub(super) fn refused(&mut self, code: Code, status: u16) {
        self.record.refusal = Some(code);
        self.record.status = status;
        if self.record.ended != EndReason::TimedOut {
            self.record.ended = EndReason::Refused;
        }
        match self.upstream() {
            Some(upstream) => upstream.refused(code),
            None => self.gate.counters().unrouted(code),
        }
    }

    /// The upstream's head has come.
    pub(super) fn answered(&mut self, status: u16) {
        self.record.status = status;
        if let Some(upstream) = self.upstream() {
            upstream.answered(status);
            upstream.trouble().answered();
        }
    }

    /// What was found in a page.
    pub(super) fn found(&self, findings: Findings) {
        if let Some(upstream) = self.upstream() {
            findings.iter().for_each(|finding| upstream.found(finding));
        }
    }

    pub(super) fn ended(&mut self, ended: EndReason) {
        self.record.ended = ended;
    }

    /// It ended at this moment.
    pub(super) fn ended_at(&mut self, now: Instant) {
        self.ended_at = Some(now);
    }

    pub(super) fn carried_in(&mut self, bytes: u64) {
        self.record.bytes_in = bytes;
    }

    pub(super) fn carried_out(&mut self, bytes: u64) {
        self.record.bytes_out = bytes;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.gate.ended();
        if let Some(upstream) = self.upstream() {
            upstream.bytes_in(self.record.bytes_in);
            upstream.bytes_out(self.record.bytes_out);
            upstream.request_ended();
        }
        if let Some(log) = self.gate.access_log() {
            let now = self.ended_at.unwrap_or_else(Instant::now);
            self.record.took = now.saturating_duration_since(self.began);
            log.record_at(&mut self.record, now);
        }
    }
}
