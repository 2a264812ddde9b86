//! How long things took: counts by duration, exact to 1.6 %, whatever the range.
//!
//! Log-linear: each power of two of nanoseconds is cut into 64 equal parts, so recording is two
//! shifts and an increment, and two histograms add up.

use std::time::Duration;

const PART_BITS: u32 = 6;
const PARTS: u64 = 1 << PART_BITS;
const BUCKETS: usize = ((64 - PART_BITS as usize) + 1) << PART_BITS;

/// Durations, counted.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    sum_ns: u128,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, sum_ns: 0, max_ns: 0 }
    }
}

impl Histogram {
    /// Counts one duration.
    pub(crate) fn record(&mut self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(ns)] += 1;
        self.count += 1;
        self.sum_ns += u128::from(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds all that `other` counted.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How many were counted.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The duration that `per_mille` of a thousand did not exceed; zero where nothing was counted.
    pub(crate) fn quantile(&self, per_mille: u32) -> Duration {
        let rank = (u128::from(self.count) * u128::from(per_mille)).div_ceil(1000).max(1);
        let mut seen = 0_u128;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u128::from(*count);
            if seen >= rank {
                return Duration::from_nanos(upper_ns(index).min(self.max_ns));
            }
        }
        Duration::ZERO
    }

    /// The longest.
    pub(crate) fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    /// The mean; zero where nothing was counted.
    pub(crate) fn mean(&self) -> Duration {
        let mean = self.sum_ns.checked_div(u128::from(self.count)).unwrap_or(0);
        Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
    }
}

fn bucket(ns: u64) -> usize {
    if ns < PARTS {
        return usize::try_from(ns).expect("below 64");
    }
    let shift = ns.ilog2() - PART_BITS;
    let index = (u64::from(shift) << PART_BITS) + (ns >> shift);
    usize::try_from(index).expect("at most 3,776 buckets")
}

/// The largest value that falls into the bucket at `index`.
fn upper_ns(index: usize) -> u64 {
    let index = index as u64;
    if index < 2 * PARTS {
        return index;
    }
    let shift = (index >> PART_BITS) - 1;
    let part = (index & (PARTS - 1)) + PARTS;
    ((part << shift) - 1).saturating_add(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_a_bucket_no_wider_than_a_64th() {
        let mut values: Vec<u64> = (0..200).collect();
        values.extend((7..64).flat_map(|bit| [1 << bit, (1 << bit) - 1, (1 << bit) + 1]));
        values.push(u64::MAX);
        for value in values {
            let upper = upper_ns(bucket(value));
            assert!(upper >= value, "{value} in a bucket up to {upper}");
            assert!(upper - value <= value / 64, "{value} in a bucket up to {upper}");
        }
    }

    #[test]
    fn quantiles_of_a_thousand_are_the_ranks() {
        let mut histogram = Histogram::default();
        for ms in 1..=1000 {
            histogram.record(Duration::from_millis(ms));
        }
        for (per_mille, ms) in [(500, 500_u64), (990, 990), (999, 999), (1000, 1000)] {
            let found = histogram.quantile(per_mille).as_secs_f64() * 1000.0;
            let wanted = f64::from(u32::try_from(ms).unwrap());
            assert!(found >= wanted && found <= wanted * 1.016, "{per_mille}: {found}");
        }
        assert_eq!(histogram.max(), Duration::from_secs(1));
        assert_eq!(histogram.mean(), Duration::from_micros(500_500));
    }

    #[test]
    fn sums_are_as_if_counted_together() {
        let (mut one, mut two, mut both) = <(Histogram, Histogram, Histogram)>::default();
        for us in 0..1000 {
            let half = if us % 2 == 0 { &mut one } else { &mut two };
            half.record(Duration::from_micros(us));
            both.record(Duration::from_micros(us));
        }
        one.add(&two);
        assert_eq!(one.quantile(999), both.quantile(999));
        assert_eq!(one.count(), 1000);
        assert_eq!(Histogram::default().quantile(500), Duration::ZERO);
    }
}
