//! Functions, filters and log messages on the way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_destinations::Failure;
use millstream_destinations::lambda::Verdict;
use millstream_formats::prefix::{ErrorPrefix, Prefix, Rules};

use super::history::raw_data;
use super::outside::{ERRORS, MAIN, Mood, Outside, Rework};
use super::world::{Size, World, numbered, plan};
use crate::plan::{Buffering, Function, Plan, Target, Transform};

const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:rework";

fn transforming(bytes: u64, seconds: u64) -> Plan {
    let mut plan = plan();
    plan.processing.transform = Some(Transform {
        function: Function::Lambda { arn: ARN.to_owned() },
        retries: 3,
        buffering: Buffering { bytes, interval: Duration::from_secs(seconds) },
    });
    plan
}

async fn world(plan: Plan, rework: Rework) -> World {
    let mut outside = Outside::new();
    outside.rework = rework;
    World::sized(plan, outside, Size::default()).await
}

fn keep(data: Bytes) -> Verdict {
    Verdict::Ok { data, partition_keys: BTreeMap::new() }
}

fn identity() -> Rework {
    Arc::new(|record, _| keep(record.data.clone()))
}

#[tokio::test(start_paused = true)]
async fn batches_for_a_function_are_cut_by_its_own_size_and_interval() {
    let mut world = world(transforming(500, 20), identity()).await;
    world.put_numbered(0..100).await;
    world.pass(19).await;
    let full = world.outside.world().invocations.len();
    let sizes: Vec<usize> = {
        let outside = world.outside.world();
        let bytes = |batch: &Vec<_>| {
            batch
                .iter()
                .map(|it: &millstream_destinations::lambda::SourceRecord| it.data.len())
                .sum()
        };
        outside.invocations.iter().map(bytes).collect()
    };
    assert!(sizes.iter().all(|bytes| *bytes <= 500 && *bytes > 440), "{sizes:?}");
    world.pass(2).await;
    assert_eq!(world.outside.world().invocations.len(), full + 1, "the rest after the interval");
    world.until_delivered(200).await;
    world.tally().exactly_once(&world.accepted);
    let main: Vec<u8> = world.outside.bucket_objects(MAIN).into_values().flatten().collect();
    assert_eq!(main.len(), world.accepted.concat().len());
    let metrics = world.metrics();
    assert_eq!(metrics.invocations, metrics.invocation_successes);
    assert_eq!((metrics.processed_records, metrics.processed_bytes), (100, main.len() as u64));
}

#[tokio::test(start_paused = true)]
async fn results_keep_the_order_of_the_records_however_long_each_batch_takes() {
    let outside = Outside::new();
    let mut world = World::sized(transforming(300, 20), outside, Size::default()).await;
    world.outside.world().script =
        [Mood::Slow(9), Mood::Slow(1), Mood::Slow(5), Mood::Slow(2), Mood::Well].into();
    world.put_numbered(0..60).await;
    world.until_delivered(200).await;
    world.tally().exactly_once(&world.accepted);
    let mut objects: Vec<Vec<Bytes>> = world
        .outside
        .bucket_objects(MAIN)
        .into_values()
        .map(|object| super::history::lines(&object.into()))
        .collect();
    objects.sort_by_key(|object| world.accepted.iter().position(|record| *record == object[0]));
    assert_eq!(objects.concat(), world.accepted);
}

