//! A log kept in memory, for tests: keeps the promises of the trait, and breaks where told to.
//!
//! Owns nothing durable. "Durable" is what [`MemoryLog::crashed`] carries over: a copy of what
//! was acknowledged, without the faults ordered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millstream_core::{Clock, Timestamp};
use millstream_log::{
    AppendError, Appended, Batch, Bounds, BoxFuture, Log, LogId, Position, Read, ReadError,
    ReadLimit, Record, SealError, Tail,
};
use tokio::sync::watch;

/// A log in memory.
#[derive(Debug)]
pub struct MemoryLog {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    logs: BTreeMap<u64, Entry>,
    faults: Vec<AppendFault>,
    dies_after: Option<u64>,
}

/// What goes wrong with an append.
#[derive(Clone, Debug)]
pub enum AppendFault {
    /// Fails without writing.
    Refused(AppendError),
    /// Is written, and then says that nobody knows.
    WrittenThenStopped,
    /// Is written, and never answers.
    WrittenThenSilent,
}

/// What becomes of a change.
enum Fate {
    Answered,
    Silent,
    Lost,
}

#[derive(Clone, Debug)]
struct Entry {
    records: Vec<(Timestamp, Bytes)>,
    start: usize,
    sealed: bool,
    last_arrived: Timestamp,
    tail: watch::Sender<Bounds>,
}

impl Entry {
    fn new() -> Self {
        let empty = Bounds {
            start: Position(0),
            end: Position(0),
            sealed: false,
            last_arrived: Timestamp::default(),
        };
        Self {
            records: Vec::new(),
            start: 0,
            sealed: false,
            last_arrived: Timestamp::default(),
            tail: watch::Sender::new(empty),
        }
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            start: Position(self.start as u64),
            end: Position(self.records.len() as u64),
            sealed: self.sealed,
            last_arrived: self.last_arrived,
        }
    }

    fn publish(&self) {
        self.tail.send_replace(self.bounds());
    }
}

/// The payloads in a batch's body: `(length: u32 LE, payload)*`.
fn payloads(batch: &Batch) -> Vec<Bytes> {
    let mut body = batch.body().clone();
    let mut payloads = Vec::new();
    while !body.is_empty() {
        let header = body.split_to(4);
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        payloads.push(body.split_to(length as usize));
    }
    payloads
}

