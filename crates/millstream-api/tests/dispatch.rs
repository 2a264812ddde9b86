//! From bytes to a trait's method and back, in both forms.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use millstream_api::kinesis::*;
use millstream_api::{
    Call, EventStream, Operation, OperationError, Reply, Service, StreamFault, read_events,
};
use millstream_auth::DevMode;
use millstream_core::Timestamp;
use millstream_wire::{Codec, Decode, Encode, ErrorBody, decode_output, encode_body};

/// Answers a few operations with what it was asked, and refuses the rest.
struct Echo;

/// Methods that refuse.
macro_rules! refuse {
    ($($method:ident($input:ty) -> $output:ty | $error:ident,)*) => {$(
        async fn $method(&self, _call: &Call, _input: $input) -> Result<$output, $error> {
            Err($error::InternalFailure("not of this test".to_owned()))
        }
    )*};
}

impl Kinesis for Echo {
    async fn put_records(
        &self,
        _call: &Call,
        input: PutRecordsInput,
    ) -> Result<PutRecordsOutput, PutRecordsError> {
        let entry = |record: &PutRecordsRequestEntry| PutRecordsResultEntry {
            shard_id: Some(record.partition_key.clone()),
            sequence_number: Some(record.data.len().to_string()),
            ..PutRecordsResultEntry::default()
        };
        Ok(PutRecordsOutput {
            failed_record_count: Some(0),
            records: input.records.iter().map(entry).collect(),
            encryption_type: Some(EncryptionType::Kms),
        })
    }

    async fn get_records(
        &self,
        call: &Call,
        input: GetRecordsInput,
    ) -> Result<GetRecordsOutput, GetRecordsError> {
        Ok(GetRecordsOutput {
            records: vec![record(&input.shard_iterator, call.received)],
            ..GetRecordsOutput::default()
        })
    }

    async fn describe_stream(
        &self,
        _call: &Call,
        _input: DescribeStreamInput,
    ) -> Result<DescribeStreamOutput, DescribeStreamError> {
        Err(DescribeStreamError::ResourceNotFound("Stream a not found.".to_owned()))
    }

    async fn delete_stream(
        &self,
        _call: &Call,
        _input: DeleteStreamInput,
    ) -> Result<(), DeleteStreamError> {
        Ok(())
    }

    async fn subscribe_to_shard(
        &self,
        call: &Call,
        input: SubscribeToShardInput,
    ) -> Result<SubscribeToShardOutput, SubscribeToShardError> {
        let event = SubscribeToShardEvent {
            records: vec![record(&input.shard_id, call.received)],
            continuation_sequence_number: Some("1".to_owned()),
            ..SubscribeToShardEvent::default()
        };
        let event = SubscribeToShardEventStream::SubscribeToShardEvent(event);
        let busy = SubscribeToShardEventStreamError::ResourceInUse("busy".to_owned());
        let items = [Ok(event.clone()), Err(busy), Ok(event)];
        Ok(SubscribeToShardOutput { event_stream: EventStream::new(stream::iter(items)) })
    }

