//! A stream and its parts, as the catalog keeps them.

use std::collections::{BTreeMap, BTreeSet};

use millstream_core::{
    AccountId, ConsumerArn, HashKey, HashKeyRange, Region, SequenceNumber, ShardId, StreamArn,
    StreamName, Timestamp,
};
use millstream_log::{LogId, Position};
use serde::{Deserialize, Serialize};

use super::plan::{Plan, Step};

/// Names one life of a stream; a stream made again under the same name has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct StreamUid(pub(crate) u64);

/// Where a stream is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StreamStatus {
    Creating,
    Active,
    Updating,
    Deleting,
}

impl StreamStatus {
    /// As the API spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
        }
    }
}

/// Who decides how many shards there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    Provisioned,
    OnDemand,
}

/// A stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stream {
    pub(crate) uid: StreamUid,
    pub(crate) account: AccountId,
    pub(crate) name: StreamName,
    pub(crate) created: Timestamp,
    pub(crate) status: StreamStatus,
    pub(crate) mode: Mode,
    pub(crate) retention_hours: u32,
    pub(crate) max_record_kib: u32,
    pub(crate) warm_throughput_mibps: u32,
    pub(crate) encryption: Option<Encryption>,
    /// Wrapped data keys that stored records may be sealed under, oldest first.
    pub(crate) data_keys: Vec<DataKeyRecord>,
    pub(crate) next_data_key: u32,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) policy: Option<String>,
    /// Shard-level metrics that are on.
    pub(crate) monitoring: BTreeSet<String>,
    pub(crate) consumers: BTreeMap<StreamName, Consumer>,
    /// By id, open and closed.
    pub(crate) shards: Vec<Shard>,
    /// Indexes into `shards` of the open ones, by range.
    pub(super) open: Vec<usize>,
    pub(super) next_shard: u32,
    /// The reshard under way.
    pub(crate) reshard: Option<Reshard>,
    /// When UpdateShardCount was called, within the last day.
    pub(crate) scalings: Vec<Timestamp>,
    /// When StartStreamEncryption was called, within the last day.
    pub(crate) encryption_starts: Vec<Timestamp>,
    /// When StopStreamEncryption was called, within the last day.
    #[serde(default)]
    pub(crate) encryption_stops: Vec<Timestamp>,
    /// When the mode was switched, within the last day.
    pub(crate) mode_switches: Vec<Timestamp>,
}

/// Server-side encryption that is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Encryption {
    /// The key as the caller named it.
    pub(crate) key_id: String,
}

/// A data key at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DataKeyRecord {
    pub(crate) id: u32,
    /// The key, sealed by the keyring, in base64.
    pub(crate) wrapped: String,
    pub(crate) made: Timestamp,
}

/// A shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shard {
    pub(crate) id: ShardId,
    pub(crate) range: HashKeyRange,
    /// None, one (a split) or two (a merge).
    pub(crate) parents: Vec<ShardId>,
    log: u64,
    /// The second that its sequence numbers carry: later than its parents'.
    pub(crate) created_seconds: u64,
    pub(crate) opened: Timestamp,
    pub(crate) closed: Option<Closed>,
}

/// The end of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Closed {
    /// Its log's end.
    pub(crate) end: u64,
    pub(crate) at: Timestamp,
    /// Who took over its range. Never empty; kept although the children may be gone.
    pub(crate) children: Vec<ChildShard>,
}

/// A child as its parents remember it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChildShard {
    pub(crate) id: ShardId,
    pub(crate) parents: Vec<ShardId>,
    pub(crate) range: HashKeyRange,
}

/// A reshard under way: the steps of its present round, none once the last is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reshard {
    pub(crate) plan: Plan,
    pub(crate) round: Vec<Step>,
}

/// A registered consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Consumer {
    pub(crate) name: StreamName,
    pub(crate) created: Timestamp,
    pub(crate) status: ConsumerStatus,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) policy: Option<String>,
}

