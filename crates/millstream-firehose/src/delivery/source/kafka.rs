//! A Kafka topic: partitions are parts, offsets are positions.
//!
//! Owns the way from a topic to pages. Only committed records are seen, each once: what an aborted
//! transaction wrote is not, nor are control records. The place in each partition is in our own
//! checkpoint; the cluster keeps no group for us, and may be read only.
//!
//! * A topic that was deleted and made again is another life of the source, told by the topic's
//!   id; clusters before Kafka 2.8 have none, and there it is not noticed.
//! * What the topic's retention took before it was read is counted as expired, and reading goes on
//!   at the earliest record.
//! * A log that ends below what was read was cut off by its own cluster (an unclean election of a
//!   leader). There the partition waits, and the error says so, until its log has grown past that.
//! * A broker that does not answer is asked again for as long as it takes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millstream_core::source::SourceLimit;
use millstream_core::{Clock, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Origin, Page, PartInfo, Parts, Record, RecordSource, SourceError};
use crate::kafka::{
    KafkaError, KafkaRecord, OFFSET_OUT_OF_RANGE, OffsetAt, Run, RunLimit, Topic, UNKNOWN_TOPIC,
};

/// What is fetched at once, packed.
const FETCH_BYTES: i32 = 1 << 20;
/// Fetches that are kept for the next page of their partitions: those of a busy topic whose
/// batches unpack to several pages each.
const RUNS_MAX: usize = 8;
/// How often the ends of partitions are looked at, while someone waits for them to move.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// The same while brokers do not answer.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(5);
/// After so long a partition is read although nobody says that there is anything: if it cannot be
/// read, that is said again.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// The year 9999: later moments cannot be written down, and are taken for this one.
const MOMENT_MS_MAX: u64 = 253_370_764_800_000;

/// Where partitions end, as far as their leaders answer.
type Ends = BTreeMap<i32, i64>;

/// The records of a topic, from those of a moment on.
#[derive(Debug)]
pub(crate) struct KafkaSource {
    topic: Arc<Topic>,
    /// `None`: the earliest.
    from: Option<Timestamp>,
    clock: Arc<dyn Clock>,
    /// Fetched and not read to the end.
    runs: Mutex<VecDeque<(i32, Run)>>,
    /// Offsets at which nothing was found, although the partition ended later, at the second.
    bare: Mutex<BTreeMap<i32, (i64, i64)>>,
    ends: watch::Receiver<Ends>,
    lookout: Lookout,
}

/// The task that looks at the ends of partitions.
#[derive(Debug)]
struct Lookout(JoinHandle<()>);

impl Drop for Lookout {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn look(topic: Arc<Topic>, ends: watch::Sender<Ends>) {
    let mut rest = LOOK_INTERVAL;
    loop {
        tokio::time::sleep(rest).await;
        // The source itself is always one.
        if ends.receiver_count() < 2 {
            continue;
        }
        let (found, are_all) = topic.ends().await;
        rest = if are_all { LOOK_INTERVAL } else { (rest * 2).min(LOOK_INTERVAL_MAX) };
        ends.send_if_modified(|ends| {
            let is_other = *ends != found;
            *ends = found;
            is_other
        });
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn error(error: &KafkaError) -> SourceError {
    if error.is_damage() {
        SourceError::Damaged(error.to_string())
    } else {
        // An unknown topic too: a broker that has just begun may not know it yet.
        SourceError::Unavailable(error.to_string())
    }
}

fn partition(part: u64) -> Result<i32, SourceError> {
    let no_partition = |_| SourceError::Damaged(format!("part {part} is no partition"));
    i32::try_from(part).map_err(no_partition)
}

fn offset(position: u64) -> Result<i64, SourceError> {
    let no_offset = |_| SourceError::Damaged(format!("position {position} is no offset"));
    i64::try_from(position).map_err(no_offset)
}

fn position(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or_default()
}

/// A topic's id, folded: two topics that follow one another have different ones.
fn life(id: u128) -> u64 {
    let bytes = id.to_be_bytes();
    let half = |range: std::ops::Range<usize>| {
        bytes[range].iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte))
    };
    half(0..8) ^ half(8..16)
}

impl KafkaSource {
    /// Reads `topic` from its first record of `from` or later; from the earliest for `None`. Must
    /// be made within a runtime.
    pub(crate) fn new(topic: Topic, from: Option<Timestamp>, clock: Arc<dyn Clock>) -> Self {
        let topic = Arc::new(topic);
        let (sender, ends) = watch::channel(Ends::new());
        let lookout = Lookout(tokio::spawn(look(Arc::clone(&topic), sender)));
        let (runs, bare) = (Mutex::default(), Mutex::default());
        Self { topic, from, clock, runs, bare, ends, lookout }
    }

    /// A record's moment: as it says, or now where it says none.
    fn moment(&self, ms: i64) -> Timestamp {
        let said = u64::try_from(ms).map(|ms| Timestamp::from_ms(ms.min(MOMENT_MS_MAX)));
        said.unwrap_or_else(|_| self.clock.now())
    }

    fn record(&self, record: KafkaRecord) -> Record {
        let KafkaRecord { offset, timestamp_ms, key, value } = record;
        let key = key.unwrap_or_default();
        let origin = Origin {
            sequence_number: offset.to_string(),
            partition_key: String::from_utf8_lossy(&key).into_owned(),
        };
        Record {
            position: position(offset),
            arrived: self.moment(timestamp_ms),
            origin: Some(origin),
            // A tombstone is a record of nothing.
            data: value.unwrap_or_else(Bytes::new),
        }
    }

