//! Durable state: which upstream holds whose data, and the erasures that were accepted.
//!
//! Two traits, [`Index`] and [`Jobs`], are one contract for several engines. A write is durable when its future is
//! done, or it has failed. A failed write may be in the store all the same (its sync may have failed, not its bytes):
//! the caller must treat it as not done and may repeat it.

pub mod seal;

mod export;
mod instances;
mod members;
mod memory;
mod open;
mod postgres;
mod queue;
mod report;
mod row;
mod seen;
mod sled;
pub mod snapshot;

use std::future::{Future, ready};
use std::pin::Pin;

use uuid::Uuid;

pub use self::export::{Export, ExportFault, ExportStep, look_through};
pub use self::members::{
    Ack, FenceRow, FenceWrite, Heard, Hint, Joining, Member, MemberState, Members, SHARED_BODY_MAX, SharedJobs, Slots,
    Told,
};
pub use self::memory::MemoryMembers;
pub use self::open::{Ending, OpenError, Opened, Together, accept, compact, open, open_old, open_or_make, restore};
#[doc(hidden)]
pub use self::open::{compact_with, open_with, restore_with};
pub use self::postgres::{
    ConnectError, Facts as ServerFacts, Kind as ServerKind, MigrateError, Migrated, Refusal, Refusals, SCHEMA_VERSION,
    Server, ServerFault, Session, migrate, schema_version,
};
#[doc(hidden)]
pub use self::sled::{Check, RewriteStep, Tuning};
pub use self::sled::{Compacted, RestoreError, Restored};
use crate::domain::erasure::NamedInstance;
use crate::domain::{Apis, CustomerId, Instance, PairKey, Tag, UnixSeconds, UpstreamNumber};

/// What the store traits return: they are used as trait objects, and a store call is never on the known path.
#[allow(clippy::module_name_repetitions, reason = "it is used far from this module, where its name says whose it is")]
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why the store did not do what it was asked. The caller sees 503 `store_unavailable`, whichever it is.
#[allow(clippy::module_name_repetitions, reason = "it is used far from this module, where its name says whose it is")]
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine failed and is being opened again.
    #[error("the store is broken and is being reopened")]
    Broken,
    /// More writes are waiting than the bound allows.
    #[error("too many writes are waiting for the store")]
    Overloaded,
    /// A row or job does not read as what it should be.
    #[error("the store holds something that cannot be read: {what}")]
    Corrupt {
        /// Which kind of entry.
        what: &'static str,
    },
    /// Somebody else has written the job since it was read; nothing was written now.
    #[error("the erasure was changed by another gate since it was read")]
    Conflict,
    /// A row or job is larger than the store takes: 6,000 bytes for a row's resource and wire label together.
    #[error("{what} is larger than the store takes")]
    TooLarge {
        /// Which kind of entry.
        what: &'static str,
    },
}

/// One fact to be made durable: data of this customer goes to this upstream, into this resource.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The row's key.
    pub key: PairKey,
    /// Needed for sealing; never stored.
    pub id: CustomerId,
    /// Which resource, such as `assistants/a1`; `""` if the profile names none.
    pub resource: Box<str>,
    /// Which of the upstream's instances; what the key's hash stands for. It joins the list of those that were seen in the
    /// same durable write.
    pub instance: Instance,
    /// The label's text on the wire where it cannot be derived again from ID and form.
    pub wire: Option<Box<str>>,
    /// Version of the API that was used.
    pub api: Option<u8>,
    /// Now.
    pub seen: UnixSeconds,
}

/// A row as it was read and opened with the customer's ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its key.
    pub key: PairKey,
    /// First time, or the first since the last erasure.
    pub first_seen: UnixSeconds,
    /// Last time the row was written by traffic.
    pub last_seen: UnixSeconds,
    /// Since when it has been marked erased; traffic clears it.
    pub erased_at: Option<UnixSeconds>,
    /// The number of the store's write by which traffic wrote the row last; a mark leaves it. Later writes have higher
    /// numbers, across restarts as well, and nothing but their order means anything. `u64::MAX` where it is not known.
    pub written: u64,
    /// Versions of the API that were used.
    pub apis: Apis,
    /// Which resource.
    pub resource: Box<str>,
    /// Which instance; `None` where that does not read, and in rows that were written before there were instances.
    pub instance: Option<Instance>,
    /// The wire label, where it cannot be derived.
    pub wire: Option<Box<str>>,
    /// `false`: only its key reads, so its resource is unknown and its times may be. An erasure goes there all the same.
    pub readable: bool,
}

