//! What must be known of an unfinished erasure without reading it: where its customer is to be kept out after a restart,
//! where it waits in which line, when there is something to do. It stands in the store's list in the clear: numbers only.
//! See docs/decisions/038-job-summaries.md.

use super::decision::OnHold;
use super::job::Job;
use super::made::JobState;
use super::moment::{Moment, Run, Stamp};
use super::step::{Step, next_step};
use super::target_state::TargetState;
use crate::domain::{UnixSeconds, UpstreamNumber};

const LAYOUT: u8 = 2;
const UNPLANNED: u8 = 1;
const AWAITING: u8 = 2;
const ACTION: u8 = 4;
const OVERFULL: u8 = 8;
const HAS_NEXT: u8 = 16;

const FENCED: u8 = 1;
const IN_LINE: u8 = 2;
const REPEAT: u8 = 4;

/// Upstreams that fit.
const PLACES_MAX: usize = 12;

/// Bytes of one.
const PLACE_BYTES: usize = 7;

/// One upstream that has not accepted yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which.
    pub upstream: UpstreamNumber,
    /// A first attempt there has not ended: the customer is to be kept out.
    pub fenced: bool,
    /// It waits for its turn there.
    pub in_line: bool,
    /// Its next delete there is the repetition of one that was sent in vain.
    pub repeat: bool,
    /// When the request came that it serves: its place in line.
    pub asked: UnixSeconds,
}

/// How an erasure stands, for the gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// For approval.
    pub awaiting_approval: bool,
    /// For a person to do something about a target.
    pub action_required: bool,
}

/// The summary of an unfinished erasure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its targets have not been read: the customer is to be kept out everywhere, and any upstream may be one.
    pub unplanned: bool,
    /// How it stands.
    pub standing: Standing,
    /// There are more upstreams than fit: the erasure itself has to be read.
    pub overfull: bool,
    /// What its moments mean.
    pub stamp: Stamp,
    /// When there is something to do by itself, outside the lines; `None` if nothing.
    pub next: Option<Moment>,
    /// When it was accepted: its place in line.
    pub received: UnixSeconds,
    /// When it is late.
    pub due: UnixSeconds,
    /// Upstreams that have not accepted yet: all of them, unless this was read from the list and is overfull.
    pub places: Vec<Place>,
}

impl Summary {
    /// Of this erasure, as it is being stored.
    #[must_use]
    pub fn of(job: &Job) -> Self {
        let held = OnHold::default();
        let state = job.state(&held);
        let active = job.is_active();
        let mut places: Vec<Place> = Vec::new();
        for target in job.targets.iter().filter(|target| !target.is_accepted() && !target.is_over()) {
            let tried = target.attempt_at() == Some(Moment(0));
            let (fenced, in_line) = (active && tried && !target.unfenced, active && tried && target.unfenced);
            // What a start finds under way is sent again.
            let repeat = target.is_repeat() || target.state == TargetState::Sent;
            let (upstream, asked) = (target.key.upstream, job.asked_at(target));
            match places.iter_mut().find(|place| place.upstream == upstream) {
                None => places.push(Place { upstream, fenced, in_line, repeat, asked }),
                Some(place) => {
                    place.fenced |= fenced;
                    place.in_line |= in_line;
                    place.repeat |= repeat;
                    place.asked = place.asked.min(asked);
                }
            }
        }
        let overfull = places.len() > PLACES_MAX;
        let next = match next_step(job, job.stamp.at, &held) {
            Step::Rest => None,
            Step::Wait(at) => Some(at),
            Step::Attempt(_) if !overfull && places.iter().all(|place| !place.fenced) => waits(job),
            Step::Plan | Step::Attempt(_) | Step::Settle | Step::Finish => Some(Moment(0)),
        };
        let standing = Standing {
            awaiting_approval: state == JobState::AwaitingApproval,
            action_required: state == JobState::ActionRequired,
        };
        let unplanned = !job.intents.is_empty();
        let (stamp, received, due) = (job.stamp, job.received, job.due);
        Self { unplanned, standing, overfull, stamp, next, received, due, places }
    }

    /// When there is something to do, on this run's clock.
    #[must_use]
    pub fn next_in(&self, run: &Run) -> Option<Moment> {
        self.next.map(|at| if at == Moment(0) { at } else { self.stamp.taken_over(at, run) })
    }

    /// As the store keeps it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let flag = |is: bool, bit: u8| if is { bit } else { 0 };
        let flags = flag(self.unplanned, UNPLANNED)
            | flag(self.standing.awaiting_approval, AWAITING)
            | flag(self.standing.action_required, ACTION)
            | flag(self.overfull, OVERFULL)
            | flag(self.next.is_some(), HAS_NEXT);
        let numbers = [self.stamp.run, self.stamp.at.0, self.next.unwrap_or_default().0, self.received.0, self.due.0];
        let mut bytes = vec![LAYOUT, flags];
        bytes.extend(numbers.into_iter().flat_map(u64::to_be_bytes));
        for place in self.places.iter().take(PLACES_MAX) {
            bytes.extend(place.upstream.0.to_be_bytes());
            bytes.push(flag(place.fenced, FENCED) | flag(place.in_line, IN_LINE) | flag(place.repeat, REPEAT));
            let later = u32::try_from(place.asked.since(self.received)).unwrap_or(u32::MAX);
            bytes.extend(later.to_be_bytes());
        }
        bytes
    }

    /// `None` where it does not read; then the erasure itself has to be read.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[layout, flags], mut rest) = bytes.split_first_chunk::<2>()?;
        let mut number = || {
            let (number, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            Some(u64::from_be_bytes(*number))
        };
        let (run, at, next, received, due) = (number()?, number()?, number()?, number()?, number()?);
        let place = |bytes: &[u8]| {
            let (&[high, low, flags], later) = bytes.split_first_chunk::<3>()?;
            let later = u32::from_be_bytes(later.try_into().ok()?);
            let asked = UnixSeconds(received.saturating_add(later.into()));
            let upstream = UpstreamNumber(u16::from_be_bytes([high, low]));
            let is = |bit| flags & bit != 0;
            Some(Place { upstream, fenced: is(FENCED), in_line: is(IN_LINE), repeat: is(REPEAT), asked })
        };
        let places = rest.chunks(PLACE_BYTES).map(place).collect::<Option<Vec<_>>>()?;
        let is = |bit| flags & bit != 0;
        (layout == LAYOUT).then(|| Self {
            unplanned: is(UNPLANNED),
            standing: Standing { awaiting_approval: is(AWAITING), action_required: is(ACTION) },
            overfull: is(OVERFULL),
            stamp: Stamp { run, at: Moment(at) },
            next: is(HAS_NEXT).then_some(Moment(next)),
            received: UnixSeconds(received),
            due: UnixSeconds(due),
            places,
        })
    }
}

/// When there is something to do besides what waits in a line.
fn waits(job: &Job) -> Option<Moment> {
    let later = job.targets.iter().filter(|target| target.attempt_at() != Some(Moment(0)));
    later.filter_map(|target| target.attempt_at().or_else(|| target.settles_at())).min()
}
