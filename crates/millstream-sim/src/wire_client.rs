//! Calls the real service as a client does: a body in, a body or frames out.
//!
//! Owns the translation between the actors' few calls and the API's inputs and outputs. Every
//! call goes through the generated codecs, in JSON or in CBOR as the dice say, so that the
//! simulation covers all of the service but the sockets.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use millstream_api::kinesis::{
    CreateStreamInput, DecreaseStreamRetentionPeriodInput, DescribeStreamSummaryInput,
    DescribeStreamSummaryOutput, EncryptionType, GetRecordsInput, GetRecordsOutput,
    GetShardIteratorInput, GetShardIteratorOutput, IncreaseStreamRetentionPeriodInput,
    ListShardsInput, ListShardsOutput, MergeShardsInput, PutRecordInput, PutRecordOutput,
    PutRecordsInput, PutRecordsOutput, PutRecordsRequestEntry, PutRecordsResultEntry, Record,
    RegisterStreamConsumerInput, RegisterStreamConsumerOutput, ScalingType, Shard,
    ShardIteratorType, SplitShardInput, StartStreamEncryptionInput, StartingPosition,
    StopStreamEncryptionInput, SubscribeToShardEventStream, SubscribeToShardEventStreamError,
    SubscribeToShardInput, UpdateShardCountInput,
};
use millstream_api::{Call, OperationError, Reply, Service as Api, StreamFault, read_events};
use millstream_auth::DevMode;
use millstream_core::{Clock, HashKeyRange};
use millstream_wire::{Codec, Decode, Encode, decode_output, encode_body};

use crate::clock::SimClock;
use crate::dice::Dice;
use crate::history::{From, ListedShard};
use crate::service::{
    Answer, Described, Fault, Got, GotRecords, Put, PutOutcome, Request, Subscription,
};

/// The one stream of a world.
pub const STREAM: &str = "world";
const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";

/// One run of the service, and how to speak to it.
pub struct WireClient {
    api: Arc<dyn Api>,
    clock: Arc<SimClock>,
    dice: Dice,
    calls: AtomicU64,
}

fn stream() -> String {
    STREAM.to_owned()
}

fn broken(what: impl std::fmt::Display) -> Fault {
    // What no client should ever see is told apart from what the service answers.
    panic!("an answer that cannot be read: {what}")
}

impl WireClient {
    /// Speaks to `api`.
    pub fn new(api: Arc<dyn Api>, clock: Arc<SimClock>, seed: u64) -> Self {
        Self { api, clock, dice: Dice::new(seed, "codec"), calls: AtomicU64::new(0) }
    }

    async fn reply<I: Encode>(&self, name: &str, input: &I) -> (Codec, Reply) {
        let codec = if self.dice.chance(500) { Codec::Json11 } else { Codec::Cbor11 };
        let operation = self.api.model().operation(name).expect("the model has the operation");
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let dev = DevMode::new(
            ACCOUNT.parse().expect("it is an account"),
            REGION.parse().expect("it is a region"),
        );
        let call = Call {
            caller: dev.caller(Some("sim"), false),
            operation,
            request_id: format!("request-{number}").into(),
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            is_secure: false,
            received: self.clock.now(),
            codec,
        };
        (codec, self.api.call(call, encode_body(codec, input)).await)
    }

    async fn body<I: Encode>(&self, name: &str, input: &I) -> Result<(Codec, Bytes), Fault> {
        match self.reply(name, input).await {
            (codec, Reply::Body(body)) => Ok((codec, body)),
            (_, Reply::Error(error)) => {
                Err(Fault { code: error.code.into_owned(), message: error.message })
            }
            (_, Reply::Events(_)) => Err(broken("events for an operation without")),
        }
    }

    async fn output<I: Encode, O: Decode>(&self, name: &str, input: &I) -> Result<O, Fault> {
        let (codec, body) = self.body(name, input).await?;
        decode_output(codec, &body).map_err(broken)
    }

