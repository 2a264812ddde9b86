//! Objects: their sizes, names and partitions, and buckets that fail.

use bytes::Bytes;
use millstream_columnar::{FileFormat, JsonReader, ParquetOptions};
use millstream_formats::compression::{Compression, Compressor};
use millstream_formats::prefix::{ErrorPrefix, Prefix, Rules};

use super::history::{lines, raw_data};
use super::outside::{BACKUP, ERRORS, MAIN, Mood};
use super::world::{World, numbered, objects, plan};
use crate::plan::{Conversion, Objects, SchemaSource, Target};

fn target(plan: &mut crate::plan::Plan) -> &mut Objects {
    match &mut plan.target {
        Target::Objects(objects) => objects,
        other => panic!("{other:?} has no objects"),
    }
}

#[tokio::test(start_paused = true)]
async fn objects_are_as_large_as_they_may_be_and_hold_every_record_once_in_order() {
    let mut world = World::new(plan()).await;
    world.put_numbered(0..500).await;
    world.until_delivered(120).await;
    world.tally().exactly_once(&world.accepted);
    let objects = world.outside.bucket_objects(MAIN);
    let mut records = Vec::new();
    let mut sizes = Vec::new();
    for (key, object) in objects {
        assert!(key.starts_with("2023/11/14/22/orders-1-2023-11-14-22-13-2"), "{key}");
        sizes.push(object.len());
        records.push(lines(&object.into()));
    }
    let largest = numbered(499).len();
    assert!(sizes.iter().all(|size| *size <= 1_024));
    let small = sizes.iter().filter(|size| **size + largest <= 1_024).count();
    assert!(small <= 1, "only the last object may have room left: {sizes:?}");
    records.sort_by_key(|object| world.accepted.iter().position(|record| *record == object[0]));
    assert_eq!(records.concat(), world.accepted, "in order");
    world.pass(1).await;
    let metrics = world.metrics();
    assert_eq!((metrics.delivery_records, metrics.read_records), (500, 500));
    assert_eq!(
        metrics.delivery_bytes,
        world.accepted.iter().map(|it| it.len() as u64).sum::<u64>()
    );
    assert_eq!(metrics.delivery_attempts, metrics.delivery_successes);
    assert_eq!((metrics.outstanding, metrics.duplicates, metrics.expired), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_buffer_that_does_not_fill_goes_after_its_interval() {
    let mut world = World::new(plan()).await;
    world.put_numbered(0..3).await;
    world.pass(58).await;
    assert!(world.outside.bucket_objects(MAIN).is_empty());
    let age = world.metrics().data_freshness_ms;
    assert!((57_000..=58_500).contains(&age), "{age}");
    world.pass(3).await;
    assert_eq!(world.outside.bucket_objects(MAIN).len(), 1);
    world.tally().exactly_once(&world.accepted);
    assert_eq!(world.metrics().data_freshness_ms, 0);
}

#[tokio::test(start_paused = true)]
async fn a_record_larger_than_an_object_is_an_object() {
    let mut world = World::new(plan()).await;
    let large = Bytes::from([vec![b'x'; 5_000], b"\n".to_vec()].concat());
    world.put([numbered(1), large.clone(), numbered(2)]).await;
    world.until_delivered(120).await;
    world.tally().exactly_once(&world.accepted);
    let sizes: Vec<usize> =
        world.outside.bucket_objects(MAIN).into_values().map(|object| object.len()).collect();
    assert!(sizes.contains(&large.len()), "{sizes:?}");
    assert_eq!(sizes.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_down_for_an_hour_stops_delivery_and_loses_nothing() {
    let mut world = World::new(plan()).await;
    world.outside.set(MAIN, Mood::Down);
    for minute in 0..60 {
        world.put_numbered(minute * 20..minute * 20 + 20).await;
        world.pass(60).await;
    }
    assert!(world.outside.bucket_objects(MAIN).is_empty());
    assert!(world.metrics().data_freshness_ms >= 3_599_000);
    assert_eq!(world.undelivered(), 1_200, "the source keeps all");
    let entry = world.errors().pop().unwrap();
    assert_eq!((entry.log, entry.code.as_str()), ("DestinationDelivery", "Test.Refused"));
    assert!((30..200).contains(&entry.count), "{} attempts in an hour", entry.count);
    world.outside.set(MAIN, Mood::Well);
    world.until_delivered(200).await;
    world.tally().exactly_once(&world.accepted);
    world.pass(1).await;
    assert_eq!(world.metrics().data_freshness_ms, 0);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_refuses_for_good_is_asked_until_someone_mends_it() {
    let mut world = World::new(plan()).await;
    world.outside.set(MAIN, Mood::Refusing);
    world.put_numbered(0..100).await;
    world.pass(7_200).await;
    assert_eq!(world.undelivered(), 100);
    world.outside.set(MAIN, Mood::Well);
    world.until_delivered(200).await;
    world.tally().exactly_once(&world.accepted);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_forgets_to_say_so_gets_the_same_objects_again() {
    let mut world = World::new(plan()).await;
    world.outside.world().script = [Mood::Forgetful; 5].into();
    world.put_numbered(0..100).await;
    world.until_delivered(200).await;
    world.tally().exactly_once(&world.accepted);
    let again = world.outside.world().puts.values().map(|count| count - 1).sum::<u64>();
    assert_eq!(again, 5);
}

#[tokio::test(start_paused = true)]
async fn a_slow_bucket_holds_reading_up_and_nothing_else() {
    let mut world = World::new(plan()).await;
    world.outside.set(MAIN, Mood::Slow(30));
    world.put_numbered(0..1_000).await;
    world.pass(20).await;
    // The page that was read is all that is read, while a delivery is under way and a buffer full.
    let before = world.metrics().read_records;
    world.put_numbered(1_000..1_500).await;
    world.pass(60).await;
    assert_eq!((before, world.metrics().read_records), (1_000, 1_000));
    world.until_delivered(3_000).await;
    world.tally().exactly_once(&world.accepted);
}

#[tokio::test(start_paused = true)]
async fn objects_are_compressed_and_still_cut_by_their_bytes_before() {
    let mut plan = plan();
    target(&mut plan).compression = Compression::Gzip;
    let mut world = World::new(plan).await;
    world.put_numbered(0..200).await;
    world.until_delivered(120).await;
    let mut records = Vec::new();
    for (key, object) in world.outside.bucket_objects(MAIN) {
        assert!(key.strip_suffix(".gz").is_some(), "{key}");
        let inflated = millstream_formats::cloudwatch::decompress(&object.into(), 1 << 20).unwrap();
        assert!(inflated.len() <= 1_024);
        records.extend(lines(&inflated));
    }
    records.sort();
    let mut accepted = world.accepted.clone();
    accepted.sort();
    assert_eq!(records, accepted);
}

#[tokio::test(start_paused = true)]
async fn a_large_object_that_several_compress_is_one_and_holds_every_record_in_order() {
    for compression in [Compression::Gzip, Compression::Zip] {
        let mut plan = plan();
        target(&mut plan).compression = compression;
        target(&mut plan).buffering.bytes = 16 << 20;
        let mut world = World::new(plan).await;
        for start in (0..4_000).step_by(200) {
            let line = |number: usize| format!("{}{number}\n", "abc".repeat(number % 500)).into();
            world.put((start..start + 200).map(line)).await;
        }
        world.until_delivered(120).await;
        let objects = world.outside.bucket_objects(MAIN);
        assert_eq!(objects.len(), 1, "{compression:?}");
        let (key, object) = objects.into_iter().next().unwrap();
        let mut alone = Compressor::new(compression, key.rsplit('/').next().unwrap());
        world.accepted.iter().for_each(|record| alone.write(record));
        let alone = alone.finish();
        assert!(object == alone, "{compression:?}: {} {}", object.len(), alone.len());
    }
}

fn partitioned(partitions_max: usize) -> crate::plan::Plan {
    let mut plan = plan();
    plan.processing.partition_query = Some("{group: (.id % 10)}".to_owned());
    let text = "group=!{partitionKeyFromQuery:group}/";
    let prefix = Prefix::parse(text, Rules::Partitioned).unwrap();
    let error_prefix =
        ErrorPrefix::parse(Some("bad/!{firehose:error-output-type}/"), &prefix).unwrap();
    plan.backup.errors.error_prefix = error_prefix.clone();
    let target = target(&mut plan);
    (target.prefix, target.error_prefix) = (prefix, error_prefix);
    target.partitions_max = Some(partitions_max);
    plan
}

#[tokio::test(start_paused = true)]
async fn each_partition_has_its_objects() {
    let mut world = World::new(partitioned(500)).await;
    world.put_numbered(0..1_000).await;
    world.until_delivered(120).await;
    world.tally().exactly_once(&world.accepted);
    for (key, object) in world.outside.bucket_objects(MAIN) {
        let (group, _) = key.strip_prefix("group=").unwrap().split_once('/').unwrap();
        for record in lines(&object.into()) {
            let parsed: serde_json::Value = serde_json::from_slice(&record).unwrap();
            let id = parsed["id"].as_u64().unwrap();
            assert_eq!((id % 10).to_string(), group);
        }
    }
    world.pass(2).await;
    assert_eq!(world.metrics().partitions, 0, "no partition is active any more");
}

#[tokio::test(start_paused = true)]
async fn records_beyond_the_partition_limit_go_to_the_error_output() {
    let mut world = World::new(partitioned(4)).await;
    world.put_numbered(0..100).await;
    world.until_delivered(200).await;
    let tally = world.tally();
    tally.once_somewhere(&world.accepted);
    assert_eq!((tally.delivered.len(), tally.refused.len()), (40, 60));
    assert_eq!(world.metrics().partition_overflows, 60);
    for (key, object) in world.outside.bucket_objects(ERRORS) {
        assert!(key.starts_with("bad/partitioning-failed/"), "{key}");
        let text = String::from_utf8(object).unwrap();
        assert!(
            text.contains("\"errorCode\":\"DynamicPartitioning.ActivePartitionsLimitExceeded\"")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn records_without_partition_keys_go_to_the_error_output() {
    let mut world = World::new(partitioned(500)).await;
    world.put([Bytes::from_static(b"no JSON\n"), numbered(3), Bytes::from_static(b"[1]\n")]).await;
    world.until_delivered(200).await;
    let tally = world.tally();
    tally.once_somewhere(&world.accepted);
    assert_eq!(tally.delivered.keys().collect::<Vec<_>>(), [&numbered(3)]);
    let (key, object) = world.outside.bucket_objects(ERRORS).pop_first().unwrap();
    assert!(key.starts_with("bad/metadata-extraction-failed/"), "{key}");
    assert_eq!(raw_data(&object), [&b"no JSON\n"[..], b"[1]\n"]);
    let text = String::from_utf8(object).unwrap();
    assert!(text.contains("\"errorMessage\":\"Non JSON record provided\""), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_cannot_be_written_for_its_retry_duration_goes_to_the_error_output() {
    let mut world = World::new(partitioned(500)).await;
    world.outside.set(MAIN, Mood::Down);
    world.put_numbered(0..50).await;
    world.pass(330).await;
    assert_eq!(world.undelivered(), 50);
    world.pass(60).await;
    let tally = world.tally();
    tally.once_somewhere(&world.accepted);
    assert_eq!(tally.refused.len(), 50);
    assert_eq!(world.metrics().error_records["partitioning-failed"], 50);
}

fn converting() -> crate::plan::Plan {
    let mut plan = plan();
    let schema = SchemaSource {
        catalog: None,
        database: "sales".to_owned(),
        table: "orders".to_owned(),
        region: None,
        version: "LATEST".to_owned(),
    };
    target(&mut plan).conversion = Some(Conversion {
        schema,
        reader: JsonReader::default(),
        writer: FileFormat::Parquet(ParquetOptions::default()),
    });
    plan
}

#[tokio::test(start_paused = true)]
async fn records_that_cannot_be_converted_go_to_the_error_output_in_the_same_delivery() {
    let mut world = World::new(converting()).await;
    let bad = |number: usize| Bytes::from(format!("{{\"id\":\"no number {number}\"}}\n"));
    let records =
        (0..100).map(|number| if number % 10 == 3 { bad(number) } else { numbered(number) });
    world.put(records).await;
    world.until_delivered(200).await;
    let mut refused = Vec::new();
    for (key, object) in world.outside.bucket_objects(ERRORS) {
        assert!(key.contains("format-conversion-failed/"), "{key}");
        refused.extend(raw_data(&object));
        let text = String::from_utf8(object).unwrap();
        assert!(text.contains("\"lastErrorCode\":\"DataFormatConversion."), "{text}");
        assert!(text.contains("\"tableName\":\"orders\""), "{text}");
    }
    refused.sort();
    let mut expected: Vec<Bytes> = (0..100).filter(|it| it % 10 == 3).map(bad).collect();
    expected.sort();
    assert_eq!(refused, expected);
    for (key, object) in world.outside.bucket_objects(MAIN) {
        assert!(key.strip_suffix(".parquet").is_some(), "{key}");
        assert!(object.starts_with(b"PAR1") && object.ends_with(b"PAR1"));
    }
    let metrics = world.metrics();
    assert_eq!((metrics.converted_records, metrics.unconverted_records), (90, 10));
    assert_eq!(metrics.delivery_records, 90);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_of_bad_records_only_makes_no_empty_file() {
    let mut world = World::new(converting()).await;
    world.put([Bytes::from_static(b"no JSON\n"), Bytes::from_static(b"neither\n")]).await;
    world.until_delivered(200).await;
    assert!(world.outside.bucket_objects(MAIN).is_empty());
    let (_, object) = world.outside.bucket_objects(ERRORS).pop_first().unwrap();
    assert_eq!(raw_data(&object), world.accepted);
}

#[tokio::test(start_paused = true)]
async fn without_a_schema_records_go_to_the_error_output_after_a_while() {
    let mut world = World::new(converting()).await;
    world.outside.set("catalog", Mood::Down);
    world.put_numbered(0..5).await;
    world.pass(300).await;
    assert_eq!(world.undelivered(), 5);
    world.until_delivered(200).await;
    let (_, object) = world.outside.bucket_objects(ERRORS).pop_first().unwrap();
    assert_eq!(raw_data(&object), world.accepted);
    assert_eq!(world.metrics().unconverted_records, 5);
}

#[tokio::test(start_paused = true)]
async fn the_backup_keeps_all_source_records_as_they_came() {
    let mut plan = plan();
    plan.processing.partition_query = None;
    plan.processing.append_delimiter = true;
    plan.backup.all = Some(objects(BACKUP, 4_096, 120));
    let mut world = World::new(plan).await;
    world.outside.set(BACKUP, Mood::Down);
    world.put((0..100).map(|number| Bytes::from(format!("{number:05}")))).await;
    world.pass(600).await;
    assert_eq!(world.undelivered(), 100, "a record is not settled before its backup is");
    world.outside.set(BACKUP, Mood::Well);
    world.until_delivered(200).await;
    let backup: Vec<u8> = world.outside.bucket_objects(BACKUP).into_values().flatten().collect();
    assert_eq!(backup, world.accepted.concat());
    let main: Vec<u8> = world.outside.bucket_objects(MAIN).into_values().flatten().collect();
    assert_eq!(main.len(), 600, "with a line feed behind each");
    let metrics = world.metrics();
    assert_eq!((metrics.delivery_records, metrics.backup_records), (100, 100));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_in_good_order_finishes_what_is_under_way() {
    let mut world = World::new(plan()).await;
    world.outside.set(MAIN, Mood::Slow(10));
    world.put_numbered(0..100).await;
    world.pass(5).await;
    let mut world = world.restart().await;
    let delivered = world.tally().delivered.len();
    assert!(delivered > 0, "the delivery that was under way came to its end");
    world.outside.set(MAIN, Mood::Well);
    world.put_numbered(100..150).await;
    world.until_delivered(200).await;
    world.tally().exactly_once(&world.accepted);
    assert!(world.outside.world().puts.values().all(|count| *count == 1), "nothing was put twice");
}
