//! Workers: each has one request under way, and sends the next when it is answered or due.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use millstream_api::kinesis::PutRecordsRequestEntry;
use millstream_client::{CallError, ReadFrom};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Bench;
use super::histogram::Histogram;
use super::record::{Identity, Read};

/// A worker that only meets errors gives up.
const ERRORS_IN_A_ROW_MAX: u32 = 200;
/// Comparing each byte would cost the client an eighth of its time; reading back compares them all.
const JUDGED_EVERY: usize = 16;
const ERROR_WAIT: Duration = Duration::from_millis(20);

/// What one kind of work came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// How long requests took.
    pub(crate) latency: Histogram,
    /// Requests that were answered.
    pub(crate) requests: u64,
    /// Records acknowledged, or read.
    pub(crate) records: u64,
    /// Bytes of their data.
    pub(crate) bytes: u64,
    /// Failures by code, of requests and of records in PutRecords.
    pub(crate) errors: BTreeMap<String, u64>,
    /// What each writer sent.
    pub(crate) writers: BTreeMap<u32, Sent>,
    /// Records read with other bytes than they were put with.
    pub(crate) corrupt: u64,
}

/// What a writer sent: numbers from 0, but for those that were not acknowledged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    /// The number after the last.
    pub(crate) end: u64,
    /// Numbers refused, or of unknown fate; ascending.
    pub(crate) unacknowledged: Vec<u64>,
}

impl Tally {
    /// Adds another worker's.
    pub(crate) fn add(&mut self, other: Self) {
        self.latency.add(&other.latency);
        self.requests += other.requests;
        self.records += other.records;
        self.bytes += other.bytes;
        self.corrupt += other.corrupt;
        for (code, count) in other.errors {
            *self.errors.entry(code).or_default() += count;
        }
        self.writers.extend(other.writers);
    }

    fn error(&mut self, code: &str, count: u64) {
        *self.errors.entry(code.to_owned()).or_default() += count;
    }

