//! Refused callers in the log: anyone who reaches the port can be refused as often as they like, so there is one line a
//! second at most, and it says how many were refused besides.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::problem::Problem;
use crate::telemetry::events;

/// From one line to the next.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// A caller who may not call.
#[derive(Debug)]
pub(super) struct Refused {
    /// For the caller.
    pub(super) problem: Problem,
    /// For the log.
    pub(super) reason: Box<str>,
}

/// Those of one listener.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last_line: Option<Instant>,
    /// Refused since then.
    unsaid: u64,
}

impl Refusals {
    /// Says that a call of this route was refused, now or with the next line. Gives the answer.
    pub(super) fn told(&self, call: &str, refused: Refused) -> Problem {
        if let Some(others) = self.line(Instant::now()) {
            events::AdminRefused { call, reason: &refused.reason, others }.emit();
        }
        refused.problem
    }

    /// If a line is due, how many others it has to speak for.
    fn line(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        if state.last_line.is_some_and(|at| now < at + LINE_EVERY) {
            state.unsaid += 1;
            return None;
        }
        state.last_line = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p12_there_is_one_line_a_second_and_it_counts_the_others() {
        let (refusals, begin) = (Refusals::default(), Instant::now());
        let lines = |from: u64, to: u64| -> Vec<u64> {
            (from..to).filter_map(|millis| refusals.line(begin + Duration::from_millis(millis))).collect()
        };
        assert_eq!(lines(0, 3000), [0, 999, 999]);
        assert_eq!(lines(10_000, 10_001), [999], "those of the last second");
    }
}
