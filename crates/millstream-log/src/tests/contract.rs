//! What the trait promises, on a healthy disk.

use std::time::Duration;

use millstream_core::{Clock, Timestamp};

use super::{ALL, World, append, batch, payload, payloads, read_all, run};
use crate::{
    AppendError, Batch, EmbeddedLog, Log, LogId, Position, ReadError, ReadLimit, SealError,
};

const LOG: LogId = LogId(1);

fn limit(records: usize, bytes: usize) -> ReadLimit {
    ReadLimit { records, bytes }
}

/// A log of 200 records of 100 bytes in batches of 10: most are in segments, the last in memory.
async fn long_log(world: &World, log: &EmbeddedLog) -> Vec<Vec<u8>> {
    log.create(LOG).await.unwrap();
    let all: Vec<Vec<u8>> = (0..2_000).map(|tag| payload(tag, 100)).collect();
    for part in all.chunks(10) {
        append(log, 1, part).await.unwrap();
        world.clock.advance(Duration::from_millis(5));
    }
    assert!(log.stats().segments > 0, "the test wants some of it on disk");
    assert!(log.stats().undestaged_bytes > 0, "and some of it in memory");
    all
}

#[test]
fn what_is_appended_is_read_back_in_order_by_any_limits() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        let all = long_log(&world, &log).await;
        for bound in [ALL, limit(1, 1), limit(7, 1 << 20), limit(1_000, 350), limit(333, 5_000)] {
            assert_eq!(payloads(&read_all(&log, 1, bound).await.unwrap()), all, "{bound:?}");
        }
        for from in [0, 1, 9, 10, 11, 777, 1_998, 1_999] {
            let read = log.read(LOG, Position(from), limit(3, 1 << 20)).await.unwrap();
            assert_eq!(read.records[0].position, Position(from));
            assert_eq!(read.records[0].payload, all[usize::try_from(from).unwrap()]);
        }
    });
}

#[test]
fn a_read_past_the_end_finds_nothing_and_stays_where_it_is() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        log.create(LOG).await.unwrap();
        append(&log, 1, &[payload(1, 3)]).await.unwrap();
        let read = log.read(LOG, Position(9), ALL).await.unwrap();
        assert_eq!((read.next, read.next_arrived), (Position(9), None));
        assert!(read.records.is_empty() && !read.at_sealed_end);
    });
}

#[test]
fn a_batch_takes_consecutive_positions_and_one_arrival() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        log.create(LOG).await.unwrap();
        let one = append(&log, 1, &[payload(1, 3), payload(2, 0)]).await.unwrap();
        let two = append(&log, 1, &[payload(3, 3)]).await.unwrap();
        assert_eq!((one.first, one.count), (Position(0), 2));
        assert_eq!((two.first, two.count), (Position(2), 1));
        assert_eq!(one.arrived, world.clock.now());
        let none = append(&log, 1, &[]).await.unwrap();
        assert_eq!((none.first, none.count), (Position(3), 0));
        assert_eq!(log.bounds(LOG).unwrap().end, Position(3));
    });
}

#[test]
fn appends_take_places_in_the_order_of_the_calls() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        log.create(LOG).await.unwrap();
        let futures: Vec<_> =
            (0..100).map(|tag| log.append(LOG, Batch::of(&payload(tag, 20)))).collect();
        // Awaited backwards: the order of the calls counts, not that of the polls.
        for (place, future) in futures.into_iter().enumerate().rev() {
            assert_eq!(future.await.unwrap().first, Position(place as u64));
        }
        let syncs = world.disk.counters().syncs;
        assert!(syncs < 10, "a hundred appends share a few syncs, not {syncs}");
    });
}

#[test]
fn an_append_whose_caller_went_away_is_whole_all_the_same() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        log.create(LOG).await.unwrap();
        drop(log.append(LOG, batch(&[payload(1, 9), payload(2, 9)])));
        let after = append(&log, 1, &[payload(3, 9)]).await.unwrap();
        assert_eq!(after.first, Position(2));
        assert_eq!(read_all(&log, 1, ALL).await.unwrap().len(), 3);
    });
}

