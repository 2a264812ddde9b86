//! The mode that acknowledges before the device has it: a process's death costs nothing, a power
//! cut costs a tail, and neither costs the start.

use super::{ALL, World, append, payload, payloads, read_all, run};
use crate::{Durability, Log, LogId, ReadError};

fn buffered(seed: u64) -> World {
    let mut world = World::seeded(seed);
    world.settings.durability = Durability::Buffered;
    world
}

/// Lets the background do what it finds.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_delete_that_a_power_cut_undoes_leaves_a_log_that_can_be_read() {
    let mut undone = 0;
    for seed in 0..40 {
        let world = buffered(seed);
        run(async {
            let log = world.open();
            log.create(LogId(1)).await.unwrap();
            for tag in 0..60 {
                append(&log, 1, &[payload(tag, 3_000)]).await.unwrap();
            }
            log.close().await.unwrap();
            drop(log);
            world.disk.kill();
            let log = world.open();
            log.delete(LogId(1)).await.unwrap();
            settle().await;
            let kept = world.disk.names().iter().filter(|name| name.starts_with("seg")).count();
            assert_eq!(kept, 0, "its segments are unlinked");
            drop(log);
            world.disk.crash(seed);
            let (log, report) = world.try_open().unwrap();
            assert!(report.damaged_segments.is_empty(), "{report:?}");
            match read_all(&log, 1, ALL).await {
                Ok(found) => {
                    assert!(found.is_empty(), "seed {seed}: {}", found.len());
                    let appended = append(&log, 1, &[payload(1, 1)]).await.unwrap();
                    assert_eq!(appended.first.0, 60, "no position is used twice");
                    undone += 1;
                }
                Err(error) => assert_eq!(error, ReadError::NotFound, "seed {seed}"),
            }
        });
    }
    assert!(undone > 5, "the power cut must undo some: {undone}");
}

#[test]
fn a_start_whose_sync_fails_may_be_tried_again_and_keeps_what_it_serves() {
    // Goal: after a failed sync the pages of all commits count as clean. What the next start
    // serves it must have written again, or a power cut would make a hole before its own commits.
    let mut cut = 0;
    for seed in 0..60 {
        let mut world = buffered(seed);
        run(async {
            let log = world.open();
            log.create(LogId(1)).await.unwrap();
            for tag in 0..40 {
                append(&log, 1, &[payload(tag, 3_000)]).await.unwrap();
            }
            drop(log);
            world.disk.kill();
            world.disk.fail_sync_in(seed % 3 + 1);
            cut += u32::from(world.try_open().is_err());
            world.disk.kill();
            world.settings.durability = Durability::Fsync;
            let log = world.open();
            let mut served = payloads(&read_all(&log, 1, ALL).await.unwrap());
            assert_eq!(served.len(), 40, "seed {seed}: a death of the process costs nothing");
            append(&log, 1, &[payload(99, 10)]).await.unwrap();
            served.push(payload(99, 10));
            drop(log);
            world.disk.crash(seed);
            let (log, _) = world.try_open().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            let found = payloads(&read_all(&log, 1, ALL).await.unwrap());
            assert!(found == served, "seed {seed}: {} records", found.len());
        });
    }
    assert!(cut > 30, "the syncs of the start must fail to prove anything: {cut}");
}
