//! `DescribeDeliveryStream`.

use millstream_api::firehose::{
    AuthenticationConfiguration, Connectivity, DeliveryStreamDescription,
    DeliveryStreamEncryptionConfiguration, DeliveryStreamEncryptionStatus,
    DeliveryStreamFailureType, DeliveryStreamStatus, DeliveryStreamType,
    DescribeDeliveryStreamInput, DescribeDeliveryStreamOutput, DirectPutSourceDescription,
    FailureDescription, KeyType as ApiKeyType, KinesisStreamSourceDescription,
    MSKSourceDescription, SourceDescription,
};

use super::destination;
use crate::configuration::Place;
use crate::firehose::Firehose;
use crate::refusal::Refusal;
use crate::resolve::Request;
use crate::state::{DeliveryStream, EncryptionStatus, KeyType, Source, SourceKind, Status};

/// The id of a delivery stream's only destination: it stays, whatever is put there (observed).
pub(super) const DESTINATION_ID: &str = "destinationId-000000000001";

pub(super) async fn run(
    firehose: &Firehose,
    request: &Request<'_>,
    input: DescribeDeliveryStreamInput,
) -> Result<DescribeDeliveryStreamOutput, Refusal> {
    let stream = firehose.resolve(request, &input.delivery_stream_name)?;
    let document = firehose.open_destination(&stream)?;
    let region = &firehose.settings.region;
    let place = Place { account: &stream.account, region };
    let comes_after = |after: &str| DESTINATION_ID > after;
    let destinations = if input.exclusive_start_destination_id.as_deref().is_none_or(comes_after) {
        vec![destination::described(&document, place, DESTINATION_ID)?]
    } else {
        Vec::new()
    };
    Ok(DescribeDeliveryStreamOutput {
        delivery_stream_description: DeliveryStreamDescription {
            delivery_stream_name: stream.name.to_string(),
            delivery_stream_arn: stream.arn(region),
            delivery_stream_status: status(&stream.status),
            failure_description: failure(&stream.status),
            delivery_stream_encryption_configuration: encryption(&stream),
            delivery_stream_type: stream_type(stream.source.kind()),
            version_id: stream.version.to_string(),
            create_timestamp: Some(stream.created),
            last_update_timestamp: stream.updated,
            source: source(&stream.source),
            destinations,
            has_more_destinations: false,
        },
    })
}

fn status(status: &Status) -> DeliveryStreamStatus {
    match status {
        Status::Creating => DeliveryStreamStatus::Creating,
        Status::CreatingFailed(_) => DeliveryStreamStatus::CreatingFailed,
        Status::Active => DeliveryStreamStatus::Active,
        Status::Deleting => DeliveryStreamStatus::Deleting,
    }
}

fn failure(status: &Status) -> Option<FailureDescription> {
    match status {
        Status::CreatingFailed(failure) => Some(FailureDescription {
            // None of the model's types is of a source.
            r#type: DeliveryStreamFailureType::UnknownError,
            details: failure.details.clone(),
        }),
        Status::Creating | Status::Active | Status::Deleting => None,
    }
}

/// The type as the API spells it.
pub(super) fn stream_type(kind: SourceKind) -> DeliveryStreamType {
    match kind {
        SourceKind::DirectPut => DeliveryStreamType::DirectPut,
        SourceKind::Kinesis => DeliveryStreamType::KinesisStreamAsSource,
        SourceKind::Kafka => DeliveryStreamType::MskAsSource,
    }
}

/// Shown for direct puts only (observed).
fn encryption(stream: &DeliveryStream) -> Option<DeliveryStreamEncryptionConfiguration> {
    stream.records()?;
    let (key_type, key_arn) = match &stream.encryption.key {
        None => (None, None),
        Some(KeyType::AwsOwned) => (Some(ApiKeyType::AwsOwnedCmk), None),
        Some(KeyType::CustomerManaged { arn }) => {
            (Some(ApiKeyType::CustomerManagedCmk), Some(arn.clone()))
        }
    };
    let status = match stream.encryption.status {
        EncryptionStatus::Disabled => DeliveryStreamEncryptionStatus::Disabled,
        EncryptionStatus::Enabling => DeliveryStreamEncryptionStatus::Enabling,
        EncryptionStatus::Enabled => DeliveryStreamEncryptionStatus::Enabled,
        EncryptionStatus::Disabling => DeliveryStreamEncryptionStatus::Disabling,
    };
    Some(DeliveryStreamEncryptionConfiguration {
        key_arn,
        key_type,
        status: Some(status),
        failure_description: None,
    })
}

fn source(source: &Source) -> Option<SourceDescription> {
    let mut description = SourceDescription::default();
    match source {
        Source::DirectPut { throughput_hint_mibps, .. } => {
            let throughput_hint_in_mbs = Some((*throughput_hint_mibps)?);
            description.direct_put_source_description =
                Some(DirectPutSourceDescription { throughput_hint_in_mbs });
        }
        Source::Kinesis(kinesis) => {
            description.kinesis_stream_source_description = Some(KinesisStreamSourceDescription {
                kinesis_stream_arn: Some(kinesis.stream_arn.clone()),
                role_arn: Some(kinesis.role_arn.clone()),
                delivery_start_timestamp: Some(kinesis.start),
            });
        }
        Source::Kafka(kafka) => {
            let is_public = kafka.is_public;
            description.msk_source_description = Some(MSKSourceDescription {
                msk_cluster_arn: Some(kafka.cluster_arn.clone()),
                topic_name: Some(kafka.topic.clone()),
                authentication_configuration: Some(AuthenticationConfiguration {
                    role_arn: kafka.role_arn.clone(),
                    connectivity: if is_public {
                        Connectivity::Public
                    } else {
                        Connectivity::Private
                    },
                }),
                delivery_start_timestamp: Some(kafka.start),
                read_from_timestamp: kafka.read_from,
            });
        }
    }
    Some(description)
}
