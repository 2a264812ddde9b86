//! What is bounded: memory, spill files, the bookkeeping; and what happens at the bounds.

use std::time::Duration;

use bytes::Bytes;
use millstream_formats::prefix::{ErrorPrefix, Prefix, Rules};
use millstream_log::{AppendError, BatchBuilder, Log};

use super::outside::{MAIN, Mood, Outside};
use super::world::{CHECKPOINTS, RECORDS, Size, World, plan};
use crate::plan::{Buffering, Plan, Target};

fn large_objects(bytes: u64) -> Plan {
    let mut plan = plan();
    let Target::Objects(target) = &mut plan.target else { unreachable!() };
    target.buffering.bytes = bytes;
    plan
}

/// Records of 10 KB, each a line.
fn large(number: usize) -> Bytes {
    format!("{{\"id\":{number},\"fill\":\"{}\"}}\n", "x".repeat(10_000)).into()
}

async fn put_large(world: &mut World, count: usize) {
    for number in (0..count).step_by(50) {
        world.put((number..(number + 50).min(count)).map(large)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_memory_does_not_hold_is_spilled_and_delivered_all_the_same() {
    // Objects of 40 MB in a world whose buffers have 16 MB.
    let size = Size { memory_bytes: 40 << 20, ..Size::default() };
    let mut world = World::sized(large_objects(40 << 20), Outside::new(), size).await;
    put_large(&mut world, 3_000).await;
    world.pass(20).await;
    let spilled = world.commons.spill.used_bytes();
    assert!(spilled > 10 << 20, "{spilled}");
    assert!(world.outside.bucket_objects(MAIN).is_empty(), "and nothing goes early");
    world.until_delivered(200).await;
    world.tally().exactly_once(&world.accepted);
    assert_eq!(world.outside.bucket_objects(MAIN).len(), 1);
    world.pass(1).await;
    assert_eq!(world.commons.spill.used_bytes(), 0);
    assert_eq!(world.commons.budget.buffered_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_neither_memory_nor_disk_holds_is_delivered_early() {
    let size = Size { memory_bytes: 40 << 20, spill_bytes: 4 << 20, ..Size::default() };
    let mut world = World::sized(large_objects(60 << 20), Outside::new(), size).await;
    put_large(&mut world, 4_000).await;
    world.until_delivered(300).await;
    world.tally().exactly_once(&world.accepted);
    assert!(world.outside.bucket_objects(MAIN).len() > 1);
}

#[tokio::test(start_paused = true)]
async fn with_the_bucket_down_memory_stays_within_its_bounds() {
    let size = Size { memory_bytes: 40 << 20, spill_bytes: 64 << 20, ..Size::default() };
    let mut world = World::sized(large_objects(5 << 20), Outside::new(), size).await;
    world.outside.set(MAIN, Mood::Down);
    put_large(&mut world, 3_000).await;
    for _ in 0..50 {
        world.pass(10).await;
        assert!(world.commons.budget.buffered_bytes() <= 40 << 20);
        assert!(world.commons.spill.used_bytes() <= 64 << 20);
    }
    assert_eq!(world.undelivered(), 3_000);
    world.outside.set(MAIN, Mood::Well);
    world.until_delivered(300).await;
    world.tally().exactly_once(&world.accepted);
}

#[tokio::test(start_paused = true)]
async fn a_record_larger_than_all_memory_is_delivered_alone() {
    // Buffers have 4 MiB; two records of 6 MiB, as a function may make them.
    let mut plan = large_objects(1 << 20);
    let function =
        crate::plan::Function::Jq { arn: String::new(), filter: ".fill * 3000".to_owned() };
    plan.processing.transform = Some(crate::plan::Transform {
        function,
        retries: 0,
        buffering: Buffering { bytes: 1 << 20, interval: Duration::from_secs(1) },
    });
    let size = Size { memory_bytes: 1, ..Size::default() };
    let mut world = World::sized(plan, Outside::new(), size).await;
    let fill = "x".repeat(1_700);
    let records = (0..4).map(|id| format!("{{\"id\":{id},\"fill\":\"{fill}\"}}").into());
    world.put(records).await;
    world.until_delivered(300).await;
    let sizes: Vec<usize> = world.outside.bucket_objects(MAIN).values().map(Vec::len).collect();
    assert_eq!(sizes, [1_700 * 3_000; 4]);
}

fn partitioned(bytes: u64) -> Plan {
    let mut plan = large_objects(bytes);
    plan.processing.partition_query = Some("{group: (.id % 500)}".to_owned());
    let Target::Objects(target) = &mut plan.target else { unreachable!() };
    let text = "group=!{partitionKeyFromQuery:group}/";
    target.prefix = Prefix::parse(text, Rules::Partitioned).unwrap();
    let error = Some("bad/!{firehose:error-output-type}/");
    plan.backup.errors.error_prefix = ErrorPrefix::parse(error, &target.prefix).unwrap();
    target.partitions_max = Some(500);
    plan
}

#[tokio::test(start_paused = true)]
async fn five_hundred_partitions_fit_into_little_memory() {
    let size = Size { memory_bytes: 40 << 20, ..Size::default() };
    let mut world = World::sized(partitioned(64 << 20), Outside::new(), size).await;
    put_large(&mut world, 5_000).await;
    world.pass(30).await;
    let metrics = world.metrics();
    assert_eq!((metrics.partitions, metrics.partition_overflows), (500, 0));
    assert_eq!((metrics.partitions_max, metrics.queries), (500, 5_000));
    assert!(metrics.buffered_bytes > 45_000_000, "{}", metrics.buffered_bytes);
    assert!(world.commons.spill.used_bytes() > 20 << 20);
    world.until_delivered(200).await;
    world.tally().exactly_once(&world.accepted);
    assert_eq!(world.outside.bucket_objects(MAIN).len(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_crash_with_five_hundred_partitions_half_delivered_puts_nothing_twice() {
    let mut plan = partitioned(64 << 20);
    let Target::Objects(target) = &mut plan.target else { unreachable!() };
    target.buffering = Buffering { bytes: 25_000, ..target.buffering };
    let mut world = World::new(plan).await;
    // Some partitions get more than others, and so flush at other times.
    let skewed = (0..4_000_usize).map(|number| large((number * number) % 100_000));
    let mut records: Vec<Bytes> = skewed.collect();
    records.sort();
    records.dedup();
    for chunk in records.chunks(50) {
        world.put(chunk.iter().cloned()).await;
        if world.accepted.len() % 500 == 0 {
            world.pass(7).await;
            world = if world.accepted.len() % 1_000 == 0 { world.crash().await } else { world };
        }
    }
    world.until_delivered(300).await;
    world.tally().exactly_once(&world.accepted);
}

#[tokio::test(start_paused = true)]
async fn the_disk_may_fill_while_the_bucket_is_down_and_all_goes_on_once_it_is_up() {
    let mut world = World::new(large_objects(1 << 20)).await;
    world.outside.set(MAIN, Mood::Down);
    world.disk.set_capacity(Some(30 << 20));
    let mut number = 0;
    let is_full = loop {
        let mut batch = BatchBuilder::default();
        let records: Vec<Bytes> = (number..number + 20).map(large).collect();
        for record in &records {
            batch.push(&[record]);
        }
        match world.log.append(RECORDS, batch.build()).await {
            Ok(_) => {
                world.accepted.extend(records);
                number += 20;
            }
            Err(AppendError::NoSpace) => break true,
            Err(AppendError::Overloaded) => world.pass(1).await,
            Err(error) => panic!("{error}"),
        }
        if number > 10_000 {
            break false;
        }
    };
    assert!(is_full, "puts are refused when the disk is full");
    world.pass(100).await;
    assert_eq!(world.undelivered(), world.accepted.len() as u64);
    world.outside.set(MAIN, Mood::Well);
    world.until_delivered(600).await;
    world.tally().exactly_once(&world.accepted);
    // Space is free again: puts are taken, and checkpoints written.
    let before = world.log.bounds(CHECKPOINTS).unwrap().end;
    world.put((number..number + 20).map(large)).await;
    world.until_delivered(200).await;
    assert!(world.log.bounds(CHECKPOINTS).unwrap().end > before);
    world.tally().exactly_once(&world.accepted);
}

#[tokio::test(start_paused = true)]
async fn too_much_bookkeeping_lets_the_oldest_go_early() {
    // Two partitions: one gets a record and then nothing for long, the other all the rest. What
    // is outstanding then spans ever more positions, and all of them are in each checkpoint.
    let mut plan = plan();
    plan.processing.partition_query = Some("{group: (if .id == 0 then 0 else 1 end)}".to_owned());
    let Target::Objects(target) = &mut plan.target else { unreachable!() };
    let text = "group=!{partitionKeyFromQuery:group}/";
    target.prefix = Prefix::parse(text, Rules::Partitioned).unwrap();
    target.partitions_max = Some(500);
    target.buffering = Buffering { bytes: 1 << 20, interval: Duration::from_secs(900) };
    for (weight_max, is_early) in [(1, true), (4_096, false)] {
        let size = Size { weight_max, ..Size::default() };
        let mut world = World::sized(plan.clone(), Outside::new(), size).await;
        for thousand in 0..10 {
            world.put_numbered(thousand * 1_000..thousand * 1_000 + 1_000).await;
            world.pass(2).await;
        }
        let keys = world.outside.bucket_objects(MAIN);
        assert_eq!(keys.keys().any(|key| key.starts_with("group=0/")), is_early);
        world.until_delivered(1_000).await;
        world.tally().exactly_once(&world.accepted);
    }
}
