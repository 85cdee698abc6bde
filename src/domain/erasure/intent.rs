//! What an erasure was asked to reach, before the index has said where that is.

use serde::{Deserialize, Serialize};

use super::made::Mark;
use super::outcome::Evidence;
use crate::domain::{Instance, LabelForm, UpstreamNumber};

/// How far the requester's authority reaches. Names were resolved when the erasure was accepted: renaming a group later
/// changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every upstream.
    All,
    /// These, as far as data is there: those of one group.
    Among(Vec<UpstreamNumber>),
    /// These, as the requester chose: they are asked, whatever the index knows.
    Only(Vec<UpstreamNumber>),
}

impl Scope {
    /// Whether this authority reaches that upstream.
    #[must_use]
    pub fn reaches(&self, upstream: UpstreamNumber) -> bool {
        match self {
            Self::All => true,
            Self::Among(upstreams) | Self::Only(upstreams) => upstreams.contains(&upstream),
        }
    }
}

/// The addressed upstream's own acceptance of the caller's delete, when it counts as that target's delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Under which form of the label it went.
    pub form: LabelForm,
    /// What came back.
    pub evidence: Evidence,
}

/// The upstream that a delete on the data path was addressed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addressed {
    /// Which.
    pub upstream: UpstreamNumber,
    /// Which of its instances: where the call's path leads, and whose key it was sent with if that was its authority.
    pub instance: Instance,
    /// Its profile: `{api}` and `{version}` of the call hold for all upstreams of the same one.
    pub profile: String,
    /// `{api}` of the call.
    pub api: Option<u8>,
    /// `version` of the call.
    pub version: Option<String>,
    /// Whether a probe was sent there and accepted, whether it counts or not.
    pub probed: bool,
    /// The probe, if it counts.
    pub probe: Option<Probe>,
}

/// One request for the erasure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// How far it reaches.
    pub scope: Scope,
    /// Of a delete on the data path.
    pub addressed: Option<Addressed>,
    /// What had entered when it was accepted, or approved.
    #[serde(default)]
    pub mark: Option<Mark>,
}

impl Intent {
    pub(super) fn is_probed(&self) -> bool {
        self.addressed.as_ref().is_some_and(|addressed| addressed.probed)
    }

    /// What it is addressed to, and the probe that counts there, if there is one.
    #[must_use]
    pub fn probed(&self) -> Option<(&Addressed, &Probe)> {
        let addressed = self.addressed.as_ref()?;
        Some((addressed, addressed.probe.as_ref()?))
    }

    pub(super) fn is_superseded_by(&self, later: &Self) -> bool {
        let home = |intent: &Self| {
            let addressed = intent.addressed.as_ref();
            addressed.map(|addressed| (addressed.upstream, addressed.instance.clone(), addressed.api))
        };
        self.scope == later.scope && home(self) == home(later)
    }

    /// Both as one, if they reach in the same way.
    fn with(&self, later: &Self) -> Option<Self> {
        let both = |one: &[UpstreamNumber], other: &[UpstreamNumber]| {
            let new = other.iter().filter(|upstream| !one.contains(upstream));
            one.iter().chain(new).copied().collect()
        };
        let scope = match (&self.scope, &later.scope) {
            (Scope::All, Scope::All) => Scope::All,
            (Scope::Among(one), Scope::Among(other)) => Scope::Among(both(one, other)),
            (Scope::Only(one), Scope::Only(other)) => Scope::Only(both(one, other)),
            _ => return None,
        };
        let addressed = later.addressed.clone().or_else(|| self.addressed.clone());
        Some(Self { scope, addressed, mark: Mark::wider(self.mark, later.mark) })
    }

    /// Takes the oldest that reach in the same way together, until there are no more than `max`. No reach is lost.
    pub(super) fn bounded(intents: &mut Vec<Self>, max: usize) {
        while intents.len() > max {
            let pairs = (0..intents.len()).flat_map(|at| (at + 1..intents.len()).map(move |with| (at, with)));
            let mut joined =
                pairs.filter_map(|(at, with)| Some((at, with, intents.get(at)?.with(intents.get(with)?)?)));
            let Some((at, with, both)) = joined.next() else { return };
            drop(joined);
            intents.remove(with);
            intents.remove(at);
            intents.insert(at, both);
        }
    }

    /// The customer has been let in since: the probe's instant is past.
    pub fn forget_probe(&mut self) {
        if let Some(addressed) = &mut self.addressed {
            addressed.probe = None;
        }
    }
}
