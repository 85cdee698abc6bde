//! Several gates on one store erase as one: each puts up the fences of all, and an erasure waits for all of them.
//!
//! [`Replicas`] is what erasures ask for a fence. Alone, a fence is that of the in-flight table and nothing else. With
//! others it is also a row of the store, which every living member puts up in its own table before the owner goes on.
//! See docs/decisions/054-several-gates.md.

mod body;
mod fence;
mod membership;
mod mirror;
mod numbers;
mod settled;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use self::body::{AckBody, FenceBody};
pub use self::fence::{Covered, Fence};
use self::mirror::Mirror;
use self::numbers::Numbers;
use self::settled::Settled;
use crate::domain::{Tag, UpstreamNumber};
use crate::inflight::{Generation, Inflight};
use crate::store::{Member, MemberState, Members};

/// How a gate takes part.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The store that all share.
    pub members: Arc<dyn Members>,
    /// What people call this gate.
    pub name: String,
    /// For how long it counts as there after it was heard.
    pub ttl: Duration,
    /// For how long what had entered may go on sending when the gate hears nothing from the store.
    pub goes_on: Duration,
    /// For how long a service may still store what was cut.
    pub straggle: Duration,
    /// A new ID with each call.
    pub new_id: fn() -> Uuid,
}

/// Called when another member says that legal holds have changed. What it gives is awaited before that counts as heard.
pub type HoldsChanged = Arc<dyn Fn() -> std::pin::Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// A member as it is shown to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MemberView {
    /// Its ID, new with each start; null while this gate is no member.
    #[schema(required)]
    pub id: Option<Uuid>,
    /// The name of its host.
    pub name: String,
    /// Whether it is the gate that answers.
    pub this: bool,
    /// `open`, `closed` (this gate hears nothing from the database), `missed` (not heard for twice its time to live), `cut` or
    /// `ended`.
    pub state: &'static str,
    /// How long ago it was heard, in milliseconds.
    pub heard_ms: u64,
    /// For how much longer something of what it had on its way may still be stored by a service.
    pub late_ms: u64,
    /// How many changes of fences it has not said yet that it has seen.
    pub behind: u64,
    /// How many fences of this gate wait for it.
    pub holds_up: u64,
    /// Fences of its own that stand.
    pub fences: u64,
    /// Unfinished erasures that it works on; null where that could not be read.
    #[schema(required)]
    pub erasures: Option<u64>,
}

/// The gates of a deployment, as one of them sees them. Clones are the same one.
#[derive(Clone)]
pub struct Replicas {
    inflight: Arc<Inflight>,
    /// `None`: this is the only one that there can be.
    shared: Option<Arc<Shared>>,
}

impl fmt::Debug for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replicas").field("alone", &self.shared.is_none()).finish_non_exhaustive()
    }
}

struct Shared {
    inflight: Arc<Inflight>,
    membership: Membership,
    state: Mutex<State>,
    /// Rung when there is something to say.
    bell: Notify,
    /// Counts exchanges, and what was found here.
    heard: watch::Sender<u64>,
    /// Rung when others have said something.
    news: Notify,
    holds_changed: Mutex<Option<HoldsChanged>>,
}

/// A fence of this gate's.
#[derive(Debug)]
struct Own {
    tag: Tag,
    version: u32,
    body: FenceBody,
    /// When its row may be forgotten.
    ends: Instant,
    generation: Generation,
    /// Its place in the order of all fences, when it has been written.
    first: Option<u64>,
    /// Nobody holds it any more: it goes when that is written.
    dropped: bool,
}

