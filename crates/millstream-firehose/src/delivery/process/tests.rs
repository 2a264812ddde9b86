//! What becomes of single records.

use std::time::Duration;

use millstream_formats::prefix::Rules;

use super::*;
use crate::delivery::source::Origin;
use crate::delivery::tests::{plan, unpack_refused};
use crate::plan::{Buffering, Objects};

fn record(data: &[u8]) -> Record {
    Record {
        position: 7,
        arrived: Timestamp::from_ms(1_000),
        origin: None,
        data: Bytes::copy_from_slice(data),
    }
}

fn prepared(plan: &Plan, record: &Record) -> Vec<Outcome> {
    let processor = Processor::new(plan).unwrap();
    processor.prepare(3, record, Timestamp::from_ms(2_000)).pieces
}

fn items(plan: &Plan, data: &[u8]) -> Vec<(u32, Lane, Bytes)> {
    let outcomes = prepared(plan, &record(data)).into_iter();
    outcomes
        .map(|outcome| match outcome {
            Outcome::Item(item) => {
                let Item { lane, entry, .. } = item;
                assert_eq!((entry.id.part, entry.id.position), (3, 7));
                (entry.id.index, lane, entry.data)
            }
            other => panic!("{other:?} is no item"),
        })
        .collect()
}

fn main(index: u32, data: &str) -> (u32, Lane, Bytes) {
    (index, Lane::main(), Bytes::copy_from_slice(data.as_bytes()))
}

fn objects(plan: &mut Plan) -> &mut Objects {
    match &mut plan.target {
        Target::Objects(objects) => objects,
        other => panic!("{other:?} has no objects"),
    }
}

#[test]
fn a_record_goes_on_as_it_is_where_nothing_is_asked() {
    assert_eq!(items(&plan(), b"a\nb"), [main(0, "a\nb")]);
    assert_eq!(items(&plan(), b""), [main(0, "")]);
}

#[test]
fn pieces_are_numbered_in_order_and_get_their_delimiter() {
    let mut plan = plan();
    plan.processing.append_delimiter = true;
    plan.processing.split = Some(Split::Delimited(b"###".to_vec()));
    assert_eq!(items(&plan, b"a###b######c"), [main(0, "a\n"), main(1, "b\n"), main(2, "c\n")]);
    assert_eq!(items(&plan, b"######"), []);
    plan.processing.split = Some(Split::Json);
    assert_eq!(
        items(&plan, b"{\"a\":1}{} \n{}"),
        [main(0, "{\"a\":1}\n"), main(1, "{}\n"), main(2, "{}\n")]
    );
}

#[test]
fn what_cannot_be_cut_goes_on_whole() {
    let mut plan = plan();
    plan.processing.split = Some(Split::Json);
    assert_eq!(items(&plan, b"[1,2]"), [main(0, "[1,2]")]);
    let many = "{}".repeat(501);
    assert_eq!(items(&plan, many.as_bytes()), [main(0, &many)]);
}

#[test]
fn the_pieces_of_a_record_may_fall_into_several_partitions() {
    let mut plan = partitioned();
    plan.processing.split = Some(Split::Json);
    let items = items(&plan, b"{\"k\":\"x\"}{\"k\":\"yy\"}{\"k\":null}{\"k\":\"x\"}");
    let lanes: Vec<Lane> = items.iter().map(|(_, lane, _)| lane.clone()).collect();
    assert_eq!(lanes[0], lanes[3]);
    assert_ne!(lanes[0], lanes[1]);
    assert_eq!(lanes[2], Lane::Errors(ErrorOutput::MetadataExtraction));
    let document = unpack_refused(&items[2].2);
    assert_eq!(document["errorCode"], "DynamicPartitioning.MetadataExtractionFailed");
    assert_eq!(document["errorMessage"], "partitionKeys values must not be null or empty");
    assert_eq!(
        (&document["arrivalTimestamp"], &document["attemptEndingTimestamp"]),
        (&1_000.into(), &2_000.into())
    );
}

/// A plan with a partition for each value of `k`, which the query gives beside `more`.
fn partitioned() -> Plan {
    let mut plan = plan();
    plan.processing.partition_query = Some("{k: .k, more: (.more // 0)}".to_owned());
    let prefix = Prefix::parse("!{partitionKeyFromQuery:k}/", Rules::Partitioned).unwrap();
    let target = objects(&mut plan);
    (target.prefix, target.partitions_max) = (prefix, Some(500));
    plan
}

