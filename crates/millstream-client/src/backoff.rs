//! How long to wait before trying again.
//!
//! Exponential with full jitter, longer after throttling. Source: the standard retry mode of the
//! AWS SDKs (documented), with a lower ceiling, since a person is waiting.

use std::time::Duration;

use millstream_core::Rand;

const FIRST: Duration = Duration::from_millis(25);
const FIRST_THROTTLED: Duration = Duration::from_millis(200);
const CEILING: Duration = Duration::from_secs(5);

/// The wait after the failed attempt number `attempt`, counted from 1.
pub(crate) fn wait(attempt: u32, is_throttling: bool, rand: &dyn Rand) -> Duration {
    let first = if is_throttling { FIRST_THROTTLED } else { FIRST };
    let longest = first.saturating_mul(1 << attempt.min(16)).min(CEILING);
    // 16 bits of chance are plenty to keep clients apart.
    let chance = u32::try_from(rand.next_u64() >> 48).unwrap_or(u32::MAX);
    longest * chance / (1 << 16)
}

#[cfg(test)]
mod tests {
    use millstream_core::SeededRand;

    use super::*;

    #[test]
    fn waits_grow_and_stay_below_the_ceiling() {
        let rand = SeededRand::new(1);
        let mean = |attempt| (0..100).map(|_| wait(attempt, true, &rand)).sum::<Duration>() / 100;
        assert!(mean(1) < mean(3));
        assert!((0..1000).all(|_| wait(30, true, &rand) <= CEILING));
    }
}