#[derive(Debug, Default)]
struct State {
    /// This gate, while it is a member.
    me: Option<Uuid>,
    /// The ID under which it tries to join: one that nobody answered may be there.
    joining: Option<Uuid>,
    own: BTreeMap<Uuid, Own>,
    /// Those of its fences that the store does not have as they are.
    unsaid: BTreeSet<Uuid>,
    /// Fences that it raised when it was a member under another ID.
    orphans: Vec<(Uuid, Tag)>,
    mirrors: BTreeMap<Uuid, Mirror>,
    /// What is to be said of the fences of others.
    unsaid_acks: BTreeSet<Uuid>,
    acks: BTreeMap<(Uuid, Uuid), AckBody>,
    others: Vec<Member>,
    /// When `others` was asked for.
    heard_at: Option<Instant>,
    seen: u64,
    /// Legal holds are to be read anew before more is said.
    holds_changed: bool,
    numbers: Numbers,
    settled: Settled,
}

impl Replicas {
    /// One gate alone.
    #[must_use]
    pub fn alone(inflight: Arc<Inflight>) -> Self {
        Self { inflight, shared: None }
    }

    /// One of several. Nothing enters before [`Self::run`] has been heard by the others.
    #[must_use]
    pub fn together(inflight: Arc<Inflight>, membership: Membership) -> Self {
        inflight.close();
        let shared = Shared {
            inflight: Arc::clone(&inflight),
            membership,
            state: Mutex::default(),
            bell: Notify::new(),
            heard: watch::Sender::new(0),
            news: Notify::new(),
            holds_changed: Mutex::default(),
        };
        Self { inflight, shared: Some(Arc::new(shared)) }
    }

    /// The in-flight table of this one.
    #[must_use]
    pub const fn inflight(&self) -> &Arc<Inflight> {
        &self.inflight
    }

    /// Whether there can be others.
    #[must_use]
    pub const fn may_have_others(&self) -> bool {
        self.shared.is_some()
    }