#[test]
fn a_seal_is_ordered_against_the_appends_around_it() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        log.create(LOG).await.unwrap();
        let before = log.append(LOG, Batch::of(b"before"));
        let seal = log.seal(LOG);
        let after = log.append(LOG, Batch::of(b"after"));
        assert_eq!(after.await, Err(AppendError::Sealed));
        assert_eq!(before.await.unwrap().first, Position(0));
        assert_eq!(seal.await, Ok(Position(1)));
        assert_eq!(log.seal(LOG).await, Ok(Position(1)), "sealing again says the same");
        assert_eq!(append(&log, 1, &[payload(1, 1)]).await, Err(AppendError::Sealed));
        let read = log.read(LOG, Position(0), ALL).await.unwrap();
        assert_eq!((read.records.len(), read.at_sealed_end), (1, true));
        assert_eq!(log.trim(LOG, Position(1)).await, Ok(()));
        assert!(log.read(LOG, Position(0), ALL).await.unwrap().at_sealed_end);
    });
}

#[test]
fn a_trim_moves_the_start_and_gives_segments_back() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        let all = long_log(&world, &log).await;
        let segments = log.stats().segments;
        log.trim(LOG, Position(1_000)).await.unwrap();
        let read = log.read(LOG, Position(3), limit(1, 1)).await.unwrap();
        assert_eq!(read.records[0].payload, all[1_000]);
        log.trim(LOG, Position(500)).await.unwrap();
        assert_eq!(log.bounds(LOG).unwrap().start, Position(1_000), "a trim never goes back");
        log.trim(LOG, Position(u64::MAX)).await.unwrap();
        let bounds = log.bounds(LOG).unwrap();
        assert_eq!((bounds.start, bounds.end), (Position(2_000), Position(2_000)));
        assert_eq!(append(&log, 1, &[payload(1, 1)]).await.unwrap().first, Position(2_000));
        log.close().await.unwrap();
        assert!(log.stats().segments < segments);
        let on_disk = world.disk.names().iter().filter(|name| name.starts_with("seg")).count();
        assert_eq!(on_disk as u64, log.stats().segments, "what no log needs is unlinked");
    });
}

#[test]
fn a_deleted_log_is_gone_and_others_stay() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        long_log(&world, &log).await;
        log.create(LogId(2)).await.unwrap();
        append(&log, 2, &[payload(5, 5)]).await.unwrap();
        let tail = log.tail(LOG).unwrap();
        log.delete(LOG).await.unwrap();
        log.delete(LOG).await.unwrap();
        assert!(tail.has_changed().is_err(), "followers are let go");
        assert_eq!(append(&log, 1, &[payload(1, 1)]).await, Err(AppendError::NotFound));
        assert_eq!(log.seal(LOG).await, Err(SealError::NotFound));
        assert_eq!(log.bounds(LOG), Err(ReadError::NotFound));
        assert_eq!(log.read(LOG, Position(0), ALL).await.unwrap_err(), ReadError::NotFound);
        assert_eq!(read_all(&log, 2, ALL).await.unwrap().len(), 1);
        assert_eq!(log.log_ids(), [LogId(2)]);
    });
}

#[test]
fn a_position_is_found_by_time_in_segments_and_in_memory() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        long_log(&world, &log).await;
        let records = read_all(&log, 1, ALL).await.unwrap();
        let begin = records[0].arrived.ms();
        for at in (begin - 10..begin + 1_020).map(Timestamp::from_ms) {
            let expected = records.partition_point(|record| record.arrived < at) as u64;
            assert_eq!(log.position_at(LOG, at).await.unwrap(), Position(expected), "{at}");
        }
        log.trim(LOG, Position(1_234)).await.unwrap();
        let found = log.position_at(LOG, Timestamp::from_ms(0)).await.unwrap();
        assert_eq!(found, Position(1_234));
    });
}

