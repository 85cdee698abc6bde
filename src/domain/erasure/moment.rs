//! Time for decisions. The wall clock may be wrong and may jump, so nothing that waits, expires or settles is decided by
//! it: that is reckoned by [`Moment`], on a clock that only runs. The wall clock is for people and for evidence.
//!
//! A moment is good within one run. What an earlier run stored is taken over as if no time had passed between its last
//! record and the start of this run: no window becomes shorter, and no wait becomes longer than it was.
//! See docs/decisions/033-moments.md.

use serde::{Deserialize, Serialize};

use crate::domain::UnixSeconds;

/// Seconds by the gate's own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(pub u64);

impl Moment {
    /// So many seconds later.
    #[must_use]
    pub const fn after(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from here to `later`; 0 if it is not later.
    #[must_use]
    pub const fn until(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0)
    }
}

/// Both clocks at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For decisions.
    pub moment: Moment,
    /// For people.
    pub wall: UnixSeconds,
}

impl Now {
    /// What the wall clock shows at that moment, if it goes on as it is.
    #[must_use]
    pub const fn on_the_wall(&self, at: Moment) -> UnixSeconds {
        UnixSeconds(self.wall.0.saturating_add(self.moment.until(at)).saturating_sub(at.until(self.moment)))
    }
}

/// One run of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// A random number: no two runs have the same.
    pub name: u64,
    /// Its first moment.
    pub begun: Moment,
    /// How long after its beginning what the run before it had sent may still be carried out, in seconds.
    pub straggle: u64,
}

/// When moments were stored, and by which run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The run's name.
    pub run: u64,
    /// When.
    pub at: Moment,
}

impl Stamp {
    /// A moment that was stored with this stamp, on the clock of `run`.
    #[must_use]
    pub const fn taken_over(&self, moment: Moment, run: &Run) -> Moment {
        if self.run == run.name {
            return moment;
        }
        Moment(run.begun.0.saturating_add(self.at.until(moment)).saturating_sub(moment.until(self.at)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn p5_whatever_the_wall_clocks_say_a_wait_is_as_long_after_a_restart_as_it_was_before(
            begun: u64, at in 0..u64::MAX / 2, wait in 0..1_000_000_u64,
        ) {
            let begun = Moment(begun / 2);
            let stamp = Stamp { run: 1, at: Moment(at) };
            let run = Run { name: 2, begun, straggle: 0 };
            prop_assert_eq!(stamp.taken_over(Moment(at + wait), &run), begun.after(wait));
            prop_assert_eq!(stamp.taken_over(Moment(at + wait), &Run { name: 1, ..run }), Moment(at + wait));
        }
    }

    #[test]
    fn what_was_past_stays_past() {
        let stamp = Stamp { run: 1, at: Moment(100) };
        let run = Run { name: 2, begun: Moment(50), straggle: 0 };
        assert_eq!(stamp.taken_over(Moment(90), &run), Moment(40));
        let now = Now { moment: Moment(50), wall: UnixSeconds(1000) };
        assert_eq!((now.on_the_wall(Moment(60)), now.on_the_wall(Moment(40))), (UnixSeconds(1010), UnixSeconds(990)));
    }
}
