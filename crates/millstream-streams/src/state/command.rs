//! The commands, as they lie in the catalog's log.

use std::collections::{BTreeMap, BTreeSet};

use millstream_core::{AccountId, ShardId, StreamName, Timestamp};
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::stream::{DataKeyRecord, Encryption, Mode, StreamUid};

/// A change of what exists. Names streams by uid, so that it can only mean the stream judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// A stream, CREATING.
    CreateStream(NewStream),
    /// CREATING or UPDATING is over.
    ActivateStream { stream: StreamUid },
    /// UPDATING: shards are to be resharded.
    BeginReshard { stream: StreamUid, plan: Plan, scaling: Option<Timestamp> },
    /// The present round's parents are sealed, each with its end, and its children's logs exist.
    FinishRound { stream: StreamUid, at: Timestamp, ends: Vec<(ShardId, u64)> },
    /// A setting. `updating` shows the stream UPDATING until activated.
    UpdateStream { stream: StreamUid, change: StreamChange, updating: bool },
    /// A key to seal records under.
    AddDataKey { stream: StreamUid, key: DataKeyRecord },
    /// Keys that no stored record is sealed under any more: all below `below`.
    ForgetDataKeys { stream: StreamUid, below: u32 },
    /// Closed shards whose records have all expired.
    ForgetShards { stream: StreamUid, shards: Vec<ShardId> },
    /// DELETING.
    DeleteStream { stream: StreamUid },
    /// DELETING is over: the name is free.
    RemoveStream { stream: StreamUid },
    /// Condemned logs are deleted.
    LogsDeleted { logs: Vec<u64> },
    /// A consumer changes.
    ChangeConsumer { stream: StreamUid, consumer: StreamName, change: ConsumerChange },
    /// The account's throughput commitment.
    SetCommitment { account: AccountId, commitment: Commitment },
}

/// A stream to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NewStream {
    pub(crate) account: AccountId,
    pub(crate) name: StreamName,
    pub(crate) created: Timestamp,
    pub(crate) mode: Mode,
    pub(crate) shard_count: u32,
    pub(crate) max_record_kib: u32,
    pub(crate) warm_throughput_mibps: u32,
    pub(crate) tags: BTreeMap<String, String>,
}

/// A stream's setting, anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum StreamChange {
    RetentionHours(u32),
    MaxRecordKib(u32),
    WarmThroughput(u32),
    Monitoring(BTreeSet<String>),
    Mode {
        mode: Mode,
        warm_throughput_mibps: Option<u32>,
        at: Timestamp,
    },
    /// On (with the time of the call) or off.
    Encryption {
        encryption: Option<Encryption>,
        at: Timestamp,
    },
    /// Tags of the stream or of a consumer: first removed, then set.
    Tags {
        target: TagTarget,
        set: BTreeMap<String, String>,
        remove: BTreeSet<String>,
    },
    /// The resource policy of the stream or of a consumer.
    Policy {
        target: TagTarget,
        policy: Option<String>,
    },
}

/// What a tag or a policy sticks to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TagTarget {
    Stream,
    Consumer(StreamName),
}

/// What becomes of a consumer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ConsumerChange {
    /// CREATING.
    Register { created: Timestamp, tags: BTreeMap<String, String> },
    /// CREATING is over.
    Activate,
    /// DELETING.
    Deregister,
    /// DELETING is over.
    Remove,
}

/// An account's minimum throughput billing commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Commitment {
    pub(crate) enabled: bool,
    pub(crate) started: Timestamp,
    pub(crate) ended: Option<Timestamp>,
}
