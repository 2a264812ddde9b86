//! When to try again, and when to give up.
//!
//! Owns the schedule of attempts: the documented back-off, and the documented meaning of a retry
//! duration, which begins with the first failure. Pure: the time is an argument.

use std::time::Duration;

use millstream_destinations::backoff;
use tokio::time::Instant;

/// For how long attempts are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Until it succeeds.
    Forever,
    /// For so long after the first failure. Zero: no retry.
    For(Duration),
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Try again after this.
    After(Duration),
    GiveUp,
}

/// The attempts of one delivery.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    patience: Patience,
    wait_max: Duration,
    failures: u32,
    first_failure: Option<Instant>,
}

impl Schedule {
    /// No attempt made so far. No wait is longer than `wait_max`.
    pub(super) fn new(patience: Patience, wait_max: Duration) -> Self {
        Self { patience, wait_max, failures: 0, first_failure: None }
    }

    /// For how long it goes on.
    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    /// Attempts that failed.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// An attempt failed at `now`. `random` spreads the waits.
    pub(super) fn failed(&mut self, now: Instant, random: u64) -> Next {
        let first = *self.first_failure.get_or_insert(now);
        let wait = backoff::wait(self.failures, random).min(self.wait_max);
        self.failures = self.failures.saturating_add(1);
        match self.patience {
            Patience::Forever => Next::After(wait),
            Patience::For(duration) => {
                let left = (first + duration).saturating_duration_since(now);
                // The last attempt is made when the duration ends, and not skipped for a wait
                // that would outlast it.
                if left.is_zero() { Next::GiveUp } else { Next::After(wait.min(left)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WAIT_MAX: Duration = Duration::from_secs(120);

    proptest! {
        #[test]
        fn attempts_go_on_for_the_retry_duration_and_not_longer(
            seconds in 0..7_200_u64,
            attempt_ms in 0..200_000_u64,
            randoms in proptest::collection::vec(any::<u64>(), 1..20),
        ) {
            let duration = Duration::from_secs(seconds);
            let mut schedule = Schedule::new(Patience::For(duration), WAIT_MAX);
            let start = Instant::now();
            let mut now = start + Duration::from_millis(attempt_ms);
            let first_failure = now;
            let mut waits = 0_u32;
            let mut randoms = randoms.into_iter().cycle();
            loop {
                match schedule.failed(now, randoms.next().unwrap()) {
                    Next::GiveUp => break,
                    Next::After(wait) => {
                        prop_assert!(wait <= WAIT_MAX);
                        prop_assert!(now + wait <= first_failure + duration);
                        // Growth is exponential, so that an hour is not a thousand attempts.
                        prop_assert!(wait >= Duration::from_millis(850) || now + wait == first_failure + duration);
                        now += wait + Duration::from_millis(attempt_ms);
                        waits += 1;
                    }
                }
            }
            prop_assert_eq!(schedule.failures(), waits + 1);
            prop_assert!(now >= first_failure + duration);
            prop_assert!(u64::from(waits) <= 8 + seconds / 100);
        }

        #[test]
        fn forever_is_forever(failures in 1..2_000_u32) {
            let mut schedule = Schedule::new(Patience::Forever, Duration::from_secs(30));
            let mut now = Instant::now();
            for _ in 0..failures {
                let Next::After(wait) = schedule.failed(now, 7) else {
                    return Err(TestCaseError::fail("gave up"));
                };
                prop_assert!(wait <= Duration::from_secs(30));
                now += wait;
            }
        }
    }

    #[test]
    fn without_a_retry_duration_the_first_failure_is_the_last() {
        let mut schedule = Schedule::new(Patience::For(Duration::ZERO), WAIT_MAX);
        assert_eq!(schedule.failed(Instant::now(), 0), Next::GiveUp);
    }
}
