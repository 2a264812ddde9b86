//! The suite of the embedded engine: its contract, and every fault that it promises to stand.
//!
//! Owns the small worlds that the tests run in. Everything but `real_disk` runs on the simulated
//! disk with the task driver, so that a failure is reproduced by its seed.

mod bits;
mod buffered;
mod contract;
mod faults;
mod model;
mod names;
mod races;
mod real_disk;
mod rewrite;
mod scale;
mod space;
mod torn;

use std::future::Future;
use std::sync::Arc;

use millstream_core::{ManualClock, SeededRand, Timestamp};

use crate::storage::SimDisk;
use crate::{
    AppendError, Appended, Batch, BatchBuilder, Driver, EmbeddedLog, Log, LogId, OpenError,
    Position, Read, ReadError, ReadLimit, Record, RecoveryReport, Settings,
};

/// Runs a future and everything it spawned, single-threaded and deterministic.
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(future)
}

/// Sizes small enough that a few records fill a file.
fn small() -> Settings {
    Settings {
        wal_file_bytes: 64 << 10,
        wal_files_max: 3,
        commit_bytes_max: 8 << 10,
        batch_bytes_max: 32 << 10,
        cache_bytes_max: 24 << 10,
        own_segment_bytes_min: 8 << 10,
        index_interval_bytes: 1_024,
        reserve_bytes: 8 << 10,
        open_files_max: 2,
        ..Settings::default()
    }
}

struct World {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    settings: Settings,
}

impl World {
    fn seeded(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_700_000_000)));
        Self { disk: SimDisk::new(seed), clock, settings: small() }
    }

    /// The same with a copy of its disk.
    fn fork(&self) -> Self {
        let (clock, settings) = (Arc::clone(&self.clock), self.settings.clone());
        Self { disk: self.disk.fork(), clock, settings }
    }

    /// The same, with the misfortunes of another seed.
    fn fork_seeded(&self, seed: u64) -> Self {
        let (clock, settings) = (Arc::clone(&self.clock), self.settings.clone());
        Self { disk: self.disk.fork_seeded(seed), clock, settings }
    }

    fn try_open(&self) -> Result<(EmbeddedLog, RecoveryReport), OpenError> {
        let rand = SeededRand::new(7);
        let settings = self.settings.clone();
        let clock = Arc::clone(&self.clock);
        EmbeddedLog::open(self.disk.storage(), clock, &rand, settings, Driver::Task)
    }

    fn open(&self) -> EmbeddedLog {
        self.try_open().unwrap().0
    }
}

fn batch(payloads: &[Vec<u8>]) -> Batch {
    let mut builder = BatchBuilder::default();
    for payload in payloads {
        builder.push(&[payload]);
    }
    builder.build()
}

/// A payload that nobody mistakes for another.
fn payload(tag: u64, bytes: usize) -> Vec<u8> {
    let mut payload = tag.to_le_bytes().to_vec();
    payload.extend((tag..).take(bytes).map(|at| u8::try_from(at % 251).unwrap()));
    payload
}

async fn append(log: &EmbeddedLog, id: u64, payloads: &[Vec<u8>]) -> Result<Appended, AppendError> {
    log.append(LogId(id), batch(payloads)).await
}

const ALL: ReadLimit = ReadLimit { records: usize::MAX, bytes: usize::MAX };

/// Reads a log to its end in reads of at most `limit`, checking what each read promises.
async fn read_all(log: &EmbeddedLog, id: u64, limit: ReadLimit) -> Result<Vec<Record>, ReadError> {
    let id = LogId(id);
    let bounds = log.bounds(id)?;
    let mut records: Vec<Record> = Vec::new();
    let mut from = Position(0);
    loop {
        let read = log.read(id, from, limit).await?;
        check_read(&read, &bounds, limit);
        if read.records.is_empty() {
            assert_eq!(read.next, bounds.end, "a read that finds nothing is at the end");
            assert_eq!(read.at_sealed_end, bounds.sealed);
            return Ok(records);
        }
        if let Some(arrived) = records.last().map(|record| record.arrived) {
            assert!(read.records[0].arrived >= arrived, "arrivals never fall");
        }
        from = read.next;
        records.extend(read.records);
    }
}

fn check_read(read: &Read, bounds: &crate::Bounds, limit: ReadLimit) {
    assert!(read.records.len() <= limit.records.max(1));
    let bytes: usize = read.records.iter().map(|record| record.payload.len()).sum();
    assert!(bytes <= limit.bytes || read.records.len() == 1, "bytes bound all but the first");
    for pair in read.records.windows(2) {
        assert_eq!(pair[0].position.0 + 1, pair[1].position.0, "positions are consecutive");
        assert!(pair[0].arrived <= pair[1].arrived, "arrivals never fall");
    }
    if let Some(last) = read.records.last() {
        assert_eq!(read.next.0, last.position.0 + 1);
    }
    assert_eq!(read.next_arrived.is_none(), read.next >= bounds.end, "something follows or not");
    assert_eq!(read.at_sealed_end, bounds.sealed && read.next >= bounds.end);
}

fn payloads(records: &[Record]) -> Vec<Vec<u8>> {
    records.iter().map(|record| record.payload.to_vec()).collect()
}