impl MemoryLog {
    /// An empty log that stamps arrivals with `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, inner: Mutex::default() })
    }

    /// What a crash now would leave, as a log of its own.
    pub fn crashed(&self) -> Arc<Self> {
        let mut logs = self.lock().logs.clone();
        for entry in logs.values_mut() {
            entry.tail = watch::Sender::new(entry.bounds());
        }
        let inner = Inner { logs, ..Inner::default() };
        Arc::new(Self { clock: self.clock.clone(), inner: Mutex::new(inner) })
    }

    /// Orders `fault` for the next append that has none ordered before it.
    pub fn order(&self, fault: AppendFault) {
        self.lock().faults.push(fault);
    }

    /// Performs `changes` more changes of any kind; the one after it is performed too, but never
    /// answered, and all others hang without effect, as in a process that is being killed.
    pub fn die_after(&self, changes: u64) {
        self.lock().dies_after = Some(changes);
    }

    /// Whether the ordered death has come.
    pub fn is_dead(&self) -> bool {
        self.lock().dies_after == Some(0)
    }

    /// What becomes of the next change.
    fn fate(&self) -> Fate {
        match &mut self.lock().dies_after {
            None => Fate::Answered,
            Some(0) => Fate::Lost,
            Some(left) => {
                *left -= 1;
                if *left == 0 { Fate::Silent } else { Fate::Answered }
            }
        }
    }

    /// Makes a change, unless dead, and answers, unless dying.
    fn change<T: Send + 'static>(&self, make: impl FnOnce() -> T) -> BoxFuture<'static, T> {
        match self.fate() {
            Fate::Answered => ready(make()),
            Fate::Silent => {
                make();
                Box::pin(std::future::pending())
            }
            Fate::Lost => Box::pin(std::future::pending()),
        }
    }

    /// Which logs exist.
    pub fn ids(&self) -> Vec<LogId> {
        self.lock().logs.keys().copied().map(LogId).collect()
    }

    /// The payloads that a log still holds, as they would lie on a disk.
    pub fn stored(&self, id: LogId) -> Vec<Bytes> {
        self.lock().logs.get(&id.0).map_or_else(Vec::new, |entry| {
            entry.records[entry.start..].iter().map(|(_, payload)| payload.clone()).collect()
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append_now(&self, id: LogId, batch: &Batch) -> Result<Appended, AppendError> {
        let now = self.clock.now();
        let mut inner = self.lock();
        let entry = inner.logs.get_mut(&id.0).ok_or(AppendError::NotFound)?;
        if entry.sealed {
            return Err(AppendError::Sealed);
        }
        let arrived = now.max(entry.last_arrived);
        let first = Position(entry.records.len() as u64);
        entry.records.extend(payloads(batch).into_iter().map(|payload| (arrived, payload)));
        entry.last_arrived = arrived;
        entry.publish();
        Ok(Appended { first, count: batch.count(), arrived })
    }

    fn read_now(&self, id: LogId, from: Position, limit: ReadLimit) -> Result<Read, ReadError> {
        let inner = self.lock();
        let entry = inner.logs.get(&id.0).ok_or(ReadError::NotFound)?;
        let from = usize::try_from(from.0).unwrap_or(usize::MAX).max(entry.start);
        let mut records = Vec::new();
        let mut bytes = 0;
        for (index, (arrived, payload)) in entry.records.iter().enumerate().skip(from) {
            let full = records.len() >= limit.records || bytes + payload.len() > limit.bytes;
            if full && !records.is_empty() {
                break;
            }
            bytes += payload.len();
            let position = Position(index as u64);
            records.push(Record { position, arrived: *arrived, payload: payload.clone() });
        }
        let next = from + records.len();
        Ok(Read {
            records,
            next: Position(next as u64),
            next_arrived: entry.records.get(next).map(|(arrived, _)| *arrived),
            at_sealed_end: entry.sealed && next >= entry.records.len(),
        })
    }
}

fn ready<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    // One turn of the scheduler, so that racing callers interleave as they do on a disk.
    Box::pin(async move {
        tokio::task::yield_now().await;
        value
    })
}

impl Log for MemoryLog {
    fn create(&self, id: LogId) -> BoxFuture<'static, Result<(), AppendError>> {
        self.change(|| {
            self.lock().logs.entry(id.0).or_insert_with(Entry::new);
            Ok(())
        })
    }

    fn append(&self, id: LogId, batch: Batch) -> BoxFuture<'static, Result<Appended, AppendError>> {
        let fault = {
            let mut inner = self.lock();
            if inner.faults.is_empty() { None } else { Some(inner.faults.remove(0)) }
        };
        match fault {
            None => self.change(|| self.append_now(id, &batch)),
            Some(AppendFault::Refused(error)) => ready(Err(error)),
            Some(AppendFault::WrittenThenStopped) => {
                let _ = self.append_now(id, &batch);
                ready(Err(AppendError::Stopped("ordered by a test".to_owned())))
            }
            Some(AppendFault::WrittenThenSilent) => {
                let _ = self.append_now(id, &batch);
                Box::pin(std::future::pending())
            }
        }
    }

    fn read(
        &self,
        id: LogId,
        from: Position,
        limit: ReadLimit,
    ) -> BoxFuture<'static, Result<Read, ReadError>> {
        ready(self.read_now(id, from, limit))
    }

    fn position_at(
        &self,
        id: LogId,
        at: Timestamp,
    ) -> BoxFuture<'static, Result<Position, ReadError>> {
        let found = self.lock().logs.get(&id.0).ok_or(ReadError::NotFound).map(|entry| {
            let index = entry.records.partition_point(|(arrived, _)| *arrived < at);
            Position(index.max(entry.start) as u64)
        });
        ready(found)
    }

    fn bounds(&self, id: LogId) -> Result<Bounds, ReadError> {
        self.lock().logs.get(&id.0).map(Entry::bounds).ok_or(ReadError::NotFound)
    }

    fn tail(&self, id: LogId) -> Result<Tail, ReadError> {
        let inner = self.lock();
        inner.logs.get(&id.0).map(|entry| entry.tail.subscribe()).ok_or(ReadError::NotFound)
    }

    fn trim(&self, id: LogId, before: Position) -> BoxFuture<'static, Result<(), SealError>> {
        self.change(|| {
            self.lock().logs.get_mut(&id.0).ok_or(SealError::NotFound).map(|entry| {
                let before = usize::try_from(before.0).unwrap_or(usize::MAX);
                entry.start = entry.start.max(before.min(entry.records.len()));
                entry.publish();
            })
        })
    }

    fn seal(&self, id: LogId) -> BoxFuture<'static, Result<Position, SealError>> {
        self.change(|| {
            self.lock().logs.get_mut(&id.0).ok_or(SealError::NotFound).map(|entry| {
                entry.sealed = true;
                entry.publish();
                entry.bounds().end
            })
        })
    }

    fn delete(&self, id: LogId) -> BoxFuture<'static, Result<(), SealError>> {
        self.change(|| {
            self.lock().logs.remove(&id.0);
            Ok(())
        })
    }
}
