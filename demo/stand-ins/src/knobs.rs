//! What can be set on a stand-in: whom it lets in, and the ways in which it misbehaves.

use std::ops::Range;
use std::time::Duration;

use data_encoding::BASE64;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::memory::Memory;
use crate::seen::Record;

/// How a stand-in is set up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The value of `Authorization` that every call must have; `None` lets anyone in.
    pub authorization: Option<String>,
}

impl Options {
    /// Lets in whoever has this user name and password.
    #[must_use]
    pub fn basic(username: &str, password: &str) -> Self {
        let pair = BASE64.encode(format!("{username}:{password}").as_bytes());
        Self { authorization: Some(format!("Basic {pair}")) }
    }

    /// Lets in whoever has this token.
    #[must_use]
    pub fn bearer(token: &str) -> Self {
        Self { authorization: Some(format!("Bearer {token}")) }
    }
}

/// Which calls are read and then left without an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Silence {
    /// None: all are answered.
    #[default]
    Nobody,
    /// All but deletes.
    Calls,
    /// Deletes.
    Deletes,
    /// All.
    Everybody,
}

impl Silence {
    const fn covers(self, is_delete: bool) -> bool {
        match self {
            Self::Nobody => false,
            Self::Calls => !is_delete,
            Self::Deletes => is_delete,
            Self::Everybody => true,
        }
    }
}

/// An answer that is given in place of the real one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
}

/// What a stand-in's threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) memory: Mutex<Memory>,
    pub(crate) record: Mutex<Record>,
    /// Connections accepted so far.
    pub(crate) connections: Mutex<u64>,
    pub(crate) call_fault: Mutex<Option<Fault>>,
    pub(crate) delete_fault: Mutex<Option<Fault>>,
    pub(crate) delay: Mutex<Range<Duration>>,
    pub(crate) silence: watch::Sender<Silence>,
}

impl Shared {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            memory: Mutex::default(),
            record: Mutex::default(),
            connections: Mutex::default(),
            call_fault: Mutex::default(),
            delete_fault: Mutex::default(),
            delay: Mutex::new(Duration::ZERO..Duration::ZERO),
            silence: watch::Sender::default(),
        }
    }

    /// Waits as long as the delay says, and for as long as this kind of call is kept in silence.
    pub(crate) async fn linger(&self, is_delete: bool) {
        let Range { start, end } = self.delay.lock().clone();
        let spread = u64::try_from(end.saturating_sub(start).as_micros()).unwrap_or(u64::MAX);
        let delay = start + Duration::from_micros(if spread == 0 { 0 } else { fastrand::u64(0..spread) });
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut silence = self.silence.subscribe();
        // The sender lives in `self`, so this ends only when the silence does.
        let ended = silence.wait_for(|silence| !silence.covers(is_delete)).await;
        debug_assert!(ended.is_ok(), "the sender is alive");
    }

    /// The answer that takes the place of the real one, if there is one.
    pub(crate) fn fault(&self, is_delete: bool) -> Option<Fault> {
        *if is_delete { self.delete_fault.lock() } else { self.call_fault.lock() }
    }
}
