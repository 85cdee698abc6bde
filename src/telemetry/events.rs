//! Everything that is worth a log line, as a table: what happened, how loud it is, and what is known about it.
//!
//! The fields are numbers, names from the configuration, words from closed sets and erasures' own UUIDs. An error is
//! given by the words of its chain, which name places and kinds and never quote a request (P7).

use tracing::field::{DisplayValue, Value, display};
use uuid::Uuid;

use super::failure_kind::FailureKind;

/// Makes a struct of each row, and one log line of its fields.
macro_rules! events {
    ($(
        $(#[$doc:meta])*
        $name:ident $(<$life:lifetime>)? $level:ident $message:literal {
            $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)?
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name $(<$life>)? {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $(<$life>)? $name $(<$life>)? {
            /// Writes the line.
            pub fn emit(&self) {
                tracing::$level!(target: "forgetgate", $($field = Shown::shown(&self.$field),)* $message);
            }
        }
    )*};
}

events! {
    /// The configuration is read and the gate is being built.
    Started<'a> info "started" {
        /// Of the gate.
        version: &'a str,
        /// Threads that serve.
        workers: u64,
        /// Services behind it.
        upstreams: u64,
    }
    /// A client did not take the gate for the host that it meant. Said once a minute, host and listener; the metric counts all.
    NotOpened<'a> warn "a client broke off TLS that was to be opened: does it trust the listener's ca?" {
        /// Which, of those that upstreams name.
        host: &'a str,
        /// What the client said of it, or the system.
        reason: &'a str,
    }
    /// A transparent listener was called itself. Said once a minute and listener; the metric counts those of which nothing is known.
    NotRedirected<'a> warn "a connection came straight to a transparent listener: are the rules that redirect in force?" {
        /// Where, as the configuration writes it.
        listener: &'a str,
    }
    /// A listener is open.
    Listening<'a> info "listening" {
        /// `gate` or `admin`.
        what: &'a str,
        /// Where.
        address: &'a str,
    }
    /// Everything that readiness waits for is there.
    Ready info "ready" {}
    /// A configuration was read again and is in force.
    ConfigApplied<'a> info "configuration reloaded" {
        /// How many keys have changed.
        changed: u64,
        /// Which, as far as they fit.
        keys: &'a str,
    }
    /// A configuration was refused; the one before it stays in force.
    ConfigRefused<'a> error "configuration refused" {
        /// How many faults.
        faults: u64,
        /// The first of them.
        first: &'a str,
    }
    /// Something that works but is seldom meant, such as a store that forgets.
    Warned<'a> warn "warning" {
        /// In words.
        what: &'a str,
    }
    /// An upstream answers again, after it had failed.
    UpstreamRecovered<'a> info "upstream recovered" {
        /// Its name.
        upstream: &'a str,
    }
    /// An upstream failed.
    UpstreamFailed<'a> warn "upstream failed" {
        /// Its name.
        upstream: &'a str,
        /// How.
        kind: FailureKind,
        /// The error's chain.
        error: &'a str,
    }
    /// The store cannot be written: labelled requests are refused from now on.
    StoreBroken<'a> error "the store cannot be written" {
        /// The error's chain.
        error: &'a str,
    }
    /// The store can be written again.
    StoreRecovered info "the store can be written again" {
        /// How long it could not, in seconds.
        after_s: u64,
    }
    /// An entry of the store does not read. Said for the first one of each table since the store was opened.
    StoreUnreadable<'a> error "an entry of the store cannot be read and is left as it is: see `forgetgate index restore`" {
        /// In which table.
        table: &'a str,
    }
    /// An export was taken by `store.snapshot`.
    SnapshotTaken<'a> info "snapshot taken" {
        /// Its file.
        path: &'a str,
    }
    /// None could be taken; it is tried again.
    SnapshotFailed<'a> error "no snapshot of the store could be taken; it is tried again" {
        /// The error's chain.
        error: &'a str,
        /// In so many seconds.
        again_s: u64,
    }
    /// The store's key was made. Losing it is losing the ability to erase.
    KeyMade<'a> warn "a new store key was made: keep a backup, without it nothing can be erased" {
        /// Its file.
        path: &'a str,
    }
    /// An erasure is durable.
    ErasureAccepted info "erasure accepted" {
        /// Its ID.
        erasure: Uuid,
        /// Whether it waits for approval.
        awaiting_approval: bool,
    }
    /// An attempt at a target has ended.
    ErasureTarget<'a> info "erasure target" {
        /// The erasure's ID.
        erasure: Uuid,
        /// The upstream's name.
        upstream: &'a str,
        /// The target's state.
        state: &'a str,
        /// Deletes sent.
        attempts: u64,
        /// The upstream's status, 0 if there was none.
        status: u64,
    }
    /// A person has to do something about a target.
    ErasureNeedsAction<'a> warn "an erasure needs a person" {
        /// The erasure's ID.
        erasure: Uuid,
        /// The upstream's name.
        upstream: &'a str,
        /// The target's state.
        state: &'a str,
    }
    /// An erasure is beyond its due date.
    ErasureLate error "an erasure is late" {
        /// Its ID.
        erasure: Uuid,
    }
    /// A named person decided something about an erasure.
    ErasureDecided<'a> info "erasure decided" {
        /// Its ID.
        erasure: Uuid,
        /// What.
        verdict: &'a str,
    }
    /// An erasure is over.
    ErasureDone info "erasure done" {
        /// Its ID.
        erasure: Uuid,
    }
    /// The worker of erasures could not do a step; it tries again.
    ErasureStepFailed<'a> error "an erasure's step failed" {
        /// Its ID.
        erasure: Uuid,
        /// The error's chain.
        error: &'a str,
    }
    /// The admin API refused a call for its token or its origin. At most one line a second.
    AdminRefused<'a> warn "admin call refused" {
        /// The route's template, or `-`.
        call: &'a str,
        /// Why.
        reason: &'a str,
        /// How many others were refused since the last line.
        others: u64,
    }
    /// Access lines were lost to a full queue.
    AccessLinesDropped warn "access lines dropped" {
        /// How many.
        lines: u64,
    }
    /// Other lines were lost because nobody read the log.
    LogLinesDropped warn "log lines dropped" {
        /// How many.
        lines: u64,
    }
    /// A listener could not accept; it goes on.
    AcceptFailed<'a> warn "could not accept a connection" {
        /// Where.
        address: &'a str,
        /// The error's chain.
        error: &'a str,
    }
    /// A caller's TLS handshake failed: anyone can make it fail, as often as they like.
    HandshakeFailed<'a> debug "TLS handshake failed" {
        /// How.
        reason: &'a str,
    }
    /// Certificates have changed, and what is begun from now on sees the new ones.
    CertificatesRenewed<'a> info "certificates renewed" {
        /// Whose: a listener, an upstream, the admin API.
        place: &'a str,
    }
    /// Certificates have changed and cannot be used: those from before stay. Said once for each change.
    CertificatesRefused<'a> warn "certificates could not be renewed, those from before stay in force" {
        /// Whose.
        place: &'a str,
        /// The error's chain, which names the file.
        error: &'a str,
    }
    /// The keys that an issuer's tokens are verified with were fetched: the first, others than before, or after failures.
    TokenKeysFetched<'a> info "token keys fetched" {
        /// From where.
        jwks: &'a str,
        /// How many there are.
        keys: u64,
    }
    /// They could not be fetched; it is tried again. Said once for each reason.
    TokenKeysFailed<'a> warn "token keys could not be fetched: those that are known stay in use for two days, without any \
                              tokens get 503" {
        /// From where.
        jwks: &'a str,
        /// The error's chain.
        error: &'a str,
    }
    /// They could not be fetched for so long that those that were known are not believed any more.
    TokenKeysTooOld<'a> error "token keys are too old: tokens get 503 until they can be fetched" {
        /// From where.
        jwks: &'a str,
    }
    /// A task panicked. The gate goes on.
    TaskPanicked<'a> error "a task panicked" {
        /// Which.
        task: &'a str,
    }
    /// A thread panicked. Its message is not written: a library's may hold a customer's ID.
    Panicked<'a> error "a thread panicked" {
        /// The source file and the line.
        place: &'a str,
        /// The thread's name, or `-`.
        thread: &'a str,
    }
    /// The gate takes nothing new and waits for what is under way.
    Draining info "draining" {
        /// Requests in flight.
        in_flight: u64,
    }
    /// The end.
    Drained info "drained" {
        /// Whether everything ended by itself, before the hard end.
        graceful: bool,
    }
}

/// How a field stands in a line: numbers as numbers, so that machines can add them up.
trait Shown {
    type As<'s>: Value
    where
        Self: 's;

    fn shown(&self) -> Self::As<'_>;
}

impl Shown for u64 {
    type As<'s> = Self;

    fn shown(&self) -> Self {
        *self
    }
}

impl Shown for bool {
    type As<'s> = Self;

    fn shown(&self) -> Self {
        *self
    }
}

impl Shown for &str {
    type As<'s>
        = &'s str
    where
        Self: 's;

    fn shown(&self) -> &str {
        self
    }
}

impl Shown for FailureKind {
    type As<'s> = &'static str;

    fn shown(&self) -> &'static str {
        self.as_str()
    }
}

impl Shown for Uuid {
    type As<'s> = DisplayValue<Self>;

    fn shown(&self) -> DisplayValue<Self> {
        display(*self)
    }
}
