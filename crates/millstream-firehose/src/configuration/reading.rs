//! From a document to a plan, checked whole.

use millstream_core::Timestamp;
use millstream_formats::compression::Compression;

use super::bucket::{
    BUFFERING_DEFAULT, BucketRules, buffering, buffering_apart, error_log, objects,
};
use super::describe::Place;
use super::document::{DestinationKind, Document};
use super::invalid::Invalid;
use super::node::Node;
use super::processing::{LAMBDA_BUFFER_BYTES, LAMBDA_BUFFER_BYTES_SPLUNK, processing};
use super::{extended, target};
use crate::plan::{Backup, Objects, Plan, Processing, Source, Target};
use crate::settings::World;
use crate::state;

/// Buffering for Splunk where its configuration says nothing, in mebibytes and seconds.
const SPLUNK_BUFFERING: (u64, u64) = (5, 60);

/// The plan of `document`, version `version`, for records from `source`.
pub(crate) fn plan(
    document: &Document,
    (source, version): (&state::Source, u64),
    place: Place<'_>,
    world: &World,
) -> Result<Plan, Invalid> {
    let node = Node(&document.body);
    let lambda_buffer_bytes = match document.kind {
        DestinationKind::Splunk => LAMBDA_BUFFER_BYTES_SPLUNK,
        DestinationKind::ExtendedS3
        | DestinationKind::Redshift
        | DestinationKind::Elasticsearch
        | DestinationKind::OpenSearch
        | DestinationKind::OpenSearchServerless
        | DestinationKind::HttpEndpoint
        | DestinationKind::Iceberg => LAMBDA_BUFFER_BYTES,
    };
    let processing = processing(node, lambda_buffer_bytes, world)?;
    let extracts = matches!(document.kind, DestinationKind::ExtendedS3 | DestinationKind::Iceberg);
    if processing.partition_query.is_some() && !extracts {
        return Err(Invalid::ExtractionUnwanted);
    }
    let (target, backup) = destination(document, &processing, world)?;
    let buffering = match &target {
        Target::Objects(objects) => objects.buffering,
        Target::Redshift(redshift) => redshift.staging.buffering,
        Target::Splunk(_) => buffering_apart(node, SPLUNK_BUFFERING),
        Target::Http(_) | Target::Search(_) | Target::Iceberg(_) => {
            buffering(node, BUFFERING_DEFAULT)?
        }
    };
    Ok(Plan {
        version,
        source: read_source(source, place, world)?,
        processing,
        buffering,
        target,
        backup,
        error_log: error_log(node)?,
    })
}

fn destination(
    document: &Document,
    processing: &Processing,
    world: &World,
) -> Result<(Target, Backup), Invalid> {
    let node = Node(&document.body);
    match document.kind {
        DestinationKind::ExtendedS3 => {
            let errors = extended::destination(node, processing)?;
            let backup = Backup { all: extended::backup(node)?, errors: errors.clone() };
            Ok((Target::Objects(errors), backup))
        }
        DestinationKind::Redshift => {
            let staging = staging(node)?;
            let backup = Backup { all: extended::backup(node)?, errors: staging.clone() };
            Ok((Target::Redshift(target::redshift(node, staging, world)?), backup))
        }
        DestinationKind::Elasticsearch | DestinationKind::OpenSearch => {
            Ok((Target::Search(target::search(node, world)?), backup(node)?))
        }
        DestinationKind::OpenSearchServerless => {
            Ok((Target::Search(target::serverless(node, world)?), backup(node)?))
        }
        DestinationKind::Splunk => {
            Ok((Target::Splunk(target::splunk(node, world)?), backup(node)?))
        }
        DestinationKind::HttpEndpoint => {
            Ok((Target::Http(target::http(node, world)?), backup(node)?))
        }
        DestinationKind::Iceberg => {
            if node.text("S3BackupMode") == Some("AllData") {
                return Err(Invalid::Unsupported(
                    "S3BackupMode AllData for an Iceberg destination",
                ));
            }
            Ok((Target::Iceberg(target::iceberg(node)?), backup(node)?))
        }
    }
}

/// The bucket that Redshift copies from.
fn staging(node: Node<'_>) -> Result<Objects, Invalid> {
    let bucket = node.child("S3Configuration").ok_or(Invalid::Missing("S3Configuration"))?;
    let staging = objects(bucket, target::STAGING)?;
    match staging.compression {
        Compression::None | Compression::Gzip => Ok(staging),
        Compression::Zip | Compression::Snappy | Compression::HadoopSnappy => {
            let format = bucket.text("CompressionFormat").unwrap_or_default();
            Err(Invalid::RedshiftCompression(format.to_owned()))
        }
    }
}

/// The backup of destinations that have one bucket for it, and a mode for what goes there.
fn backup(node: Node<'_>) -> Result<Backup, Invalid> {
    let bucket = node.child("S3Configuration").ok_or(Invalid::Missing("S3Configuration"))?;
    let errors = objects(bucket, BucketRules::PLAIN)?;
    let takes_all = node.text("S3BackupMode").is_some_and(|mode| mode.starts_with("All"));
    Ok(Backup { all: takes_all.then(|| errors.clone()), errors })
}

fn read_source(source: &state::Source, place: Place<'_>, world: &World) -> Result<Source, Invalid> {
    match source {
        state::Source::DirectPut { .. } => Ok(Source::DirectPut),
        state::Source::Kinesis(kinesis) => {
            let text = &kinesis.stream_arn;
            let not_a_stream = || Invalid::NotAStream(text.clone(), place.region.to_string());
            let arn = text.parse::<millstream_core::StreamArn>().map_err(|_| not_a_stream())?;
            if arn.region != *place.region {
                return Err(not_a_stream());
            }
            Ok(Source::KinesisStream { arn, from: kinesis.start })
        }
        state::Source::Kafka(kafka) => {
            let known = world.kafka_clusters.get(&kafka.cluster_arn);
            let cluster =
                known.ok_or_else(|| Invalid::UnknownCluster(kafka.cluster_arn.clone()))?;
            // The epoch stands for the earliest record (documented: ReadFromTimestamp).
            let from = match kafka.read_from {
                Some(at) if at == Timestamp::default() => None,
                Some(at) => Some(at),
                None => Some(kafka.start),
            };
            Ok(Source::Kafka { cluster: cluster.clone(), topic: kafka.topic.clone(), from })
        }
    }
}
