//! Faults of the disk: failed syncs, writes and reads, power lost at every single call.

use std::collections::BTreeMap;

use super::{ALL, World, append, payload, payloads, read_all, run};
use crate::{AppendError, EmbeddedLog, Log, LogId, Position, ReadError};

/// What was acknowledged: for each log its payloads in order.
pub(super) type Acked = BTreeMap<u64, Vec<Vec<u8>>>;

/// A life of a store that rolls files, destages, seals, trims and deletes, until it is refused.
/// Log 3 is deleted and log 4 sealed on the way; logs 1 and 5 are trimmed.
pub(super) async fn live(log: &EmbeddedLog, acked: &mut Acked) -> Result<(), AppendError> {
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
pub(super) async fn check_acked(log: &EmbeddedLog, acked: &Acked, life: &str) {
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
pub(super) async fn check_after_crash(world: &World, acked: &mut Acked, life: &str) {
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

/// What comes between a fault and the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// What was not synced is gone, all of it or a part.
    PowerCut,
    /// The system lives on, and shows what was written, be it on the device or not.
    Kill,
}

impl Restart {
    fn of(self, world: &World, seed: u64) {
        match self {
            Self::PowerCut => world.disk.crash(seed),
            Self::Kill => world.disk.kill(),
        }
    }
}

/// Lives a life in which `fault` strikes, and checks that nothing acknowledged is lost, nothing
/// is acknowledged after it, and reads go on. Says whether the fault struck at all.
pub(super) fn strike(seed: u64, life: &str, restart: Restart, fault: impl Fn(&World)) -> bool {
    let world = World::seeded(seed);
    run(async {
        fault(&world);
        let mut acked = Acked::new();
        let Ok((log, _)) = world.try_open() else {
            restart.of(&world, seed);
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
        restart.of(&world, seed);
        check_after_crash(&world, &mut acked, life).await;
        struck
    })
}

#[test]
fn a_failed_sync_stops_acknowledgements_whichever_it_is() {
    let mut struck = 0;
    for nth in 1..250 {
        for restart in [Restart::PowerCut, Restart::Kill] {
            let life = format!("sync {nth}, then a {restart:?}");
            struck += u32::from(strike(nth, &life, restart, |world| {
                world.disk.fail_sync_in(nth);
            }));
        }
    }
    assert!(struck > 200, "the faults must strike to prove anything: {struck}");
}

#[test]
fn a_failed_write_stops_acknowledgements_whichever_it_is() {
    let mut struck = 0;
    for nth in 1..400 {
        struck += u32::from(strike(nth, &format!("write {nth}"), Restart::PowerCut, |world| {
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
            let life = format!("power {nth} seed {seed}");
            struck += u32::from(strike(seed, &life, Restart::PowerCut, |world| {
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
fn a_start_whose_syncs_fail_whichever_it_is_may_be_tried_again() {
    // As above, with syncs that fail, of files and of the directory; the system lives on, so that
    // the next start sees what the failed one wrote.
    let mut struck = 0;
    for (nth, of_directory) in (1..12).flat_map(|nth| [(nth, false), (nth, true)]) {
        let world = World::seeded(nth);
        let mut acked = Acked::new();
        run(async {
            let log = world.open();
            world.disk.lose_power_in(210);
            live(&log, &mut acked).await.unwrap_err();
            drop(log);
            world.disk.crash(4);
            if of_directory {
                world.disk.fail_directory_sync_in(nth);
            } else {
                world.disk.fail_sync_in(nth);
            }
            struck += u32::from(world.try_open().is_err());
            world.disk.kill();
            check_after_crash(&world, &mut acked, &format!("sync {nth} of recovery")).await;
        });
    }
    assert!(struck > 2, "the faults must strike to prove anything: {struck}");
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
