//! At which members nothing is on its way any more that an erasure covers: if they go after that, nobody has to wait for them.
//! Bounded: of what was forgotten, a member that goes is waited for once more.

use std::collections::HashMap;

use smallvec::SmallVec;
use uuid::Uuid;

use crate::domain::{Tag, UpstreamNumber};
use crate::store::Member;

/// Erasures and upstreams that are remembered.
const REMEMBERED_MAX: usize = 65_536;

/// What is waited for: a customer's requests to an upstream that entered before the fence of this number.
pub(super) type Waited = (Tag, UpstreamNumber, u64);

#[derive(Debug, Default)]
pub(super) struct Settled(HashMap<Waited, SmallVec<[Uuid; 4]>>);

impl Settled {
    /// Nothing of it is on its way at this member, or can still arrive.
    pub(super) fn note(&mut self, waited: Waited, member: Uuid) {
        if self.0.len() >= REMEMBERED_MAX && !self.0.contains_key(&waited) {
            self.0.clear();
        }
        let all = self.0.entry(waited).or_default();
        if !all.contains(&member) {
            all.push(member);
        }
    }

    /// Whether something of it may have been on its way at this member when it was last heard. Where there is no number, what
    /// is waited for is new.
    pub(super) fn matters(&self, waited: &Waited, member: &Member) -> bool {
        let (_, _, before) = *waited;
        let is_newer = before > 0 && member.joined >= before;
        let is_settled = before > 0 && self.0.get(waited).is_some_and(|all| all.contains(&member.id));
        !is_newer && !is_settled
    }
}
