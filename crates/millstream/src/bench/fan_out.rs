//! Subscribers of the benchmark: enhanced fan-out, and how long a record takes to reach them.

use std::time::Duration;

use millstream_client::{CallError, ReadFrom};

use super::Bench;
use super::record::Read;
use super::work::Tally;

const RETRY_WAIT: Duration = Duration::from_millis(200);
/// How many times in a row a subscription may fail.
const FAILURES_MAX: u32 = 50;

/// What came to its end.
enum Ended {
    Subscription,
    Shard,
}

/// Follows one shard as one consumer until it is dropped or the service gives up on it.
/// Latency is from when the put was due to the event's arrival here.
pub(crate) struct Subscriber {
    pub(crate) bench: Bench,
    pub(crate) consumer_arn: String,
    pub(crate) shard: String,
    /// Told once the subscription stands.
    pub(crate) ready: Option<tokio::sync::oneshot::Sender<()>>,
    /// Told to end when the writers are done and all is here.
    pub(crate) done: tokio::sync::watch::Receiver<bool>,
}

impl Subscriber {
    /// Runs until told to end.
    pub(crate) async fn run(mut self) -> Tally {
        let mut tally = Tally::default();
        let mut done = self.done.clone();
        let mut position = ReadFrom::TrimHorizon;
        let mut failures = 0;
        while failures < FAILURES_MAX {
            let followed = tokio::select! {
                biased;
                _ = done.wait_for(|done| *done) => break,
                followed = self.follow(&mut tally, &mut position) => followed,
            };
            match followed {
                Ok(Ended::Subscription) => failures = 0,
                Ok(Ended::Shard) => break,
                Err(error) => {
                    failures += 1;
                    let code = error.code().unwrap_or("Broken").to_owned();
                    *tally.errors.entry(code).or_default() += 1;
                    tokio::time::sleep(RETRY_WAIT).await;
                }
            }
        }
        tally
    }

    /// One subscription from its start to the service's end of it.
    async fn follow(
        &mut self,
        tally: &mut Tally,
        position: &mut ReadFrom,
    ) -> Result<Ended, CallError> {
        let client = &self.bench.client;
        let mut subscription =
            client.subscribe_to_shard(&self.consumer_arn, &self.shard, position).await?;
        if let Some(ready) = self.ready.take() {
            // Whoever waited may have stopped waiting.
            let _ = ready.send(());
        }
        while let Some(event) = subscription.next().await? {
            let now_ns = self.bench.now_ns();
            tally.requests += 1;
            let mut records = 0;
            for record in &event.records {
                let (read, sent_ns) = self.bench.form.judge(&record.data);
                match read {
                    Read::Whole(_) => {
                        tally.latency.record(Duration::from_nanos(now_ns.saturating_sub(sent_ns)));
                        records += 1;
                        tally.bytes += record.data.len() as u64;
                    }
                    Read::Corrupt(_) => tally.corrupt += 1,
                    Read::Foreign => {}
                }
            }
            tally.records += records;
            // Only the readers' side counts here; the writers' is counted where they write.
            self.bench.control.delivered(records);
            match event.continuation_sequence_number {
                Some(number) => *position = ReadFrom::AfterSequenceNumber(number),
                None => return Ok(Ended::Shard),
            }
        }
        Ok(Ended::Subscription)
    }
}
