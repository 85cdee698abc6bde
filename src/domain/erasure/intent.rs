//! What an erasure was asked to reach, before the index has said where that is.

use serde::{Deserialize, Serialize};

use super::target::Evidence;
use crate::domain::{LabelForm, UnixSeconds, UpstreamNumber};

/// How far the requester's authority reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every upstream.
    All,
    /// The upstreams of one group.
    Group(String),
    /// These, as the requester chose.
    Only(Vec<UpstreamNumber>),
}

/// The addressed upstream's own acceptance of the caller's delete, when it counts as that target's delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Under which form of the label it went.
    pub form: LabelForm,
    /// What came back.
    pub evidence: Evidence,
}

/// The upstream that a delete on the data path was addressed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressed {
    /// Which.
    pub upstream: UpstreamNumber,
    /// Its profile: `{api}` and `{version}` of the call hold for all upstreams of the same one.
    pub profile: String,
    /// `{api}` of the call.
    pub api: Option<u8>,
    /// `version` of the call.
    pub version: Option<String>,
    /// Was a probe sent there and accepted, whether it counts or not?
    pub probed: bool,
    /// The probe, if it counts.
    pub probe: Option<Probe>,
}

/// One request for the erasure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// How far it reaches.
    pub scope: Scope,
    /// Of a delete on the data path.
    pub addressed: Option<Addressed>,
    /// When the gate that accepted it had started: what a gate before it had under way may have been lost.
    pub life: UnixSeconds,
}

impl Intent {
    pub(super) fn is_probed(&self) -> bool {
        self.addressed.as_ref().is_some_and(|addressed| addressed.probed)
    }

    pub(super) fn is_superseded_by(&self, later: &Self) -> bool {
        let upstream = |intent: &Self| intent.addressed.as_ref().map(|addressed| addressed.upstream);
        self.scope == later.scope && upstream(self) == upstream(later)
    }

    /// The customer has been let in since: the probe's instant is past.
    pub fn forget_probe(&mut self) {
        if let Some(addressed) = &mut self.addressed {
            addressed.probe = None;
        }
    }
}
