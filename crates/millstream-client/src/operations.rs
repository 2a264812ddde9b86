//! The operations that the command line needs, by name and with their pages turned.
//!
//! Owns nothing of a call; each method is one operation, or one operation until its last page.

use std::time::Duration;

use bytes::Bytes;
use millstream_api::kinesis::{
    Consumer, ConsumerStatus, CreateStreamInput, DeleteStreamInput, DeregisterStreamConsumerInput,
    DescribeStreamConsumerInput, DescribeStreamConsumerOutput, DescribeStreamSummaryInput,
    DescribeStreamSummaryOutput, GetRecordsInput, GetRecordsOutput, GetShardIteratorInput,
    GetShardIteratorOutput, ListShardsInput, ListShardsOutput, ListStreamsInput, ListStreamsOutput,
    PutRecordInput, PutRecordOutput, PutRecordsInput, PutRecordsOutput, PutRecordsRequestEntry,
    PutRecordsResultEntry, RegisterStreamConsumerInput, RegisterStreamConsumerOutput, Shard,
    ShardIteratorType, StreamDescriptionSummary, StreamMode, StreamModeDetails, StreamStatus,
    UpdateMaxRecordSizeInput,
};
use millstream_core::Timestamp;

use crate::client::Client;
use crate::error::CallError;

/// Where to begin reading a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// The oldest record kept.
    TrimHorizon,
    /// What comes from now on.
    Latest,
    /// The first record that arrived at or after this moment.
    Timestamp(Timestamp),
    /// The record after this one.
    AfterSequenceNumber(String),
}

impl ReadFrom {
    pub(crate) fn kind(&self) -> ShardIteratorType {
        match self {
            Self::TrimHorizon => ShardIteratorType::TrimHorizon,
            Self::Latest => ShardIteratorType::Latest,
            Self::Timestamp(_) => ShardIteratorType::AtTimestamp,
            Self::AfterSequenceNumber(_) => ShardIteratorType::AfterSequenceNumber,
        }
    }

    pub(crate) fn sequence_number(&self) -> Option<String> {
        match self {
            Self::AfterSequenceNumber(number) => Some(number.clone()),
            Self::TrimHorizon | Self::Latest | Self::Timestamp(_) => None,
        }
    }

    pub(crate) fn timestamp(&self) -> Option<Timestamp> {
        match self {
            Self::Timestamp(at) => Some(*at),
            Self::TrimHorizon | Self::Latest | Self::AfterSequenceNumber(_) => None,
        }
    }
}

/// How many shards a new stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// This many.
    Shards(u32),
    /// As many as its load needs.
    OnDemand,
}

const POLL_FIRST: Duration = Duration::from_millis(10);
const POLL_MAX: Duration = Duration::from_secs(1);

impl Client {
    /// CreateStream.
    pub async fn create_stream(&self, name: &str, capacity: Capacity) -> Result<(), CallError> {
        let (shard_count, stream_mode) = match capacity {
            // Capped by the service far below this.
            Capacity::Shards(count) => (Some(i32::try_from(count).unwrap_or(i32::MAX)), None),
            Capacity::OnDemand => (None, Some(StreamMode::OnDemand)),
        };
        let input = CreateStreamInput {
            stream_name: name.to_owned(),
            shard_count,
            stream_mode_details: stream_mode.map(|stream_mode| StreamModeDetails { stream_mode }),
            ..Default::default()
        };
        self.call_empty("CreateStream", &input).await
    }

    /// DescribeStreamSummary.
    pub async fn describe_stream(&self, name: &str) -> Result<StreamDescriptionSummary, CallError> {
        let input =
            DescribeStreamSummaryInput { stream_name: Some(name.to_owned()), ..Default::default() };
        let output: DescribeStreamSummaryOutput =
            self.call("DescribeStreamSummary", &input).await?;
        Ok(output.stream_description_summary)
    }

    /// UpdateMaxRecordSize.
    pub async fn update_max_record_size(
        &self,
        stream_arn: &str,
        kib: i32,
    ) -> Result<(), CallError> {
        let input = UpdateMaxRecordSizeInput {
            stream_arn: Some(stream_arn.to_owned()),
            max_record_size_in_kib: kib,
            ..Default::default()
        };
        self.call_empty("UpdateMaxRecordSize", &input).await
    }

