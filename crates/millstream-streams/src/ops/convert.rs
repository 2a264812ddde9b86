//! The domain's nouns as the API's.

use millstream_api::kinesis as api;

use crate::position::StartType;
use crate::read::ReadRecord;
use crate::resolve::Target;
use crate::state::{
    ChildShard, Consumer, ConsumerStatus, Encryption, Mode, Shard, Stream, StreamStatus,
};

/// A count as the API carries it.
pub(super) fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A limit that the caller gave, or the default.
pub(super) fn limit(given: Option<i32>, default: usize) -> usize {
    given.and_then(|given| usize::try_from(given).ok()).unwrap_or(default)
}

/// What a call names a stream by.
pub(super) fn target<'a>(
    name: Option<&'a String>,
    arn: Option<&'a String>,
    id: Option<&'a String>,
) -> Target<'a> {
    Target {
        name: name.map(String::as_str),
        arn: arn.map(String::as_str),
        id: id.map(String::as_str),
    }
}

pub(super) fn range(range: millstream_core::HashKeyRange) -> api::HashKeyRange {
    api::HashKeyRange {
        starting_hash_key: range.start.to_string(),
        ending_hash_key: range.end.to_string(),
    }
}

pub(super) fn shard(shard: &Shard) -> api::Shard {
    let mut parents = shard.parents.iter().map(ToString::to_string);
    api::Shard {
        shard_id: shard.id.to_string(),
        parent_shard_id: parents.next(),
        adjacent_parent_shard_id: parents.next(),
        hash_key_range: range(shard.range),
        sequence_number_range: api::SequenceNumberRange {
            starting_sequence_number: shard.starting_sequence_number().to_string(),
            ending_sequence_number: shard.ending_sequence_number().map(|n| n.to_string()),
        },
    }
}

pub(super) fn child(child: &ChildShard) -> api::ChildShard {
    api::ChildShard {
        shard_id: child.id.to_string(),
        parent_shards: child.parents.iter().map(ToString::to_string).collect(),
        hash_key_range: range(child.range),
    }
}

pub(super) fn record(record: ReadRecord) -> api::Record {
    api::Record {
        sequence_number: record.number.to_string(),
        approximate_arrival_timestamp: Some(record.arrived),
        data: record.data,
        partition_key: record.partition_key,
        encryption_type: record.is_sealed.then_some(api::EncryptionType::Kms),
    }
}

pub(super) fn status(status: StreamStatus) -> api::StreamStatus {
    match status {
        StreamStatus::Creating => api::StreamStatus::Creating,
        StreamStatus::Active => api::StreamStatus::Active,
        StreamStatus::Updating => api::StreamStatus::Updating,
        StreamStatus::Deleting => api::StreamStatus::Deleting,
    }
}

pub(super) fn consumer_status(status: ConsumerStatus) -> api::ConsumerStatus {
    match status {
        ConsumerStatus::Creating => api::ConsumerStatus::Creating,
        ConsumerStatus::Active => api::ConsumerStatus::Active,
        ConsumerStatus::Deleting => api::ConsumerStatus::Deleting,
    }
}

pub(super) fn mode(mode: Mode) -> api::StreamModeDetails {
    let stream_mode = match mode {
        Mode::Provisioned => api::StreamMode::Provisioned,
        Mode::OnDemand => api::StreamMode::OnDemand,
    };
    api::StreamModeDetails { stream_mode }
}

pub(super) fn mode_of(details: &api::StreamModeDetails) -> Mode {
    match details.stream_mode {
        api::StreamMode::Provisioned => Mode::Provisioned,
        api::StreamMode::OnDemand => Mode::OnDemand,
    }
}

pub(super) fn encryption_type(encryption: Option<&Encryption>) -> api::EncryptionType {
    match encryption {
        None => api::EncryptionType::None,
        Some(_) => api::EncryptionType::Kms,
    }
}

pub(super) fn start_type(kind: api::ShardIteratorType) -> StartType {
    match kind {
        api::ShardIteratorType::AtSequenceNumber => StartType::AtSequenceNumber,
        api::ShardIteratorType::AfterSequenceNumber => StartType::AfterSequenceNumber,
        api::ShardIteratorType::TrimHorizon => StartType::TrimHorizon,
        api::ShardIteratorType::Latest => StartType::Latest,
        api::ShardIteratorType::AtTimestamp => StartType::AtTimestamp,
    }
}

/// The shard-level metrics that are on, by name.
pub(super) fn metrics(stream: &Stream) -> Vec<api::MetricsName> {
    stream.monitoring.iter().filter_map(|name| api::MetricsName::from_text(name)).collect()
}

pub(super) fn consumer(
    stream: &Stream,
    consumer: &Consumer,
    region: &millstream_core::Region,
) -> api::Consumer {
    api::Consumer {
        consumer_name: consumer.name.to_string(),
        consumer_arn: stream.consumer_arn(region, consumer).to_string(),
        consumer_status: consumer_status(consumer.status),
        consumer_creation_timestamp: consumer.created,
    }
}
