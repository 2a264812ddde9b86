//! The door between simulated clients and whatever serves them.
//!
//! Owns the few calls that the actors make, in the words of the API, and what can come back.
//! [`crate::node`] stands behind it with the real service, [`crate::toy`] with a small model
//! whose faults are planted.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;
use millstream_core::HashKey;

use crate::history::{From, ListedShard};

/// A boxed future.
pub type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One record to put.
#[derive(Clone, Debug)]
pub struct Put {
    /// Its data.
    pub data: Bytes,
    /// Its partition key.
    pub partition_key: String,
    /// Its explicit hash key.
    pub explicit_hash_key: Option<HashKey>,
}

/// A call. All are on the one stream of the world.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The fields are the API's own words.
pub enum Request {
    /// CreateStream.
    CreateStream { shards: u32 },
    /// DescribeStreamSummary.
    Describe,
    /// ListShards, all pages.
    ListShards,
    /// PutRecord.
    PutRecord(Put),
    /// PutRecords.
    PutRecords(Vec<Put>),
    /// GetShardIterator.
    GetShardIterator { shard: String, from: From },
    /// GetRecords.
    GetRecords { iterator: String, limit: u32 },
    /// RegisterStreamConsumer.
    RegisterConsumer { name: String },
    /// SubscribeToShard.
    Subscribe { consumer: String, shard: String, from: From },
    /// SplitShard.
    SplitShard { shard: String, at: HashKey },
    /// MergeShards.
    MergeShards { shard: String, adjacent: String },
    /// UpdateShardCount.
    UpdateShardCount { target: u32 },
    /// IncreaseStreamRetentionPeriod.
    IncreaseRetention { hours: u32 },
    /// DecreaseStreamRetentionPeriod.
    DecreaseRetention { hours: u32 },
    /// StartStreamEncryption or StopStreamEncryption.
    SetEncryption { on: bool },
}

/// What became of one record.
#[derive(Clone, Debug)]
pub enum PutOutcome {
    /// Acknowledged.
    Acked {
        /// By this shard.
        shard: String,
        /// At this place.
        sequence: String,
    },
    /// Not acknowledged.
    Failed(Fault),
}

/// A record as read.
#[derive(Clone, Debug)]
pub struct Got {
    /// Its place.
    pub sequence: String,
    /// Its data.
    pub data: Bytes,
}

/// Records, and what follows.
#[derive(Clone, Debug, Default)]
pub struct GotRecords {
    /// In order.
    pub records: Vec<Got>,
    /// The next iterator (GetRecords) or continuation number (SubscribeToShard).
    pub next: Option<String>,
    /// MillisBehindLatest.
    pub behind_ms: u64,
    /// ChildShards.
    pub children: Vec<String>,
}

/// The stream.
#[derive(Clone, Debug)]
pub struct Described {
    /// StreamStatus.
    pub status: String,
    /// RetentionPeriodHours.
    pub retention_hours: u32,
    /// Whether EncryptionType is KMS.
    pub encrypted: bool,
    /// The stream's ARN.
    pub arn: String,
}

/// A subscription's events, until it ends or fails.
pub type Subscription = Pin<Box<dyn Stream<Item = Result<GotRecords, Fault>> + Send>>;

/// What comes back.
pub enum Answer {
    /// Nothing but success.
    Done,
    /// To [`Request::Describe`].
    Described(Described),
    /// To [`Request::ListShards`].
    Shards(Vec<ListedShard>),
    /// To both puts: one for each record.
    Put(Vec<PutOutcome>),
    /// To [`Request::GetShardIterator`] (an iterator) and [`Request::RegisterConsumer`] (an ARN).
    Text(String),
    /// To [`Request::GetRecords`].
    Records(GotRecords),
    /// To [`Request::Subscribe`].
    Subscribed(Subscription),
}

/// An error that the service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its code, such as `ResourceInUseException`.
    pub code: String,
    /// Its message.
    pub message: String,
}

impl Fault {
    /// Whether it says that nothing was written. Only faults of the server leave that open.
    pub fn says_nothing_written(&self) -> bool {
        !matches!(self.code.as_str(), "InternalFailure" | "InternalFailureException")
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "Done",
            Self::Described(_) => "Described",
            Self::Shards(_) => "Shards",
            Self::Put(_) => "Put",
            Self::Text(_) => "Text",
            Self::Records(_) => "Records",
            Self::Subscribed(_) => "Subscribed",
        })
    }
}

/// One run of the service, from a start to a stop or a power cut.
pub trait Service: Send + Sync {
    /// Serves one call.
    fn call(self: Arc<Self>, request: Request) -> Task<Result<Answer, Fault>>;

    /// Stops in good order; nothing is called afterwards.
    fn stop(self: Arc<Self>) -> Task<()>;
}

/// The machine that the service runs on: its disk survives what its memory does not.
pub trait Host: Send + Sync {
    /// Starts the service on what the disk holds.
    fn start(&self) -> Task<Result<Arc<dyn Service>, String>>;

    /// Cuts the power: what is not durable may be gone or torn, as `seed` says, and what still
    /// runs of the old service can no longer reach the disk.
    fn cut_power(&self, seed: u64);

    /// Kills the process only: what was written stays, durable or not.
    fn kill(&self);

    /// The power goes during the `nth` changing call to the disk from now.
    fn lose_power_in(&self, nth: u64);

    /// Whether the power has gone.
    fn is_powered_off(&self) -> bool;

    /// Makes the `nth` sync from now fail.
    fn fail_sync_in(&self, nth: u64);

    /// Fills the disk but for `free_bytes`, or frees it.
    fn limit_space(&self, free_bytes: Option<u64>);

    /// Mends the disk: no more errors, space enough.
    fn heal(&self);
}