    /// What was kept for this very place.
    fn kept(&self, partition: i32, offset: i64) -> Option<Run> {
        let mut runs = locked(&self.runs);
        let index = runs.iter().position(|(kept, _)| *kept == partition)?;
        let (_, run) = runs.remove(index)?;
        Some(run).filter(|run| run.next() == offset)
    }

    fn keep(&self, partition: i32, run: Run) {
        let mut runs = locked(&self.runs);
        if runs.len() >= RUNS_MAX {
            runs.pop_front();
        }
        runs.push_back((partition, run));
    }

    async fn layout(&self) -> Result<Parts, SourceError> {
        let layout = self.topic.layout().await.map_err(|it| error(&it))?;
        let part = |index| PartInfo { number: position(i64::from(index)), parents: Vec::new() };
        let parts = layout.partitions.into_iter().map(part).collect();
        Ok(Parts { life: life(layout.id), parts })
    }

    async fn first(&self, partition: i32) -> Result<i64, KafkaError> {
        let Some(from) = self.from else {
            return self.offset(partition, OffsetAt::Earliest).await;
        };
        // In this order: a record that comes between the two questions is not passed over.
        let end = self.offset(partition, OffsetAt::Latest).await?;
        let at = OffsetAt::Time(i64::try_from(from.ms()).unwrap_or(i64::MAX));
        Ok(self.topic.offset(partition, at).await?.unwrap_or(end))
    }

    async fn offset(&self, partition: i32, at: OffsetAt) -> Result<i64, KafkaError> {
        let found = self.topic.offset(partition, at).await?;
        found.ok_or(KafkaError::Malformed("a partition has no such offset"))
    }

    /// Fetches from `from`, or from the earliest record where that is later, which is said.
    async fn fetch(
        &self,
        living: u64,
        partition: i32,
        from: i64,
    ) -> Result<(Run, Option<i64>), SourceError> {
        match self.topic.fetch(partition, from, FETCH_BYTES).await {
            Ok(run) => return Ok((run, None)),
            Err(KafkaError::Refused { code: OFFSET_OUT_OF_RANGE }) => {}
            Err(KafkaError::Refused { code: UNKNOWN_TOPIC }) => {
                return Err(SourceError::Unavailable(format!(
                    "the topic has no partition {partition} now"
                )));
            }
            Err(failed) => return Err(error(&failed)),
        }
        if self.layout().await?.life != living {
            return Err(SourceError::StreamNotFound);
        }
        let earliest = self.offset(partition, OffsetAt::Earliest).await.map_err(|it| error(&it))?;
        if earliest <= from {
            return Err(SourceError::Unavailable(format!(
                "partition {partition} ends before offset {from}, up to which it was read"
            )));
        }
        let run = self.topic.fetch(partition, earliest, FETCH_BYTES).await;
        Ok((run.map_err(|it| error(&it))?, Some(earliest)))
    }

    async fn page(
        &self,
        life: u64,
        part: u64,
        from: u64,
        limit: SourceLimit,
    ) -> Result<Page, SourceError> {
        let (partition, from) = (partition(part)?, offset(from)?);
        let (mut run, begins) = match self.kept(partition, from) {
            Some(run) => (run, None),
            None => self.fetch(life, partition, from).await?,
        };
        let limit = RunLimit { records: limit.records, bytes: limit.bytes };
        let records = run.take(limit).map_err(|it| error(&it))?;
        let next = run.next();
        let has_moved = next > from;
        if !has_moved && run.is_cut_off() {
            return Err(error(&KafkaError::Malformed("a batch is cut off")));
        }
        let is_more = !run.is_over() || (has_moved && next < run.stable_end());
        if !is_more {
            locked(&self.bare).insert(partition, (next, run.stable_end()));
        }
        let next_arrived = is_more.then(|| self.moment(run.latest_ms()));
        if !run.is_over() {
            self.keep(partition, run);
        }
        Ok(Page {
            records: records.into_iter().map(|record| self.record(record)).collect(),
            begins: begins.map(position),
            next: position(next),
            next_arrived,
            has_ended: false,
        })
    }

    async fn grown(&self, part: u64, from: u64) -> Result<(), SourceError> {
        let (partition, from) = (partition(part)?, offset(from)?);
        let bare = locked(&self.bare).get(&partition).copied();
        let past = bare.filter(|(at, _)| *at == from).map_or(from, |(_, end)| end.max(from));
        let mut ends = self.ends.clone();
        let has_grown = |ends: &Ends| ends.get(&partition).is_some_and(|end| *end > past);
        // Whatever ends the wait: a read says more.
        let _ = tokio::time::timeout(WAIT_MAX, ends.wait_for(has_grown)).await;
        if self.lookout.0.is_finished() {
            return Err(SourceError::Unavailable("nobody looks at the topic".to_owned()));
        }
        Ok(())
    }
}

impl RecordSource for KafkaSource {
    fn parts(&self) -> BoxFuture<'_, Result<Parts, SourceError>> {
        Box::pin(self.layout())
    }

    fn start(&self, _: u64, part: u64) -> BoxFuture<'_, Result<u64, SourceError>> {
        Box::pin(async move {
            let first = self.first(partition(part)?).await;
            first.map(position).map_err(|it| error(&it))
        })
    }

    fn read(
        &self,
        life: u64,
        part: u64,
        from: u64,
        limit: SourceLimit,
    ) -> BoxFuture<'_, Result<Page, SourceError>> {
        Box::pin(self.page(life, part, from, limit))
    }

    fn changed(&self, _: u64, part: u64, from: u64) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(self.grown(part, from))
    }

    /// The topic keeps its records for as long as it was told to, whoever has read them.
    fn settled(&self, _: u64, _: u64) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn is_ordered(&self) -> bool {
        false
    }
}
