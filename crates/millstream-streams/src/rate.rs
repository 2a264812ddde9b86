//! How often operations may be called, where `limits = "aws"`.
//!
//! Owns what is documented, and what counts together: the calls of one operation by one account or
//! to one stream. The calls that move records have quotas by shard, which are `throttle`'s.

use millstream_core::{AccountId, CallWindows};
use tokio::time::Instant;

use crate::state::StreamUid;

/// Whose calls count together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Account,
    Stream,
}

/// Calls a second (documented: each operation's own page; one without a figure has no entry).
const CALLS_PER_SECOND: &[(&str, Scope, u32)] = &[
    ("kinesis:AddTagsToStream", Scope::Account, 5),
    ("kinesis:CreateStream", Scope::Account, 5),
    ("kinesis:DeleteStream", Scope::Account, 5),
    ("kinesis:DeregisterStreamConsumer", Scope::Stream, 5),
    ("kinesis:DescribeAccountSettings", Scope::Account, 5),
    ("kinesis:DescribeLimits", Scope::Account, 1),
    ("kinesis:DescribeStream", Scope::Account, 10),
    ("kinesis:DescribeStreamConsumer", Scope::Stream, 20),
    ("kinesis:DescribeStreamSummary", Scope::Account, 20),
    ("kinesis:ListShards", Scope::Stream, 1_000),
    ("kinesis:ListStreamConsumers", Scope::Stream, 5),
    ("kinesis:ListStreams", Scope::Account, 5),
    ("kinesis:ListTagsForStream", Scope::Account, 5),
    ("kinesis:MergeShards", Scope::Account, 5),
    ("kinesis:RegisterStreamConsumer", Scope::Account, 5),
    ("kinesis:RemoveTagsFromStream", Scope::Account, 5),
    ("kinesis:SplitShard", Scope::Account, 5),
    ("kinesis:UpdateAccountSettings", Scope::Account, 5),
    ("kinesis:UpdateShardCount", Scope::Account, 10),
    ("kinesis:UpdateStreamWarmThroughput", Scope::Account, 5),
];

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Counted {
    Account(AccountId),
    Stream(StreamUid),
}

/// The calls of the present second.
#[derive(Debug, Default)]
pub(crate) struct Rates(CallWindows<(&'static str, Counted)>);

impl Rates {
    /// Whether `account` may do `action` (`kinesis:ListStreams`) now, to `stream` if to any; if
    /// so it is counted.
    pub(crate) fn admits(
        &self,
        action: &'static str,
        account: &AccountId,
        stream: Option<StreamUid>,
    ) -> bool {
        let limit = CALLS_PER_SECOND.iter().find(|(limited, ..)| *limited == action);
        let Some((_, scope, calls_max)) = limit else { return true };
        let counted = match (scope, stream) {
            (Scope::Account, _) => Counted::Account(account.clone()),
            (Scope::Stream, Some(stream)) => Counted::Stream(stream),
            // A stream that is not there has no quota.
            (Scope::Stream, None) => return true,
        };
        self.0.admits((action, counted), *calls_max, Instant::now().into_std())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use millstream_core::CALL_WINDOW;

    use super::*;

    fn account(digit: char) -> AccountId {
        digit.to_string().repeat(12).parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_accounts_calls_count_together_and_another_accounts_apart() {
        let rates = Rates::default();
        let list = |digit| rates.admits("kinesis:ListStreams", &account(digit), None);
        assert_eq!((0..9).filter(|_| list('1')).count(), 5);
        assert!(list('2'));
        tokio::time::advance(Duration::from_millis(999)).await;
        assert!(!list('1'));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!((0..9).filter(|_| list('1')).count(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_streams_calls_count_together_and_another_streams_apart() {
        let rates = Rates::default();
        let list = |stream| {
            rates.admits("kinesis:ListStreamConsumers", &account('1'), Some(StreamUid(stream)))
        };
        assert_eq!((0..9).filter(|_| list(1)).count(), 5);
        assert!(list(2));
        let put = || rates.admits("kinesis:PutRecord", &account('1'), Some(StreamUid(1)));
        assert!((0..5_000).all(|_| put()), "records have other quotas");
    }

    #[tokio::test(start_paused = true)]
    async fn windows_that_are_over_are_dropped() {
        let rates = Rates::default();
        for second in 0..3_u64 {
            for stream in 0..600 {
                let uid = Some(StreamUid(second * 600 + stream));
                assert!(rates.admits("kinesis:ListShards", &account('1'), uid));
            }
            tokio::time::advance(CALL_WINDOW).await;
        }
        assert!(rates.0.count() <= 1_200);
    }
}
