//! What is counted of requests to an upstream. A counter is declared here and nowhere else: from its line come its number
//! on the hot path, its sum, its metric and its field in the API.

use super::counter::{Counter, Row};
use super::counters::UpstreamCounters;
use super::failure_kind::FailureKind;
use super::status_class::StatusClass;
use crate::domain::refusal::Code;
use crate::domain::webchat::Finding;

/// A number of every upstream, as it is shown.
pub(super) struct Shown<T> {
    pub(super) metric: &'static str,
    pub(super) help: &'static str,
    pub(super) value: T,
}

/// A row of numbers of every upstream: its metric's second label, and the names of its columns.
pub(super) struct Columns {
    pub(super) label: &'static str,
    pub(super) names: fn() -> Vec<&'static str>,
    pub(super) counts: fn(&UpstreamCounts) -> &[u64],
}

/// Declares counters: `method(argument) => field, "metric", "help", api` in three kinds. `ones` grow by one, `sums` by a
/// number, `rows` by one in the column of a closed set.
macro_rules! counters {
    (
        ones { $($(#[$one_doc:meta])* $one:ident => $one_field:ident, $one_metric:literal, $one_help:literal, $one_api:expr;)* }
        sums { $($(#[$sum_doc:meta])* $sum:ident => $sum_field:ident, $sum_metric:literal, $sum_help:literal, $sum_api:expr;)* }
        rows { $($(#[$row_doc:meta])* $row:ident($set:ident) => $row_field:ident, $row_metric:literal, $row_help:literal,
            $label:literal, $row_api:expr;)* }
    ) => {
        /// What one worker counts for one upstream.
        #[derive(Debug, Default)]
        pub(super) struct CounterSet {
            $($one_field: Counter,)*
            $($sum_field: Counter,)*
            $($row_field: Row<{ $set::ALL.len() }>,)*
        }

        impl CounterSet {
            pub(super) fn add_to(&self, sums: &mut UpstreamCounts) {
                $(sums.$one_field += self.$one_field.read();)*
                $(sums.$sum_field += self.$sum_field.read();)*
                $(self.$row_field.add_to(&mut sums.$row_field);)*
            }
        }

        impl UpstreamCounters {
            $($(#[$one_doc])* pub fn $one(&self) {
                self.counted.$one_field.bump();
            })*
            $($(#[$sum_doc])* pub fn $sum(&self, count: u64) {
                self.counted.$sum_field.add(count);
            })*
            $($(#[$row_doc])* pub fn $row(&self, column: $set) {
                self.counted.$row_field.bump(column as usize);
            })*
        }

        /// What all workers counted for one upstream.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct UpstreamCounts {
            $(pub(super) $one_field: u64,)*
            $(pub(super) $sum_field: u64,)*
            $(pub(super) $row_field: [u64; $set::ALL.len()],)*
        }

        impl UpstreamCounts {
            pub(super) const fn none() -> Self {
                Self { $($one_field: 0,)* $($sum_field: 0,)* $($row_field: [0; $set::ALL.len()],)* }
            }

            /// The counters that the API shows, by its names for them.
            pub fn numbers(&self) -> impl Iterator<Item = (&'static str, u64)> {
                let all: [(Option<&'static str>, u64); _] =
                    [$(($one_api, self.$one_field),)* $(($sum_api, self.$sum_field),)*];
                all.into_iter().filter_map(|(name, count)| Some((name?, count)))
            }

            /// The rows that the API shows, by its names for them: each column by its name.
            pub fn rows(&self) -> impl Iterator<Item = (&'static str, Vec<(&'static str, u64)>)> {
                let all: [(Option<&'static str>, Vec<_>); _] =
                    [$(($row_api, $set::ALL.map($set::as_str).into_iter().zip(self.$row_field).collect()),)*];
                all.into_iter().filter_map(|(name, row)| Some((name?, row)))
            }

            /// What [`Self::numbers`] gives, and what each counts.
            pub fn shown_numbers() -> impl Iterator<Item = (&'static str, &'static str)> {
                let all: [(Option<&'static str>, &'static str); _] =
                    [$(($one_api, $one_help),)* $(($sum_api, $sum_help),)*];
                all.into_iter().filter_map(|(name, help)| Some((name?, help)))
            }

            /// What [`Self::rows`] gives, and what each counts.
            pub fn shown_rows() -> impl Iterator<Item = (&'static str, &'static str)> {
                let all: [(Option<&'static str>, &'static str); _] = [$(($row_api, $row_help),)*];
                all.into_iter().filter_map(|(name, help)| Some((name?, help)))
            }

            /// The counters of the metrics.
            pub(super) const SHOWN: &[Shown<fn(&Self) -> u64>] = &[
                $(Shown { metric: $one_metric, help: $one_help, value: |counts| counts.$one_field },)*
                $(Shown { metric: $sum_metric, help: $sum_help, value: |counts| counts.$sum_field },)*
            ];

            /// The rows of the metrics.
            pub(super) const ROWS: &[Shown<Columns>] = &[$(Shown {
                metric: $row_metric,
                help: $row_help,
                value: Columns { label: $label, names: || $set::ALL.map($set::as_str).to_vec(), counts: |counts| &counts.$row_field },
            },)*];
        }
    };
}

/// The row to which the metrics add what was refused before an upstream was known.
pub(super) const REFUSALS: &str = "forgetgate_refusals";

counters! {
    ones {
        /// A request was routed here, whatever becomes of it.
        request => requests, "forgetgate_requests", "Requests routed to an upstream", Some("requests");
        /// It went on with a label.
        labelled => labelled, "forgetgate_requests_labelled", "Requests forwarded with a label", Some("labelled");
        /// It went on with the opt-out.
        opted_out => opted_out, "forgetgate_requests_opted_out", "Requests forwarded with the opt-out", Some("opted_out");
        /// Policy let it go on without a label although its data can be labelled.
        unlabelled => unlabelled, "forgetgate_requests_unlabelled",
            "Requests whose data can be labelled, let through without a label", Some("unlabelled");
        /// It carries customers' data that the service knows no label for: no delete by label finds it.
        unlabellable => unlabellable, "forgetgate_requests_unlabellable",
            "Requests with customers' data that the service knows no label for", Some("unlabellable");
        /// The profile does not name this call.
        unknown => unknown, "forgetgate_requests_unknown", "Requests for calls that the profile does not name",
            Some("unknown");
        /// A beta call.
        beta => beta, "forgetgate_requests_beta", "Requests for beta calls", Some("beta");
        /// Its label was replaced by an alias.
        rewritten => rewritten, "forgetgate_labels_rewritten", "Labels replaced by an alias", Some("rewritten");
        /// Its label was derived from something else in the request.
        derived => derived, "forgetgate_labels_derived", "Labels derived from elsewhere in the request", Some("derived");
        /// Its label named further customers, who were removed from it.
        cut => cut, "forgetgate_labels_cut", "Labels from which further customers were removed", Some("cut");
        /// Its label named another customer than its verified token.
        overridden => overridden, "forgetgate_labels_overridden",
            "Labels of which the customer was replaced by a verified token's", Some("overridden");
        /// The fact was known already: no write.
        known_pair => known_pairs, "forgetgate_pairs_known", "Labelled requests whose fact was in the index already", None;
        /// The fact was made durable first.
        recorded_pair => recorded_pairs, "forgetgate_pairs_recorded",
            "Labelled requests whose fact was made durable first", None;
    }
    sums {
        /// Bytes of bodies from the caller.
        bytes_in => bytes_in, "forgetgate_received_bytes", "Body bytes received from callers", None;
        /// Bytes of bodies to the caller.
        bytes_out => bytes_out, "forgetgate_sent_bytes", "Body bytes sent to callers", None;
    }
    rows {
        /// Refused.
        refused(Code) => refused, "forgetgate_refusals",
            "Requests refused, by code; without an upstream where none was found", "code", Some("refused");
        /// Would have been refused, were the policy not only observing.
        would_refuse(Code) => would_refuse, "forgetgate_would_refuse",
            "What enforcing would have refused, where policy only observes", "code", Some("would_refuse");
        /// The caller got a status of this class, the upstream's or the gate's.
        responded(StatusClass) => answered, "forgetgate_responses", "Answers to callers, by class of status", "class", None;
        /// The upstream failed. [`UpstreamCounters::upstream_failed`] notes when, too.
        failed(FailureKind) => failed, "forgetgate_upstream_failures", "Failures of upstreams, by kind", "code",
            Some("failures");
        /// An answer held a Web Chat's configuration, of which this became.
        found(Finding) => webchat, "forgetgate_webchat", "Pages and scripts with Web Chat in them, by its opt-out",
            "result", Some("webchat");
    }
}