    /// All failures.
    pub(crate) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// Adds up what all workers did; a worker's panic is ours.
pub(crate) async fn join(mut workers: JoinSet<Tally>) -> Tally {
    let mut all = Tally::default();
    while let Some(worker) = workers.join_next().await {
        all.add(worker.expect("a worker does not panic"));
    }
    all
}

/// Puts records, `batch` to a request: PutRecord where that is 1, PutRecords else.
pub(crate) async fn put(bench: Bench, writer: u32, batch: u64) -> Tally {
    let mut tally = Tally::default();
    let mut sent = Sent::default();
    let mut buffer = BytesMut::new();
    let mut errors_in_a_row = 0;
    while let Some(turn) = bench.control.turn(batch).await {
        let first = sent.end;
        sent.end += turn.count;
        let sent_ns = bench.ns_of(turn.due);
        let mut entries: Vec<PutRecordsRequestEntry> = (first..sent.end)
            .map(|number| PutRecordsRequestEntry {
                data: bench.form.make(&mut buffer, Identity { writer, number }, sent_ns),
                partition_key: format!("{writer:x}-{number:x}"),
                explicit_hash_key: None,
            })
            .collect();
        let outcome = if batch == 1 {
            let entry = entries.pop().expect("a turn has a record");
            let put = bench.client.put_record(&bench.stream, entry.partition_key, entry.data);
            put.await.map(|_| Vec::new())
        } else {
            let answers = bench.client.put_records(&bench.stream, entries).await;
            answers.map(|answers| answers.into_iter().map(|answer| answer.error_code).collect())
        };
        let acknowledged = match outcome {
            Ok(refusals) => {
                tally.latency.record(turn.due.elapsed());
                tally.requests += 1;
                errors_in_a_row = 0;
                turn.count - note_refusals(&mut tally, &mut sent, first, refusals)
            }
            Err(error) => {
                note_error(&mut tally, &error);
                sent.unacknowledged.extend(first..sent.end);
                errors_in_a_row += 1;
                0
            }
        };
        tally.records += acknowledged;
        let bytes = acknowledged * bench.form.record_bytes() as u64;
        tally.bytes += bytes;
        bench.control.count(acknowledged, bytes);
        if errors_in_a_row >= ERRORS_IN_A_ROW_MAX {
            break;
        }
        if errors_in_a_row > 0 {
            tokio::time::sleep(ERROR_WAIT).await;
        }
    }
    tally.writers.insert(writer, sent);
    tally
}

fn note_refusals(
    tally: &mut Tally,
    sent: &mut Sent,
    first: u64,
    answers: Vec<Option<String>>,
) -> u64 {
    let mut refused = 0;
    for (number, code) in (first..).zip(answers) {
        if let Some(code) = code {
            tally.error(&code, 1);
            sent.unacknowledged.push(number);
            refused += 1;
        }
    }
    refused
}

fn note_error(tally: &mut Tally, error: &CallError) {
    let code = match error {
        CallError::Service(service) => service.code.clone(),
        CallError::Unreachable { .. } => "Unreachable".to_owned(),
        CallError::Untrusted { .. } => "Untrusted".to_owned(),
        CallError::NotTls { .. } => "NotTls".to_owned(),
        CallError::NotHttp { .. } => "NotHttp".to_owned(),
        CallError::Broken { .. } => "Broken".to_owned(),
        CallError::TimedOut { .. } => "TimedOut".to_owned(),
        CallError::Unreadable { .. } => "Unreadable".to_owned(),
        CallError::Unsigned(_) => "Unsigned".to_owned(),
    };
    tally.error(&code, 1);
}

/// Reads shards from their oldest record to their end, one after the other, again and again.
pub(crate) async fn get(bench: Bench, shards: Vec<String>, first: usize, limit: i32) -> Tally {
    let mut tally = Tally::default();
    let mut errors_in_a_row = 0;
    for shard in shards.iter().cycle().skip(first) {
        if bench.control.is_over() || errors_in_a_row >= ERRORS_IN_A_ROW_MAX {
            break;
        }
        match pass(&bench, shard, limit, &mut tally).await {
            Ok(()) => errors_in_a_row = 0,
            Err(error) => {
                note_error(&mut tally, &error);
                errors_in_a_row += 1;
                tokio::time::sleep(ERROR_WAIT).await;
            }
        }
    }
    tally
}

async fn pass(bench: &Bench, shard: &str, limit: i32, tally: &mut Tally) -> Result<(), CallError> {
    let start = bench.client.shard_iterator(&bench.stream, shard, &ReadFrom::TrimHorizon).await?;
    let mut iterator = Some(start);
    while let Some(at) = iterator {
        let asked = Instant::now();
        let answer = bench.client.get_records(at, Some(limit)).await?;
        let took = asked.elapsed();
        let mut bytes = 0;
        for (index, record) in answer.records.iter().enumerate() {
            bytes += record.data.len() as u64;
            let is_judged = index % JUDGED_EVERY == 0;
            if is_judged && matches!(bench.form.judge(&record.data).0, Read::Corrupt(_)) {
                tally.corrupt += 1;
            }
        }
        let records = answer.records.len() as u64;
        let is_end = answer.millis_behind_latest.is_none_or(|behind| behind == 0);
        iterator = answer.next_shard_iterator.filter(|_| !(is_end && records == 0));
        if records > 0 {
            tally.latency.record(took);
            tally.requests += 1;
            tally.records += records;
            tally.bytes += bytes;
            bench.control.count(records, bytes);
        }
        if bench.control.is_over() {
            return Ok(());
        }
        // The end of what was there: a further call would only be told that there is no more.
        if is_end {
            return Ok(());
        }
    }
    Ok(())
}

/// Follows one shard's end; latency is from when the put was due to the record's arrival here.
pub(crate) async fn follow(bench: Bench, shard: String, limit: i32, poll: Duration) -> Tally {
    let mut tally = Tally::default();
    let mut errors_in_a_row = 0;
    let mut position = ReadFrom::TrimHorizon;
    let mut iterator = None;
    while !bench.control.is_over() && errors_in_a_row < ERRORS_IN_A_ROW_MAX {
        let outcome = follow_once(&bench, &shard, limit, &mut iterator, &position).await;
        let found = match outcome {
            Ok(found) => found,
            Err(error) => {
                note_error(&mut tally, &error);
                errors_in_a_row += 1;
                tokio::time::sleep(ERROR_WAIT).await;
                continue;
            }
        };
        errors_in_a_row = 0;
        let now_ns = bench.now_ns();
        tally.requests += 1;
        for record in &found {
            let (read, sent_ns) = bench.form.judge(&record.data);
            match read {
                Read::Whole(_) => {
                    tally.latency.record(Duration::from_nanos(now_ns.saturating_sub(sent_ns)));
                    tally.records += 1;
                    tally.bytes += record.data.len() as u64;
                }
                Read::Corrupt(_) => tally.corrupt += 1,
                Read::Foreign => {}
            }
        }
        match found.last() {
            Some(last) => position = ReadFrom::AfterSequenceNumber(last.sequence_number.clone()),
            None => tokio::time::sleep(poll).await,
        }
    }
    tally
}

async fn follow_once(
    bench: &Bench,
    shard: &str,
    limit: i32,
    iterator: &mut Option<String>,
    position: &ReadFrom,
) -> Result<Vec<millstream_api::kinesis::Record>, CallError> {
    let at = match iterator.take() {
        Some(at) => at,
        None => bench.client.shard_iterator(&bench.stream, shard, position).await?,
    };
    let answer = bench.client.get_records(at, Some(limit)).await?;
    *iterator = answer.next_shard_iterator;
    Ok(answer.records)
}

/// Numbers each worker draws its own from.
#[derive(Debug, Default)]
pub(crate) struct WriterNumbers(AtomicU64);

impl WriterNumbers {
    /// A number no other worker has.
    pub(crate) fn next(&self) -> u32 {
        u32::try_from(self.0.fetch_add(1, Ordering::Relaxed)).expect("fewer workers than 2^32")
    }
}
