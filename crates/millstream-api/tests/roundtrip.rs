//! Generated code reads back what it wrote, member by member.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_api::kinesis::*;
use millstream_core::Timestamp;
use millstream_wire::{Codec, Decode, Encode, decode_input, decode_output, encode_body};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

fn returns<T: Decode + Encode + PartialEq + std::fmt::Debug>(value: &T) -> bool {
    [Codec::Json11, Codec::Cbor11].into_iter().all(|codec| {
        let body = encode_body(codec, value);
        decode_output::<T>(codec, &body).as_ref() == Ok(value)
    })
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0_u64..1 << 42).prop_map(Timestamp::from_ms)
}

fn blob() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn record() -> impl Strategy<Value = Record> {
    (".{0,8}", of(time()), blob(), ".{0,8}", of(select(EncryptionType::ALL))).prop_map(
        |(sequence_number, approximate_arrival_timestamp, data, partition_key, encryption_type)| {
            Record {
                sequence_number,
                approximate_arrival_timestamp,
                data,
                partition_key,
                encryption_type,
            }
        },
    )
}

fn child() -> impl Strategy<Value = ChildShard> {
    (".{0,8}", vec(".{0,8}", 0..3), ".{0,8}", ".{0,8}").prop_map(
        |(shard_id, parent_shards, starting_hash_key, ending_hash_key)| ChildShard {
            shard_id,
            parent_shards,
            hash_key_range: HashKeyRange { starting_hash_key, ending_hash_key },
        },
    )
}

prop_compose! {
    fn get_records()(
        records in vec(record(), 0..20),
        next_shard_iterator in of(".{0,20}"),
        millis_behind_latest in of(any::<i64>()),
        child_shards in of(vec(child(), 0..3)),
    ) -> GetRecordsOutput {
        GetRecordsOutput { records, next_shard_iterator, millis_behind_latest, child_shards }
    }
}

prop_compose! {
    /// Within the model's constraints: this is an input.
    fn put_records()(
        records in vec((blob(), of("[1-9][0-9]{0,37}"), "\\PC{1,64}"), 1..20),
        stream_name in of("[a-zA-Z0-9_.-]{1,128}"),
    ) -> PutRecordsInput {
        let entry = |(data, explicit_hash_key, partition_key)| PutRecordsRequestEntry {
            data,
            explicit_hash_key,
            partition_key,
        };
        PutRecordsInput {
            records: records.into_iter().map(entry).collect(),
            stream_name,
            ..PutRecordsInput::default()
        }
    }
}

prop_compose! {
    fn create_stream()(
        stream_name in "[a-zA-Z0-9_.-]{1,128}",
        shard_count in of(1..i32::MAX),
        stream_mode in of(select(StreamMode::ALL)),
        tags in of(btree_map("\\PC{1,20}", "\\PC{0,20}", 1..4)),
        warm_throughput_mibps in of(0..i32::MAX),
        max_record_size_in_kib in of(1_024..=10_240),
    ) -> CreateStreamInput {
        CreateStreamInput {
            stream_name,
            shard_count,
            stream_mode_details: stream_mode.map(|stream_mode| StreamModeDetails { stream_mode }),
            tags,
            warm_throughput_mibps,
            max_record_size_in_kib,
        }
    }
}

proptest! {
    #[test]
    fn answers_of_records_return(value in get_records()) {
        prop_assert!(returns(&value));
    }

    #[test]
    fn inputs_within_the_model_are_accepted_and_return(
        records in put_records(),
        stream in create_stream(),
    ) {
        for codec in [Codec::Json11, Codec::Json10, Codec::Cbor11] {
            let body = encode_body(codec, &records);
            prop_assert_eq!(decode_input(codec, &body), Ok(records.clone()));
            let body = encode_body(codec, &stream);
            prop_assert_eq!(decode_input(codec, &body), Ok(stream.clone()));
        }
    }
}

#[test]
fn members_that_look_alike_keep_their_places() {
    let value = StreamDescriptionSummary {
        stream_name: "name".to_owned(),
        stream_arn: "arn".to_owned(),
        stream_id: Some("id".to_owned()),
        stream_status: StreamStatus::Updating,
        stream_mode_details: Some(StreamModeDetails { stream_mode: StreamMode::OnDemand }),
        retention_period_hours: 24,
        stream_creation_timestamp: Timestamp::from_ms(1),
        enhanced_monitoring: vec![EnhancedMetrics {
            shard_level_metrics: Some(MetricsName::ALL.to_vec()),
        }],
        encryption_type: Some(EncryptionType::None),
        key_id: Some("key".to_owned()),
        open_shard_count: 3,
        consumer_count: Some(0),
        warm_throughput: Some(WarmThroughputObject {
            target_mibps: Some(1),
            current_mibps: Some(2),
        }),
        max_record_size_in_kib: Some(1_024),
    };
    assert!(returns(&value));
    let filter = ListShardsInput {
        stream_name: Some("a".to_owned()),
        next_token: Some("b".to_owned()),
        exclusive_start_shard_id: Some("c".to_owned()),
        max_results: Some(4),
        stream_creation_timestamp: Some(Timestamp::from_ms(5)),
        shard_filter: Some(ShardFilter {
            r#type: ShardFilterType::FromTimestamp,
            shard_id: Some("d".to_owned()),
            timestamp: Some(Timestamp::from_ms(1_999)),
        }),
        stream_arn: Some("e".to_owned()),
        stream_id: Some("f".to_owned()),
    };
    assert!(returns(&filter));
    let tags = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    assert!(returns(&TagResourceInput { tags, ..TagResourceInput::default() }));
}

#[test]
fn an_answer_newer_than_this_build_is_read_as_far_as_it_is_known() {
    let json = br#"{"StreamDescriptionSummary":{"StreamName":"a","StreamStatus":"ACTIVE",
        "EncryptionType":"QUANTUM","Novelty":[1],"EnhancedMonitoring":
        [{"ShardLevelMetrics":["IncomingBytes","Novelty"]}]}}"#;
    let body = Bytes::from_static(json);
    let output: DescribeStreamSummaryOutput = decode_output(Codec::Json11, &body).unwrap();
    let summary = output.stream_description_summary;
    assert_eq!(summary.encryption_type, None);
    let metrics = summary.enhanced_monitoring[0].shard_level_metrics.as_deref();
    assert_eq!(metrics, Some(&[MetricsName::IncomingBytes][..]));
    let unknown = Bytes::from_static(br#"{"StreamDescriptionSummary":{"StreamStatus":"ODD"}}"#);
    assert!(decode_output::<DescribeStreamSummaryOutput>(Codec::Json11, &unknown).is_err());
}
