//! The event that a function gets.

use serde::Serialize;

use super::{Invocation, SourceRecord};

/// What stands around a record's own bytes in an event, generously.
const RECORD_FRAME_BYTES: usize = 128;
/// What stands around a record's stream metadata, generously.
const STREAM_FRAME_BYTES: usize = 192;
/// What stands around the records, generously.
const EVENT_FRAME_BYTES: usize = 2_048;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    invocation_id: &'a str,
    delivery_stream_arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_kinesis_stream_arn: Option<&'a str>,
    region: &'a str,
    records: Vec<Record<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names)] // The names of the wire.
struct Record<'a> {
    record_id: &'a str,
    approximate_arrival_timestamp: u64,
    data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kinesis_record_metadata: Option<Metadata<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    sequence_number: &'a str,
    subsequence_number: u64,
    partition_key: &'a str,
    shard_id: &'a str,
    approximate_arrival_timestamp: u64,
}

/// An upper bound for the bytes of an event with `records`: cut before
/// [`PAYLOAD_BYTES_MAX`](super::PAYLOAD_BYTES_MAX).
pub fn event_bytes<'a>(records: impl IntoIterator<Item = &'a SourceRecord>) -> usize {
    let bytes = |record: &SourceRecord| {
        // In JSON a character may become six.
        let stream = record.stream.as_ref().map_or(0, |stream| {
            let texts = [&stream.shard_id, &stream.partition_key, &stream.sequence_number];
            texts.map(|text| text.len() * 6).iter().sum::<usize>() + STREAM_FRAME_BYTES
        });
        record.data.len().div_ceil(3) * 4 + record.id.len() * 6 + stream + RECORD_FRAME_BYTES
    };
    records.into_iter().map(bytes).sum::<usize>() + EVENT_FRAME_BYTES
}

pub(super) fn encode(invocation: &Invocation<'_>) -> Vec<u8> {
    let records = invocation.records.iter().map(|record| Record {
        record_id: &record.id,
        approximate_arrival_timestamp: record.arrived.ms(),
        data: base64_simd::STANDARD.encode_to_string(&record.data),
        kinesis_record_metadata: record.stream.as_ref().map(|stream| Metadata {
            sequence_number: &stream.sequence_number,
            subsequence_number: stream.subsequence_number,
            partition_key: &stream.partition_key,
            shard_id: &stream.shard_id,
            approximate_arrival_timestamp: record.arrived.ms(),
        }),
    });
    let event = Event {
        invocation_id: invocation.id,
        delivery_stream_arn: invocation.delivery_stream_arn,
        source_kinesis_stream_arn: invocation.source_stream_arn,
        region: invocation.region,
        records: records.collect(),
    };
    serde_json::to_vec(&event).expect("texts and numbers become JSON")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millstream_core::Timestamp;

    use super::super::StreamMetadata;
    use super::*;

    fn record(data: &[u8], stream: Option<StreamMetadata>) -> SourceRecord {
        let arrived = Timestamp::from_ms(1_510_772_160_000);
        SourceRecord { id: "r1".to_owned(), arrived, data: Bytes::copy_from_slice(data), stream }
    }

    fn invocation(records: &[SourceRecord]) -> Invocation<'_> {
        Invocation {
            id: "i1",
            delivery_stream_arn: "arn:aws:firehose:eu-west-1:1:deliverystream/d",
            source_stream_arn: None,
            region: "eu-west-1",
            records,
        }
    }

    #[test]
    fn an_event_is_as_functions_expect_it() {
        let direct = [record(b"hello", None)];
        let text = String::from_utf8(encode(&invocation(&direct))).unwrap();
        assert_eq!(
            text,
            r#"{"invocationId":"i1","deliveryStreamArn":"arn:aws:firehose:eu-west-1:1:deliverystream/d","region":"eu-west-1","records":[{"recordId":"r1","approximateArrivalTimestamp":1510772160000,"data":"aGVsbG8="}]}"#
        );
        let stream = StreamMetadata {
            shard_id: "shardId-000000000000".to_owned(),
            partition_key: "k".to_owned(),
            sequence_number: "495".to_owned(),
            subsequence_number: 2,
        };
        let records = [record(b"", Some(stream))];
        let from_stream = Invocation { source_stream_arn: Some("arn"), ..invocation(&records) };
        let event: serde_json::Value = serde_json::from_slice(&encode(&from_stream)).unwrap();
        assert_eq!(event["sourceKinesisStreamArn"], "arn");
        assert_eq!(
            event["records"][0]["kinesisRecordMetadata"],
            serde_json::json!({
                "shardId": "shardId-000000000000", "partitionKey": "k", "sequenceNumber": "495",
                "subsequenceNumber": 2, "approximateArrivalTimestamp": 1_510_772_160_000_u64,
            })
        );
    }

    #[test]
    fn the_bound_is_never_below_the_event() {
        for size in [0, 1, 2, 3, 1_000] {
            let stream = StreamMetadata {
                shard_id: "shardId-000000000000".to_owned(),
                partition_key: "\u{1}".repeat(256),
                sequence_number: "4".repeat(56),
                subsequence_number: u64::MAX,
            };
            let records = [record(&vec![1; size], Some(stream)), record(&vec![2; size], None)];
            let actual = encode(&invocation(&records)).len();
            assert!(event_bytes(&records) >= actual);
        }
    }
}