    refuse! {
        add_tags_to_stream(AddTagsToStreamInput) -> () | AddTagsToStreamError,
        create_stream(CreateStreamInput) -> () | CreateStreamError,
        decrease_stream_retention_period(DecreaseStreamRetentionPeriodInput) -> () | DecreaseStreamRetentionPeriodError,
        delete_resource_policy(DeleteResourcePolicyInput) -> () | DeleteResourcePolicyError,
        deregister_stream_consumer(DeregisterStreamConsumerInput) -> () | DeregisterStreamConsumerError,
        describe_account_settings(DescribeAccountSettingsInput) -> DescribeAccountSettingsOutput | DescribeAccountSettingsError,
        describe_limits(DescribeLimitsInput) -> DescribeLimitsOutput | DescribeLimitsError,
        describe_stream_consumer(DescribeStreamConsumerInput) -> DescribeStreamConsumerOutput | DescribeStreamConsumerError,
        describe_stream_summary(DescribeStreamSummaryInput) -> DescribeStreamSummaryOutput | DescribeStreamSummaryError,
        disable_enhanced_monitoring(DisableEnhancedMonitoringInput) -> EnhancedMonitoringOutput | DisableEnhancedMonitoringError,
        enable_enhanced_monitoring(EnableEnhancedMonitoringInput) -> EnhancedMonitoringOutput | EnableEnhancedMonitoringError,
        get_resource_policy(GetResourcePolicyInput) -> GetResourcePolicyOutput | GetResourcePolicyError,
        get_shard_iterator(GetShardIteratorInput) -> GetShardIteratorOutput | GetShardIteratorError,
        increase_stream_retention_period(IncreaseStreamRetentionPeriodInput) -> () | IncreaseStreamRetentionPeriodError,
        list_shards(ListShardsInput) -> ListShardsOutput | ListShardsError,
        list_stream_consumers(ListStreamConsumersInput) -> ListStreamConsumersOutput | ListStreamConsumersError,
        list_streams(ListStreamsInput) -> ListStreamsOutput | ListStreamsError,
        list_tags_for_resource(ListTagsForResourceInput) -> ListTagsForResourceOutput | ListTagsForResourceError,
        list_tags_for_stream(ListTagsForStreamInput) -> ListTagsForStreamOutput | ListTagsForStreamError,
        merge_shards(MergeShardsInput) -> () | MergeShardsError,
        put_record(PutRecordInput) -> PutRecordOutput | PutRecordError,
        put_resource_policy(PutResourcePolicyInput) -> () | PutResourcePolicyError,
        register_stream_consumer(RegisterStreamConsumerInput) -> RegisterStreamConsumerOutput | RegisterStreamConsumerError,
        remove_tags_from_stream(RemoveTagsFromStreamInput) -> () | RemoveTagsFromStreamError,
        split_shard(SplitShardInput) -> () | SplitShardError,
        start_stream_encryption(StartStreamEncryptionInput) -> () | StartStreamEncryptionError,
        stop_stream_encryption(StopStreamEncryptionInput) -> () | StopStreamEncryptionError,
        tag_resource(TagResourceInput) -> () | TagResourceError,
        untag_resource(UntagResourceInput) -> () | UntagResourceError,
        update_account_settings(UpdateAccountSettingsInput) -> UpdateAccountSettingsOutput | UpdateAccountSettingsError,
        update_max_record_size(UpdateMaxRecordSizeInput) -> () | UpdateMaxRecordSizeError,
        update_shard_count(UpdateShardCountInput) -> UpdateShardCountOutput | UpdateShardCountError,
        update_stream_mode(UpdateStreamModeInput) -> () | UpdateStreamModeError,
        update_stream_warm_throughput(UpdateStreamWarmThroughputInput) -> UpdateStreamWarmThroughputOutput | UpdateStreamWarmThroughputError,
    }
}

fn record(key: &str, time: Timestamp) -> Record {
    Record {
        sequence_number: "49543463076548007577105092703039560359975228518395019266".to_owned(),
        approximate_arrival_timestamp: Some(time),
        data: Bytes::from_static(b"\x00\xff payload"),
        partition_key: key.to_owned(),
        encryption_type: None,
    }
}

fn call(operation: &str, codec: Codec) -> Call {
    let dev = DevMode::new(
        "000000000000".parse().expect("an account"),
        "us-east-1".parse().expect("a region"),
    );
    Call {
        caller: dev.caller(None, false),
        operation: Operation::of_target(&format!("Kinesis_20131202.{operation}"))
            .expect("an operation of the model"),
        request_id: "request".into(),
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        is_secure: false,
        received: Timestamp::from_ms(1_480_123_456_789),
        codec,
    }
}

async fn ask<I: Encode>(operation: &str, codec: Codec, input: &I) -> Reply {
    KinesisService(Arc::new(Echo)).call(call(operation, codec), encode_body(codec, input)).await
}

fn output<O: Decode>(codec: Codec, reply: Reply) -> O {
    match reply {
        Reply::Body(body) => decode_output(codec, &body).expect("an output"),
        other => panic!("{other:?}"),
    }
}

const CODECS: [Codec; 2] = [Codec::Json11, Codec::Cbor11];

#[tokio::test]
async fn an_input_reaches_its_method_and_the_output_its_caller() {
    for codec in CODECS {
        let entry = |key: &str, data: &'static [u8]| PutRecordsRequestEntry {
            partition_key: key.to_owned(),
            data: Bytes::from_static(data),
            ..PutRecordsRequestEntry::default()
        };
        let input = PutRecordsInput {
            stream_name: Some("orders".to_owned()),
            records: vec![entry("a", b""), entry("\u{e9}\"", b"12345")],
            ..PutRecordsInput::default()
        };
        let answer: PutRecordsOutput = output(codec, ask("PutRecords", codec, &input).await);
        assert_eq!(answer.failed_record_count, Some(0));
        assert_eq!(answer.encryption_type, Some(EncryptionType::Kms));
        assert_eq!(answer.records[1].shard_id.as_deref(), Some("\u{e9}\""));
        assert_eq!(answer.records[1].sequence_number.as_deref(), Some("5"));
        let input =
            GetRecordsInput { shard_iterator: "iterator".to_owned(), ..GetRecordsInput::default() };
        let answer: GetRecordsOutput = output(codec, ask("GetRecords", codec, &input).await);
        assert_eq!(answer.records, [record("iterator", Timestamp::from_ms(1_480_123_456_789))]);
        // A required list of nothing is there, and empty.
        assert_eq!(answer.child_shards, None);
    }
}

#[tokio::test]
async fn an_operation_without_an_output_answers_nothing() {
    let input = DeleteStreamInput::default();
    for codec in CODECS {
        let Reply::Body(body) = ask("DeleteStream", codec, &input).await else {
            panic!("no body");
        };
        assert!(body.is_empty());
    }
}

