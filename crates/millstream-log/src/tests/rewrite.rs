//! Rewriting segments: power lost at every call of it, and readers in the middle of it.

use super::{ALL, World, append, payload, payloads, read_all, run};
use crate::{EmbeddedLog, Log, LogId, Position};

/// Rounds appended; log 1 keeps them all, log 2 will be trimmed.
pub(super) const ROUNDS: u64 = 40;

/// A closed world whose segments are worth rewriting once log 2 is trimmed.
pub(super) fn before() -> World {
    let mut world = World::seeded(1);
    world.settings.own_segment_bytes_min = 1 << 20;
    run(async {
        let log = world.open();
        for id in 1..=2 {
            log.create(LogId(id)).await.unwrap();
        }
        for round in 0..ROUNDS {
            append(&log, 1, &[payload(round, 200)]).await.unwrap();
            append(&log, 2, &[payload(round, 6_000)]).await.unwrap();
        }
        log.close().await.unwrap();
    });
    world.disk.kill();
    world
}

/// Lets the background do what it finds.
pub(super) async fn settle() {
    for _ in 0..300 {
        tokio::task::yield_now().await;
    }
}

pub(super) async fn check(log: &EmbeddedLog, what: &str) {
    let found = payloads(&read_all(log, 1, ALL).await.unwrap_or_else(|error| {
        panic!("{what}: {error}");
    }));
    let sent: Vec<_> = (0..ROUNDS).map(|round| payload(round, 200)).collect();
    assert_eq!(found, sent, "{what}");
    let start = log.bounds(LogId(2)).unwrap().start.0;
    let found = payloads(&read_all(log, 2, ALL).await.unwrap());
    let sent: Vec<_> = (start..ROUNDS).map(|round| payload(round, 6_000)).collect();
    assert_eq!(found, sent, "{what}");
}

#[test]
fn a_rewrite_gives_space_back_and_keeps_what_is_needed() {
    let world = before();
    run(async {
        let log = world.open();
        settle().await;
        let (used, segments) = (world.disk.used_bytes(), log.stats().segments);
        assert!(segments > 3, "{segments}");
        log.trim(LogId(2), Position(ROUNDS - 1)).await.unwrap();
        settle().await;
        assert!(log.stats().segments < segments, "{:?}", log.stats());
        assert!(log.stats().segment_bytes > 0, "rewritten, not only unlinked");
        assert!(world.disk.used_bytes() + (ROUNDS - 10) * 6_000 < used);
        check(&log, "rewritten").await;
        drop(log);
        world.disk.crash(1);
        check(&world.open(), "rewritten and opened again").await;
    });
}

#[test]
fn power_may_go_at_every_call_of_a_rewrite() {
    let world = before();
    let mut struck = 0;
    for nth in 1..60 {
        for seed in 0..12 {
            let world = world.fork();
            let what = format!("call {nth}, seed {seed}");
            run(async {
                let log = world.open();
                settle().await;
                world.disk.lose_power_in(nth);
                let _ = log.trim(LogId(2), Position(ROUNDS - 1)).await;
                settle().await;
                struck += u32::from(world.disk.is_powered_off());
                drop(log);
                world.disk.crash(seed);
                let (log, report) = world.try_open().unwrap();
                assert!(report.damaged_segments.is_empty(), "{what}: {report:?}");
                check(&log, &what).await;
                settle().await;
                check(&log, &what).await;
                let names = world.disk.names();
                let on_disk = names.iter().filter(|name| name.starts_with("segment")).count();
                assert_eq!(on_disk as u64, log.stats().segments, "{what}: nothing is left over");
            });
        }
    }
    assert!(struck > 100, "power must go to prove anything: {struck}");
}

#[test]
fn a_damaged_segment_is_not_rewritten_and_not_thrown_away() {
    let world = before();
    // The body of log 1's first record.
    world.disk.flip_bit("segment-000000000001", 32 + 48 + 20, 3);
    run(async {
        let log = world.open();
        log.trim(LogId(2), Position(ROUNDS)).await.unwrap();
        settle().await;
        assert!(log.read(LogId(1), Position(0), ALL).await.is_err());
        assert!(world.disk.names().contains(&"segment-000000000001".to_owned()));
        assert_eq!(log.stats().latched, None);
        append(&log, 1, &[payload(1, 1)]).await.unwrap();
    });
    // Where even the chunks cannot be found any more, not even forgetting removes the file.
    let world = before();
    let bytes = world.disk.content("segment-000000000001").unwrap();
    world.disk.set_content("segment-000000000001", &bytes[..100]);
    run(async {
        let log = world.open();
        for id in 1..=2 {
            log.delete(LogId(id)).await.unwrap();
        }
        log.close().await.unwrap();
        drop(log);
        world.disk.kill();
        let (_, report) = world.try_open().unwrap();
        assert_eq!(report.damaged_segments.len(), 1, "{report:?}");
    });
}
