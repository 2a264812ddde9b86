//! `DescribeStream` and `DescribeStreamSummary`.

use millstream_api::kinesis::{
    DescribeStreamInput, DescribeStreamOutput, DescribeStreamSummaryInput,
    DescribeStreamSummaryOutput, EnhancedMetrics, StreamDescription, StreamDescriptionSummary,
    WarmThroughputObject,
};

use super::convert;
use crate::refusal::Refusal;
use crate::resolve::{Request, shard_id};
use crate::state::{Mode, Stream, StreamStatus};
use crate::streams::Streams;

/// Shards in one answer unless the caller says otherwise (documented: API_DescribeStream).
const SHARDS_DEFAULT: usize = 100;

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    input: DescribeStreamInput,
) -> Result<DescribeStreamOutput, Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let stream = streams.resolve(request, target)?;
    let after = match &input.exclusive_start_shard_id {
        None => None,
        Some(text) => Some(shard_id(text, &stream.named())?),
    };
    let limit = convert::limit(input.limit, SHARDS_DEFAULT);
    // Shards are shown once they can be used (observed).
    let is_creating = stream.status == StreamStatus::Creating;
    let shards = stream.shards.iter().filter(|_| !is_creating);
    let mut shards = shards.filter(|shard| after.is_none_or(|after| shard.id > after));
    let page = shards.by_ref().take(limit).map(convert::shard).collect();
    Ok(DescribeStreamOutput {
        stream_description: StreamDescription {
            stream_name: stream.name.to_string(),
            stream_arn: stream.arn(&streams.settings.region).to_string(),
            stream_status: convert::status(stream.status),
            stream_mode_details: Some(convert::mode(stream.mode)),
            shards: page,
            has_more_shards: shards.next().is_some(),
            retention_period_hours: hours(&stream),
            stream_creation_timestamp: stream.created,
            enhanced_monitoring: monitoring(&stream),
            encryption_type: Some(convert::encryption_type(stream.encryption.as_ref())),
            key_id: stream.encryption.as_ref().map(|encryption| encryption.key_id.clone()),
        },
    })
}

pub(super) async fn summary(
    streams: &Streams,
    request: &Request<'_>,
    input: DescribeStreamSummaryInput,
) -> Result<DescribeStreamSummaryOutput, Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let stream = streams.resolve(request, target)?;
    let open = stream.open_shard_count();
    Ok(DescribeStreamSummaryOutput {
        stream_description_summary: StreamDescriptionSummary {
            stream_name: stream.name.to_string(),
            stream_arn: stream.arn(&streams.settings.region).to_string(),
            // Reserved for future use: clients that see one send it everywhere.
            stream_id: None,
            stream_status: convert::status(stream.status),
            stream_mode_details: Some(convert::mode(stream.mode)),
            retention_period_hours: hours(&stream),
            stream_creation_timestamp: stream.created,
            enhanced_monitoring: monitoring(&stream),
            encryption_type: Some(convert::encryption_type(stream.encryption.as_ref())),
            key_id: stream.encryption.as_ref().map(|encryption| encryption.key_id.clone()),
            open_shard_count: convert::count(open),
            consumer_count: Some(convert::count(stream.consumers.len())),
            warm_throughput: (stream.mode == Mode::OnDemand).then(|| warm_throughput(&stream)),
            max_record_size_in_kib: i32::try_from(stream.max_record_kib).ok(),
        },
    })
}

/// What an on-demand stream is scaled for, and what it can take now.
pub(super) fn warm_throughput(stream: &Stream) -> WarmThroughputObject {
    WarmThroughputObject {
        target_mibps: i32::try_from(stream.warm_throughput_mibps).ok(),
        // A shard takes one MiB a second.
        current_mibps: Some(convert::count(stream.open_shard_count())),
    }
}

fn hours(stream: &Stream) -> i32 {
    i32::try_from(stream.retention_hours).unwrap_or(i32::MAX)
}

fn monitoring(stream: &Stream) -> Vec<EnhancedMetrics> {
    vec![EnhancedMetrics { shard_level_metrics: Some(convert::metrics(stream)) }]
}
