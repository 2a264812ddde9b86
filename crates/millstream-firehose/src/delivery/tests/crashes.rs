//! Deaths at named points, on a disk that loses what was not synced.
//!
//! Each world puts records, dies once at the point (at its first, second, third ... passage),
//! starts again, and is let run until all is delivered. The history is then checked.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_destinations::lambda::Verdict;
use millstream_formats::prefix::{ErrorPrefix, Prefix, Rules};

use super::outside::{BACKUP, MAIN, Mood, Outside};
use super::world::{Size, World, document_plan, numbered, objects, plan};
use crate::delivery::fail_point::{self, FailPoint};
use crate::plan::{Buffering, Function, Plan, Target, Transform};

/// Points that a delivery of any kind passes.
const COMMON: [FailPoint; 6] = [
    FailPoint::AfterBuffering,
    FailPoint::AfterPledge,
    FailPoint::AfterDelivery,
    FailPoint::AfterCheckpoint,
    FailPoint::AfterTrim,
    FailPoint::AfterErrorOutput,
];

/// Runs a world that dies at the `nth` passage of `point`, by `power` or by the process alone.
/// Says whether it died at all.
async fn run(
    plan: Plan,
    outside: Outside,
    (point, nth): (FailPoint, u32),
    power: bool,
) -> (World, bool) {
    let mut world = World::sized(plan, outside, Size::default()).await;
    fail_point::arm(point, nth);
    world.put_numbered(0..60).await;
    world.pass(3).await;
    world.put_numbered(60..100).await;
    let mut waited = 0;
    while !fail_point::has_died() && waited < 400 {
        world.pass(1).await;
        waited += 1;
    }
    let has_died = fail_point::has_died();
    // Those who were already past the point go on for a moment.
    world.pass(1).await;
    let mut world = if power { world.crash().await } else { world.kill().await };
    world.put_numbered(100..130).await;
    world.until_delivered(1_000).await;
    (world, has_died)
}

#[tokio::test(start_paused = true)]
async fn direct_puts_are_in_objects_exactly_once_wherever_it_dies() {
    for point in COMMON {
        for nth in 1..=4 {
            for power in [false, true] {
                let (world, has_died) = run(plan(), Outside::new(), (point, nth), power).await;
                // Two pages are read, and nothing is refused.
                let is_passed = match point {
                    FailPoint::AfterBuffering => nth <= 2,
                    FailPoint::AfterErrorOutput => false,
                    _ => true,
                };
                assert_eq!(has_died, is_passed, "{point:?} {nth}");
                world.tally().exactly_once(&world.accepted);
            }
        }
    }
}

fn partitioned() -> Plan {
    let mut plan = plan();
    plan.processing.partition_query = Some("{group: (.id % 3)}".to_owned());
    let Target::Objects(target) = &mut plan.target else { unreachable!() };
    let text = "group=!{partitionKeyFromQuery:group}/";
    target.prefix = Prefix::parse(text, Rules::Partitioned).unwrap();
    let error = Some("bad/!{firehose:error-output-type}/");
    plan.backup.errors.error_prefix = ErrorPrefix::parse(error, &target.prefix).unwrap();
    target.partitions_max = Some(500);
    plan
}

