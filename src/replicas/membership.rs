//! One gate's part: it renews its lease, says what is new here and hears what is new elsewhere, again and again.
//!
//! The lease counts from before the exchange was sent, by a clock that only runs forward, and begins when all that was heard
//! has been put up. A gate that was counted as gone comes back under a new ID.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::body::AckBody;
use super::{Membership, Replicas, Shared, State};
use crate::store::{FenceWrite, Heard, Joining, Member, StoreError, Told};

/// Exchanges without a pause, before others have a turn on this thread.
const AT_ONCE: u32 = 16;

/// What was said in one exchange.
struct Said {
    /// Fences, in which versions.
    fences: Vec<(Uuid, u32)>,
    seen: u64,
    acks: Vec<(Uuid, Vec<u8>)>,
}

impl Replicas {
    /// Becomes a member, and hears what stands: from then on requests may enter here. Tries until it succeeds, or its future is
    /// dropped.
    pub async fn join(&self) {
        let Some(shared) = &self.shared else { return };
        while !shared.inflight.is_open() {
            shared.turn().await;
            if !shared.inflight.is_open() {
                tokio::time::sleep(shared.membership.ttl / 20).await;
            }
        }
    }

    /// Takes part until its future is dropped.
    pub async fn run(&self) {
        let Some(shared) = &self.shared else { return std::future::pending().await };
        let mut turns = 0;
        loop {
            let hint = shared.membership.members.hint();
            shared.turn().await;
            turns += 1;
            if shared.has_news() && turns < AT_ONCE && shared.state.lock().heard_at.is_some() {
                continue;
            }
            turns = 0;
            let pause = shared.membership.ttl / 5;
            tokio::select! {
                () = hint => {}
                () = shared.bell.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Ends in good order: for so long something of what was on its way may still be stored.
    pub async fn leave(&self, straggle: Duration) {
        let Some(shared) = &self.shared else { return };
        shared.inflight.close();
        let me = shared.state.lock().me.take();
        if let Some(me) = me {
            timeout(shared.membership.ttl, shared.membership.members.leave(me, straggle)).await.ok();
        }
    }
}

impl Shared {
    /// One exchange.
    async fn turn(self: &Arc<Self>) {
        let before = Instant::now();
        let outcome = timeout(self.membership.ttl, self.exchange(before)).await;
        if !matches!(outcome, Ok(Ok(()))) {
            // What was to be said is said again.
            tokio::time::sleep(self.membership.ttl / 20).await;
        }
        self.heard.send_modify(|count| *count += 1);
    }

    async fn exchange(self: &Arc<Self>, before: Instant) -> Result<(), StoreError> {
        let me = self.state.lock().me;
        let me = match me {
            Some(me) => me,
            None => self.become_member().await?,
        };
        if self.state.lock().holds_changed && !self.read_holds().await {
            return Err(StoreError::Broken);
        }
        let (told, said) = self.to_say();
        let Some(heard) = self.membership.members.exchange(me, told).await? else {
            self.inflight.close();
            self.state.lock().lose();
            return Ok(());
        };
        let missed: Vec<Uuid> =
            heard.members.iter().filter(|member| member.is_missed()).map(|member| member.id).collect();
        if self.absorb(me, before, heard, said) {
            self.renewed(before);
        }
        for who in missed.into_iter().filter(|who| *who != me) {
            self.membership.members.cut(who).await?;
            self.bell.notify_one();
        }
        Ok(())
    }

    async fn become_member(&self) -> Result<Uuid, StoreError> {
        let Membership { name, ttl, goes_on, straggle, .. } = &self.membership;
        let id = *self.state.lock().joining.get_or_insert_with(self.membership.new_id);
        let joining = Joining { id, name: name.clone(), ttl: *ttl, straggle: *goes_on + *straggle };
        self.membership.members.join(joining).await?;
        let mut state = self.state.lock();
        (state.me, state.joining, state.seen) = (Some(id), None, 0);
        state.say_all_acks();
        Ok(id)
    }

    /// What is new here.
    fn to_say(&self) -> (Told, Said) {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.forget_mirrors(now);
        let State { own, unsaid, orphans, mirrors, unsaid_acks, seen, .. } = &mut *state;
        let write = |id: &Uuid| {
            let own = own.get_mut(id)?;
            // Where the answer to what was said before was lost, it is there with a number that nobody was told.
            own.version += 1;
            let life = own.ends.saturating_duration_since(now);
            Some(FenceWrite { id: *id, tag: own.tag, version: own.version, body: own.body.to_bytes(), life })
        };
        let fences: Vec<FenceWrite> = unsaid.iter().filter_map(write).collect();
        let versions = fences.iter().map(|fence| (fence.id, fence.version)).collect();
        let life = self.membership.ttl * 4;
        let fallen =
            |(id, tag): &(Uuid, _)| FenceWrite { id: *id, tag: *tag, version: u32::MAX, body: Vec::new(), life };
        let fences = fences.into_iter().chain(orphans.iter().map(fallen)).collect();
        let ack = |id: &Uuid| Some((*id, mirrors.get(id)?.ack.to_bytes()));
        let acks: Vec<_> = unsaid_acks.iter().filter_map(ack).collect();
        let said = Said { fences: versions, seen: *seen, acks: acks.clone() };
        (Told { fences, seen: *seen, acks }, said)
    }

    /// Takes in what was heard. Gives whether the lease may begin anew.
    fn absorb(self: &Arc<Self>, me: Uuid, before: Instant, heard: Heard, said: Said) -> bool {
        let mut state = self.state.lock();
        if state.me != Some(me) {
            return false;
        }
        for ((id, version), number) in said.fences.into_iter().zip(heard.numbers) {
            state.is_said(id, version, number);
        }
        state.orphans.clear();
        for (id, body) in said.acks {
            if state.mirrors.get(&id).is_none_or(|mirror| mirror.ack.to_bytes() == body) {
                state.unsaid_acks.remove(&id);
            }
        }
        self.mirror(&mut state, heard.fences);
        if state.seen != said.seen {
            // The others wait to hear that it is up here.
            self.bell.notify_one();
        }
        state.acks = heard.acks.iter().map(|ack| ((ack.fence, ack.member), AckBody::read(&ack.body))).collect();
        state.others = heard.members.into_iter().filter(|member: &Member| member.id != me).collect();
        state.heard_at = Some(before);
        let is_gone = |member: &Member| member.state != crate::store::MemberState::Up;
        if state.seen != said.seen || state.others.iter().any(is_gone) {
            self.news.notify_one();
        }
        true
    }

    fn renewed(&self, before: Instant) {
        if !self.inflight.is_open() {
            // Nothing that was known before is believed: nobody knows what was erased meanwhile.
            self.inflight.close();
        }
        let open_until = before + self.membership.ttl;
        self.inflight.set_lease(open_until, before + self.membership.goes_on);
    }

    /// Before this gate says that it has seen what they changed.
    async fn read_holds(&self) -> bool {
        let called = self.holds_changed.lock().clone();
        self.state.lock().holds_changed = false;
        let is_read = match called {
            Some(called) => called().await,
            None => true,
        };
        if !is_read {
            self.state.lock().holds_changed = true;
        }
        is_read
    }

    fn has_news(&self) -> bool {
        let state = self.state.lock();
        !state.unsaid.is_empty() || !state.unsaid_acks.is_empty()
    }
}

impl State {
    fn is_said(&mut self, id: Uuid, version: u32, number: u64) {
        let Some(own) = self.own.get_mut(&id) else { return };
        if own.first.is_none() {
            own.first = Some(number);
            let (tag, generation) = (own.tag, own.generation);
            self.numbers.note(tag, number, generation);
        }
        let Some(own) = self.own.get(&id) else { return };
        if own.version == version {
            self.unsaid.remove(&id);
            if own.dropped {
                self.own.remove(&id);
            }
        }
    }
}