    /// Waits until the stream is ACTIVE. Cost: a call now and then; without end where the
    /// stream never becomes so, which is the caller's to bound.
    pub async fn wait_until_active(
        &self,
        name: &str,
    ) -> Result<StreamDescriptionSummary, CallError> {
        let mut wait = POLL_FIRST;
        loop {
            let stream = self.describe_stream(name).await?;
            if stream.stream_status == StreamStatus::Active {
                return Ok(stream);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(POLL_MAX);
        }
    }

    /// DeleteStream, with its consumers.
    pub async fn delete_stream(&self, name: &str) -> Result<(), CallError> {
        let input = DeleteStreamInput {
            stream_name: Some(name.to_owned()),
            enforce_consumer_deletion: Some(true),
            ..Default::default()
        };
        self.call_empty("DeleteStream", &input).await
    }

    /// ListStreams to its last page: names only, since peers know no more.
    pub async fn list_streams(&self) -> Result<Vec<String>, CallError> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let input = ListStreamsInput {
                exclusive_start_stream_name: names.last().cloned(),
                ..Default::default()
            };
            let page: ListStreamsOutput = self.call("ListStreams", &input).await?;
            let is_last = !page.has_more_streams || page.stream_names.is_empty();
            names.extend(page.stream_names);
            if is_last {
                return Ok(names);
            }
        }
    }

    /// ListShards to its last page.
    pub async fn list_shards(&self, stream: &str) -> Result<Vec<Shard>, CallError> {
        let mut shards = Vec::new();
        let mut input =
            ListShardsInput { stream_name: Some(stream.to_owned()), ..Default::default() };
        loop {
            let page: ListShardsOutput = self.call("ListShards", &input).await?;
            shards.extend(page.shards.unwrap_or_default());
            if page.next_token.is_none() {
                return Ok(shards);
            }
            // A token stands for all other arguments.
            input = ListShardsInput { next_token: page.next_token, ..Default::default() };
        }
    }

    /// PutRecord.
    pub async fn put_record(
        &self,
        stream: &str,
        partition_key: String,
        data: Bytes,
    ) -> Result<PutRecordOutput, CallError> {
        let input = PutRecordInput {
            stream_name: Some(stream.to_owned()),
            partition_key,
            data,
            ..Default::default()
        };
        self.call("PutRecord", &input).await
    }

    /// PutRecords: an answer for each record, in order; some of them may be refusals.
    pub async fn put_records(
        &self,
        stream: &str,
        records: Vec<PutRecordsRequestEntry>,
    ) -> Result<Vec<PutRecordsResultEntry>, CallError> {
        let count = records.len();
        let input =
            PutRecordsInput { stream_name: Some(stream.to_owned()), records, ..Default::default() };
        let output: PutRecordsOutput = self.call("PutRecords", &input).await?;
        if output.records.len() == count {
            return Ok(output.records);
        }
        let reason = format!("{} answers to {count} records", output.records.len());
        Err(CallError::Unreadable { operation: "PutRecords".to_owned(), reason })
    }

    /// GetShardIterator.
    pub async fn shard_iterator(
        &self,
        stream: &str,
        shard: &str,
        from: &ReadFrom,
    ) -> Result<String, CallError> {
        let input = GetShardIteratorInput {
            stream_name: Some(stream.to_owned()),
            shard_id: shard.to_owned(),
            shard_iterator_type: from.kind(),
            starting_sequence_number: from.sequence_number(),
            timestamp: from.timestamp(),
            ..Default::default()
        };
        let output: GetShardIteratorOutput = self.call("GetShardIterator", &input).await?;
        output.shard_iterator.ok_or_else(|| CallError::Unreadable {
            operation: "GetShardIterator".to_owned(),
            reason: "no iterator in it".to_owned(),
        })
    }

    /// GetRecords.
    pub async fn get_records(
        &self,
        iterator: String,
        limit: Option<i32>,
    ) -> Result<GetRecordsOutput, CallError> {
        let input = GetRecordsInput { shard_iterator: iterator, limit, ..Default::default() };
        self.call("GetRecords", &input).await
    }

    /// RegisterStreamConsumer, then waits until the consumer is ACTIVE.
    pub async fn register_consumer(
        &self,
        stream_arn: &str,
        name: &str,
    ) -> Result<Consumer, CallError> {
        let input = RegisterStreamConsumerInput {
            stream_arn: stream_arn.to_owned(),
            consumer_name: name.to_owned(),
            ..Default::default()
        };
        let output: RegisterStreamConsumerOutput =
            self.call("RegisterStreamConsumer", &input).await?;
        let consumer = output.consumer;
        let input = DescribeStreamConsumerInput {
            consumer_arn: Some(consumer.consumer_arn.clone()),
            ..Default::default()
        };
        let mut wait = POLL_FIRST;
        loop {
            let output: DescribeStreamConsumerOutput =
                self.call("DescribeStreamConsumer", &input).await?;
            if output.consumer_description.consumer_status == ConsumerStatus::Active {
                return Ok(consumer);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(POLL_MAX);
        }
    }

    /// DeregisterStreamConsumer.
    pub async fn deregister_consumer(&self, consumer_arn: &str) -> Result<(), CallError> {
        let input = DeregisterStreamConsumerInput {
            consumer_arn: Some(consumer_arn.to_owned()),
            ..Default::default()
        };
        self.call_empty("DeregisterStreamConsumer", &input).await
    }
}