#[tokio::test(start_paused = true)]
async fn partitions_that_flush_at_different_times_are_exactly_once_too() {
    for point in COMMON {
        for nth in [1, 2, 3, 5, 8] {
            let (world, _) = run(partitioned(), Outside::new(), (point, nth), nth % 2 == 0).await;
            world.tally().exactly_once(&world.accepted);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pieces_of_one_record_that_went_different_ways_are_exactly_once_too() {
    for point in COMMON {
        for nth in [1, 2, 3, 5] {
            let mut plan = partitioned();
            plan.processing.split = Some(crate::plan::Split::Json);
            plan.processing.append_delimiter = true;
            let mut world = World::new(plan).await;
            fail_point::arm(point, nth);
            let piece = |number: usize| {
                let line = numbered(number);
                line.slice(..line.len() - 1)
            };
            let records: Vec<Bytes> = (0..30)
                .map(|record| (record * 4..record * 4 + 4).map(piece).collect::<Vec<_>>().concat())
                .map(Bytes::from)
                .collect();
            world.put(records).await;
            world.accepted = (0..120).map(numbered).collect();
            for _ in 0..100 {
                if fail_point::has_died() {
                    break;
                }
                world.pass(1).await;
            }
            let world = world.crash().await;
            world.until_delivered(1_000).await;
            world.tally().exactly_once(&world.accepted);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_backup_and_its_records_are_each_exactly_once() {
    for point in COMMON {
        for nth in [1, 2, 4, 6] {
            let mut plan = plan();
            plan.backup.all = Some(objects(BACKUP, 3_000, 90));
            let (world, _) = run(plan, Outside::new(), (point, nth), nth == 2).await;
            world.tally().exactly_once(&world.accepted);
            let backup = world.outside.bucket_objects(BACKUP).into_values();
            let mut records: Vec<Bytes> =
                backup.flat_map(|object| super::history::lines(&object.into())).collect();
            records.sort();
            let mut accepted = world.accepted.clone();
            accepted.sort();
            assert_eq!(records, accepted, "{point:?} {nth}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refused_documents_are_in_the_error_output_wherever_it_dies() {
    for point in COMMON {
        for nth in 1..=3 {
            let outside = Outside::new();
            outside.set("documents", Mood::HalfForGood);
            let (world, has_died) = run(document_plan(5), outside, (point, nth), true).await;
            assert!(has_died || point == FailPoint::AfterBuffering, "{point:?} {nth}");
            let tally = world.tally();
            tally.nothing_is_lost(&world.accepted);
            // What was delivered but not known to be is delivered again: one delivery at most.
            let largest = world.outside.world().delivery_sizes.iter().copied().max().unwrap();
            assert!(tally.duplicates() <= largest as u64, "{} duplicates", tally.duplicates());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_delivery_has_the_same_name_and_the_same_documents() {
    for nth in 1..=3 {
        let (world, _) =
            run(document_plan(60), Outside::new(), (FailPoint::AfterDelivery, nth), true).await;
        let tally = world.tally();
        tally.nothing_is_lost(&world.accepted);
        let deliveries = world.outside.world().deliveries.clone();
        let repeated: Vec<_> = deliveries.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert_eq!(repeated.len(), 1, "{deliveries:?}");
        let metrics = world.metrics();
        assert_eq!(metrics.duplicates, tally.duplicates(), "duplicates are counted");
        assert!(tally.duplicates() > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeat_is_counted_where_no_record_comes_after_it() {
    let mut world = World::new(document_plan(60)).await;
    fail_point::arm(FailPoint::AfterDelivery, 1);
    world.put_numbered(0..20).await;
    for _ in 0..100 {
        if fail_point::has_died() {
            break;
        }
        world.pass(1).await;
    }
    let world = world.kill().await;
    world.until_delivered(1_000).await;
    let tally = world.tally();
    assert!(tally.duplicates() > 0);
    assert_eq!(world.metrics().duplicates, tally.duplicates());
}

fn transforming(rework_group: bool) -> (Plan, Outside) {
    let mut plan = plan();
    plan.processing.transform = Some(Transform {
        function: Function::Lambda { arn: "arn:aws:lambda:us-east-1:1:function:f".to_owned() },
        retries: 3,
        buffering: Buffering { bytes: 700, interval: std::time::Duration::from_secs(5) },
    });
    let mut outside = Outside::new();
    if rework_group {
        // A function that does not answer the same twice.
        outside.rework = std::sync::Arc::new(|record, calls| {
            let number = record.data.iter().map(|byte| usize::from(*byte)).sum::<usize>();
            if (number + calls) % 3 == 0 {
                return Verdict::Failed(millstream_destinations::Failure::permanent("Test", "no"));
            }
            Verdict::Ok { data: record.data.clone(), partition_keys: BTreeMap::new() }
        });
    }
    (plan, outside)
}

#[tokio::test(start_paused = true)]
async fn records_that_a_function_reworks_are_never_lost() {
    for point in COMMON.into_iter().chain([FailPoint::AfterInvocation]) {
        for nth in [1, 2, 3, 5] {
            for is_fickle in [false, true] {
                let (plan, outside) = transforming(is_fickle);
                let (world, _) = run(plan, outside, (point, nth), nth == 3).await;
                let tally = world.tally();
                tally.nothing_is_lost(&world.accepted);
                if !is_fickle {
                    tally.exactly_once(&world.accepted);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dying_again_and_again_loses_nothing_and_puts_nothing_twice() {
    let mut world = World::new(partitioned()).await;
    let mut number = 0;
    for round in 0..40_u32 {
        let point = COMMON[round as usize % COMMON.len()];
        fail_point::arm(point, 1 + round % 3);
        world.put_numbered(number..number + 17).await;
        number += 17;
        for _ in 0..(round % 7) * 20 {
            if fail_point::has_died() {
                break;
            }
            world.pass(1).await;
        }
        world = if round % 2 == 0 { world.crash().await } else { world.kill().await };
    }
    world.until_delivered(1_000).await;
    world.tally().exactly_once(&world.accepted);
}

#[tokio::test(start_paused = true)]
async fn dying_while_the_bucket_is_down_keeps_all_for_later() {
    let mut world = World::new(plan()).await;
    world.outside.set(MAIN, Mood::Down);
    for round in 0..10 {
        world.put_numbered(round * 30..round * 30 + 30).await;
        world.pass(130).await;
        world = if round % 2 == 0 { world.crash().await } else { world.kill().await };
    }
    assert_eq!(world.undelivered(), 300);
    world.outside.set(MAIN, Mood::Well);
    world.until_delivered(1_000).await;
    world.tally().exactly_once(&world.accepted);
}
