//! A reader of Kafka topics: the part of Kafka's protocol that a source needs, and no more.
//!
//! Owns the wire. `message` has the requests (ApiVersions, Metadata, ListOffsets, Fetch, and those
//! of a login), `batch` the records in an answer, `compression` their codecs, `connection` one
//! socket, `login` and `scram` who is there, and `topic` a topic with its leaders. There are no consumer groups: whoever reads keeps its own
//! place.
//!
//! Written here rather than taken from a library, because a source must neither lose nor invent:
//! it has to tell aborted transactions from committed ones, to go on past offsets that hold no
//! record (control batches, compaction), and to unpack a batch only as far as it has room. Of the
//! clients there are, rskafka does none of these and does not read zstd from a broker,
//! kafka-protocol unpacks whole batches, and rdkafka builds a C library.
//!
//! Works with brokers from Kafka 0.11 on, in clear text or over TLS, and from 1.0 on with SASL.
//! Source: <https://kafka.apache.org/protocol> and KIP-98 (transactions).

mod batch;
mod compression;
mod connection;
#[cfg(feature = "fuzz")]
mod door;
mod login;
mod message;
mod scram;
mod topic;
mod wire;

pub(crate) use batch::{KafkaRecord, Run, RunLimit};
pub(crate) use connection::Access;
#[cfg(feature = "fuzz")]
pub use door::{KINDS, feed};
pub(crate) use message::OffsetAt;
pub(crate) use topic::{Topic, brokers};

/// Why a cluster did not answer as it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KafkaError {
    /// No connection, or it broke.
    #[error("{address}: {reason}")]
    Broken { address: String, reason: String },
    #[error("{address} did not answer in {limit_ms} ms")]
    Late { address: String, limit_ms: u128 },
    #[error("{address} is too old: it does not speak version {version} of request {key}")]
    TooOld { address: String, key: i16, version: i16 },
    #[error("{address} refuses the login by {mechanism}: {reason}")]
    LoginRefused { address: String, mechanism: &'static str, reason: String },
    /// An error code of the protocol.
    #[error("the cluster answers {} ({code})", code_name(*code))]
    Refused { code: i16 },
    #[error("partition {0} has no leader now")]
    NoLeader(i32),
    /// What was read is not what the protocol says, or is damaged.
    #[error("what the cluster sent cannot be read: {0}")]
    Malformed(&'static str),
    #[error("a record of {bytes} bytes is larger than the {limit} that can be read")]
    TooLarge { bytes: u64, limit: u64 },
}

/// The offset is not, or no longer, in the log.
pub(crate) const OFFSET_OUT_OF_RANGE: i16 = 1;
/// No such topic, or this broker does not know of it yet.
pub(crate) const UNKNOWN_TOPIC: i16 = 3;

/// The protocol's names of the codes that a reader meets.
fn code_name(code: i16) -> &'static str {
    match code {
        OFFSET_OUT_OF_RANGE => "OFFSET_OUT_OF_RANGE",
        2 => "CORRUPT_MESSAGE",
        UNKNOWN_TOPIC => "UNKNOWN_TOPIC_OR_PARTITION",
        5 => "LEADER_NOT_AVAILABLE",
        6 => "NOT_LEADER_OR_FOLLOWER",
        7 => "REQUEST_TIMED_OUT",
        8 => "BROKER_NOT_AVAILABLE",
        9 => "REPLICA_NOT_AVAILABLE",
        17 => "INVALID_TOPIC_EXCEPTION",
        33 => "UNSUPPORTED_SASL_MECHANISM",
        34 => "ILLEGAL_SASL_STATE",
        58 => "SASL_AUTHENTICATION_FAILED",
        29 => "TOPIC_AUTHORIZATION_FAILED",
        35 => "UNSUPPORTED_VERSION",
        56 => "KAFKA_STORAGE_ERROR",
        76 => "UNSUPPORTED_COMPRESSION_TYPE",
        78 => "OFFSET_NOT_AVAILABLE",
        _ => "an error",
    }
}

impl KafkaError {
    /// Whether another try finds the same until someone acts.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Malformed(_) | Self::TooLarge { .. })
    }
}

#[cfg(test)]
mod tests;
