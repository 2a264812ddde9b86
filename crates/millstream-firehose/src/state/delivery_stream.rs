//! A delivery stream and its parts, as the catalog keeps them.

use std::collections::BTreeMap;

use millstream_core::{AccountId, Region, StreamName, Timestamp};
use millstream_log::LogId;
use serde::{Deserialize, Serialize};

use crate::configuration::SealedDocument;

/// Names one life of a delivery stream; one made again under the same name has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct DeliveryStreamUid(pub(crate) u64);

/// Where a delivery stream is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    Creating,
    CreatingFailed(Failure),
    Active,
    Deleting,
}

impl Status {
    /// As the API spells it.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::CreatingFailed(_) => "CREATING_FAILED",
            Self::Active => "ACTIVE",
            Self::Deleting => "DELETING",
        }
    }
}

/// Why a state was not reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// For a person.
    pub(crate) details: String,
}

/// A delivery stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeliveryStream {
    pub(crate) uid: DeliveryStreamUid,
    pub(crate) account: AccountId,
    pub(crate) name: StreamName,
    pub(crate) created: Timestamp,
    /// When the destination was last configured anew.
    pub(crate) updated: Option<Timestamp>,
    pub(crate) status: Status,
    /// Of the destination's configuration: 1, and one more with each update.
    pub(crate) version: u64,
    pub(crate) source: Source,
    pub(crate) destination: SealedDocument,
    /// The log in which the delivery keeps how far it has come.
    checkpoints: u64,
    pub(crate) encryption: Encryption,
    /// When encryption was started or stopped, within the last day.
    pub(crate) encryption_calls: Vec<Timestamp>,
    /// Wrapped data keys that stored records may be sealed under, oldest first.
    pub(crate) data_keys: Vec<DataKeyRecord>,
    pub(crate) next_data_key: u32,
    pub(crate) tags: BTreeMap<String, String>,
}

/// Where records come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Source {
    /// Puts, stored in this log until they are delivered.
    DirectPut {
        log: u64,
        throughput_hint_mibps: Option<i32>,
    },
    Kinesis(KinesisSource),
    Kafka(KafkaSource),
}

/// A Data Stream to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KinesisSource {
    pub(crate) stream_arn: String,
    pub(crate) role_arn: String,
    /// Records that arrived before are not read.
    pub(crate) start: Timestamp,
}

/// A Kafka topic to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KafkaSource {
    pub(crate) cluster_arn: String,
    pub(crate) topic: String,
    pub(crate) role_arn: String,
    pub(crate) is_public: bool,
    /// As the caller gave it; the epoch stands for the earliest record.
    pub(crate) read_from: Option<Timestamp>,
    pub(crate) start: Timestamp,
}

/// The kinds of sources, as refusals and filters name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceKind {
    DirectPut,
    Kinesis,
    Kafka,
}

impl SourceKind {
    /// As the API spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::DirectPut => "DirectPut",
            Self::Kinesis => "KinesisStreamAsSource",
            Self::Kafka => "MSKAsSource",
        }
    }
}

/// Server-side encryption of stored records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Encryption {
    pub(crate) status: EncryptionStatus,
    /// Whose key, once encryption was ever asked for.
    pub(crate) key: Option<KeyType>,
}

/// Where encryption is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EncryptionStatus {
    Disabled,
    Enabling,
    Enabled,
    Disabling,
}

/// Whose key encrypts, as the caller named it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeyType {
    AwsOwned,
    CustomerManaged { arn: String },
}

/// A data key at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DataKeyRecord {
    pub(crate) id: u32,
    /// The key, sealed by the keyring, in base64.
    pub(crate) wrapped: String,
    pub(crate) made: Timestamp,
}

impl Encryption {
    /// Off, and never asked for.
    pub(crate) const NONE: Self = Self { status: EncryptionStatus::Disabled, key: None };

    /// Whether records that are put now are sealed.
    pub(crate) fn is_on(&self) -> bool {
        self.status == EncryptionStatus::Enabled
    }
}

impl Source {
    /// Which kind.
    pub(crate) fn kind(&self) -> SourceKind {
        match self {
            Self::DirectPut { .. } => SourceKind::DirectPut,
            Self::Kinesis(_) => SourceKind::Kinesis,
            Self::Kafka(_) => SourceKind::Kafka,
        }
    }
}

/// What names a delivery stream everywhere: `arn:aws:firehose:REGION:ACCOUNT:deliverystream/NAME`.
pub(crate) fn arn(region: &Region, account: &AccountId, name: &StreamName) -> String {
    format!("arn:aws:firehose:{region}:{account}:deliverystream/{name}")
}

impl DeliveryStream {
    pub(super) fn new(
        uid: DeliveryStreamUid,
        new: super::NewDeliveryStream,
        source: Source,
        checkpoints: u64,
    ) -> Self {
        Self {
            uid,
            account: new.account,
            name: new.name,
            created: new.created,
            updated: None,
            status: Status::Creating,
            version: 1,
            source,
            destination: new.destination,
            checkpoints,
            encryption: new.encryption.unwrap_or(Encryption::NONE),
            encryption_calls: Vec::new(),
            data_keys: Vec::new(),
            next_data_key: 1,
            tags: new.tags,
        }
    }

    /// Its ARN in `region`.
    pub(crate) fn arn(&self, region: &Region) -> String {
        arn(region, &self.account, &self.name)
    }

    /// Where direct puts are stored; `None` for other sources.
    pub(crate) fn records(&self) -> Option<LogId> {
        match self.source {
            Source::DirectPut { log, .. } => Some(LogId(log)),
            Source::Kinesis(_) | Source::Kafka(_) => None,
        }
    }

    /// Where the delivery keeps how far it has come.
    pub(crate) fn checkpoints(&self) -> LogId {
        LogId(self.checkpoints)
    }

    /// Every log that is its own.
    pub(crate) fn logs(&self) -> impl Iterator<Item = LogId> + use<> {
        self.records().into_iter().chain([self.checkpoints()])
    }

    /// Whether it has a transition to finish.
    pub(super) fn is_busy(&self) -> bool {
        match self.status {
            Status::Creating | Status::Deleting => true,
            Status::CreatingFailed(_) => false,
            Status::Active => matches!(
                self.encryption.status,
                EncryptionStatus::Enabling | EncryptionStatus::Disabling
            ),
        }
    }
}
