//! The errors of deliveries, as their owners see them.
//!
//! Owns the last entries of each delivery stream, for `firehose status`, and their way to the
//! server's own log. The real service writes the same to CloudWatch Logs, under
//! `/aws/kinesisfirehose/NAME`.
//! Source: the guide's "Monitoring with CloudWatch Logs".

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use millstream_core::Timestamp;
use millstream_destinations::Failure;

use crate::plan;

/// Entries kept of each delivery stream.
const ENTRIES_MAX: usize = 100;
/// Characters of a message that are kept: destinations' answers have no end.
const MESSAGE_CHARACTERS_MAX: usize = 2_048;

/// One kind of error, as often as it came without another between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorEntry {
    /// When it came last.
    pub at: Timestamp,
    /// `DestinationDelivery` or `BackupDelivery`, as the service names its log streams; or
    /// `Processing`.
    pub log: &'static str,
    /// Such as `S3.AccessDenied`.
    pub code: String,
    /// For a person.
    pub message: String,
    /// How often in a row.
    pub count: u64,
}

/// The last errors of one delivery stream.
#[derive(Debug, Default)]
pub(super) struct ErrorLog(Mutex<VecDeque<ErrorEntry>>);

impl ErrorLog {
    /// Adds what happened to the delivery stream that is called `stream`, whose errors are meant
    /// for the log `named`.
    pub(super) fn add(
        &self,
        (stream, named): (&str, Option<&plan::ErrorLog>),
        log: &'static str,
        failure: &Failure,
        at: Timestamp,
    ) {
        let Failure { code, message, .. } = failure;
        let message: String = message.chars().take(MESSAGE_CHARACTERS_MAX).collect();
        tracing::warn!(
            target: "millstream::firehose",
            stream,
            log,
            log_group = named.map(|named| named.group.as_str()),
            log_stream = named.map(|named| named.stream.as_str()),
            code,
            reason = message,
            "not delivered"
        );
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = entries.back_mut()
            && (last.log, &last.code, &last.message) == (log, code, &message)
        {
            last.at = at;
            last.count += 1;
            return;
        }
        if entries.len() == ENTRIES_MAX {
            entries.pop_front();
        }
        entries.push_back(ErrorEntry { at, log, code: code.clone(), message, count: 1 });
    }

    /// All that are kept, oldest first.
    pub(super) fn entries(&self) -> Vec<ErrorEntry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_counted_and_the_oldest_give_way() {
        let log = ErrorLog::default();
        let at = Timestamp::from_ms;
        for time in 0..5 {
            let failure = Failure::retryable("S3.SlowDown", "Please reduce your request rate.");
            log.add(("orders", None), "DestinationDelivery", &failure, at(time));
        }
        assert_eq!(log.entries().len(), 1);
        assert_eq!((log.entries()[0].at, log.entries()[0].count), (at(4), 5));
        for number in 0..ENTRIES_MAX as u64 {
            let failure = Failure::retryable(format!("S3.{number}"), "x".repeat(10_000));
            log.add(("orders", None), "DestinationDelivery", &failure, at(number));
        }
        let entries = log.entries();
        assert_eq!((entries.len(), entries[0].code.as_str()), (ENTRIES_MAX, "S3.0"));
        assert_eq!(entries[0].message.len(), MESSAGE_CHARACTERS_MAX);
    }
}