/// What tells lanes apart is in every checkpoint: of keys of megabytes there would be none.
#[test]
fn a_key_that_no_prefix_has_room_for_opens_no_partition() {
    let record = format!("{{\"k\":\"{}\",\"more\":1}}", "x".repeat(100_000));
    let items = items(&partitioned(), record.as_bytes());
    assert_eq!(items[0].1, Lane::Errors(ErrorOutput::Partitioning));
    let document = unpack_refused(&items[0].2);
    assert_eq!(document["errorMessage"], "Length of evaluated prefix cannot be greater than 512");
}

#[test]
fn keys_that_are_not_in_the_prefix_are_not_kept() {
    let record = format!("{{\"k\":\"x\",\"more\":\"{}\"}}", "x".repeat(100_000));
    let Some(Outcome::Item(item)) =
        prepared(&partitioned(), &self::record(record.as_bytes())).pop()
    else {
        panic!("it has a partition");
    };
    let names: Vec<&String> = item.keys.from_query.keys().collect();
    assert_eq!(names, ["k"]);
}

#[test]
fn a_record_that_was_decompressed_is_refused_as_it_came() {
    use millstream_formats::compression::{Compression, Compressor};
    let mut plan = plan();
    plan.processing.decompress = true;
    plan.processing.partition_query = Some("{k: .k}".to_owned());
    objects(&mut plan).partitions_max = Some(500);
    let mut gzip = Compressor::new(Compression::Gzip, "");
    gzip.write(b"no JSON");
    let compressed = gzip.finish();
    let items = items(&plan, &compressed);
    let document = unpack_refused(&items[0].2);
    let raw = document["rawData"].as_str().unwrap();
    assert_eq!(base64_simd::STANDARD.decode_to_vec(raw).unwrap(), compressed);
    assert_eq!(items[0].1, Lane::Errors(ErrorOutput::MetadataExtraction));
}

#[test]
fn a_bomb_is_refused_and_not_unpacked() {
    use millstream_formats::compression::{Compression, Compressor};
    let mut plan = plan();
    plan.processing.decompress = true;
    let mut gzip = Compressor::new(Compression::Gzip, "");
    gzip.write(&vec![0; UNPACKED_BYTES_MAX + 1]);
    let items = items(&plan, &gzip.finish());
    assert_eq!(items[0].1, Lane::Errors(ErrorOutput::Decompression));
}

#[test]
fn an_envelope_of_too_many_events_is_refused_whole() {
    use millstream_formats::compression::{Compression, Compressor};
    let mut plan = plan();
    (plan.processing.decompress, plan.processing.extract_log_messages) = (true, true);
    let envelope = |events: usize| {
        let events = vec![r#"{"message":"x"}"#; events].join(",");
        let text = format!(r#"{{"messageType":"DATA_MESSAGE","logEvents":[{events}]}}"#);
        let mut gzip = Compressor::new(Compression::Gzip, "");
        gzip.write(text.as_bytes());
        gzip.finish()
    };
    assert_eq!(items(&plan, &envelope(PIECES_MAX)).len(), PIECES_MAX);
    let compressed = envelope(PIECES_MAX + 1);
    let items = items(&plan, &compressed);
    assert_eq!((items.len(), &items[0].1), (1, &Lane::Errors(ErrorOutput::Processing)));
    let raw = unpack_refused(&items[0].2)["rawData"].as_str().unwrap().to_owned();
    assert_eq!(base64_simd::STANDARD.decode_to_vec(raw).unwrap(), compressed);
}

#[test]
fn what_the_source_calls_a_record_is_kept_where_an_error_would_have_to_say_it() {
    let origin = Origin { sequence_number: "4957".to_owned(), partition_key: "key".to_owned() };
    let record = Record { origin: Some(origin), ..record(b"data") };
    let arn = "arn:aws:kinesis:us-east-1:123456789012:stream/events".parse().unwrap();
    let mut plan = plan();
    plan.source = Source::KinesisStream { arn, from: Timestamp::default() };
    let sequence = |plan: &Plan| match prepared(plan, &record).pop() {
        Some(Outcome::Item(item)) => item.entry.sequence,
        other => panic!("{other:?} is no item"),
    };
    assert_eq!(sequence(&plan), None);
    plan.target = crate::delivery::tests::http_target();
    assert_eq!(sequence(&plan), Some(Bytes::from_static(b"4957")));
}

#[test]
fn a_query_that_does_not_parse_is_an_error_and_no_panic() {
    let mut plan = plan();
    plan.processing.partition_query = Some("{".to_owned());
    assert!(Processor::new(&plan).is_err());
    plan.processing.partition_query = None;
    plan.processing.transform = Some(crate::plan::Transform {
        function: Function::Jq { arn: String::new(), filter: "|".to_owned() },
        retries: 0,
        buffering: Buffering { bytes: 1, interval: Duration::ZERO },
    });
    assert!(Processor::new(&plan).is_err());
}
