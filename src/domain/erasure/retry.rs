//! When an attempt is made again, and what an upstream's answer means for it.
//!
//! Exponential back-off with full jitter, so that an upstream that comes back is not met by everyone at once. There is
//! no last attempt.

use super::outcome::{Fault, Outcome};

/// The longest wait between two attempts, in seconds.
pub const DELAY_MAX: u64 = 15 * 60;

/// The longest `Retry-After` that is honoured, in seconds: an upstream cannot put an erasure off for ever.
pub const RETRY_AFTER_MAX: u64 = 24 * 60 * 60;

/// The first wait after 401 or 403, in seconds: new credentials do not come within one, and some services lock callers
/// out who keep presenting wrong ones.
const BLOCKED_FIRST: u64 = 60;

/// Seconds to wait after `failures` failed attempts before this one: one of 1 to `2^failures`, at most [`DELAY_MAX`].
#[must_use]
pub(super) fn delay(failures: u32, random: u64) -> u64 {
    jittered(1, failures, random)
}

/// The same for an attempt that failed for its credentials.
#[must_use]
pub(super) fn blocked_delay(failures: u32, random: u64) -> u64 {
    jittered(BLOCKED_FIRST, failures, random)
}

/// How long somebody else's wish to wait is honoured, in seconds.
pub(super) fn bounded(after: Option<u64>) -> u64 {
    after.unwrap_or(0).min(RETRY_AFTER_MAX)
}

fn jittered(first: u64, failures: u32, random: u64) -> u64 {
    let ceiling = first.saturating_mul(1_u64.checked_shl(failures).unwrap_or(u64::MAX)).min(DELAY_MAX);
    1 + random % ceiling
}

/// What an answer that is no acceptance means. `retry_after` in seconds, as the upstream sent it.
#[must_use]
pub const fn judge(status: u16, retry_after: Option<u64>) -> Outcome {
    let fault = Fault::Status(status);
    match status {
        401 | 403 => Outcome::Blocked { fault, after: None },
        408 | 429 | 500..=599 => Outcome::Retry { fault, after: retry_after, unanswered: None },
        _ => Outcome::Refused(fault),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_status_has_exactly_the_meaning_that_the_contract_gives_it() {
        let retry = |status, after| Outcome::Retry { fault: Fault::Status(status), after, unanswered: None };
        let blocked = |status| Outcome::Blocked { fault: Fault::Status(status), after: None };
        let table = [
            (301, Outcome::Refused(Fault::Status(301))),
            (304, Outcome::Refused(Fault::Status(304))),
            (400, Outcome::Refused(Fault::Status(400))),
            (401, blocked(401)),
            (403, blocked(403)),
            (404, Outcome::Refused(Fault::Status(404))),
            (408, retry(408, Some(7))),
            (429, retry(429, Some(7))),
            (500, retry(500, Some(7))),
            (503, retry(503, Some(7))),
            (599, retry(599, Some(7))),
        ];
        for (status, meaning) in table {
            assert_eq!(judge(status, Some(7)), meaning, "{status}");
        }
    }

    #[test]
    fn the_ceiling_doubles_from_one_second_to_a_quarter_of_an_hour() {
        let ceilings: Vec<u64> = (0..12).map(|failures| (0..2000).map(|r| delay(failures, r)).max().unwrap()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    }

    proptest! {
        #[test]
        fn a_delay_is_never_nothing_and_never_beyond_its_bound(failures: u32, random: u64) {
            prop_assert!((1..=DELAY_MAX).contains(&delay(failures, random)));
            prop_assert!((1..=DELAY_MAX).contains(&blocked_delay(failures, random)));
        }
    }
}
