//! What several gates on one database tell each other: who is there, which fences stand, and how far each has come.
//!
//! Everything goes through one call, [`Members::exchange`]: one transaction that renews the lease, writes what is new here
//! and reads what is new elsewhere. See docs/decisions/054-several-gates.md.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use uuid::Uuid;

use super::{ListedJob, StoreFuture};
use crate::domain::{Tag, UpstreamNumber};

/// Bytes of a [`FenceRow::body`] or an [`Ack::body`] at most.
pub const SHARED_BODY_MAX: usize = 16 << 10;

/// A gate as it announces itself. Its ID is new with each start, and after each time that it was taken for gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joining {
    /// Its ID.
    pub id: Uuid,
    /// What people call it, such as its host's name.
    pub name: String,
    /// For how long it counts as there after it was heard.
    pub ttl: Duration,
    /// For how long after it was last heard something of what it had on its way may still be stored by a service.
    pub straggle: Duration,
}

/// How a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It is there, or has not been missed for long enough.
    Up,
    /// It was not heard for twice its time to live, and never comes back under this ID.
    Cut,
    /// It ended in good order.
    Ended,
}

/// A member as the others see it. All times are the database's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its ID.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// How it stands.
    pub state: MemberState,
    /// How long ago it was heard.
    pub age: Duration,
    /// Its time to live.
    pub ttl: Duration,
    /// For how much longer something of what it had on its way may be stored, if it is heard no more.
    pub straggle: Duration,
    /// Up to which number it has put the fences of others up here.
    pub seen: u64,
    /// The last number that was given before it joined: whatever entered there entered after those fences.
    pub joined: u64,
}

impl Member {
    /// Whether it may be counted as gone: it has refused to let anything in for a while.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        self.state == MemberState::Up && self.age > self.ttl * 2
    }
}

/// A fence as its owner writes it. The store looks into `body` no more than into a job's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceWrite {
    /// Its ID.
    pub id: Uuid,
    /// Whose.
    pub tag: Tag,
    /// Grows with each change: an older one that arrives late changes nothing.
    pub version: u32,
    /// Where it stands and what is asked of the others. Empty: it has fallen.
    pub body: Vec<u8>,
    /// When it may be forgotten, from now on.
    pub life: Duration,
}

/// A fence of another member, new or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceRow {
    /// Its ID.
    pub id: Uuid,
    /// Who raised it.
    pub owner: Uuid,
    /// Whose.
    pub tag: Tag,
    /// Its place in the order of all changes to fences. A reader who has seen a number has seen all smaller ones.
    pub number: u64,
    /// As its owner wrote it.
    pub body: Vec<u8>,
}

/// What a member says of another's fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Which fence.
    pub fence: Uuid,
    /// Who says it.
    pub member: Uuid,
    /// What.
    pub body: Vec<u8>,
}

/// What a member has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Fences of its own that are new or have changed.
    pub fences: Vec<FenceWrite>,
    /// Up to this number it has put up what others have raised.
    pub seen: u64,
    /// What it says of the fences of others.
    pub acks: Vec<(Uuid, Vec<u8>)>,
}

/// What a member hears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The numbers that its own fences were given, in the order in which they were told.
    pub numbers: Vec<u64>,
    /// All fences of others with a number above what it had seen, in the order of their numbers.
    pub fences: Vec<FenceRow>,
    /// What others say of its own fences that stand.
    pub acks: Vec<Ack>,
    /// All members, this one too, as long as anything of them may matter.
    pub members: Vec<Member>,
}

/// Done when there may be something new to hear. It may never be: then members look now and then.
pub type Hint = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The members of a deployment.
pub trait Members: Send + Sync + Debug {
    /// A new member, which has seen nothing yet. From its return on, others wait for what it says. One that is there already,
    /// since an answer was lost, stays as it is.
    fn join(&self, joining: Joining) -> StoreFuture<'_, ()>;

    /// Renews the lease, says and hears, all or nothing. `None`: this member was cut, or has ended; nothing was written.
    fn exchange(&self, me: Uuid, told: Told) -> StoreFuture<'_, Option<Heard>>;

    /// Counts a member as gone that has not been heard for twice its time to live. `false`: it has been heard meanwhile.
    fn cut(&self, who: Uuid) -> StoreFuture<'_, bool>;

    /// This member ends in good order: for so long something of what it had on its way may still be stored.
    fn leave(&self, me: Uuid, straggle: Duration) -> StoreFuture<'_, ()>;

    /// A hint that there is something to hear. To be asked for before an exchange, and awaited after it.
    fn hint(&self) -> Hint;
}

/// Deletes that may be sent to a service that takes so many a minute, counted over all gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// How many may be sent now: they count in the minute that has begun.
    pub granted: usize,
    /// Where that is none: in how long it is worth asking again.
    pub next: Duration,
}

/// What is different about erasures where several gates share a store. Each is worked on by one of them, its owner; what
/// [`super::Jobs::listed`] gives there are those of this gate.
pub trait SharedJobs: Send + Sync + Debug {
    /// Unfinished erasures whose owner is a member no more become this gate's. Gives their list entries, at most `limit`; fewer
    /// are all.
    fn claim(&self, limit: usize) -> StoreFuture<'_, Vec<ListedJob>>;

    /// Which of these are this gate's.
    fn owned(&self, ids: Vec<Uuid>) -> StoreFuture<'_, Vec<Uuid>>;

    /// Erasures of this gate that another has changed since this was last asked.
    fn touched(&self) -> StoreFuture<'_, Vec<Uuid>>;

    /// How many unfinished erasures each member has; `None`: those that nobody has taken up yet.
    fn shares(&self) -> StoreFuture<'_, Vec<(Option<Uuid>, u64)>>;

    /// Takes at most `wanted` slots at a service that takes so many deletes a minute.
    fn take_slots(&self, upstream: UpstreamNumber, wanted: usize, per_minute: usize) -> StoreFuture<'_, Slots>;

    /// As [`super::Jobs::listed`], of all gates.
    fn listed_of_all(&self, cursor: Option<(Tag, Uuid)>, limit: usize) -> StoreFuture<'_, Vec<ListedJob>>;
}
