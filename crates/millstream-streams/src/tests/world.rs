//! A small world: the service on a log in memory, a clock that stands still, one caller.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_api::kinesis::*;
use millstream_api::{Call, Operation, OperationError};
use millstream_auth::{DevMode, Keyring, MasterKey, VerifiedCaller};
use millstream_catalog::memory::MemoryLog;
use millstream_core::limits::LimitsMode;
use millstream_core::{Clock, ManualClock, Region, SeededRand, Timestamp};
use millstream_log::Log;
use millstream_wire::Codec;

use crate::{Settings, Streams};

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "us-east-1";
/// When worlds begin.
pub(crate) const START: Timestamp = Timestamp::from_ms(1_700_000_000_000);

pub(crate) struct World {
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) caller: VerifiedCaller,
    settings: Settings,
}

pub(crate) fn settings() -> Settings {
    Settings::new(REGION.parse::<Region>().unwrap())
}

fn keyring() -> Arc<Keyring> {
    let rand = Arc::new(SeededRand::new(7));
    Arc::new(Keyring::new(MasterKey::generate(&SeededRand::new(1)), Vec::new(), rand))
}

pub(crate) fn caller(account: &str) -> VerifiedCaller {
    DevMode::new(account.parse().unwrap(), REGION.parse().unwrap()).caller(Some("test"), false)
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(settings()).await
    }

    pub(crate) async fn with_quotas() -> Self {
        Self::with(Settings { limits: LimitsMode::Aws, ..settings() }).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let log = MemoryLog::new(clock.clone());
        Self::open(log, clock, settings).await
    }

    async fn open(log: Arc<MemoryLog>, clock: Arc<ManualClock>, settings: Settings) -> Self {
        let (log_dyn, clock_dyn): (Arc<dyn Log>, Arc<dyn Clock>) = (log.clone(), clock.clone());
        let opened = Streams::open(log_dyn, keyring(), clock_dyn, settings.clone());
        let streams = opened.await.unwrap();
        Self { log, clock, streams, caller: caller(ACCOUNT), settings }
    }

    /// The world after a crash: what is durable, opened anew.
    pub(crate) async fn crash(self) -> Self {
        self.streams.stop();
        let log = self.log.crashed();
        drop(self.streams);
        Self::open(log, self.clock, self.settings).await
    }

    pub(crate) fn call(&self, name: &str) -> Call {
        let operation: &'static Operation = SERVICE.operation(name).expect("an operation");
        Call {
            caller: self.caller.clone(),
            operation,
            request_id: "request".into(),
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            is_secure: false,
            received: self.clock.now(),
            codec: Codec::Json11,
        }
    }

    /// Lets `duration` pass, for clock and tasks alike.
    pub(crate) async fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
        tokio::time::sleep(duration).await;
    }

    /// Lets transitions come to their end.
    pub(crate) async fn settle(&self) {
        self.pass(Duration::from_millis(1_200)).await;
    }

    pub(crate) async fn create(&self, name: &str, shard_count: i32) {
        let input = CreateStreamInput {
            stream_name: name.into(),
            shard_count: Some(shard_count),
            ..Default::default()
        };
        self.streams.create_stream(&self.call("CreateStream"), input).await.unwrap();
        self.settle().await;
    }

    pub(crate) async fn put(&self, stream: &str, key: &str, data: &[u8]) -> PutRecordOutput {
        let input = PutRecordInput {
            stream_name: Some(stream.into()),
            partition_key: key.into(),
            data: Bytes::copy_from_slice(data),
            ..Default::default()
        };
        self.streams.put_record(&self.call("PutRecord"), input).await.unwrap()
    }

    pub(crate) async fn put_records(
        &self,
        stream: &str,
        records: Vec<PutRecordsRequestEntry>,
    ) -> Result<PutRecordsOutput, PutRecordsError> {
        let stream_name = Some(stream.into());
        let input = PutRecordsInput { records, stream_name, ..Default::default() };
        self.streams.put_records(&self.call("PutRecords"), input).await
    }

    pub(crate) async fn shards(&self, stream: &str) -> Vec<Shard> {
        let input = ListShardsInput { stream_name: Some(stream.into()), ..Default::default() };
        let output = self.streams.list_shards(&self.call("ListShards"), input).await.unwrap();
        output.shards.unwrap()
    }

    pub(crate) async fn iterator_from(
        &self,
        input: GetShardIteratorInput,
    ) -> Result<String, GetShardIteratorError> {
        let call = self.call("GetShardIterator");
        let output = self.streams.get_shard_iterator(&call, input).await?;
        Ok(output.shard_iterator.unwrap())
    }

    pub(crate) async fn iterator(
        &self,
        stream: &str,
        shard: &str,
        kind: ShardIteratorType,
    ) -> String {
        let input = GetShardIteratorInput {
            stream_name: Some(stream.into()),
            shard_id: shard.into(),
            shard_iterator_type: kind,
            ..Default::default()
        };
        self.iterator_from(input).await.unwrap()
    }

    pub(crate) async fn read(&self, iterator: &str) -> Result<GetRecordsOutput, GetRecordsError> {
        let input = GetRecordsInput { shard_iterator: iterator.into(), ..Default::default() };
        self.streams.get_records(&self.call("GetRecords"), input).await
    }

    /// All data of a shard from its trim horizon on.
    pub(crate) async fn drain(&self, stream: &str, shard: &str) -> Vec<Vec<u8>> {
        let iterator = self.iterator(stream, shard, ShardIteratorType::TrimHorizon).await;
        let output = self.read(&iterator).await.unwrap();
        output.records.into_iter().map(|record| record.data.to_vec()).collect()
    }

    pub(crate) async fn split(
        &self,
        stream: &str,
        shard: &str,
        start: &str,
    ) -> Result<(), SplitShardError> {
        let input = SplitShardInput {
            stream_name: Some(stream.into()),
            shard_to_split: shard.into(),
            new_starting_hash_key: start.into(),
            ..Default::default()
        };
        self.streams.split_shard(&self.call("SplitShard"), input).await
    }

    pub(crate) async fn merge(
        &self,
        stream: &str,
        shard: &str,
        adjacent: &str,
    ) -> Result<(), MergeShardsError> {
        let input = MergeShardsInput {
            stream_name: Some(stream.into()),
            shard_to_merge: shard.into(),
            adjacent_shard_to_merge: adjacent.into(),
            ..Default::default()
        };
        self.streams.merge_shards(&self.call("MergeShards"), input).await
    }

    pub(crate) async fn summary(&self, stream: &str) -> StreamDescriptionSummary {
        self.try_summary(stream).await.unwrap()
    }

    pub(crate) async fn try_summary(
        &self,
        stream: &str,
    ) -> Result<StreamDescriptionSummary, DescribeStreamSummaryError> {
        let stream_name = Some(stream.into());
        let input = DescribeStreamSummaryInput { stream_name, ..Default::default() };
        let call = self.call("DescribeStreamSummary");
        let output = self.streams.describe_stream_summary(&call, input).await?;
        Ok(output.stream_description_summary)
    }

    pub(crate) async fn delete(&self, stream: &str) -> Result<(), DeleteStreamError> {
        let input = DeleteStreamInput { stream_name: Some(stream.into()), ..Default::default() };
        self.streams.delete_stream(&self.call("DeleteStream"), input).await
    }
}

pub(crate) fn entry(key: &str, data: &[u8]) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry {
        partition_key: key.into(),
        data: Bytes::copy_from_slice(data),
        explicit_hash_key: None,
    }
}

pub(crate) fn arn(stream: &str) -> String {
    format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{stream}")
}

/// Asserts that a call failed with that code and that text.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug, E: OperationError>(
    result: Result<T, E>,
    code: &str,
    text: &str,
) {
    let error = result.expect_err("refused");
    assert_eq!((error.code(), error.message()), (code, text));
}

impl World {
    pub(crate) fn clock_seconds(&self) -> u64 {
        self.clock.now().seconds()
    }
}