#[tokio::test(start_paused = true)]
async fn verdicts_are_followed() {
    let rework: Rework = Arc::new(|record, _| {
        let text = String::from_utf8(record.data.to_vec()).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        match parsed["id"].as_u64().unwrap() % 3 {
            0 => keep(text.to_uppercase().into()),
            1 => Verdict::Dropped,
            _ => Verdict::Failed(Failure::permanent("Lambda.ProcessingFailedStatus", "set")),
        }
    });
    let mut world = world(transforming(500, 5), rework).await;
    world.put_numbered(0..30).await;
    world.until_delivered(200).await;
    let main: Vec<u8> = world.outside.bucket_objects(MAIN).into_values().flatten().collect();
    let expected: Vec<u8> =
        (0..30).step_by(3).flat_map(|it| numbered(it).to_ascii_uppercase()).collect();
    assert_eq!(main, expected);
    let (key, object) = world.outside.bucket_objects(ERRORS).pop_first().unwrap();
    assert!(key.starts_with("processing-failed/2023/11/14/22/"), "{key}");
    assert_eq!(raw_data(&object), (2..30).step_by(3).map(numbered).collect::<Vec<_>>());
    let text = String::from_utf8(object).unwrap();
    assert!(text.contains(&format!("\"lambdaARN\":\"{ARN}\"")), "{text}");
    assert!(text.contains("\"attemptsMade\":1"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_function_that_fails_is_tried_again_and_then_its_records_are_refused() {
    let mut world = world(transforming(5_000, 5), identity()).await;
    world.outside.world().script = [Mood::Down; 3].into();
    world.put_numbered(0..10).await;
    world.until_delivered(300).await;
    world.tally().exactly_once(&world.accepted);
    assert_eq!(world.outside.world().invocations.len(), 4, "three retries");
    world.outside.set("function", Mood::Down);
    world.put_numbered(10..20).await;
    world.until_delivered(300).await;
    let tally = world.tally();
    tally.once_somewhere(&world.accepted);
    assert_eq!(tally.refused.len(), 10);
    let (_, object) = world.outside.bucket_objects(ERRORS).pop_first().unwrap();
    assert!(String::from_utf8(object).unwrap().contains("\"attemptsMade\":4"));
}

#[tokio::test(start_paused = true)]
async fn a_function_that_answers_for_too_few_records_has_refused_all() {
    let mut world = world(transforming(5_000, 5), identity()).await;
    world.outside.set("function", Mood::Lying);
    world.put_numbered(0..10).await;
    world.until_delivered(300).await;
    let tally = world.tally();
    tally.once_somewhere(&world.accepted);
    assert_eq!(tally.refused.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_never_answers_stops_delivery_and_loses_nothing() {
    let mut world = world(transforming(300, 5), identity()).await;
    world.outside.set("function", Mood::Silent);
    world.put_numbered(0..500).await;
    world.pass(3_600).await;
    assert_eq!(world.undelivered(), 500);
    assert_eq!(world.outside.world().invocations.len(), 5, "five at once");
    world.outside.set("function", Mood::Well);
    let world = world.kill().await;
    world.until_delivered(300).await;
    world.tally().exactly_once(&world.accepted);
}

#[tokio::test(start_paused = true)]
async fn partition_keys_may_come_from_the_function() {
    let mut plan = transforming(5_000, 5);
    let Target::Objects(target) = &mut plan.target else { unreachable!() };
    let text = "size=!{partitionKeyFromLambda:size}/";
    target.prefix = Prefix::parse(text, Rules::Partitioned).unwrap();
    let error = Some("bad/!{firehose:error-output-type}/");
    plan.backup.errors.error_prefix = ErrorPrefix::parse(error, &target.prefix).unwrap();
    target.partitions_max = Some(500);
    let rework: Rework = Arc::new(|record, _| {
        let size = record.data.len().to_string();
        let is_even = record.data.len() % 2 == 0;
        let partition_keys =
            if is_even { [("size".to_owned(), size)].into() } else { BTreeMap::new() };
        Verdict::Ok { data: record.data.clone(), partition_keys }
    });
    let mut world = world(plan, rework).await;
    world.put_numbered(0..200).await;
    world.until_delivered(300).await;
    let tally = world.tally();
    tally.once_somewhere(&world.accepted);
    assert!(tally.delivered.keys().all(|record| record.len() % 2 == 0));
    assert!(tally.refused.keys().all(|record| record.len() % 2 == 1));
    for (key, object) in world.outside.bucket_objects(MAIN) {
        let (size, _) = key.strip_prefix("size=").unwrap().split_once('/').unwrap();
        assert_eq!(object.len() % size.parse::<usize>().unwrap(), 0);
    }
    assert!(
        world
            .outside
            .bucket_objects(ERRORS)
            .keys()
            .all(|key| key.starts_with("bad/partitioning-failed/"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_filter_in_this_process_stands_for_a_function() {
    let mut plan = plan();
    let filter = "if .id % 2 == 0 then {twice: (.id * 2)}, {thrice: (.id * 3)} elif .id == 5 then error(\"five\") else empty end";
    plan.processing.transform = Some(Transform {
        function: Function::Jq { arn: ARN.to_owned(), filter: filter.to_owned() },
        retries: 3,
        buffering: Buffering { bytes: 1 << 20, interval: Duration::from_secs(60) },
    });
    plan.processing.append_delimiter = true;
    let mut world = world(plan, identity()).await;
    world.put_numbered(0..8).await;
    world.until_delivered(300).await;
    let main: Vec<u8> = world.outside.bucket_objects(MAIN).into_values().flatten().collect();
    let expected: String = [0, 2, 4, 6]
        .map(|it| format!("{{\"twice\":{}}}\n{{\"thrice\":{}}}\n", it * 2, it * 3))
        .concat();
    assert_eq!(String::from_utf8(main).unwrap(), expected);
    let (_, object) = world.outside.bucket_objects(ERRORS).pop_first().unwrap();
    assert_eq!(raw_data(&object), [numbered(5)]);
    assert!(world.outside.world().invocations.is_empty());
}

#[tokio::test(start_paused = true)]
async fn log_messages_are_taken_out_and_what_is_no_log_is_refused_as_it_came() {
    let mut plan = plan();
    plan.processing.decompress = true;
    plan.processing.extract_log_messages = true;
    plan.processing.append_delimiter = true;
    let gzip = |text: &str| {
        let mut encoder = millstream_formats::compression::Compressor::new(
            millstream_formats::compression::Compression::Gzip,
            "",
        );
        encoder.write(text.as_bytes());
        encoder.finish()
    };
    let event = |text: &str| format!("{{\"id\":\"1\",\"timestamp\":1,\"message\":\"{text}\"}}");
    let envelope = |kind: &str, events: &[String]| {
        format!(
            "{{\"messageType\":\"{kind}\",\"owner\":\"1\",\"logGroup\":\"g\",\"logStream\":\"s\",\
             \"subscriptionFilters\":[],\"logEvents\":[{}]}}",
            events.join(",")
        )
    };
    let data = gzip(&envelope("DATA_MESSAGE", &[event("one"), event("two"), event("three")]));
    let control = gzip(&envelope("CONTROL_MESSAGE", &[event("ping")]));
    let nonsense = gzip("no envelope");
    let plain = Bytes::from_static(b"not compressed");
    let mut world = world(plan, identity()).await;
    world.put([data, control, nonsense.clone(), plain.clone()]).await;
    world.until_delivered(300).await;
    let main: Vec<u8> = world.outside.bucket_objects(MAIN).into_values().flatten().collect();
    assert_eq!(main, b"one\ntwo\nthree\n");
    let errors = world.outside.bucket_objects(ERRORS);
    let of = |output: &str| -> Vec<Bytes> {
        errors
            .iter()
            .filter(|(key, _)| key.starts_with(output))
            .flat_map(|(_, it)| raw_data(it))
            .collect()
    };
    assert_eq!(of("decompression-failed/"), [plain]);
    assert_eq!(of("processing-failed/"), [nonsense]);
}
