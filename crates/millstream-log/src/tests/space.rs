//! No space: an error to whoever appends, while reads go on and forgetting makes room.

use super::faults::{Acked, check_acked, check_after_crash, live};
use super::{ALL, World, append, payload, payloads, read_all, run};
use crate::{AppendError, Log, LogId, Position, SealError};

#[test]
fn no_space_is_an_error_and_appends_resume_once_there_is_some() {
    let used = {
        let world = World::seeded(1);
        run(async {
            let log = world.open();
            live(&log, &mut Acked::new()).await.unwrap();
        });
        world.disk.used_bytes()
    };
    let mut refused = 0;
    for capacity in (1_000..used + 4_000).step_by(2_500) {
        let world = World::seeded(capacity);
        let life = format!("capacity {capacity}");
        run(async {
            world.disk.set_capacity(Some(capacity));
            // Once as the system tells free space, once where it comes as a surprise.
            world.disk.hide_capacity(capacity % 5_000 < 2_500);
            let mut acked = Acked::new();
            let Ok((log, _)) = world.try_open() else { return };
            match live(&log, &mut acked).await {
                Ok(()) => {}
                Err(AppendError::NoSpace) => refused += 1,
                // Seals and trims are refused by the same cause, told by `live` as a stop.
                Err(AppendError::Stopped(reason)) => assert_eq!(reason, "", "{life}"),
                Err(error) => panic!("{life}: {error}"),
            }
            assert_eq!(log.stats().latched, None, "{life}");
            check_acked(&log, &acked, &life).await;
            world.disk.set_capacity(None);
            log.create(LogId(9)).await.unwrap();
            append(&log, 9, &[payload(9, 9)]).await.unwrap();
            acked.insert(9, vec![payload(9, 9)]);
            for id in acked.keys().copied().collect::<Vec<_>>() {
                if let Ok(appended) = append(&log, id, &[payload(1, 2_000)]).await {
                    let known = acked.get_mut(&id).unwrap();
                    assert_eq!(appended.first.0, known.len() as u64, "{life}: nothing was kept");
                    known.push(payload(1, 2_000));
                }
            }
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            let names = world.disk.names();
            let count = |kind: &str| names.iter().filter(|name| name.starts_with(kind)).count();
            assert_eq!(
                count("segment") as u64,
                log.stats().segments,
                "{life}: nothing is left over"
            );
            assert_eq!(count("wal") as u64, log.stats().wal_files, "{life}: nothing is left over");
            drop(log);
            world.disk.crash(capacity);
            check_after_crash(&world, &mut acked, &life).await;
        });
    }
    assert!(refused > 20, "space must run out to prove anything: {refused}");
}

#[test]
fn on_a_full_disk_forgetting_makes_space() {
    for (seed, hidden) in [(1, false), (2, true)] {
        let world = World::seeded(seed);
        run(async {
            // Two files of 64 KiB, the reserve, and a little for segments.
            world.disk.set_capacity(Some(270 << 10));
            world.disk.hide_capacity(hidden);
            let log = world.open();
            log.create(LogId(1)).await.unwrap();
            let mut acked = 0;
            let refused = loop {
                match append(&log, 1, &[payload(acked, 3_000)]).await {
                    Ok(_) => acked += 1,
                    Err(error) => break error,
                }
            };
            assert_eq!(refused, AppendError::NoSpace);
            assert!(acked > 30, "{acked}");
            for tag in acked..acked + 100 {
                // As retention does it: all but the last few go, again and again.
                log.trim(LogId(1), Position(tag - 5)).await.unwrap();
                let appended = append(&log, 1, &[payload(tag, 3_000)]).await;
                assert_eq!(appended.unwrap().first, Position(tag), "hidden {hidden}");
            }
            drop(log);
            world.disk.crash(seed);
            let log = world.open();
            let found = payloads(&read_all(&log, 1, ALL).await.unwrap());
            let start = log.bounds(LogId(1)).unwrap().start.0;
            let expected: Vec<_> = (start..acked + 100).map(|tag| payload(tag, 3_000)).collect();
            assert_eq!(found, expected);
        });
    }
}

#[test]
fn on_a_disk_without_space_for_another_file_forgetting_frees_those_there_are() {
    for (seed, hidden) in [(1, false), (2, true)] {
        let mut world = World::seeded(seed);
        world.settings.wal_files_max = 4;
        run(async {
            // Two files of 64 KiB, the reserve, and most of a third.
            world.disk.set_capacity(Some(180 << 10));
            world.disk.hide_capacity(hidden);
            let log = world.open();
            log.create(LogId(1)).await.unwrap();
            let mut acked = 0;
            while append(&log, 1, &[payload(acked, 3_000)]).await.is_ok() {
                acked += 1;
            }
            assert!(acked > 30, "{acked}");
            // As a delivery does it that went on meanwhile: all of it goes.
            log.trim(LogId(1), Position(acked)).await.unwrap();
            for tag in acked..acked + 100 {
                let appended = append(&log, 1, &[payload(tag, 3_000)]).await;
                assert_eq!(appended.unwrap().first, Position(tag), "hidden {hidden}");
                log.trim(LogId(1), Position(tag)).await.unwrap();
            }
        });
    }
}

