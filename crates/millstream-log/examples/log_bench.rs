//! Measures the embedded log alone: what one disk gives, without HTTP, signatures or codecs.
//!
//! `cargo run --release -p millstream-log --example log_bench -- DIRECTORY [SECONDS]`

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)] // A tool that talks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millstream_core::{SystemClock, SystemRand};
use millstream_log::storage::{DirectIo, DiskStorage};
use millstream_log::{
    BatchBuilder, Driver, Durability, EmbeddedLog, Log, LogId, Position, ReadLimit, Settings,
};
use tokio::time::Instant;

/// One shape of load.
struct Case {
    name: &'static str,
    logs: u64,
    writers: u64,
    records_per_batch: usize,
    record_bytes: usize,
}

const CASES: [Case; 5] = [
    Case {
        name: "1 shard, 1 writer, 1 x 1 KiB",
        logs: 1,
        writers: 1,
        records_per_batch: 1,
        record_bytes: 1_024,
    },
    Case {
        name: "1 shard, 64 writers, 1 x 1 KiB",
        logs: 1,
        writers: 64,
        records_per_batch: 1,
        record_bytes: 1_024,
    },
    Case {
        name: "1 shard, 8 writers, 500 x 1 KiB",
        logs: 1,
        writers: 8,
        records_per_batch: 500,
        record_bytes: 1_024,
    },
    Case {
        name: "100 streams, 100 writers, 50 x 1 KiB",
        logs: 100,
        writers: 100,
        records_per_batch: 50,
        record_bytes: 1_024,
    },
    Case {
        name: "1,000 shards, 1,000 writers, 1 x 1 KiB",
        logs: 1_000,
        writers: 1_000,
        records_per_batch: 1,
        record_bytes: 1_024,
    },
];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let base = PathBuf::from(arguments.first().map_or("log-bench-data", String::as_str));
    let seconds: u64 = arguments.get(1).map_or(5, |text| text.parse().unwrap());
    for (label, direct, durability) in [
        ("direct + fdatasync", DirectIo::Try, Durability::Fsync),
        ("page cache + fdatasync", DirectIo::Never, Durability::Fsync),
        ("page cache, no sync (buffered)", DirectIo::Never, Durability::Buffered),
    ] {
        println!("## {label}");
        for case in &CASES {
            let path = base.join(format!("{}-{}", std::process::id(), case.logs));
            run(case, &path, direct, durability, Duration::from_secs(seconds)).await;
            std::fs::remove_dir_all(&path).unwrap();
        }
    }
}

async fn run(
    case: &Case,
    path: &std::path::Path,
    direct: DirectIo,
    durability: Durability,
    time: Duration,
) {
    let storage = Arc::new(DiskStorage::open(path, direct).unwrap());
    let settings = Settings { durability, ..Settings::default() };
    let rand = SystemRand::new();
    let clock = Arc::new(SystemClock);
    let (log, _) = EmbeddedLog::open(storage, clock, &rand, settings, Driver::Thread).unwrap();
    for id in 0..case.logs {
        log.create(LogId(id)).await.unwrap();
    }
    let appended = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut writers = Vec::new();
    for writer in 0..case.writers {
        let (log, appended) = (log.clone(), Arc::clone(&appended));
        let id = LogId(writer % case.logs);
        let (count, payload) = (case.records_per_batch, vec![7_u8; case.record_bytes]);
        writers.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            while begun.elapsed() < time {
                let mut batch = BatchBuilder::with_capacity(count * (payload.len() + 4));
                for _ in 0..count {
                    batch.push(&[&payload]);
                }
                let sent = Instant::now();
                log.append(id, batch.build()).await.unwrap();
                latencies.push(sent.elapsed());
                appended.fetch_add((count * payload.len()) as u64, Ordering::Relaxed);
            }
            latencies
        }));
    }
    let mut latencies = Vec::new();
    for writer in writers {
        latencies.extend(writer.await.unwrap());
    }
    let wrote = begun.elapsed();
    latencies.sort_unstable();
    let at = |share: f64| {
        // A rank: rounding is no matter.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rank = (latencies.len() as f64 * share) as usize;
        latencies[rank.min(latencies.len() - 1)].as_secs_f64() * 1e3
    };
    let megabytes = appended.load(Ordering::Relaxed) as f64 / 1e6;
    let stats = log.stats();
    let (read, took) = read_all(&log, case.logs).await;
    println!(
        "{:<40} {:>8.1} MB/s {:>8.0} appends/s  p50 {:.3} ms  p99 {:.3} ms  {:>6.0} commits/s  \
         sync mean {:.3} ms  reads {:>6.0} MB/s",
        case.name,
        megabytes / wrote.as_secs_f64(),
        latencies.len() as f64 / wrote.as_secs_f64(),
        at(0.5),
        at(0.99),
        stats.commits as f64 / wrote.as_secs_f64(),
        stats.sync_us_total as f64 / 1e3 / stats.commits.max(1) as f64,
        read as f64 / 1e6 / took.as_secs_f64(),
    );
    log.close().await.unwrap();
}

/// Reads every log from its start; bytes of payload and time.
async fn read_all(log: &EmbeddedLog, logs: u64) -> (usize, Duration) {
    let begun = Instant::now();
    let mut bytes = 0;
    for id in 0..logs {
        let mut from = Position(0);
        loop {
            let limit = ReadLimit { records: 10_000, bytes: 10 << 20 };
            let read = log.read(LogId(id), from, limit).await.unwrap();
            if read.records.is_empty() {
                break;
            }
            bytes += read.records.iter().map(|record| record.payload.len()).sum::<usize>();
            from = read.next;
        }
    }
    (bytes, begun.elapsed())
}
