//! The members of one process: what a database is to several gates, for tests and simulations of everything above it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::Tag;
use crate::store::{Ack, FenceRow, Heard, Hint, Joining, Member, MemberState, Members, StoreError, StoreFuture, Told};

#[derive(Clone, Debug)]
struct Known {
    joining: Joining,
    state: MemberState,
    renewed: Instant,
    straggle_until: Instant,
    seen: u64,
    joined: u64,
}

#[derive(Clone, Debug)]
struct Standing {
    owner: Uuid,
    tag: Tag,
    version: u32,
    number: u64,
    body: Vec<u8>,
    ends: Instant,
}

#[derive(Debug, Default)]
struct State {
    members: BTreeMap<Uuid, Known>,
    fences: BTreeMap<Uuid, Standing>,
    acks: BTreeMap<(Uuid, Uuid), Vec<u8>>,
    number: u64,
}

/// Members whose database is this process's memory. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryMembers {
    state: Arc<Mutex<State>>,
    bell: Arc<Notify>,
    /// Whether the answers of exchanges are lost, after they were carried out.
    lossy: Arc<std::sync::atomic::AtomicBool>,
    /// Whether the database answers.
    broken: Arc<std::sync::atomic::AtomicBool>,
}

impl MemoryMembers {
    /// From now on every call fails, or none does.
    pub fn set_broken(&self, broken: bool) {
        self.broken.store(broken, std::sync::atomic::Ordering::SeqCst);
    }

    /// From now on exchanges are carried out and their answers are lost, or not.
    pub fn set_lossy(&self, lossy: bool) {
        self.lossy.store(lossy, std::sync::atomic::Ordering::SeqCst);
    }

    fn answer<'a, T: Send + 'a>(&'a self, question: impl FnOnce(&mut State) -> T + Send + 'a) -> StoreFuture<'a, T> {
        Box::pin(async move {
            if self.broken.load(std::sync::atomic::Ordering::SeqCst) {
                return Err(StoreError::Broken);
            }
            let answer = question(&mut self.state.lock());
            self.bell.notify_waiters();
            Ok(answer)
        })
    }
}

impl State {
    fn exchange(&mut self, me: Uuid, told: Told) -> Option<Heard> {
        let now = Instant::now();
        let known = self.members.get_mut(&me).filter(|known| known.state == MemberState::Up)?;
        (known.renewed, known.straggle_until) = (now, now + known.joining.straggle);
        known.seen = told.seen;
        self.fences.retain(|_, standing| standing.ends > now);
        let fences = &self.fences;
        self.acks.retain(|(fence, _), _| fences.contains_key(fence));
        let mut numbers = Vec::with_capacity(told.fences.len());
        for fence in told.fences {
            self.number += 1;
            numbers.push(self.number);
            let is_late = self.fences.get(&fence.id).is_some_and(|old| old.version >= fence.version);
            if !is_late {
                let (number, ends) = (self.number, now + fence.life);
                let (tag, version, body) = (fence.tag, fence.version, fence.body);
                self.fences.insert(fence.id, Standing { owner: me, tag, version, number, body, ends });
            }
        }
        for (fence, body) in told.acks {
            self.acks.insert((fence, me), body);
        }
        let after = told.seen;
        let mut heard: Vec<FenceRow> =
            self.fences.iter().filter_map(|(id, row)| row.of_another(*id, me, after)).collect();
        heard.sort_by_key(|row| row.number);
        let mine = |fence: &Uuid| self.fences.get(fence).is_some_and(|standing| standing.owner == me);
        let acks = self.acks.iter().filter(|((fence, _), _)| mine(fence));
        let acks = acks.map(|((fence, member), body)| Ack { fence: *fence, member: *member, body: body.clone() });
        let acks = acks.collect();
        let matters = |known: &Known| known.state == MemberState::Up || known.straggle_until > now;
        self.members.retain(|_, known| matters(known));
        let members = self.members.iter().map(|(id, known)| known.shown(*id, now)).collect();
        Some(Heard { numbers, fences: heard, acks, members })
    }
}

impl Standing {
    fn of_another(&self, id: Uuid, me: Uuid, after: u64) -> Option<FenceRow> {
        let is_new = self.owner != me && self.number > after;
        let Self { owner, tag, number, .. } = *self;
        is_new.then(|| FenceRow { id, owner, tag, number, body: self.body.clone() })
    }
}

impl Known {
    fn shown(&self, id: Uuid, now: Instant) -> Member {
        Member {
            id,
            name: self.joining.name.clone(),
            state: self.state,
            age: now.saturating_duration_since(self.renewed),
            ttl: self.joining.ttl,
            straggle: self.straggle_until.saturating_duration_since(now),
            seen: self.seen,
            joined: self.joined,
        }
    }
}

impl Members for MemoryMembers {
    fn join(&self, joining: Joining) -> StoreFuture<'_, ()> {
        self.answer(move |state| {
            let now = Instant::now();
            let (id, straggle_until) = (joining.id, now + joining.straggle);
            let joined = state.number;
            let known = Known { joining, state: MemberState::Up, renewed: now, straggle_until, seen: 0, joined };
            state.members.entry(id).or_insert(known);
        })
    }

    fn exchange(&self, me: Uuid, told: Told) -> StoreFuture<'_, Option<Heard>> {
        let speaks = !told.fences.is_empty() || !told.acks.is_empty();
        Box::pin(async move {
            if self.broken.load(std::sync::atomic::Ordering::SeqCst) {
                return Err(StoreError::Broken);
            }
            let mut state = self.state.lock();
            let seen = state.members.get(&me).map(|known| known.seen);
            let speaks = speaks || seen != Some(told.seen);
            let heard = state.exchange(me, told);
            drop(state);
            if speaks {
                self.bell.notify_waiters();
            }
            if self.lossy.load(std::sync::atomic::Ordering::SeqCst) {
                return Err(StoreError::Broken);
            }
            Ok(heard)
        })
    }

    fn cut(&self, who: Uuid) -> StoreFuture<'_, bool> {
        self.answer(move |state| {
            let now = Instant::now();
            let Some(known) = state.members.get_mut(&who) else { return true };
            if known.shown(who, now).is_missed() {
                known.state = MemberState::Cut;
            }
            known.state != MemberState::Up
        })
    }

    fn leave(&self, me: Uuid, straggle: Duration) -> StoreFuture<'_, ()> {
        self.answer(move |state| {
            let known = state.members.get_mut(&me).filter(|known| known.state == MemberState::Up);
            known.into_iter().for_each(|known| {
                known.state = MemberState::Ended;
                known.straggle_until = Instant::now() + straggle;
            });
        })
    }

    fn hint(&self) -> Hint {
        let rung = Arc::clone(&self.bell).notified_owned();
        Box::pin(rung)
    }
}