/// Where a consumer is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ConsumerStatus {
    Creating,
    Active,
    Deleting,
}

impl Shard {
    pub(super) fn new(id: ShardId, range: HashKeyRange, log: u64, opened: Timestamp) -> Self {
        let created_seconds = opened.seconds();
        Self { id, range, parents: Vec::new(), log, created_seconds, opened, closed: None }
    }

    /// Where its records lie.
    pub(crate) fn log(&self) -> LogId {
        LogId(self.log)
    }

    /// The number it starts at.
    pub(crate) fn starting_sequence_number(&self) -> SequenceNumber {
        SequenceNumber::start_of(self.id, self.created_seconds)
    }

    /// The number it ended at, once closed.
    pub(crate) fn ending_sequence_number(&self) -> Option<SequenceNumber> {
        let closed = self.closed.as_ref()?;
        let seconds = closed.at.seconds().max(self.created_seconds);
        Some(SequenceNumber::end_of(self.id, self.created_seconds, seconds))
    }

    /// The number of the record at `position`, which arrived at `arrived`.
    pub(crate) fn sequence_number(&self, position: Position, arrived: Timestamp) -> SequenceNumber {
        SequenceNumber {
            shard_created_seconds: self.created_seconds,
            shard: self.id,
            index: position.0 + 1,
            arrived_seconds: arrived.seconds().max(self.created_seconds),
        }
    }
}

impl Stream {
    /// Its ARN in `region`.
    pub(crate) fn arn(&self, region: &Region) -> StreamArn {
        StreamArn { region: region.clone(), account: self.account.clone(), name: self.name.clone() }
    }

    /// The ARN of one of its consumers.
    pub(crate) fn consumer_arn(&self, region: &Region, consumer: &Consumer) -> ConsumerArn {
        ConsumerArn {
            stream: self.arn(region),
            consumer: consumer.name.clone(),
            created: consumer.created,
        }
    }

    /// The shard of that id, open or closed.
    pub(crate) fn shard(&self, id: ShardId) -> Option<&Shard> {
        let index = self.shards.binary_search_by_key(&id, |shard| shard.id).ok()?;
        Some(&self.shards[index])
    }

    /// The open shards, by range.
    pub(crate) fn open_shards(&self) -> impl ExactSizeIterator<Item = &Shard> {
        self.open.iter().map(|index| &self.shards[*index])
    }

    /// How many shards are open.
    pub(crate) fn open_shard_count(&self) -> usize {
        self.open.len()
    }

    /// The open shard that takes `point`, as an index into `shards`.
    ///
    /// Cost: one binary search. The stream is not CREATING, so its open shards tile the ring.
    pub(crate) fn route(&self, point: HashKey) -> usize {
        let next = self.open.partition_point(|index| self.shards[*index].range.start <= point);
        assert!(next > 0, "hash ranges start at zero");
        let index = self.open[next - 1];
        assert!(self.shards[index].range.contains(point), "hash ranges leave no gaps");
        index
    }

    /// When records that expire now arrived.
    pub(crate) fn horizon(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_ms(now.ms().saturating_sub(self.retention_ms()))
    }

    /// Milliseconds that records are kept.
    pub(crate) fn retention_ms(&self) -> u64 {
        u64::from(self.retention_hours) * 3_600_000
    }

    /// Bytes of data and key that one record may have.
    pub(crate) fn max_record_bytes(&self) -> usize {
        self.max_record_kib as usize * 1_024
    }

    /// Whether it, or one of its consumers, has a transition to finish.
    pub(super) fn is_busy(&self) -> bool {
        self.status != StreamStatus::Active
            || self.consumers.values().any(|consumer| consumer.status != ConsumerStatus::Active)
    }

    /// Finds the open shards anew, after the shards have changed.
    pub(super) fn index_open_shards(&mut self) {
        self.open = (0..self.shards.len()).filter(|i| self.shards[*i].closed.is_none()).collect();
        let shards = &self.shards;
        self.open.sort_by_key(|index| shards[*index].range.start);
    }
}
