//! The commands, as they lie in the catalog's log.

use std::collections::{BTreeMap, BTreeSet};

use millstream_core::{AccountId, StreamName, Timestamp};
use serde::{Deserialize, Serialize};

use super::delivery_stream::{
    DataKeyRecord, DeliveryStreamUid, Encryption, Failure, KafkaSource, KinesisSource, Source,
    SourceKind,
};
use crate::configuration::SealedDocument;

/// A change of what exists. Names delivery streams by uid, so that it can only mean the one judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// A delivery stream, CREATING.
    Create(Box<NewDeliveryStream>),
    /// CREATING is over; encryption that was asked for is on.
    Activate { stream: DeliveryStreamUid },
    /// CREATING came to nothing.
    Fail { stream: DeliveryStreamUid, failure: Failure },
    /// Another configuration of the destination: the next version.
    Update { stream: DeliveryStreamUid, destination: SealedDocument, at: Timestamp },
    /// ENABLING or DISABLING, with the time of the call.
    Encrypt { stream: DeliveryStreamUid, encryption: Encryption, at: Timestamp },
    /// ENABLING or DISABLING is over.
    SettleEncryption { stream: DeliveryStreamUid },
    /// A key to seal records under.
    AddDataKey { stream: DeliveryStreamUid, key: DataKeyRecord },
    /// Keys that no stored record is sealed under any more: all below `below`.
    ForgetDataKeys { stream: DeliveryStreamUid, below: u32 },
    /// Tags: first removed, then set.
    Tag { stream: DeliveryStreamUid, set: BTreeMap<String, String>, remove: BTreeSet<String> },
    /// DELETING.
    Delete { stream: DeliveryStreamUid },
    /// DELETING is over: the name is free.
    Remove { stream: DeliveryStreamUid },
    /// Condemned logs are deleted.
    LogsDeleted { logs: Vec<u64> },
}

/// A delivery stream to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NewDeliveryStream {
    pub(crate) account: AccountId,
    pub(crate) name: StreamName,
    pub(crate) created: Timestamp,
    pub(crate) source: NewSource,
    pub(crate) destination: SealedDocument,
    pub(crate) encryption: Option<Encryption>,
    pub(crate) tags: BTreeMap<String, String>,
}

/// Where records are to come from. A log for direct puts is numbered when the command is applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum NewSource {
    DirectPut { throughput_hint_mibps: Option<i32> },
    Kinesis(KinesisSource),
    Kafka(KafkaSource),
}

impl NewSource {
    /// Which kind.
    pub(crate) fn kind(&self) -> SourceKind {
        match self {
            Self::DirectPut { .. } => SourceKind::DirectPut,
            Self::Kinesis(_) => SourceKind::Kinesis,
            Self::Kafka(_) => SourceKind::Kafka,
        }
    }

    /// The source, its log numbered where it has one.
    pub(crate) fn numbered(self, log: impl FnOnce() -> u64) -> Source {
        match self {
            Self::DirectPut { throughput_hint_mibps } => {
                Source::DirectPut { log: log(), throughput_hint_mibps }
            }
            Self::Kinesis(source) => Source::Kinesis(source),
            Self::Kafka(source) => Source::Kafka(source),
        }
    }
}