#[test]
fn what_is_forgotten_on_a_disk_full_to_the_last_byte_stays_forgotten() {
    // Goal: a trim that no file had room for frees a segment; after a crash the log must not
    // miss what was in it.
    let world = World::seeded(1);
    run(async {
        world.disk.set_capacity(Some(270 << 10));
        let log = world.open();
        log.create(LogId(1)).await.unwrap();
        let mut acked = 0;
        while append(&log, 1, &[payload(acked, 3_000)]).await.is_ok() {
            acked += 1;
        }
        let full = world.disk.used_bytes();
        world.disk.set_capacity(Some(full));
        log.trim(LogId(1), Position(20)).await.unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(world.disk.used_bytes() < full, "the reserve paid for a manifest");
        drop(log);
        world.disk.crash(1);
        world.disk.set_capacity(None);
        let log = world.open();
        let start = log.bounds(LogId(1)).unwrap().start.0;
        let found = payloads(&read_all(&log, 1, ALL).await.unwrap());
        let sent: Vec<_> = (start..acked).map(|tag| payload(tag, 3_000)).collect();
        assert_eq!(found, sent);
        assert!(start > 0);
    });
}

#[test]
fn a_commit_refused_for_space_in_place_leaves_no_trace() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        for id in 1..=2 {
            log.create(LogId(id)).await.unwrap();
            append(&log, id, &[payload(id, 100)]).await.unwrap();
        }
        let refused = SealError::NoSpace;
        world.disk.refuse_write_in(1);
        assert_eq!(append(&log, 1, &[payload(9, 2_000)]).await, Err(AppendError::NoSpace));
        world.disk.refuse_write_in(1);
        assert_eq!(log.seal(LogId(1)).await, Err(refused.clone()));
        world.disk.refuse_write_in(1);
        assert_eq!(log.delete(LogId(2)).await, Err(refused.clone()));
        world.disk.refuse_write_in(1);
        assert_eq!(log.create(LogId(3)).await, Err(AppendError::NoSpace));
        assert_eq!(log.log_ids(), [LogId(1), LogId(2)]);
        for id in 1..=2 {
            let appended = append(&log, id, &[payload(id + 10, 10)]).await.unwrap();
            assert_eq!(appended.first, Position(1));
        }
        drop(log);
        world.disk.crash(1);
        let log = world.open();
        for id in 1..=2 {
            let found = payloads(&read_all(&log, id, ALL).await.unwrap());
            assert_eq!(found, [payload(id, 100), payload(id + 10, 10)]);
        }
    });
}

#[test]
fn a_commit_refused_for_space_never_takes_the_place_of_the_next() {
    // Goal: what was refused may lie there whole, since all that was left of it to write was
    // zeros. When the next commit is too large for what is left of the file and goes to another,
    // recovery must not find two commits of one number.
    let (mut whole, blocks) = (0, 15);
    for seed in 0..60 {
        let world = World::seeded(seed);
        run(async {
            let log = world.open();
            log.create(LogId(1)).await.unwrap();
            for tag in 1..blocks - 2 {
                append(&log, 1, &[payload(tag, 100)]).await.unwrap();
            }
            let mut half_zeros = payload(50, 500);
            half_zeros.resize(6_000, 0);
            // No room for segments: the first file stays where it is, to be replayed.
            world.disk.set_capacity(Some(world.disk.used_bytes()));
            world.disk.refuse_write_in(1);
            let refused = append(&log, 1, &[half_zeros]).await;
            assert_eq!(refused, Err(AppendError::NoSpace), "seed {seed}");
            let large = append(&log, 1, &[payload(60, 20_000)]).await.unwrap();
            let small = append(&log, 1, &[payload(61, 100)]).await.unwrap();
            assert_eq!((large.first, small.first), (Position(blocks - 3), Position(blocks - 2)));
            drop(log);
            world.disk.crash(seed);
            let (log, report) = world.try_open().unwrap_or_else(|error| {
                panic!("seed {seed}: {error}");
            });
            whole += u32::from(report.torn_tail.is_none());
            let found = payloads(&read_all(&log, 1, ALL).await.unwrap());
            let mut sent: Vec<_> = (1..blocks - 2).map(|tag| payload(tag, 100)).collect();
            sent.extend([payload(60, 20_000), payload(61, 100)]);
            assert!(found == sent, "seed {seed}: {} records", found.len());
        });
    }
    assert!(whole > 10, "the refused commit must be there to prove anything: {whole}");
}