    async fn done<I: Encode>(&self, name: &str, input: &I) -> Result<Answer, Fault> {
        self.body(name, input).await.map(|_| Answer::Done)
    }

    /// Serves one call of an actor.
    pub async fn call(&self, request: Request) -> Result<Answer, Fault> {
        match request {
            Request::PutRecord(put) => self.put_record(put).await,
            Request::PutRecords(puts) => self.put_records(puts).await,
            Request::ListShards => self.list_shards().await,
            Request::GetShardIterator { shard, from } => self.get_shard_iterator(shard, from).await,
            Request::GetRecords { iterator, limit } => self.get_records(iterator, limit).await,
            Request::Subscribe { consumer, shard, from } => {
                self.subscribe(consumer, shard, from).await
            }
            Request::Describe => self.describe().await.map(Answer::Described),
            Request::RegisterConsumer { name } => self.register(name).await,
            other => self.change(other).await,
        }
    }

    async fn change(&self, request: Request) -> Result<Answer, Fault> {
        let int = |number: u32| i32::try_from(number).expect("it is small");
        match request {
            Request::CreateStream { shards } => {
                let input = CreateStreamInput {
                    stream_name: STREAM.to_owned(),
                    shard_count: Some(int(shards)),
                    ..CreateStreamInput::default()
                };
                self.done("CreateStream", &input).await
            }
            Request::SplitShard { shard, at } => {
                let input = SplitShardInput {
                    stream_name: Some(stream()),
                    shard_to_split: shard,
                    new_starting_hash_key: at.to_string(),
                    ..SplitShardInput::default()
                };
                self.done("SplitShard", &input).await
            }
            Request::MergeShards { shard, adjacent } => {
                let input = MergeShardsInput {
                    stream_name: Some(stream()),
                    shard_to_merge: shard,
                    adjacent_shard_to_merge: adjacent,
                    ..MergeShardsInput::default()
                };
                self.done("MergeShards", &input).await
            }
            Request::UpdateShardCount { target } => {
                let input = UpdateShardCountInput {
                    stream_name: Some(stream()),
                    target_shard_count: int(target),
                    scaling_type: ScalingType::UniformScaling,
                    ..UpdateShardCountInput::default()
                };
                self.done("UpdateShardCount", &input).await
            }
            Request::IncreaseRetention { hours } => {
                let input = IncreaseStreamRetentionPeriodInput {
                    stream_name: Some(stream()),
                    retention_period_hours: int(hours),
                    ..IncreaseStreamRetentionPeriodInput::default()
                };
                self.done("IncreaseStreamRetentionPeriod", &input).await
            }
            Request::DecreaseRetention { hours } => {
                let input = DecreaseStreamRetentionPeriodInput {
                    stream_name: Some(stream()),
                    retention_period_hours: int(hours),
                    ..DecreaseStreamRetentionPeriodInput::default()
                };
                self.done("DecreaseStreamRetentionPeriod", &input).await
            }
            Request::SetEncryption { on } => self.set_encryption(on).await,
            other => panic!("{other:?} changes nothing"),
        }
    }

    async fn set_encryption(&self, on: bool) -> Result<Answer, Fault> {
        let key_id = "alias/aws/kinesis".to_owned();
        if on {
            let input = StartStreamEncryptionInput {
                stream_name: Some(stream()),
                encryption_type: EncryptionType::Kms,
                key_id,
                ..StartStreamEncryptionInput::default()
            };
            return self.done("StartStreamEncryption", &input).await;
        }
        let input = StopStreamEncryptionInput {
            stream_name: Some(stream()),
            encryption_type: EncryptionType::Kms,
            key_id,
            ..StopStreamEncryptionInput::default()
        };
        self.done("StopStreamEncryption", &input).await
    }

