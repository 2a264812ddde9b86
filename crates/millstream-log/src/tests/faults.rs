//! Faults of the disk: failed syncs and writes, no space, power lost at every single call.

use std::collections::BTreeMap;

use super::{ALL, World, append, payload, payloads, read_all, run};
use crate::{AppendError, EmbeddedLog, Log, LogId, Position, ReadError, SealError};

/// What was acknowledged: for each log its payloads in order.
type Acked = BTreeMap<u64, Vec<Vec<u8>>>;

/// A life of a store that rolls files, destages, seals, trims and deletes, until it is refused.
/// Log 3 is deleted and log 4 sealed on the way; logs 1 and 5 are trimmed.
async fn live(log: &EmbeddedLog, acked: &mut Acked) -> Result<(), AppendError> {
    for id in 1..=5 {
        log.create(LogId(id)).await?;
        acked.insert(id, Vec::new());
    }
    for round in 0..25_u64 {
        // Log 1 is large enough for segments of its own, the others share theirs.
        for (id, bytes) in [(1, 4_000), (2, 400), (3, 300), (4, 300), (5, 500)] {
            if (id == 3 && round > 15) || (id == 4 && round > 10) {
                continue;
            }
            let records = [payload(round * 10 + id, bytes), payload(round, 7)];
            let appended = append(log, id, &records).await?;
            assert_eq!(appended.first.0, acked[&id].len() as u64, "no position is skipped");
            acked.get_mut(&id).unwrap().extend(records);
        }
        let stopped = |_| AppendError::Stopped(String::new());
        match round {
            10 => drop(log.seal(LogId(4)).await.map_err(stopped)?),
            15 => {
                log.delete(LogId(3)).await.map_err(stopped)?;
                acked.remove(&3);
            }
            18 | 22 => {
                // Enough of log 1 that segments of its own are unlinked.
                log.trim(LogId(1), Position(round * 2 - 8)).await.map_err(stopped)?;
                log.trim(LogId(5), Position(12)).await.map_err(stopped)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every acknowledged record is there, in order, and nothing that was never sent.
async fn check_acked(log: &EmbeddedLog, acked: &Acked, life: &str) {
    for (id, expected) in acked {
        let found = match read_all(log, *id, ALL).await {
            Ok(found) => found,
            // The delete was not acknowledged, but it may have happened.
            Err(ReadError::NotFound) if *id == 3 => continue,
            Err(error) => panic!("{life}: log {id}: {error}"),
        };
        let start = usize::try_from(log.bounds(LogId(*id)).unwrap().start.0).unwrap();
        let starts: &[usize] = match id {
            1 => &[0, 28, 36],
            5 => &[0, 12],
            _ => &[0],
        };
        assert!(starts.contains(&start), "{life}: log {id} starts at {start}");
        let found = payloads(&found);
        let expected = &expected[start..];
        assert!(found.len() >= expected.len(), "{life}: log {id} lost acknowledged records");
        assert_eq!(found[..expected.len()], *expected, "{life}: log {id}");
        // At most the one batch whose fate was unknown.
        assert!(found.len() <= expected.len() + 2, "{life}: log {id} has what nobody sent");
    }
}

/// Opens after a crash, checks, appends once more, crashes again and checks again.
async fn check_after_crash(world: &World, acked: &mut Acked, life: &str) {
    let (log, report) = world.try_open().unwrap_or_else(|error| panic!("{life}: {error}"));
    assert!(report.damaged_segments.is_empty(), "{life}: {report:?}");
    check_acked(&log, acked, life).await;
    for (id, expected) in acked.iter_mut() {
        let Ok(bounds) = log.bounds(LogId(*id)) else { continue };
        let whole: Vec<Vec<u8>> = payloads(&read_all(&log, *id, ALL).await.unwrap());
        expected.truncate(usize::try_from(bounds.start.0).unwrap());
        expected.extend(whole);
        match append(&log, *id, &[payload(777, 50)]).await {
            Ok(appended) => {
                assert_eq!(appended.first, bounds.end, "{life}");
                expected.push(payload(777, 50));
            }
            Err(error) => assert_eq!((error, bounds.sealed), (AppendError::Sealed, true), "{life}"),
        }
    }
    drop(log);
    world.disk.crash(1);
    let log = world.open();
    check_acked(&log, acked, life).await;
}

#[test]
fn a_life_without_faults_rolls_destages_and_ends_well() {
    let world = World::seeded(3);
    run(async {
        let log = world.open();
        let mut acked = Acked::new();
        live(&log, &mut acked).await.unwrap();
        let stats = log.stats();
        assert!(stats.segments >= 3, "{stats:?}");
        assert!(stats.cached_bytes <= 24 << 10, "{stats:?}");
        check_acked(&log, &acked, "no fault").await;
        drop(log);
        world.disk.crash(1);
        check_after_crash(&world, &mut acked, "no fault").await;
    });
}

/// Lives a life in which `fault` strikes, and checks that nothing acknowledged is lost, nothing
/// is acknowledged after it, and reads go on. Says whether the fault struck at all.
fn strike(seed: u64, life: &str, fault: impl Fn(&World)) -> bool {
    let world = World::seeded(seed);
    run(async {
        fault(&world);
        let mut acked = Acked::new();
        let Ok((log, _)) = world.try_open() else {
            world.disk.crash(seed);
            check_after_crash(&world, &mut acked, life).await;
            return true;
        };
        let outcome = live(&log, &mut acked).await;
        let struck = outcome.is_err();
        if struck {
            assert!(matches!(outcome, Err(AppendError::Stopped(_))), "{life}: {outcome:?}");
            assert!(log.stats().latched.is_some(), "{life}");
            for _ in 0..3 {
                let refused = append(&log, 1, &[payload(0, 1)]).await;
                assert!(matches!(refused, Err(AppendError::Stopped(_))), "{life}: {refused:?}");
            }
            if !world.disk.is_powered_off() {
                check_acked(&log, &acked, life).await;
            }
        }
        // Any fault late in the background shows at the latest here, and is no matter by then.
        drop(log);
        world.disk.crash(seed);
        check_after_crash(&world, &mut acked, life).await;
        struck
    })
}

#[test]
fn a_failed_sync_stops_acknowledgements_whichever_it_is() {
    let mut struck = 0;
    for nth in 1..250 {
        struck += u32::from(strike(nth, &format!("sync {nth}"), |world| {
            world.disk.fail_sync_in(nth);
        }));
    }
    assert!(struck > 100, "the faults must strike to prove anything: {struck}");
}

#[test]
fn a_failed_write_stops_acknowledgements_whichever_it_is() {
    let mut struck = 0;
    for nth in 1..400 {
        struck += u32::from(strike(nth, &format!("write {nth}"), |world| {
            world.disk.fail_write_in(nth);
        }));
    }
    assert!(struck > 100, "the faults must strike to prove anything: {struck}");
}

#[test]
fn power_may_go_at_every_call_of_the_disk() {
    let mut struck = 0;
    for nth in 1..500 {
        for seed in [nth, nth + 10_000] {
            struck += u32::from(strike(seed, &format!("power {nth} seed {seed}"), |world| {
                world.disk.lose_power_in(nth);
            }));
        }
    }
    assert!(struck > 400, "the faults must strike to prove anything: {struck}");
}

#[test]
fn power_may_go_again_at_every_call_of_recovery() {
    // A world that died in the middle of its life, with a torn commit at the tail.
    let died = || {
        let world = World::seeded(8);
        let mut acked = Acked::new();
        run(async {
            let log = world.open();
            world.disk.lose_power_in(210);
            live(&log, &mut acked).await.unwrap_err();
            drop(log);
            world.disk.crash(4);
        });
        (world, acked)
    };
    let (mut whole, mut calls) = (false, 0);
    while !whole {
        calls += 1;
        let (world, mut acked) = died();
        run(async {
            world.disk.lose_power_in(calls);
            match world.try_open() {
                Ok((log, _)) => {
                    whole = !world.disk.is_powered_off();
                    drop(log);
                }
                Err(_) => assert!(world.disk.is_powered_off()),
            }
            world.disk.crash(calls);
            check_after_crash(&world, &mut acked, &format!("recovery, call {calls}")).await;
        });
    }
    assert!(calls > 3, "recovery must touch the disk to prove anything: {calls}");
}

#[test]
fn an_unsynced_commit_that_reads_as_clean_is_written_again() {
    // Goal: after a failed sync the pages read as written but are not on the device.
    // Method: the process dies and starts again with those pages; then the power goes.
    for seed in 0..40 {
        let world = World::seeded(seed);
        run(async {
            let log = world.open();
            log.create(LogId(1)).await.unwrap();
            append(&log, 1, &[payload(1, 100)]).await.unwrap();
            world.disk.fail_sync_in(1);
            append(&log, 1, &[payload(2, 3_000)]).await.unwrap_err();
            drop(log);
            world.disk.kill();
            let log = world.open();
            let served = payloads(&read_all(&log, 1, ALL).await.unwrap());
            append(&log, 1, &[payload(3, 100)]).await.unwrap();
            drop(log);
            world.disk.crash(seed);
            let log = world.open();
            let found = payloads(&read_all(&log, 1, ALL).await.unwrap());
            assert_eq!(found[..served.len()], served, "what was served stays");
            assert_eq!(found.len(), served.len() + 1, "and so does what was acknowledged");
        });
    }
}

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
fn a_read_that_the_disk_refuses_fails_alone_and_may_be_tried_again() {
    let world = World::seeded(2);
    run(async {
        let log = world.open();
        let mut acked = Acked::new();
        live(&log, &mut acked).await.unwrap();
        log.close().await.unwrap();
        drop(log);
        world.disk.kill();
        let log = world.open();
        world.disk.fail_read_in(1);
        let failed = read_all(&log, 1, ALL).await.map(|found| found.len()).unwrap_err();
        assert!(
            matches!(&failed, ReadError::Io { file, .. } if file.contains("segment-")),
            "{failed}"
        );
        check_acked(&log, &acked, "after a failed read").await;
        append(&log, 1, &[payload(1, 1)]).await.unwrap();
    });
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
