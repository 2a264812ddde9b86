//! How often operations may be called, where `limits = "aws"`.
//!
//! Owns what counts together: the calls of one operation by one account. Puts have quotas of their
//! own, which are `throttle`'s.

use millstream_core::{AccountId, CallWindows, limits};
use tokio::time::Instant;

/// What the quota does not hold for.
const PUTS: [&str; 2] = ["firehose:PutRecord", "firehose:PutRecordBatch"];

/// The calls of the present second, by operation and account.
#[derive(Debug, Default)]
pub(crate) struct Rates(CallWindows<(&'static str, AccountId)>);

impl Rates {
    /// Whether `account` may do `action` (`firehose:ListDeliveryStreams`) now; if so it is counted.
    pub(crate) fn admits(&self, action: &'static str, account: &AccountId) -> bool {
        if PUTS.contains(&action) {
            return true;
        }
        let now = Instant::now().into_std();
        self.0.admits((action, account.clone()), limits::FIREHOSE_CALLS_PER_SECOND, now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use millstream_core::{CALL_WINDOW, CALL_WINDOWS_MANY};

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
        tokio::time::advance(CALL_WINDOW).await;
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
        assert!(rates.0.count() <= CALL_WINDOWS_MANY + 1);
    }
}
