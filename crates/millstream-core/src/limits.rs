//! Every number that the service promises, once, with its unit and source.
//!
//! `SHAPE` limits hold in every mode. `Throughput` limits hold where `limits = "aws"`.

/// Which of the service's quotas are enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitsMode {
    /// The shape of requests only; throughput is what the machine gives.
    #[default]
    Open,
    /// The quotas of the real service, exactly.
    Aws,
}

/// Records in one PutRecords (documented: API_PutRecords).
pub const PUT_RECORDS_COUNT_MAX: usize = 500;
/// Bytes of data and keys in one PutRecords (documented: API_PutRecords, 10 MiB since 2025).
pub const PUT_RECORDS_BYTES_MAX: usize = 10 * 1024 * 1024;
/// A stream's largest record unless it says otherwise (documented: large records).
pub const RECORD_KIB_DEFAULT: u32 = 1_024;
/// The largest record a stream can be set to take (documented: large records).
pub const RECORD_KIB_MAX: u32 = 10_240;
/// Records in one GetRecords (documented: API_GetRecords).
pub const GET_RECORDS_COUNT_MAX: usize = 10_000;
/// Bytes of data in one GetRecords (documented: API_GetRecords).
pub const GET_RECORDS_BYTES_MAX: usize = 10 * 1024 * 1024;
/// How long a shard iterator or a paging token lives (documented: API_GetShardIterator).
pub const ITERATOR_LIFE_MS: u64 = 300_000;
/// How long a subscription lives (documented: API_SubscribeToShard).
pub const SUBSCRIPTION_LIFE_MS: u64 = 300_000;
/// A second subscription of one consumer to one shard is refused this long (documented).
pub const SUBSCRIPTION_TAKEOVER_MS: u64 = 5_000;
/// The longest a subscriber waits for an event, be it empty (observed; SDKs read-time-out at 10 s).
pub const SUBSCRIPTION_HEARTBEAT_MS: u64 = 3_000;
/// Hours that records are kept by default (documented: quotas).
pub const RETENTION_HOURS_DEFAULT: u32 = 24;
/// The longest retention in hours, 365 days (documented: quotas).
pub const RETENTION_HOURS_MAX: u32 = 8_760;
/// Shards of a stream created without a count, provisioned or on demand (observed, documented).
pub const SHARDS_DEFAULT: u32 = 4;
/// Shards of one stream at most: ours, so that one call cannot exhaust memory.
pub const SHARDS_PER_STREAM_MAX: u32 = 10_000;
/// Consumers of a stream (documented: quotas).
pub const CONSUMERS_PER_STREAM_MAX: usize = 20;
/// Consumers of a stream in on-demand advantage mode (documented: quotas).
pub const CONSUMERS_PER_STREAM_MAX_ADVANTAGE: usize = 50;
/// Tags of a resource (documented: quotas).
pub const TAGS_MAX: usize = 50;
/// Shards of an account in most regions (documented: quotas).
pub const ACCOUNT_SHARDS_MAX: u32 = 20_000;
/// On-demand streams of an account (documented: quotas).
pub const ACCOUNT_ON_DEMAND_STREAMS_MAX: u32 = 50;
/// Written bytes a shard and second, `aws` mode (documented: quotas).
pub const SHARD_WRITE_BYTES_PER_SECOND: u64 = 1024 * 1024;
/// Written records a shard and second, `aws` mode (documented: quotas).
pub const SHARD_WRITE_RECORDS_PER_SECOND: u64 = 1_000;
/// Read bytes a shard and second, `aws` mode (documented: quotas).
pub const SHARD_READ_BYTES_PER_SECOND: u64 = 2 * 1024 * 1024;
/// GetRecords calls a shard and second, `aws` mode (documented: quotas).
pub const SHARD_READ_CALLS_PER_SECOND: u64 = 5;
/// UpdateShardCount calls a stream and 24 hours, `aws` mode (documented: API_UpdateShardCount).
pub const UPDATE_SHARD_COUNT_PER_DAY: usize = 10;
/// GetShardIterator calls a shard and second, `aws` mode (documented: API_GetShardIterator).
pub const SHARD_ITERATOR_CALLS_PER_SECOND: u64 = 5;
/// Streams of an account that may be CREATING at once, `aws` mode (documented: API_CreateStream).
pub const STREAMS_CREATING_MAX: usize = 5;
/// StartStreamEncryption calls a stream and 24 hours, `aws` mode (documented).
pub const START_ENCRYPTION_PER_DAY: usize = 25;
/// StopStreamEncryption calls a stream and 24 hours, `aws` mode (documented).
pub const STOP_ENCRYPTION_PER_DAY: usize = 25;
/// Mode switches a stream and 24 hours (documented: API_UpdateStreamMode).
pub const MODE_SWITCHES_PER_DAY: usize = 2;
/// Delivery streams of an account and region (documented: API_CreateDeliveryStream).
pub const FIREHOSE_STREAMS_PER_ACCOUNT_MAX: usize = 5_000;
/// Bytes of data in one PutRecordBatch (documented: API_PutRecordBatch).
pub const FIREHOSE_BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Starts and stops of encryption a delivery stream and 24 hours, `aws` mode (documented).
pub const FIREHOSE_ENCRYPTION_CALLS_PER_DAY: usize = 25;
/// Calls of each of Firehose's operations but puts, an account and second, `aws` mode (documented:
/// quotas).
pub const FIREHOSE_CALLS_PER_SECOND: u32 = 5;
/// Direct puts of a delivery stream and second, `aws` mode (documented: quotas): requests,
/// records and bytes in us-east-1, us-west-2 and eu-west-1.
pub const FIREHOSE_PUTS_PER_SECOND: [u64; 3] = [2_000, 500_000, 5 * 1024 * 1024];
/// The same in every other region (documented: quotas).
pub const FIREHOSE_PUTS_PER_SECOND_SMALL: [u64; 3] = [1_000, 100_000, 1024 * 1024];
/// Partitions of a delivery stream that may be active at once (documented: quotas).
pub const FIREHOSE_PARTITIONS_MAX: usize = 500;
