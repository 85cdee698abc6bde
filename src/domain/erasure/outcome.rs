//! What is seen at an upstream, and what it means: evidence, faults and the ends of attempts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::moment::Moment;
use crate::domain::UnixSeconds;

/// Why an attempt did not end in acceptance. It never quotes an upstream's answer, which could hold an ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing came back.
    #[error("the upstream could not be reached")]
    Unreachable,
    /// It took too long.
    #[error("the upstream did not answer in time")]
    Timeout,
    /// An answer that is not acceptance.
    #[error("the upstream answered {0}")]
    Status(u16),
    /// No credentials to be had, such as an IAM that does not answer.
    #[error("the upstream's credentials could not be obtained")]
    Credentials,
    /// It is not known whose credentials open the instance.
    #[error(
        "no credentials for this instance: name its key in [[upstream.instance]] (an older key in `also`), say instances = \"one\" if all keys open one instance, or put the instance into the path"
    )]
    InstanceUnnamed,
    /// The index does not say any more which instance it is.
    #[error("which instance is unknown: the index's entry does not read, and no instance that was seen fits it")]
    InstanceUnknown,
    /// The profile has no way to erase, or the label cannot be written there.
    #[error("this upstream cannot be asked to erase this label")]
    NotSupported,
    /// The upstream is no longer in the configuration.
    #[error("the upstream is not configured any more")]
    NotConfigured,
    /// A straggler may still arrive.
    #[error("a request that was cut short may still arrive there; the delete is sent again after that")]
    NotDrained,
    /// A delete was sent and never answered: the upstream may still carry it out.
    #[error("an earlier delete was not answered and may still be carried out; the delete is sent again after that")]
    Unanswered,
}

/// Why the instant of a target lies after the answer to the request: what the customer sent in between was erased, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Later {
    /// It waited for the upstream's rate of deletes, or for others that were under way there.
    Rate,
    /// An attempt failed.
    Retry,
    /// A request that was cut short could still arrive.
    Straggler,
    /// A delete was not answered.
    Unanswered,
    /// The customer could not be kept out for so long.
    FenceEnded,
    /// A person had to decide first.
    Decision,
}

/// What was observed when the upstream answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// When the delete was sent, by our clock.
    pub sent: UnixSeconds,
    /// When the answer came, by our clock.
    pub answered: UnixSeconds,
    /// The answer's `Date`, by the upstream's clock.
    pub date: Option<String>,
    /// Its status.
    pub status: u16,
    /// SHA-256 of its body, in hexadecimal.
    pub digest: String,
    /// Whether everything had drained before it was sent.
    pub drained: bool,
    /// The upstream's address to which it was sent.
    pub address: String,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx. With a moment: something may still arrive until then, so it does not count yet.
    Accepted {
        /// What was seen.
        evidence: Evidence,
        /// Until when a straggler may arrive.
        straggling: Option<Moment>,
    },
    /// To be tried again.
    Retry {
        /// Why.
        fault: Fault,
        /// What the upstream's `Retry-After` asks for, in seconds.
        after: Option<u64>,
        /// A delete was sent that may still be carried out until then.
        unanswered: Option<Moment>,
    },
    /// 401, 403 or no credentials.
    Blocked {
        /// Why.
        fault: Fault,
        /// How long those who gave no credentials ask to be left alone, in seconds.
        after: Option<u64>,
    },
    /// Another answer.
    Refused(Fault),
    /// Cannot be asked.
    NotSupported(Fault),
}
