//! The documented schedule of attempts.
//!
//! Source: the Firehose guide, "HTTP endpoint delivery request and response specifications",
//! which prints MAX(120 s, ...) where its text says that 120 s is the cap: the text is followed.

use std::time::Duration;

/// The wait before the first retry (documented).
const FIRST: Duration = Duration::from_secs(1);
/// No wait is longer, jitter aside (documented).
const LONGEST: Duration = Duration::from_secs(120);
/// How far a wait may be from its middle, in parts of a thousand (documented: 15 %).
const JITTER_PER_MILLE: u64 = 150;

/// How long to wait before retry number `retry`, counted from 0: one second, doubled each
/// time, at most two minutes, and of that 85 to 115 percent as `random` falls.
pub fn wait(retry: u32, random: u64) -> Duration {
    let doubled = 1_u32.checked_shl(retry).filter(|factor| *factor != 0);
    let middle = doubled.map_or(LONGEST, |factor| FIRST.saturating_mul(factor).min(LONGEST));
    let middle_us = u64::try_from(middle.as_micros()).expect("two minutes fit");
    let per_mille = 1_000 - JITTER_PER_MILLE + random % (2 * JITTER_PER_MILLE + 1);
    Duration::from_micros(middle_us * per_mille / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_one_second_to_two_minutes() {
        let middle = 150;
        for (retry, seconds) in [(0, 1), (1, 2), (2, 4), (6, 64), (7, 120), (8, 120), (31, 120)] {
            assert_eq!(wait(retry, middle), Duration::from_secs(seconds), "{retry}");
        }
        assert_eq!(wait(u32::MAX, middle), Duration::from_secs(120));
    }

    #[test]
    fn jitter_stays_within_fifteen_percent_and_reaches_both_ends() {
        assert_eq!(wait(0, 0), Duration::from_millis(850));
        assert_eq!(wait(0, 300), Duration::from_millis(1_150));
        assert_eq!(wait(9, 300), Duration::from_secs(138));
        for random in [1, 299, 12_345, u64::MAX] {
            let waited = wait(3, random);
            assert!(
                waited >= Duration::from_millis(6_800) && waited <= Duration::from_millis(9_200)
            );
        }
    }
}
