//! What gates write to each other about a fence. A gate of another version may read it: fields are added, never changed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::UpstreamNumber;
use crate::inflight::Drain;

/// A fence, as its owner describes it to the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FenceBody {
    /// For how long it stands, in milliseconds, from when it is put up.
    pub(super) life: u64,
    /// At these upstreams only; `None`: everywhere.
    pub(super) only: Option<Vec<u16>>,
    /// Where requests under way are to be waited for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) drains: Vec<DrainAsked>,
    /// It keeps nobody out and only says that legal holds have changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) holds: bool,
}

/// A wait for requests under way at one upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DrainAsked {
    pub(super) upstream: u16,
    /// What entered before the fence of this number went up; 0: before this one.
    pub(super) before: u64,
    /// For at most so many milliseconds.
    pub(super) limit: u64,
}

/// What a member says of another's fence that it has put up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AckBody {
    /// Whatever had entered before it has its row, or has left.
    pub(super) recorded: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) drained: Vec<Drained>,
}

/// What was found when a drain ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Drained {
    pub(super) upstream: u16,
    pub(super) before: u64,
    /// For so many milliseconds something may still be stored.
    pub(super) late: Option<u64>,
    /// Something that entered later is on its way there.
    pub(super) newer: bool,
}

impl FenceBody {
    pub(super) fn standing(life: Duration, only: Option<&[UpstreamNumber]>) -> Self {
        let only = only.map(|only| only.iter().map(|upstream| upstream.0).collect());
        Self { life: millis(life), only, ..Self::default() }
    }

    pub(super) fn of_holds() -> Self {
        Self { only: Some(Vec::new()), holds: true, ..Self::default() }
    }

    /// Whether it keeps nobody out, and says nothing either.
    pub(super) fn has_fallen(&self) -> bool {
        !self.holds && self.only.as_ref().is_some_and(Vec::is_empty)
    }

    pub(super) fn falls(&mut self) {
        *self = Self { only: Some(Vec::new()), ..Self::default() };
    }

    pub(super) fn upstreams(&self) -> Option<Vec<UpstreamNumber>> {
        self.only.as_ref().map(|only| only.iter().copied().map(UpstreamNumber).collect())
    }

    /// As it is written; of a fence that has fallen nothing.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        if self.has_fallen() { Vec::new() } else { serde_json::to_vec(self).unwrap_or_default() }
    }

    /// `None`: it does not read.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self { only: Some(Vec::new()), ..Self::default() });
        }
        serde_json::from_slice(bytes).ok()
    }
}

impl AckBody {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What does not read says nothing.
    pub(super) fn read(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    pub(super) fn of(&self, upstream: UpstreamNumber, before: u64) -> Option<&Drained> {
        self.drained.iter().find(|drained| drained.upstream == upstream.0 && drained.before == before)
    }
}

impl Drained {
    pub(super) fn new(asked: &DrainAsked, found: &Drain, now: tokio::time::Instant) -> Self {
        let late = found.until.map(|until| millis(until.saturating_duration_since(now)));
        Self { upstream: asked.upstream, before: asked.before, late, newer: found.newer }
    }
}

/// Whole milliseconds, rounded up.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