#[tokio::test]
async fn an_error_travels_in_the_form_of_its_request() {
    for codec in CODECS {
        let Reply::Error(error) =
            ask("DescribeStream", codec, &DescribeStreamInput::default()).await
        else {
            panic!("no error");
        };
        assert_eq!((error.status, &*error.code), (400, "ResourceNotFoundException"));
        let body: ErrorBody = decode_output(codec, &error.encode(codec)).expect("an error");
        assert_eq!(body.code, "ResourceNotFoundException");
        let typed = DescribeStreamError::from_code(&body.code, body.message);
        let expected = DescribeStreamError::ResourceNotFound("Stream a not found.".to_owned());
        assert_eq!(typed, Some(expected));
        assert_eq!(DescribeStreamError::from_code("Other", String::new()), None);
        let failure = ask("ListStreams", codec, &ListStreamsInput::default()).await;
        assert!(matches!(failure, Reply::Error(error) if error.status == 500));
    }
}

#[tokio::test]
async fn a_bad_input_never_reaches_its_method() {
    let refused = |operation: &'static str, body: &'static str| async move {
        let service = KinesisService(Arc::new(Echo));
        let body = Bytes::from_static(body.as_bytes());
        match service.call(call(operation, Codec::Json11), body).await {
            Reply::Error(error) => error,
            other => panic!("{other:?}"),
        }
    };
    let error = refused("DeleteStream", r#"{"StreamName":7}"#).await;
    assert_eq!((error.status, &*error.code), (400, "SerializationException"));
    let body = error.encode(Codec::Json11);
    let text = std::str::from_utf8(&body).expect("JSON is UTF-8");
    assert!(text.starts_with(r#"{"__type":"SerializationException","Message":"class "#), "{text}");
    let error = refused("PutRecords", "{}").await;
    let body = error.encode(Codec::Json11);
    let text = std::str::from_utf8(&body).expect("JSON is UTF-8");
    assert!(text.starts_with(r#"{"__type":"ValidationException","message":"1 val"#), "{text}");
}

#[tokio::test]
async fn a_subscription_is_frames_out_and_events_in() {
    for codec in CODECS {
        let input = SubscribeToShardInput {
            consumer_arn: "arn:aws:kinesis:us-east-1:000000000000:stream/a/consumer/b:1".to_owned(),
            shard_id: "shardId-000000000000".to_owned(),
            starting_position: StartingPosition {
                r#type: ShardIteratorType::AtTimestamp,
                timestamp: Some(Timestamp::from_ms(1_500)),
                ..StartingPosition::default()
            },
            ..SubscribeToShardInput::default()
        };
        let Reply::Events(frames) = ask("SubscribeToShard", codec, &input).await else {
            panic!("no events");
        };
        let frames: Vec<Bytes> = frames.collect().await;
        assert_eq!(frames.len(), 3, "initial response, event, error, and nothing after it");
        assert!(frames[0].windows(16).any(|window| window == b"initial-response"));
        // The bytes come in other pieces than they were sent.
        let bytes = frames.concat();
        let pieces: Vec<Result<Bytes, std::io::Error>> =
            bytes.chunks(7).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let events =
            read_events::<SubscribeToShardEventStream, SubscribeToShardEventStreamError, _, _>(
                codec,
                stream::iter(pieces),
            );
        let events: Vec<_> = events.collect().await;
        assert_eq!(events.len(), 2);
        let SubscribeToShardEventStream::SubscribeToShardEvent(event) =
            events[0].as_ref().expect("an event");
        assert_eq!(event.records[0].partition_key, "shardId-000000000000");
        assert_eq!(event.records[0].data, &b"\x00\xff payload"[..]);
        let busy = SubscribeToShardEventStreamError::ResourceInUse("busy".to_owned());
        assert!(matches!(&events[1], Err(StreamFault::Service(error)) if *error == busy));
    }
}

#[tokio::test]
async fn a_stream_cut_in_a_frame_says_so() {
    let input = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"\0\0\0\x10"))]);
    let events = read_events::<SubscribeToShardEventStream, SubscribeToShardEventStreamError, _, _>(
        Codec::Json11,
        input,
    );
    let events: Vec<_> = events.collect().await;
    assert!(matches!(events.as_slice(), [Err(StreamFault::Cut)]));
}

#[tokio::test]
async fn an_operation_of_another_service_is_unknown() {
    let mut call = call("ListStreams", Codec::Json11);
    call.operation =
        Operation::of_target("DynamoDB_20120810.BatchExecuteStatement").expect("modelled");
    let reply = KinesisService(Arc::new(Echo)).call(call, Bytes::new()).await;
    let Reply::Error(error) = reply else { panic!("answered") };
    assert_eq!(error.code, "UnknownOperationException");
}