    async fn put_record(&self, put: Put) -> Result<Answer, Fault> {
        let input = PutRecordInput {
            stream_name: Some(stream()),
            data: put.data,
            partition_key: put.partition_key,
            explicit_hash_key: put.explicit_hash_key.map(|key| key.to_string()),
            ..PutRecordInput::default()
        };
        let output: PutRecordOutput = self.output("PutRecord", &input).await?;
        let (shard, sequence) = (output.shard_id, output.sequence_number);
        Ok(Answer::Put(vec![PutOutcome::Acked { shard, sequence }]))
    }

    async fn put_records(&self, puts: Vec<Put>) -> Result<Answer, Fault> {
        let records = puts.into_iter().map(|put| PutRecordsRequestEntry {
            data: put.data,
            explicit_hash_key: put.explicit_hash_key.map(|key| key.to_string()),
            partition_key: put.partition_key,
        });
        let input = PutRecordsInput {
            records: records.collect(),
            stream_name: Some(stream()),
            ..PutRecordsInput::default()
        };
        let output: PutRecordsOutput = self.output("PutRecords", &input).await?;
        let failed = output.records.iter().filter(|result| result.error_code.is_some()).count();
        let counted = usize::try_from(output.failed_record_count.unwrap_or(0));
        assert_eq!(counted, Ok(failed), "FailedRecordCount counts the failed records");
        Ok(Answer::Put(output.records.into_iter().map(outcome).collect()))
    }

    async fn list_shards(&self) -> Result<Answer, Fault> {
        let mut shards = Vec::new();
        let mut next_token = None;
        loop {
            // Small pages, so that paging is met too. A page names the stream or the token.
            let input = ListShardsInput {
                stream_name: next_token.is_none().then(stream),
                next_token,
                max_results: Some(5),
                ..ListShardsInput::default()
            };
            let output: ListShardsOutput = self.output("ListShards", &input).await?;
            shards.extend(output.shards.unwrap_or_default().into_iter().map(listed));
            next_token = output.next_token;
            if next_token.is_none() {
                return Ok(Answer::Shards(shards));
            }
        }
    }

    async fn get_shard_iterator(&self, shard: String, from: From) -> Result<Answer, Fault> {
        let (kind, number) = position(from);
        let input = GetShardIteratorInput {
            stream_name: Some(stream()),
            shard_id: shard,
            shard_iterator_type: kind,
            starting_sequence_number: number,
            ..GetShardIteratorInput::default()
        };
        let output: GetShardIteratorOutput = self.output("GetShardIterator", &input).await?;
        Ok(Answer::Text(output.shard_iterator.unwrap_or_default()))
    }

    async fn get_records(&self, iterator: String, limit: u32) -> Result<Answer, Fault> {
        let input = GetRecordsInput {
            shard_iterator: iterator,
            limit: i32::try_from(limit).ok(),
            ..GetRecordsInput::default()
        };
        let output: GetRecordsOutput = self.output("GetRecords", &input).await?;
        let children = output.child_shards.unwrap_or_default();
        // A shard ends if and only if its children are named.
        assert_eq!(output.next_shard_iterator.is_none(), !children.is_empty(), "shard end");
        Ok(Answer::Records(GotRecords {
            records: output.records.into_iter().map(got).collect(),
            next: output.next_shard_iterator,
            behind_ms: u64::try_from(output.millis_behind_latest.unwrap_or(0)).unwrap_or(0),
            children: children.into_iter().map(|child| child.shard_id).collect(),
        }))
    }

    async fn describe(&self) -> Result<Described, Fault> {
        let input = DescribeStreamSummaryInput {
            stream_name: Some(stream()),
            ..DescribeStreamSummaryInput::default()
        };
        let output: DescribeStreamSummaryOutput =
            self.output("DescribeStreamSummary", &input).await?;
        let summary = output.stream_description_summary;
        Ok(Described {
            status: summary.stream_status.to_string(),
            retention_hours: u32::try_from(summary.retention_period_hours).unwrap_or(0),
            encrypted: summary.encryption_type == Some(EncryptionType::Kms),
            arn: summary.stream_arn,
        })
    }

