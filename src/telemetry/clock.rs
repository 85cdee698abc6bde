//! The clock on the wall. Everything else gets its time as an argument or from tokio.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use crate::domain::UnixSeconds;

/// Now. A clock set before 1970 reads as 1970.
#[must_use]
pub fn unix_now() -> UnixSeconds {
    UnixSeconds(since_1970().as_secs())
}

/// Now, with the parts of a second.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
pub(super) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// As RFC 3339 writes it, in UTC: `2018-05-25T00:00:00Z`. Times beyond the year 9999 read as its end.
#[must_use]
pub fn rfc3339(time: UnixSeconds) -> String {
    let timestamp = i64::try_from(time.0).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    timestamp.unwrap_or(Timestamp::MAX).to_string()
}

/// Reads what RFC 3339 writes, with any offset; fractions of a second are cut off. `None` before 1970 and for all else.
#[must_use]
pub fn from_rfc3339(text: &str) -> Option<UnixSeconds> {
    let timestamp: Timestamp = text.parse().ok()?;
    u64::try_from(timestamp.as_second()).ok().map(UnixSeconds)
}

#[cfg(test)]
mod tests {
    use super::{from_rfc3339, rfc3339};
    use crate::domain::UnixSeconds;

    #[test]
    fn times_are_written_in_utc_and_read_with_any_offset() {
        let day = UnixSeconds(1_527_206_400);
        assert_eq!(rfc3339(day), "2018-05-25T00:00:00Z");
        assert_eq!(from_rfc3339("2018-05-25T00:00:00Z"), Some(day));
        assert_eq!(from_rfc3339("2018-05-25T02:00:00.75+02:00"), Some(day));
    }

    #[test]
    fn what_is_no_time_is_not_read_and_what_is_beyond_all_years_is_written_all_the_same() {
        assert_eq!(from_rfc3339("2018-05-25"), None);
        assert_eq!(from_rfc3339("1969-12-31T23:59:59Z"), None);
        assert!(rfc3339(UnixSeconds(u64::MAX)).starts_with("9999-12-"));
    }
}
