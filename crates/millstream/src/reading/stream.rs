//! A whole stream read as one sequence: every shard, children after their parents, by arrival.
//!
//! Owns a task for each shard being read and the merge of what they find. Polls, so it needs no
//! consumer and works against every peer.
//!
//! Invariant: bounded. A shard's task holds one batch, and reads the next only when that one has
//! come out of the merge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millstream_api::kinesis::{Record, Shard};
use millstream_client::{CallError, Client, ReadFrom};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::merge::Merge;

/// Records asked for at once: enough to be fast, few enough to bound what waits.
const BATCH_RECORDS: i32 = 1_000;
/// Wait after a failure that the client's own retries did not outlast.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// What a reader yields.
#[derive(Debug)]
pub(crate) enum Found {
    /// A record and its shard.
    Record(String, Record),
    /// All that was in the stream when it was looked at has come out. Told once.
    CaughtUp,
}

/// What to read, and how.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// The stream.
    pub(crate) stream: String,
    /// Where to begin.
    pub(crate) from: ReadFrom,
    /// Go on after the end.
    pub(crate) follow: bool,
    /// How long to wait after an empty answer.
    pub(crate) poll: Duration,
}

struct Batch {
    shard: String,
    records: Vec<Record>,
    is_idle: bool,
    is_over: bool,
    resume: oneshot::Sender<()>,
}

/// Reads one stream; see [`Reading`].
pub(crate) struct StreamReader {
    client: Client,
    reading: Reading,
    merge: Merge<Record>,
    /// Shards whose task waits until their batch has come out.
    waiting: BTreeMap<String, oneshot::Sender<()>>,
    /// Shards that are being read and have not yet been caught up with.
    behind: BTreeSet<String>,
    started: BTreeSet<String>,
    over: BTreeSet<String>,
    sender: mpsc::Sender<Result<Batch, CallError>>,
    receiver: mpsc::Receiver<Result<Batch, CallError>>,
    tasks: JoinSet<()>,
    caught_up_told: bool,
    waiting_told: Arc<AtomicBool>,
}

impl StreamReader {
    /// Starts reading.
    pub(crate) async fn open(client: Client, reading: Reading) -> Result<Self, CallError> {
        let (sender, receiver) = mpsc::channel(64);
        let mut reader = Self {
            client,
            reading,
            merge: Merge::default(),
            waiting: BTreeMap::new(),
            behind: BTreeSet::new(),
            started: BTreeSet::new(),
            over: BTreeSet::new(),
            sender,
            receiver,
            tasks: JoinSet::new(),
            caught_up_told: false,
            waiting_told: Arc::default(),
        };
        let shards = reader.client.list_shards(&reader.reading.stream).await?;
        if reader.reading.from == ReadFrom::Latest {
            // What is closed takes no more records; its children stand in the same list.
            for shard in &shards {
                if shard.sequence_number_range.ending_sequence_number.is_some() {
                    reader.started.insert(shard.shard_id.clone());
                    reader.over.insert(shard.shard_id.clone());
                }
            }
        }
        let from = reader.reading.from.clone();
        reader.start_ready(&shards, &from);
        Ok(reader)
    }

    /// The next thing found, or `None` at the end of what is to be read.
    pub(crate) async fn next(&mut self) -> Result<Option<Found>, CallError> {
        loop {
            if let Some((shard, record)) = self.merge.pop() {
                if self.merge.is_drained(&shard) {
                    self.resume(&shard);
                }
                return Ok(Some(Found::Record(shard, record)));
            }
            if self.behind.is_empty() {
                if !std::mem::replace(&mut self.caught_up_told, true) {
                    return Ok(Some(Found::CaughtUp));
                }
                if !self.reading.follow {
                    return Ok(None);
                }
            }
            let batch = self.receiver.recv().await.expect("the reader holds a sender itself")?;
            self.take(batch).await?;
        }
    }

    /// Whether another record could come out at once.
    pub(crate) fn has_more(&self) -> bool {
        self.merge.has_waiting() || !self.receiver.is_empty()
    }

    async fn take(&mut self, batch: Batch) -> Result<(), CallError> {
        let Batch { shard, records, is_idle, is_over, resume } = batch;
        let is_empty = records.is_empty();
        let timed =
            records.into_iter().map(|r| (r.approximate_arrival_timestamp.unwrap_or_default(), r));
        self.merge.push(&shard, timed, is_idle || is_over);
        if is_idle || is_over {
            self.behind.remove(&shard);
        }
        if is_over {
            self.over.insert(shard);
            // Listed rather than taken from the answer: not every peer names the children there.
            let shards = self.client.list_shards(&self.reading.stream).await?;
            let from = match &self.reading.from {
                ReadFrom::Timestamp(at) => ReadFrom::Timestamp(*at),
                _ => ReadFrom::TrimHorizon,
            };
            self.start_ready(&shards, &from);
            return Ok(());
        }
        self.waiting.insert(shard.clone(), resume);
        if is_empty {
            self.resume(&shard);
        }
        Ok(())
    }

