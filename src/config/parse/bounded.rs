//! Bounded amounts: every number, duration and size in the file has a least and a greatest value that make sense (P12).

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::file::{Table, Value};
use super::super::quantity::{DURATION_FORM, SIZE_FORM, format_duration, format_size, parse_duration, parse_size};

/// A whole number, or `default` if the key is not written.
pub(super) fn count<N>(table: &Table<'_>, key: &'static str, default: N, range: &RangeInclusive<N>) -> N
where
    N: Copy + Display + PartialOrd + TryFrom<i64>,
{
    let form = format!("a whole number from {} to {}", range.start(), range.end());
    let read = |value: &Value<'_>| {
        let number = value.number(&form)?;
        let bounded = N::try_from(number).ok().filter(|number| range.contains(number));
        if bounded.is_none() {
            value.fault("is out of bounds", &form);
        }
        bounded
    };
    table.get(key).and_then(|value| read(&value)).unwrap_or(default)
}

/// A duration, or `default` if the key is not written.
pub(super) fn duration(
    table: &Table<'_>,
    key: &'static str,
    default: Duration,
    range: &RangeInclusive<Duration>,
) -> Duration {
    table.get(key).and_then(|value| duration_of(&value, range)).unwrap_or(default)
}

/// A duration that is written.
pub(super) fn duration_of(value: &Value<'_>, range: &RangeInclusive<Duration>) -> Option<Duration> {
    let bounds = (format_duration(*range.start()), format_duration(*range.end()));
    amount(value, parse_duration, DURATION_FORM, range, &bounds)
}

/// A size in bytes, or `default` if the key is not written.
pub(super) fn size(table: &Table<'_>, key: &'static str, default: u64, range: &RangeInclusive<u64>) -> u64 {
    let value = table.get(key);
    let bounds = (format_size(*range.start()), format_size(*range.end()));
    value.and_then(|value| amount(&value, parse_size, SIZE_FORM, range, &bounds)).unwrap_or(default)
}

fn amount<T: PartialOrd>(
    value: &Value<'_>,
    parse: fn(&str) -> Option<T>,
    form: &str,
    range: &RangeInclusive<T>,
    bounds: &(String, String),
) -> Option<T> {
    let Some(amount) = parse(value.text(form)?) else {
        value.fault("has another form", form);
        return None;
    };
    if !range.contains(&amount) {
        value.fault("is out of bounds", format!("from {} to {}", bounds.0, bounds.1));
        return None;
    }
    Some(amount)
}