/// What is in the index, in figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Rows, marked ones included.
    pub rows: u64,
    /// Rows marked erased.
    pub erased_rows: u64,
    /// Jobs that are not done.
    pub unfinished_jobs: u64,
    /// Jobs in all.
    pub jobs: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// How often writes were made durable since the start; many records share one.
    pub syncs: u64,
    /// Entries that were met since the store was opened and do not read, 1,000 at most. They are left as they are until
    /// something new is written in their place.
    pub unreadable: u64,
}

/// Which upstream holds whose data.
pub trait Index: Send + Sync + std::fmt::Debug {
    /// Makes one fact durable (shared with whoever else is waiting: group commit). Clears the row's erased mark.
    fn record(&self, placement: Placement) -> StoreFuture<'_, ()>;

    /// All rows of a customer, under any of these tags (one for each live key epoch), read through the writer: what was
    /// recorded before this call is seen. Opened with `id`.
    fn rows<'a>(&'a self, tags: &'a [Tag], id: &'a CustomerId) -> StoreFuture<'a, Vec<Row>>;

    /// Removes rows that were marked erased before `before` and not cleared since; gives how many went.
    fn sweep(&self, before: UnixSeconds) -> StoreFuture<'_, u64>;

    /// The number of the upstream of this name, given now if it is new. `identity` is its address, kept beside the name.
    fn upstream_number<'a>(&'a self, name: &'a str, identity: &'a str) -> StoreFuture<'a, UpstreamNumber>;

    /// From now on these are the instances of an upstream that have a name, besides whatever rows say.
    fn name_instances(&self, upstream: UpstreamNumber, named: Vec<NamedInstance>) -> StoreFuture<'_, ()>;

    /// All upstreams that ever had a number: number, name, identity, and whether any row points to it.
    fn upstreams(&self) -> StoreFuture<'_, Vec<KnownUpstream>>;

    /// The instances of all upstreams that were ever recorded with a row.
    fn instances(&self) -> StoreFuture<'_, Vec<SeenInstance>>;

    /// The service has answered a request there as one that it takes. The write is on its way when this returns.
    fn answered(&self, upstream: UpstreamNumber, instance: &Instance, seen: UnixSeconds) -> StoreFuture<'static, ()>;

    /// Figures for people and metrics.
    fn figures(&self) -> StoreFuture<'_, Figures>;

    /// A piece of an export and what comes after it; [`Export`] asks. An engine without files has none.
    fn export(&self, step: ExportStep) -> StoreFuture<'_, (Vec<u8>, Option<ExportStep>)> {
        drop(step);
        Box::pin(ready(Err(StoreError::Corrupt { what: "nothing that could be exported" })))
    }

    /// Whether it can be written at this moment. For readiness; costs no I/O.
    fn is_writable(&self) -> bool;

    /// Whether there is hope that it will be. `false` once it has been in trouble for so long that only a new start may
    /// help.
    fn is_alive(&self) -> bool {
        true
    }
}

/// An upstream that the store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownUpstream {
    /// Its number.
    pub number: UpstreamNumber,
    /// Its name.
    pub name: String,
    /// Its address when it was last registered.
    pub identity: String,
    /// Whether a row points to it.
    pub has_rows: bool,
    /// Its instances that had a name when it was last in use, with fingerprints of their keys.
    pub named: Vec<NamedInstance>,
}

/// Instances of one upstream that are remembered beside its rows: so many where the service has taken something, and so many
/// others, which anybody can make up. What comes after them is not, and whoever looks for them sees that a list is full.
pub const INSTANCES_MAX: usize = 1024;

/// An instance of an upstream that was seen in traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenInstance {
    /// Of which upstream.
    pub upstream: UpstreamNumber,
    /// What it is; `None` where the entry does not read.
    pub instance: Option<Instance>,
    /// Whether the service has ever taken something there. Also where that was not noted, or does not read.
    pub answered: bool,
    /// When it was seen for the first time.
    pub first_seen: UnixSeconds,
    /// And lately; to the day.
    pub last_seen: UnixSeconds,
}

/// Bytes of a [`StoredJob::summary`] at most.
pub const SUMMARY_BYTES_MAX: usize = 128;

/// Bytes of a [`StoredHold::body`] at most.
pub const HOLD_BODY_MAX: usize = row::BYTES_MAX - 20;

