//! The two clocks of a run: time that passes, by tokio's paused clock from one life of the process to the next, and the
//! wall clock, which may be set to anything at any moment.

use std::time::Duration;

use forgetgate::domain::UnixSeconds;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::script::Millis;

const BEGIN: i64 = 1_800_000_000;

#[derive(Debug)]
struct State {
    /// What had passed when the present life began.
    before: Millis,
    /// `None` between two lives.
    began: Option<Instant>,
    offset: i64,
}

#[derive(Debug)]
pub(crate) struct Clock(Mutex<State>);

impl Clock {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(State { before: 0, began: None, offset: 0 }))
    }

    /// Milliseconds since the run began.
    pub(crate) fn now(&self) -> Millis {
        let state = self.0.lock();
        state.before + state.began.map_or(0, |began| u64::try_from(began.elapsed().as_millis()).unwrap())
    }

    /// When tokio's clock will show this moment.
    pub(crate) fn at(&self, moment: Millis) -> Instant {
        Instant::now() + Duration::from_millis(moment.saturating_sub(self.now()))
    }

    /// What the wall clock shows.
    pub(crate) fn wall(&self) -> UnixSeconds {
        let now = i64::try_from(self.now() / 1000).unwrap();
        let offset = self.0.lock().offset;
        UnixSeconds(u64::try_from(BEGIN + now + offset).unwrap())
    }

    /// The right time.
    pub(crate) fn service(&self) -> u64 {
        u64::try_from(BEGIN).unwrap() + self.now() / 1000
    }

    /// How many seconds the wall clock is behind.
    pub(crate) fn behind(&self) -> u64 {
        u64::try_from(-self.0.lock().offset).unwrap_or(0)
    }

    pub(crate) fn set_by(&self, seconds: i64) {
        self.0.lock().offset += seconds;
    }

    pub(crate) fn life_begins(&self) {
        self.0.lock().began = Some(Instant::now());
    }

    /// The life is over; the next begins `down` later.
    pub(crate) fn life_ends(&self, down: Millis) {
        let mut state = self.0.lock();
        let lived = state.began.take().map_or(0, |began| u64::try_from(began.elapsed().as_millis()).unwrap());
        state.before += lived + down;
    }
}
