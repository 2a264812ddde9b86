//! What has to happen without being asked: records expire, shards with them, on-demand streams
//! grow.
//!
//! Owns the one loop. Its waiting is `tokio::time` and its time of day the injected clock, so a
//! simulation drives it.
//!
//! Invariant: nothing is trimmed early because a clock jumped. Expiry goes by a time that
//! follows the clock, but never moves on faster than twice the time that really passed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use millstream_core::{ShardId, Timestamp, limits};
use millstream_log::{LogId, ReadError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::encryption::first_key_needed;
use crate::load::shards_to_halve;
use crate::refusal::Refusal;
use crate::state::{Command, Mode, Plan, Stream, StreamStatus};
use crate::streams::Streams;

/// What a clock may gain on real time in one round, beside twice the time passed.
const CLOCK_SLACK: Duration = Duration::from_secs(5);

/// The time that expiry goes by.
struct ExpiryTime {
    said: Timestamp,
    at: Instant,
}

impl ExpiryTime {
    fn new(now: Timestamp) -> Self {
        Self { said: now, at: Instant::now() }
    }

    /// Follows the clock within what is plausible.
    fn advance(&mut self, clock: Timestamp) -> Timestamp {
        let passed = self.at.elapsed();
        self.at = Instant::now();
        self.said = clock.min(self.said.plus(passed * 2 + CLOCK_SLACK));
        self.said
    }
}

/// Runs until told to stop, or until the service is dropped.
pub(crate) async fn run(streams: Weak<Streams>, mut stopping: watch::Receiver<bool>) {
    let Some((interval, now)) = streams.upgrade().map(|s| (s.settings.housekeeping, s.clock.now()))
    else {
        return;
    };
    let mut expiry = ExpiryTime::new(now);
    loop {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = tokio::time::sleep(interval) => {}
        }
        let Some(streams) = streams.upgrade() else { return };
        let now = expiry.advance(streams.clock.now());
        streams.keep_house(now).await;
    }
}

impl Streams {
    async fn keep_house(&self, now: Timestamp) {
        // A caller may go away between a decision and the start of what carries it through.
        self.take_up_transitions();
        if let Err(refusal) = self.delete_condemned_logs().await {
            tracing::warn!(%refusal, "logs are deleted later");
        }
        let streams: Vec<Arc<Stream>> =
            self.catalog.read(|registry| registry.streams().cloned().collect());
        for stream in streams {
            if matches!(stream.status, StreamStatus::Creating | StreamStatus::Deleting) {
                continue;
            }
            if let Err(refusal) = self.expire(&stream, now).await {
                tracing::warn!(%refusal, stream = %stream.name, "records expire later");
            }
            if stream.mode == Mode::OnDemand
                && let Err(refusal) = self.grow(&stream).await
            {
                tracing::warn!(%refusal, stream = %stream.name, "the stream grows later");
            }
        }
    }

    /// Forgets records older than the stream's retention, closed shards without any left, and
    /// data keys that only such records were sealed under.
    async fn expire(&self, stream: &Stream, now: Timestamp) -> Result<(), Refusal> {
        let horizon = stream.horizon(now);
        let mut expired = Vec::new();
        for shard in &stream.shards {
            let is_empty = self.trim(shard.log(), horizon).await?;
            if is_empty && shard.closed.as_ref().is_some_and(|closed| closed.at < horizon) {
                expired.push(shard.id);
            }
        }
        self.forget_shards(stream, expired).await?;
        if let Some(below) = first_key_needed(stream, now) {
            let command = Command::ForgetDataKeys { stream: stream.uid, below };
            self.propose(|_| Ok((Some(command), ()))).await?;
        }
        Ok(())
    }

    /// Trims a log below `horizon`; true where nothing is left.
    async fn trim(&self, log: LogId, horizon: Timestamp) -> Result<bool, Refusal> {
        let unreadable = |error: ReadError| {
            tracing::warn!(%error, log = log.0, "a shard's log is not trimmed");
            Refusal::Internal
        };
        let first_kept = match self.log.position_at(log, horizon).await {
            Ok(position) => position,
            Err(ReadError::NotFound) => return Ok(false),
            Err(error) => return Err(unreadable(error)),
        };
        let bounds = self.log.bounds(log).map_err(unreadable)?;
        if first_kept > bounds.start {
            self.log.trim(log, first_kept).await.map_err(|error| {
                tracing::warn!(%error, log = log.0, "a shard's log is not trimmed");
                Refusal::Internal
            })?;
        }
        Ok(first_kept >= bounds.end)
    }

    async fn forget_shards(&self, stream: &Stream, shards: Vec<ShardId>) -> Result<(), Refusal> {
        if shards.is_empty() {
            return Ok(());
        }
        let command = Command::ForgetShards { stream: stream.uid, shards };
        self.propose(|_| Ok((Some(command), ()))).await?;
        self.delete_condemned_logs().await
    }

    /// Splits the hottest shards of an on-demand stream, where its load asks for more.
    async fn grow(&self, stream: &Stream) -> Result<(), Refusal> {
        if stream.status != StreamStatus::Active {
            return Ok(());
        }
        let open: Vec<(ShardId, LogId)> =
            stream.open_shards().map(|shard| (shard.id, shard.log())).collect();
        let logs: Vec<LogId> = open.iter().map(|(_, log)| *log).collect();
        let peaks = self.load.take_peaks(&logs);
        let room = (limits::SHARDS_PER_STREAM_MAX as usize).saturating_sub(open.len());
        let hot = shards_to_halve(&peaks).into_iter().take(room);
        let shards: Vec<ShardId> = hot.map(|index| open[index].0).collect();
        if shards.is_empty() {
            return Ok(());
        }
        tracing::info!(stream = %stream.name, count = shards.len(), "an on-demand stream grows");
        let uid = stream.uid;
        self.propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| self.gone(stream))?;
            stream.require_active()?;
            let plan = Plan::Halve { shards };
            Ok((Some(Command::BeginReshard { stream: uid, plan, scaling: None }), ()))
        })
        .await?;
        self.drive(uid);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn expiry_does_not_jump_with_the_clock() {
        let day = Duration::from_secs(86_400);
        let start = Timestamp::from_seconds(1_700_000_000);
        let mut expiry = ExpiryTime::new(start);
        tokio::time::advance(Duration::from_secs(10)).await;
        // A clock ten years ahead moves expiry by no more than 25 seconds.
        let ahead = start.plus(day * 3_650);
        assert_eq!(expiry.advance(ahead), start.plus(Duration::from_secs(25)));
        // A clock ten years behind takes expiry with it: late, never early.
        let behind = start.minus(day * 3_650);
        assert_eq!(expiry.advance(behind), behind);
    }
}