/// A job as the store keeps it: the store looks into neither `summary` nor `body`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredJob {
    /// UUIDv7 or the caller's idempotency key.
    pub id: Uuid,
    /// Whose data; finds a running job of the same customer.
    pub tag: Tag,
    /// Whether something is left to do. Finished jobs are found by their IDs, never listed as unfinished.
    pub finished: bool,
    /// When it was received.
    pub received: UnixSeconds,
    /// The job that it belongs to and is removed with, if it is only another name of that one.
    pub of: Option<Uuid>,
    /// The number of the write that made it, in the order of [`Row::written`]; 0 where it is not known. The store sets it
    /// when the job is new and keeps it: what callers say here does not matter.
    pub accepted: u64,
    /// Which write of it this is, from 1 on; the store counts. In a commit it says which one was read: if the store holds
    /// another by then, the commit is refused ([`StoreError::Conflict`]). 0: whatever is there is written over.
    pub version: u64,
    /// What must be known of an unfinished job without reading it: kept in its list entry, in the clear, so no ID and
    /// nothing that people wrote. At most [`SUMMARY_BYTES_MAX`].
    pub summary: Vec<u8>,
    /// The rest, serialised by the erasure module; the ID in it is sealed under the job key.
    pub body: Vec<u8>,
}

/// An unfinished job's list entry, read without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedJob {
    /// Its ID.
    pub id: Uuid,
    /// Whose data.
    pub tag: Tag,
    /// As it was last committed.
    pub summary: Vec<u8>,
}

/// One durable step of an erasure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobWrite {
    /// The job's new state.
    pub job: StoredJob,
    /// Rows that are marked erased in the same durable write.
    pub erased: Vec<PairKey>,
    /// When.
    pub at: UnixSeconds,
    /// A new entry that is made in the same durable write: another name of this job.
    pub also: Option<StoredJob>,
}

/// How a step is to be written where other gates use the store, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// It may be another gate's job: what a person has decided counts wherever that was said.
    pub anyones: bool,
    /// Rows with a higher number than this have been written again since they were read, and are not marked.
    pub up_to: u64,
}

/// A legal hold as the store keeps it: the store does not look inside `body`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredHold {
    /// Its ID.
    pub id: Uuid,
    /// Whose data.
    pub tag: Tag,
    /// At one upstream only; `None`: everywhere.
    pub upstream: Option<UpstreamNumber>,
    /// The rest, sealed under the job key.
    pub body: Vec<u8>,
}

/// The erasures.
pub trait Jobs: Send + Sync + std::fmt::Debug {
    /// Writes a job that is new, durable when done. `false`: its ID is taken, by whomever; then nothing is written. Of
    /// any number at once with one ID, one is written.
    fn create(&self, job: StoredJob) -> StoreFuture<'_, bool>;

    /// Writes a job's state, its marks and the entry that is made with it, all or nothing, durable when done. `false`: that
    /// entry's ID is taken; then nothing is written. [`StoreError::Conflict`]: the job is not as it was read.
    fn commit(&self, write: JobWrite) -> StoreFuture<'_, bool>;

    /// The same where other gates use the store, too: [`StoreError::Conflict`] also where the job is another gate's by now. One
    /// that nobody shares has nothing to look at.
    fn commit_shared(&self, write: JobWrite, how: Sharing) -> StoreFuture<'_, bool> {
        let _alone = how;
        self.commit(write)
    }

    /// One job.
    fn job(&self, id: Uuid) -> StoreFuture<'_, Option<StoredJob>>;

    /// Jobs in the order of their IDs, from the first after `cursor`, at most `limit`, as far as they read.
    fn jobs(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredJob>>;

    /// List entries of jobs that are not finished, in the order of tags and IDs, from the first after `cursor`, at most
    /// `limit`; fewer are the last. No body is read, so that very many cost little.
    fn listed(&self, cursor: Option<(Tag, Uuid)>, limit: usize) -> StoreFuture<'_, Vec<ListedJob>>;

    /// The unfinished jobs of a customer, under any of these tags, in the order of their IDs, as far as they read.
    fn unfinished_of<'a>(&'a self, tags: &'a [Tag]) -> StoreFuture<'a, Vec<StoredJob>>;

    /// Removes finished jobs whose last commit was before `before`, with all that belongs to them; gives how many went.
    fn purge(&self, before: UnixSeconds) -> StoreFuture<'_, u64>;

    /// Notes that it is this time, unless a later one is noted; durable when done. Gives what was noted before; where nothing
    /// was, when the last of the finished jobs that are there was committed.
    fn keep_time(&self, at: Option<UnixSeconds>) -> StoreFuture<'_, Option<UnixSeconds>>;

    /// Writes a legal hold, or writes it anew; durable when done.
    fn hold(&self, hold: StoredHold) -> StoreFuture<'_, ()>;

    /// Removes a legal hold; durable when done. `false`: there is none of this ID.
    fn unhold(&self, id: Uuid) -> StoreFuture<'_, bool>;

    /// Legal holds in the order of their IDs, from the first after `cursor`, at most `limit`; fewer are the last.
    fn holds(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredHold>>;
}
