//! How thorough a run is: `FORGETGATE_CAMPAIGN`, in percent; 10 unless it says otherwise.

/// That share of a full campaign's count, and at least one.
pub(crate) fn scaled(full: u64) -> u64 {
    let percent = std::env::var("FORGETGATE_CAMPAIGN").map_or(10, |percent| percent.parse().unwrap());
    (full * percent).div_ceil(100).max(1)
}