    fn resume(&mut self, shard: &str) {
        if let Some(resume) = self.waiting.remove(shard) {
            // A task that is gone has nothing to resume.
            let _ = resume.send(());
        }
    }

    /// Starts each shard whose parents have been read to their end, or are no longer listed.
    fn start_ready(&mut self, shards: &[Shard], from: &ReadFrom) {
        let listed: BTreeSet<&str> = shards.iter().map(|shard| shard.shard_id.as_str()).collect();
        for shard in shards {
            let parents = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id];
            let is_ready = parents
                .into_iter()
                .flatten()
                .all(|parent| self.over.contains(parent) || !listed.contains(parent.as_str()));
            if is_ready && self.started.insert(shard.shard_id.clone()) {
                self.merge.open(&shard.shard_id);
                self.behind.insert(shard.shard_id.clone());
                let task = ShardTask {
                    client: self.client.clone(),
                    reading: self.reading.clone(),
                    shard: shard.shard_id.clone(),
                    position: from.clone(),
                    sender: self.sender.clone(),
                    waiting_told: Arc::clone(&self.waiting_told),
                };
                self.tasks.spawn(task.run());
            }
        }
    }
}

struct ShardTask {
    client: Client,
    reading: Reading,
    shard: String,
    position: ReadFrom,
    sender: mpsc::Sender<Result<Batch, CallError>>,
    /// Whether the person was told that the endpoint is away.
    waiting_told: Arc<AtomicBool>,
}

impl ShardTask {
    /// Whether to wait for the end of a failure: who follows a stream wants to follow it over a
    /// restart of the server too.
    fn outlasts(&self, error: &CallError) -> bool {
        let outlasts = self.reading.follow && error.is_transient();
        if outlasts && !self.waiting_told.swap(true, Ordering::Relaxed) {
            eprintln!("{error}; waiting for it to come back");
        }
        outlasts
    }

    async fn iterator(&self) -> Result<String, CallError> {
        loop {
            let stream = &self.reading.stream;
            let got = self.client.shard_iterator(stream, &self.shard, &self.position).await;
            match got {
                Err(error) if self.outlasts(&error) => tokio::time::sleep(RETRY_WAIT).await,
                got => return got,
            }
        }
    }

    async fn run(mut self) {
        if let Err(error) = self.read().await {
            // The reader is gone, or will tell the person.
            let _ = self.sender.send(Err(error)).await;
        }
    }

    async fn read(&mut self) -> Result<(), CallError> {
        let mut iterator = None;
        loop {
            let at = match iterator.take() {
                Some(at) => at,
                None => self.iterator().await?,
            };
            let answer = match self.client.get_records(at.clone(), Some(BATCH_RECORDS)).await {
                Ok(answer) => answer,
                // The terminal was held longer than an iterator lives: go on after the last record.
                Err(error) if error.code() == Some("ExpiredIteratorException") => continue,
                Err(error) if error.is_throttling() || self.outlasts(&error) => {
                    iterator = Some(at);
                    tokio::time::sleep(RETRY_WAIT).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if self.waiting_told.swap(false, Ordering::Relaxed) {
                eprintln!("it is back");
            }
            if let Some(last) = answer.records.last() {
                self.position = ReadFrom::AfterSequenceNumber(last.sequence_number.clone());
            }
            iterator = answer.next_shard_iterator;
            let is_over = iterator.is_none();
            let is_empty = answer.records.is_empty();
            let is_idle = match answer.millis_behind_latest {
                Some(behind) => behind == 0,
                None => is_empty,
            };
            let (resume, resumed) = oneshot::channel();
            let shard = self.shard.clone();
            let batch = Batch { shard, records: answer.records, is_idle, is_over, resume };
            let is_told = self.sender.send(Ok(batch)).await.is_ok();
            let is_done = is_over || (is_idle && !self.reading.follow);
            if !is_told || is_done || resumed.await.is_err() {
                return Ok(());
            }
            if is_idle || is_empty {
                tokio::time::sleep(self.reading.poll).await;
            }
        }
    }
}