    async fn register(&self, name: String) -> Result<Answer, Fault> {
        let stream_arn = self.describe().await?.arn;
        let input = RegisterStreamConsumerInput {
            stream_arn,
            consumer_name: name,
            ..RegisterStreamConsumerInput::default()
        };
        let output: RegisterStreamConsumerOutput =
            self.output("RegisterStreamConsumer", &input).await?;
        Ok(Answer::Text(output.consumer.consumer_arn))
    }

    async fn subscribe(
        &self,
        consumer: String,
        shard: String,
        from: From,
    ) -> Result<Answer, Fault> {
        let (kind, number) = position(from);
        let input = SubscribeToShardInput {
            consumer_arn: consumer,
            shard_id: shard,
            starting_position: StartingPosition {
                r#type: kind,
                sequence_number: number,
                timestamp: None,
            },
            ..SubscribeToShardInput::default()
        };
        match self.reply("SubscribeToShard", &input).await {
            (codec, Reply::Events(frames)) => Ok(Answer::Subscribed(events(codec, frames))),
            (_, Reply::Error(error)) => {
                Err(Fault { code: error.code.into_owned(), message: error.message })
            }
            (_, Reply::Body(_)) => Err(broken("a body for a subscription")),
        }
    }
}

fn events(codec: Codec, frames: futures_util::stream::BoxStream<'static, Bytes>) -> Subscription {
    let pieces = frames.map(Ok::<Bytes, std::convert::Infallible>);
    let events = read_events::<SubscribeToShardEventStream, SubscribeToShardEventStreamError, _, _>(
        codec, pieces,
    );
    Box::pin(events.map(|event| match event {
        Ok(SubscribeToShardEventStream::SubscribeToShardEvent(event)) => {
            let children = event.child_shards.unwrap_or_default();
            Ok(GotRecords {
                records: event.records.into_iter().map(got).collect(),
                next: event.continuation_sequence_number,
                behind_ms: u64::try_from(event.millis_behind_latest).unwrap_or(0),
                children: children.into_iter().map(|child| child.shard_id).collect(),
            })
        }
        Err(StreamFault::Service(error)) => {
            Err(Fault { code: error.code().to_owned(), message: error.message().to_owned() })
        }
        Err(other) => Err(broken(other)),
    }))
}

fn position(from: From) -> (ShardIteratorType, Option<String>) {
    match from {
        From::TrimHorizon => (ShardIteratorType::TrimHorizon, None),
        From::Latest => (ShardIteratorType::Latest, None),
        From::At(number) => (ShardIteratorType::AtSequenceNumber, Some(number)),
        From::After(number) => (ShardIteratorType::AfterSequenceNumber, Some(number)),
    }
}

fn got(record: Record) -> Got {
    Got { sequence: record.sequence_number, data: record.data }
}

fn outcome(result: PutRecordsResultEntry) -> PutOutcome {
    match (result.shard_id, result.sequence_number, result.error_code) {
        (Some(shard), Some(sequence), None) => PutOutcome::Acked { shard, sequence },
        (None, None, Some(code)) => {
            PutOutcome::Failed(Fault { code, message: result.error_message.unwrap_or_default() })
        }
        other => panic!("a result that is neither success nor failure: {other:?}"),
    }
}

fn listed(shard: Shard) -> ListedShard {
    let key = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text} is not a hash key"));
    let parents = [shard.parent_shard_id, shard.adjacent_parent_shard_id];
    ListedShard {
        shard: shard.shard_id,
        parents: parents.into_iter().flatten().collect(),
        range: HashKeyRange {
            start: key(&shard.hash_key_range.starting_hash_key),
            end: key(&shard.hash_key_range.ending_hash_key),
        },
        start: shard.sequence_number_range.starting_sequence_number,
        end: shard.sequence_number_range.ending_sequence_number,
    }
}
