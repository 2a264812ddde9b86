//! A thousand logs cost neither a thousand syncs nor a thousand files.

use super::{ALL, World, append, payload, payloads, read_all, run};
use crate::{Batch, Log, LogId, Position};

const LOGS: u64 = 1_000;

#[test]
fn a_thousand_logs_share_syncs_segments_and_handles() {
    let mut world = World::seeded(1);
    world.settings.commit_bytes_max = 32 << 10;
    run(async {
        let log = world.open();
        let created: Vec<_> = (0..LOGS).map(|id| log.create(LogId(id))).collect();
        for create in created {
            create.await.unwrap();
        }
        for round in 0..6 {
            let appends: Vec<_> = (0..LOGS)
                .map(|id| log.append(LogId(id), Batch::of(&payload(id * 10 + round, 20))))
                .collect();
            for append in appends {
                assert_eq!(append.await.unwrap().first, Position(round));
            }
        }
        let syncs = world.disk.counters().syncs;
        assert!(syncs < 200, "7,000 commands share few syncs: {syncs}");
        log.close().await.unwrap();
        let segments = log.stats().segments;
        assert!(segments < 20, "small logs share segments: {segments}");
        drop(log);
        world.disk.crash(1);
        let log = world.open();
        for id in 0..LOGS {
            let found = payloads(&read_all(&log, id, ALL).await.unwrap());
            let sent: Vec<_> = (0..6).map(|round| payload(id * 10 + round, 20)).collect();
            assert_eq!(found, sent);
        }
    });
}

#[test]
fn memory_stays_within_its_bounds_whatever_is_appended() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        for id in 0..4 {
            log.create(LogId(id)).await.unwrap();
        }
        for tag in 0..3_000 {
            append(&log, tag % 4, &[payload(tag, 600)]).await.unwrap();
            let stats = log.stats();
            assert!(stats.cached_bytes <= 24 << 10, "{stats:?}");
            // Chunks in memory cost more than on disk by what surrounds them only.
            assert!(stats.undestaged_bytes <= 3 * (64 << 10), "{stats:?}");
            assert!(stats.wal_files <= 3, "{stats:?}");
        }
        for id in 0..4 {
            log.trim(LogId(id), Position(u64::MAX)).await.unwrap();
        }
        log.close().await.unwrap();
        let stats = log.stats();
        assert_eq!((stats.cached_bytes, stats.undestaged_bytes, stats.segments), (0, 0, 0));
    });
}

#[test]
fn a_deleted_log_frees_the_segment_that_it_shared_once_all_are_gone() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        for id in 0..3 {
            log.create(LogId(id)).await.unwrap();
            append(&log, id, &[payload(id, 600)]).await.unwrap();
        }
        log.close().await.unwrap();
        drop(log);
        world.disk.kill();
        let log = world.open();
        assert_eq!(log.stats().segments, 1);
        log.delete(LogId(0)).await.unwrap();
        log.trim(LogId(1), Position(1)).await.unwrap();
        append(&log, 2, &[payload(7, 7)]).await.unwrap();
        assert_eq!(log.stats().segments, 1, "log 2 still needs it");
        log.delete(LogId(2)).await.unwrap();
        log.close().await.unwrap();
        assert_eq!(log.stats().segments, 0);
        assert!(!world.disk.names().iter().any(|name| name.starts_with("segment")));
    });
}

#[test]
fn a_log_kept_for_long_does_not_hold_on_to_the_bytes_of_others() {
    // Goal: log 1 keeps everything, logs 2..=9 the last few records, as with retentions of a
    // year and of a day; the disk holds what is kept and not everything that ever was.
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        for id in 1..10 {
            log.create(LogId(id)).await.unwrap();
        }
        for round in 0..1_000 {
            append(&log, 1, &[payload(round, 100)]).await.unwrap();
            for id in 2..10 {
                append(&log, id, &[payload(round, 200)]).await.unwrap();
            }
            if round % 50 == 0 {
                for id in 2..10 {
                    log.trim(LogId(id), Position(round)).await.unwrap();
                }
            }
        }
        let appended = 1_000 * (100 + 8 * 200);
        let used = world.disk.used_bytes() - 3 * (64 << 10);
        assert!(used < appended / 3, "{used} of {appended} bytes are held");
        drop(log);
        world.disk.crash(1);
        let log = world.open();
        let found = payloads(&read_all(&log, 1, ALL).await.unwrap());
        let sent: Vec<_> = (0..1_000).map(|round| payload(round, 100)).collect();
        assert_eq!(found, sent);
        for id in 2..10 {
            let found = payloads(&read_all(&log, id, ALL).await.unwrap());
            let sent: Vec<_> = (950..1_000).map(|round| payload(round, 200)).collect();
            assert_eq!(found, sent);
        }
    });
}
