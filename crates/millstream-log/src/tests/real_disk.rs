//! The same engine on the real file system, with its threads.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millstream_core::{SystemClock, SystemRand};

use super::{ALL, append, payload, payloads, read_all, run, small};
use crate::storage::{AlignedBuffer, DirectIo, DiskStorage, FileKind, Storage};
use crate::{Driver, EmbeddedLog, Log, LogId, OpenError, Position, RecoveryReport, Settings};

/// A directory of its own, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "millstream-log-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        Self(std::env::temp_dir().join(name).join("made").join("deep"))
    }

    fn try_open(&self, settings: Settings) -> Result<(EmbeddedLog, RecoveryReport), OpenError> {
        let storage = Arc::new(DiskStorage::open(&self.0, DirectIo::Try).unwrap());
        let clock = Arc::new(SystemClock);
        EmbeddedLog::open(storage, clock, &SystemRand::new(), settings, Driver::Thread)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let top = self.0.parent().and_then(|path| path.parent()).unwrap();
        let _ = std::fs::remove_dir_all(top);
    }
}

#[test]
fn many_writers_on_threads_lose_and_reorder_nothing() {
    let directory = Directory::new();
    let (log, _) = directory.try_open(small()).unwrap();
    run(async {
        for id in 0..8 {
            log.create(LogId(id)).await.unwrap();
        }
    });
    std::thread::scope(|scope| {
        for id in 0..8 {
            let log = log.clone();
            scope.spawn(move || {
                run(async {
                    for tag in 0..300 {
                        let appended = append(&log, id, &[payload(tag, 200)]).await.unwrap();
                        assert_eq!(appended.first, Position(tag));
                        let read = log.read(LogId(id), appended.first, ALL).await.unwrap();
                        assert_eq!(read.records.len(), 1, "readable once acknowledged");
                    }
                });
            });
        }
    });
    let expected: Vec<_> = (0..300).map(|tag| payload(tag, 200)).collect();
    let check = |log: &EmbeddedLog| {
        run(async {
            for id in 0..8 {
                assert_eq!(payloads(&read_all(log, id, ALL).await.unwrap()), expected);
            }
        });
    };
    check(&log);
    // Once without and once with a clean close.
    drop(log);
    let (log, report) = directory.try_open(small()).unwrap();
    assert!(report.commits_replayed > 0 && report.torn_tail.is_none(), "{report:?}");
    check(&log);
    run(log.close()).unwrap();
    drop(log);
    let (log, report) = directory.try_open(small()).unwrap();
    assert_eq!(report.commits_replayed, 0);
    check(&log);
}

#[test]
fn a_directory_in_use_is_refused_until_it_is_free() {
    let directory = Directory::new();
    let (log, _) = directory.try_open(small()).unwrap();
    assert!(matches!(directory.try_open(small()), Err(OpenError::InUse { .. })));
    drop(log);
    directory.try_open(small()).unwrap();
}

#[test]
fn a_changed_file_size_is_taken_at_the_next_start() {
    let directory = Directory::new();
    for wal_file_bytes in [64 << 10, 256 << 10, 128 << 10] {
        let settings = Settings { wal_file_bytes, ..small() };
        let (log, _) = directory.try_open(settings).unwrap();
        run(async {
            log.create(LogId(1)).await.unwrap();
            for tag in 0..100 {
                append(&log, 1, &[payload(tag, 3_000)]).await.unwrap();
            }
        });
    }
    let (log, _) = directory.try_open(small()).unwrap();
    let expected: Vec<_> = (0..300).map(|tag| payload(tag % 100, 3_000)).collect();
    assert_eq!(payloads(&run(read_all(&log, 1, ALL)).unwrap()), expected);
}

#[test]
fn files_keep_what_is_written_where_it_is_written() {
    let directory = Directory::new();
    for (name, direct) in [("a", DirectIo::Try), ("b", DirectIo::Never)] {
        let storage = DiskStorage::open(&directory.0, direct).unwrap();
        let file = storage.create(name, FileKind::Blocks).unwrap();
        let mut block = AlignedBuffer::default();
        block.extend(b"here");
        block.pad();
        file.write_at(8_192, block.as_slice()).unwrap();
        file.sync().unwrap();
        assert_eq!(file.length().unwrap(), 12_288);
        let mut found = AlignedBuffer::zeroed(4_096);
        storage.open(name, FileKind::Blocks).unwrap().read_at(8_192, found.as_mut_slice()).unwrap();
        assert_eq!(found.as_slice(), block.as_slice());
        assert!(storage.create(name, FileKind::Plain).is_err(), "the name is taken");
        assert!(file.read_at(12_288, found.as_mut_slice()).is_err(), "past the end");
    }
    let storage = DiskStorage::open(&directory.0, DirectIo::Try).unwrap();
    storage.rename("a", "b").unwrap();
    storage.sync_directory().unwrap();
    assert_eq!(storage.list().unwrap(), ["b"]);
    storage.remove("b").unwrap();
    assert!(storage.list().unwrap().is_empty() && storage.free_bytes().unwrap() > 0);
}

/// Not a test of its own: the process that the next one kills. Prints each acknowledged tag.
#[test]
#[ignore = "run by `a_killed_process_loses_and_reorders_nothing`"]
#[allow(clippy::print_stdout)] // That is how the parent learns of it.
fn a_process_to_be_killed() {
    let Ok(path) = std::env::var("MILLSTREAM_LOG_TEST_DIRECTORY") else { return };
    let directory = Directory(PathBuf::from(path));
    let (log, _) = directory.try_open(small()).unwrap();
    run(async {
        log.create(LogId(1)).await.unwrap();
        let mut tag = log.bounds(LogId(1)).unwrap().end.0;
        loop {
            // Some in flight at once, so that the kill finds commits half done.
            let appends: Vec<_> = (tag..tag + 8)
                .map(|tag| log.append(LogId(1), crate::Batch::of(&payload(tag, 900))))
                .collect();
            for append in appends {
                println!("acked {}", append.await.unwrap().first.0);
            }
            tag += 8;
        }
    });
}

#[test]
fn a_killed_process_loses_and_reorders_nothing() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let directory = Directory::new();
    let mut acked = 0;
    for round in 1..=12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["tests::real_disk::a_process_to_be_killed", "--exact", "--ignored"])
            .arg("--nocapture")
            .env("MILLSTREAM_LOG_TEST_DIRECTORY", &directory.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        for line in lines.by_ref() {
            let line = line.unwrap();
            let Some(position) = line.strip_prefix("acked ") else { continue };
            assert_eq!(position.parse::<u64>().unwrap(), acked, "no position twice, none skipped");
            acked += 1;
            seen += 1;
            if seen == 150 + round {
                child.kill().unwrap(); // SIGKILL.
            }
        }
        child.wait().unwrap();
        let (log, _) = directory.try_open(small()).unwrap();
        let found = payloads(&run(read_all(&log, 1, ALL)).unwrap());
        assert!(found.len() as u64 >= acked, "acknowledged records are lost");
        let sent: Vec<_> = (0..found.len() as u64).map(|tag| payload(tag, 900)).collect();
        assert_eq!(found, sent);
        acked = found.len() as u64;
    }
}