    /// Whether no other gate is there, or was there so lately that something of it may still arrive anywhere: as it was when
    /// [`Fence::everywhere`] was done, since who comes later hears of the fence first.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.shared.as_ref().is_none_or(|shared| {
            let state = shared.state.lock();
            state.heard_at.is_some() && state.others.is_empty() && shared.inflight.is_open()
        })
    }

    /// Whether this gate may send a delete now: the others have not given it up, and carry nothing out in its place.
    #[must_use]
    pub fn may_send(&self) -> bool {
        self.inflight.is_open()
    }

    /// This gate's ID among the members, while it is one.
    #[must_use]
    pub fn me(&self) -> Option<Uuid> {
        self.shared.as_ref().and_then(|shared| shared.state.lock().me)
    }

    /// Up to when something may still be stored of what gates had on their way that are there no more.
    #[must_use]
    pub fn late_until(&self) -> Option<Instant> {
        self.shared.as_ref().and_then(|shared| shared.state.lock().late_until(|_| true))
    }

    /// The generation at this gate in which the fence of this number went up, if that is still known.
    #[must_use]
    pub fn generation_of(&self, tag: Tag, number: u64) -> Option<Generation> {
        self.shared.as_ref().and_then(|shared| shared.state.lock().numbers.of(tag, number))
    }

    /// All members, this one first, with what each has to do with this gate's fences. `None`: there can be no others.
    #[must_use]
    pub fn shown(&self) -> Option<Vec<MemberView>> {
        let shared = self.shared.as_ref()?;
        let state = shared.state.lock();
        let newest = state.own.values().filter_map(|own| own.first).chain([state.seen]).max().unwrap_or(0);
        let now = Instant::now();
        let heard = state.heard_at.map_or(Duration::ZERO, |at| now.duration_since(at));
        let this = MemberView {
            id: state.me,
            name: shared.membership.name.clone(),
            this: true,
            state: if shared.inflight.is_open() { "open" } else { "closed" },
            heard_ms: body::millis(heard),
            late_ms: 0,
            behind: 0,
            holds_up: 0,
            fences: state.own.values().filter(|own| !own.dropped).count() as u64,
            erasures: None,
        };
        let other = |member: &Member| {
            let unseen = state.own.values().filter(|own| own.first.is_none_or(|first| member.seen < first));
            let is_up = member.state == MemberState::Up;
            MemberView {
                id: Some(member.id),
                name: member.name.clone(),
                this: false,
                state: match member.state {
                    MemberState::Up if member.is_missed() => "missed",
                    MemberState::Up => "open",
                    MemberState::Cut => "cut",
                    MemberState::Ended => "ended",
                },
                heard_ms: body::millis(member.age + heard),
                late_ms: if is_up { 0 } else { body::millis(member.straggle) },
                behind: if is_up { newest.saturating_sub(member.seen) } else { 0 },
                holds_up: if is_up { unseen.count() as u64 } else { 0 },
                fences: state.mirrors.values().filter(|mirror| mirror.owner == member.id).count() as u64,
                erasures: None,
            }
        };
        Some(std::iter::once(this).chain(state.others.iter().map(other)).collect())
    }

    /// The other members, as they were last heard.
    #[must_use]
    pub fn others(&self) -> Vec<Member> {
        self.shared.as_ref().map(|shared| shared.state.lock().others.clone()).unwrap_or_default()
    }

    /// Done when others have said something, or one of them has gone.
    pub async fn news(&self) {
        let Some(shared) = &self.shared else { return std::future::pending().await };
        shared.news.notified().await;
    }

    /// What is called when another member has changed legal holds.
    pub fn on_holds(&self, called: HoldsChanged) {
        if let Some(shared) = &self.shared {
            *shared.holds_changed.lock() = Some(called);
        }
    }

    /// Keeps new requests of this customer out, everywhere or only at some upstreams, for at most `life`: here at once,
    /// elsewhere when [`Fence::everywhere`] is done.
    #[must_use]
    pub fn fence(&self, tag: Tag, upstreams: Option<Vec<UpstreamNumber>>, life: Duration) -> Fence {
        let body = FenceBody::standing(life, upstreams.as_deref());
        self.around(self.inflight.fence(tag, upstreams, life), tag, body, life)
    }

    /// The same before anything has entered. Where there are others, something may have entered there.
    #[must_use]
    pub fn fence_from_start(&self, tag: Tag, upstreams: Option<Vec<UpstreamNumber>>, life: Duration) -> Fence {
        if self.shared.is_some() {
            return self.fence(tag, upstreams, life);
        }
        Fence::new(self.inflight.fence_from_start(tag, upstreams, life), None)
    }

    /// The same at some upstreams, unless another fence keeps requests out here at one of them, or did until a second ago.
    ///
    /// # Errors
    /// When it is worth trying again.
    pub fn fence_where_let_in(
        &self,
        tag: Tag,
        upstreams: Vec<UpstreamNumber>,
        life: Duration,
    ) -> Result<Fence, Instant> {
        let body = FenceBody::standing(life, Some(&upstreams));
        Ok(self.around(self.inflight.fence_where_let_in(tag, upstreams, life)?, tag, body, life))
    }

    fn around(&self, local: crate::inflight::Fence, tag: Tag, body: FenceBody, life: Duration) -> Fence {
        let ours = self.shared.as_ref().map(|shared| shared.raise(tag, body, life, local.generation()));
        Fence::new(local, ours)
    }

    /// Tells the others that legal holds have changed, and waits until each of them has read them anew or is gone.
    ///
    /// # Errors
    /// When this gate is not heard itself.
    pub async fn tell_of_holds(&self) -> Result<(), crate::store::StoreError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let life = shared.membership.ttl * 4;
        let told = shared.raise(Tag([0; 16]), FenceBody::of_holds(), life, Generation::FIRST);
        told.everywhere().await
    }
}

impl State {
    /// Members that may let requests in at this moment, but for this one.
    fn living(&self) -> impl Iterator<Item = &Member> {
        self.others.iter().filter(|member| member.state == MemberState::Up)
    }

    fn late_until(&self, matters: impl Fn(&Member) -> bool) -> Option<Instant> {
        let heard_at = self.heard_at?;
        let gone = self.others.iter().filter(|member| member.state != MemberState::Up && matters(member));
        gone.filter(|member| !member.straggle.is_zero()).map(|member| heard_at + member.straggle).max()
    }
}