#[test]
fn the_clock_may_jump_but_arrivals_never_fall() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        log.create(LOG).await.unwrap();
        let start = world.clock.now().ms();
        let hour = 3_600_000_i64;
        let jumps = [0, -hour, hour, -10 * 365 * 24 * hour, 5, -5, 0, hour * 24];
        for (place, jump) in jumps.into_iter().cycle().take(100).enumerate() {
            world.clock.set(Timestamp::from_ms(start.saturating_add_signed(jump)));
            let appended = append(&log, 1, &[payload(place as u64, 900)]).await.unwrap();
            assert_eq!(appended.first, Position(place as u64));
        }
        let records = read_all(&log, 1, ALL).await.unwrap();
        assert_eq!(records.last().unwrap().arrived.ms(), start + 24 * 3_600_000);
        world.clock.set(Timestamp::from_ms(0));
        drop(log);
        world.disk.crash(1);
        let log = world.open();
        let appended = append(&log, 1, &[payload(0, 0)]).await.unwrap();
        assert_eq!(appended.arrived.ms(), start + 24 * 3_600_000, "the clamp survives a crash");
    });
}

#[test]
fn a_follower_sees_appends_seals_and_the_end() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        log.create(LOG).await.unwrap();
        let mut tail = log.tail(LOG).unwrap();
        append(&log, 1, &[payload(1, 1)]).await.unwrap();
        tail.changed().await.unwrap();
        assert_eq!(tail.borrow_and_update().end, Position(1));
        log.seal(LOG).await.unwrap();
        tail.changed().await.unwrap();
        assert!(tail.borrow_and_update().sealed);
        log.close().await.unwrap();
        assert!(tail.changed().await.is_err(), "a stop lets followers go");
        assert!(log.tail(LOG).unwrap().has_changed().is_err());
        let refused = append(&log, 1, &[payload(1, 1)]).await;
        assert!(matches!(refused, Err(AppendError::Stopped(_))), "{refused:?}");
    });
}

#[test]
fn more_than_the_queue_holds_is_refused_and_nothing_grows() {
    let mut world = World::seeded(1);
    world.settings.queue_bytes_max = 40 << 10;
    run(async {
        let log = world.open();
        log.create(LOG).await.unwrap();
        let futures: Vec<_> =
            (0..100).map(|tag| log.append(LOG, Batch::of(&payload(tag, 1_000)))).collect();
        assert!(log.stats().queued_bytes <= 40 << 10);
        let mut acked = 0;
        for future in futures {
            match future.await {
                Ok(_) => acked += 1,
                Err(error) => assert_eq!(error, AppendError::Overloaded),
            }
        }
        assert!((30..45).contains(&acked), "{acked}");
        assert_eq!(read_all(&log, 1, ALL).await.unwrap().len(), acked);
        let large = log.append(LOG, Batch::of(&vec![0; 40_000])).await;
        assert_eq!(large, Err(AppendError::TooLarge));
        assert_eq!(append(&log, 1, &[payload(1, 30_000)]).await.unwrap().count, 1);
        assert_eq!(log.stats().queued_bytes, 0, "all room is given back");
    });
}

#[test]
fn a_clean_close_leaves_nothing_to_replay() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        let all = long_log(&world, &log).await;
        log.close().await.unwrap();
        assert_eq!(payloads(&read_all(&log, 1, ALL).await.unwrap()), all, "reads go on");
        assert!(log.close().await.is_err());
        drop(log);
        world.disk.kill();
        let (log, report) = world.try_open().unwrap();
        assert_eq!((report.commits_replayed, report.torn_tail), (0, None));
        assert_eq!(payloads(&read_all(&log, 1, ALL).await.unwrap()), all);
    });
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let story = || {
        let world = World::seeded(99);
        run(async {
            let log = world.open();
            long_log(&world, &log).await;
            for id in 2..40 {
                log.create(LogId(id)).await.unwrap();
                append(&log, id, &[payload(id, 300)]).await.unwrap();
            }
            drop(log);
            world.disk.crash(5);
            let log = world.open();
            log.close().await.unwrap();
        });
        let bytes: Vec<_> = world
            .disk
            .names()
            .iter()
            .map(|name| (name.clone(), world.disk.content(name)))
            .collect();
        (bytes, world.disk.counters())
    };
    assert!(story() == story());
}

#[test]
fn a_directory_has_one_engine_at_a_time() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        let refused = world.try_open().unwrap_err();
        assert!(refused.to_string().contains("in use"), "{refused}");
        log.close().await.unwrap();
    });
}
