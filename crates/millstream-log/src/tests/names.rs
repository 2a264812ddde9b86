//! Faults of names: syncs of the directory that fail, removals that find no space.

use super::faults::{Acked, Restart, check_after_crash, live, strike};
use super::rewrite::{ROUNDS, before, check, settle};
use super::{World, run};
use crate::{Log, LogId, Position};

#[test]
fn a_failed_sync_of_the_directory_stops_acknowledgements_whichever_it_is() {
    let mut struck = 0;
    for nth in 1..60 {
        for restart in [Restart::PowerCut, Restart::Kill] {
            let life = format!("directory sync {nth}, then a {restart:?}");
            struck += u32::from(strike(nth, &life, restart, |world| {
                world.disk.fail_directory_sync_in(nth);
            }));
        }
    }
    assert!(struck > 40, "the faults must strike to prove anything: {struck}");
}

#[test]
fn a_directory_sync_that_fails_in_a_rewrite_loses_neither_old_nor_new() {
    // Goal: when the manifest that swaps old segments for new ones may or may not be the one
    // that a crash leaves, the records must be there either way.
    let world = before();
    let mut struck = 0;
    for nth in 1..8 {
        for seed in 0..24 {
            let world = world.fork_seeded(seed);
            let what = format!("directory sync {nth}, seed {seed}");
            run(async {
                let log = world.open();
                settle().await;
                world.disk.fail_directory_sync_in(nth);
                let _ = log.trim(LogId(2), Position(ROUNDS - 1)).await;
                settle().await;
                struck += u32::from(log.stats().latched.is_some());
                drop(log);
                if seed % 3 == 0 {
                    world.disk.kill();
                } else {
                    world.disk.crash(seed);
                }
                let (log, report) = world.try_open().unwrap();
                assert!(report.damaged_segments.is_empty(), "{what}: {report:?}");
                check(&log, &what).await;
            });
        }
    }
    assert!(struck > 50, "the faults must strike to prove anything: {struck}");
}

#[test]
fn a_removal_that_finds_no_space_is_tried_again_and_repeats_nothing() {
    let mut struck = 0;
    for nth in 1..6 {
        let world = World::seeded(nth);
        let life = format!("removal {nth}");
        run(async {
            let log = world.open();
            world.disk.refuse_remove_in(nth);
            let mut acked = Acked::new();
            live(&log, &mut acked).await.unwrap();
            settle().await;
            let stats = log.stats();
            assert_eq!(stats.latched, None, "{life}");
            struck += u32::from(!world.disk.has_faults());
            // Nobody needs any of these: whatever still lies there is held by nothing.
            for id in acked.keys() {
                log.delete(LogId(*id)).await.unwrap();
            }
            log.close().await.unwrap();
            let names = world.disk.names();
            let on_disk = names.iter().filter(|name| name.starts_with("segment")).count();
            assert_eq!((on_disk, log.stats().segments), (0, 0), "{life}: nothing is left over");
        });
    }
    assert!(struck > 2, "the faults must strike to prove anything: {struck}");
}

#[test]
fn a_removal_that_finds_no_space_leaves_what_a_crash_can_be_recovered_from() {
    for nth in 1..6 {
        let world = World::seeded(nth);
        let life = format!("removal {nth}");
        run(async {
            let log = world.open();
            world.disk.refuse_remove_in(nth);
            let mut acked = Acked::new();
            live(&log, &mut acked).await.unwrap();
            settle().await;
            drop(log);
            world.disk.crash(nth);
            check_after_crash(&world, &mut acked, &life).await;
        });
    }
}
