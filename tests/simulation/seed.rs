//! Chance that a seed gives. Each purpose draws from a stream of its own, so that an action that is taken out of a script
//! leaves the others as they are.

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The stream of this name.
    pub(crate) fn stream(seed: u64, name: u64) -> Self {
        let mut whole = Self(seed ^ name.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Self(whole.next())
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..bound`.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// One of `from..=to`.
    pub(crate) const fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True so many times in a hundred.
    pub(crate) const fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }
}

/// How many seeds are run, and from which on: `FORGETGATE_SEED` is one, `FORGETGATE_SEEDS` is a number of them,
/// `FORGETGATE_CAMPAIGN` is the share of a full campaign in percent.
pub(crate) fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("FORGETGATE_SEED") {
        return seed..seed + 1;
    }
    let from = number("FORGETGATE_SEED_FROM").unwrap_or(0);
    let share = number("FORGETGATE_CAMPAIGN").unwrap_or(10);
    from..from + number("FORGETGATE_SEEDS").unwrap_or(FULL * share / 100).max(1)
}

/// Seeds of a full campaign.
const FULL: u64 = 100_000;
