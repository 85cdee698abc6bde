//! Durations and sizes as config.toml writes them: a whole number and its unit, "250ms", "10s", "64KiB".
//!
//! One unit each: "1h30m" is "90m", so that two spellings of a bound can be compared at a glance.

use std::time::Duration;

const DURATIONS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// How a duration is written, for the sentence that says what would be right.
pub(crate) const DURATION_FORM: &str = "a whole number and ms, s, m, h or d, such as \"10s\"";
/// How a size is written.
pub(crate) const SIZE_FORM: &str = "a whole number and B, KiB, MiB or GiB, such as \"64KiB\"";

/// Reads a duration. `None` if the text has another form or is too large to count in milliseconds.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &DURATIONS).map(Duration::from_millis)
}

/// Writes a duration in its largest whole unit: what [`parse_duration`] reads back, to the millisecond.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    format(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &DURATIONS)
}

/// Reads a size in bytes. `None` if the text has another form or the number is too large.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

/// Writes a size in its largest whole unit: what [`parse_size`] reads back.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    format(bytes, &SIZES)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

fn format(value: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .find(|(_, scale)| value.is_multiple_of(*scale) && value != 0)
        .or(units.last())
        .map_or_else(String::new, |(name, scale)| format!("{}{name}", value / scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_one_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("600s", 600_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("30d", 2_592_000_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "1h30m",
            "-1s",
            "+1s",
            "1.5s",
            "10 s",
            "10S",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_a_number_and_one_binary_unit() {
        for (text, bytes) in [("512B", 512), ("64KiB", 65_536), ("1MiB", 1 << 20), ("2GiB", 2 << 30)] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["64", "64KB", "64kib", "1.5MiB", "MiB", "99999999999GiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for millis in [0, 1, 999, 1_000, 61_000, 600_000, 86_400_000, 90_000_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
        }
        for bytes in [0, 1, 1_024, 65_536, 65_537, 1 << 40] {
            assert_eq!(parse_size(&format_size(bytes)), Some(bytes));
        }
        assert_eq!(format_duration(Duration::from_secs(600)), "10m");
    }
}
