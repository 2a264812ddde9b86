//! How often operations may be called, where `limits = "aws"`.
//!
//! Owns a window of one second for each operation of each account. A call beyond is refused; what
//! is refused does not count. Puts have quotas of their own, which are `throttle`'s.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use millstream_core::{AccountId, limits};
use tokio::time::Instant;

/// What the quota does not hold for.
const PUTS: [&str; 2] = ["firehose:PutRecord", "firehose:PutRecordBatch"];
/// Windows at which those that are over are dropped.
const WINDOWS_MANY: usize = 1_000;
const WINDOW: Duration = Duration::from_secs(1);

/// The calls of one operation of one account in the present second.
#[derive(Clone, Copy, Debug)]
struct Window {
    start: Instant,
    calls: u32,
}

/// All windows, by operation and account.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<BTreeMap<(&'static str, AccountId), Window>>);

impl Rates {
    /// Whether `account` may do `action` (`firehose:ListDeliveryStreams`) now; if so it is counted.
    pub(crate) fn admits(&self, action: &'static str, account: &AccountId) -> bool {
        if PUTS.contains(&action) {
            return true;
        }
        let now = Instant::now();
        let is_over = |window: &Window| now.duration_since(window.start) >= WINDOW;
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= WINDOWS_MANY {
            windows.retain(|_, window| !is_over(window));
        }
        let fresh = Window { start: now, calls: 0 };
        let window = windows.entry((action, account.clone())).or_insert(fresh);
        if is_over(window) {
            *window = fresh;
        }
        let admits = window.calls < limits::FIREHOSE_CALLS_PER_SECOND;
        window.calls += u32::from(admits);
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(digit: char) -> AccountId {
        digit.to_string().repeat(12).parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn each_operation_of_each_account_has_five_calls_a_second() {
        let rates = Rates::default();
        let calls = |action: &'static str, digit, count: u32| {
            (0..count).filter(|_| rates.admits(action, &account(digit))).count()
        };
        assert_eq!(calls("firehose:ListDeliveryStreams", '1', 9), 5);
        assert_eq!(calls("firehose:ListDeliveryStreams", '2', 9), 5);
        assert_eq!(calls("firehose:UpdateDestination", '1', 9), 5);
        assert_eq!(calls("firehose:PutRecordBatch", '1', 5_000), 5_000);
        tokio::time::advance(WINDOW).await;
        assert_eq!(calls("firehose:ListDeliveryStreams", '1', 9), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn windows_that_are_over_are_dropped() {
        let rates = Rates::default();
        for number in 0..3_000_u64 {
            let account = format!("{number:012}").parse().unwrap();
            assert!(rates.admits("firehose:ListDeliveryStreams", &account));
            tokio::time::advance(Duration::from_millis(2)).await;
        }
        assert!(rates.0.lock().unwrap().len() <= WINDOWS_MANY + 1);
    }
}
