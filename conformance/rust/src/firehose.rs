//! The cases of Firehose.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use aws_sdk_firehose::Client;
use aws_sdk_firehose::operation::put_record_batch::{PutRecordBatchError, PutRecordBatchOutput};
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::builders::ExtendedS3DestinationConfigurationBuilder;
use aws_sdk_firehose::types::{
    BufferingHints, CompressionFormat, DeliveryStreamDescription,
    DeliveryStreamEncryptionConfigurationInput, DeliveryStreamEncryptionStatus,
    DeliveryStreamStatus, DeliveryStreamType, ExtendedS3DestinationConfiguration,
    ExtendedS3DestinationDescription, ExtendedS3DestinationUpdate, KeyType,
    ProcessingConfiguration, Processor, ProcessorType, Record, S3BackupMode, Tag,
};

use crate::harness::{Failure, Outcome, Run, equal, eventually, fresh_name, holds, refused};

const KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555";

/// Runs every case.
pub(crate) async fn run_all(client: &Client, run: &mut Run) {
    run.case(
        "CreateDeliveryStream DescribeDeliveryStream ListDeliveryStreams DeleteDeliveryStream",
        "a delivery stream is created, described as it was given, listed and deleted",
        a_delivery_stream_lives(client),
    )
    .await;
    run.case(
        "PutRecord PutRecordBatch",
        "records are put singly and in batches up to what fits, and refused beyond",
        records_are_taken(client),
    )
    .await;
    run.case(
        "UpdateDestination DescribeDeliveryStream",
        "an update merges, and needs the version that it was made for",
        an_update_merges(client),
    )
    .await;
    run.case(
        "TagDeliveryStream UntagDeliveryStream ListTagsForDeliveryStream",
        "tags are set, taken off and listed in pages",
        tags_come_and_go(client),
    )
    .await;
    run.case(
        "StartDeliveryStreamEncryption StopDeliveryStreamEncryption PutRecord",
        "encryption is switched on and off, and puts say so",
        encryption_is_switched(client),
    )
    .await;
}

fn to_bucket() -> Result<ExtendedS3DestinationConfigurationBuilder, Failure> {
    Ok(ExtendedS3DestinationConfiguration::builder()
        .role_arn("arn:aws:iam::000000000000:role/delivery")
        .bucket_arn(format!("arn:aws:s3:::{}", fresh_name()?)))
}

fn tag(key: &str, value: Option<&str>) -> Result<Tag, Failure> {
    Ok(Tag::builder().key(key).set_value(value.map(str::to_owned)).build()?)
}

async fn describe(client: &Client, name: &str) -> Result<DeliveryStreamDescription, Failure> {
    let answer = client.describe_delivery_stream().delivery_stream_name(name).send().await?;
    Ok(answer.delivery_stream_description.ok_or("no description")?)
}

fn destination(
    description: &DeliveryStreamDescription,
) -> Result<&ExtendedS3DestinationDescription, Failure> {
    let first = description.destinations.first().ok_or("no destination")?;
    Ok(first.extended_s3_destination_description.as_ref().ok_or("another destination")?)
}

/// Runs a case with a delivery stream of its own; it is deleted whatever the case says.
async fn with_delivery(
    client: &Client,
    destination: ExtendedS3DestinationConfiguration,
    prove: impl AsyncFnOnce(&str) -> Outcome,
) -> Outcome {
    let name = fresh_name()?;
    let made = client
        .create_delivery_stream()
        .delivery_stream_name(&name)
        .delivery_stream_type(DeliveryStreamType::DirectPut)
        .extended_s3_destination_configuration(destination)
        .tags(tag("a", Some("1"))?)
        .send()
        .await?;
    let proof = async {
        eventually("the delivery stream is ACTIVE", 20, async || {
            let found = describe(client, &name).await?;
            Ok(found.delivery_stream_status == DeliveryStreamStatus::Active)
        })
        .await?;
        let arn = describe(client, &name).await?.delivery_stream_arn;
        equal(made.delivery_stream_arn.as_deref(), Some(arn.as_str()), "ARN")?;
        prove(&name).await
    };
    let outcome = proof.await;
    client
        .delete_delivery_stream()
        .delivery_stream_name(&name)
        .allow_force_delete(true)
        .send()
        .await?;
    outcome
}

async fn a_delivery_stream_lives(client: &Client) -> Outcome {
    let append = Processor::builder().r#type(ProcessorType::AppendDelimiterToRecord).build()?;
    let hints = BufferingHints::builder().size_in_mbs(7).interval_in_seconds(61).build();
    let given = to_bucket()?
        .prefix("a/!{timestamp:yyyy}/")
        .error_output_prefix("e/!{firehose:error-output-type}/")
        .buffering_hints(hints)
        .compression_format(CompressionFormat::Gzip)
        .processing_configuration(
            ProcessingConfiguration::builder().enabled(true).processors(append).build(),
        )
        .build()?;
    let mut gone = String::new();
    with_delivery(client, given.clone(), async |name| {
        gone = name.to_owned();
        let found = describe(client, name).await?;
        equal(&found.delivery_stream_type, &DeliveryStreamType::DirectPut, "type")?;
        equal(found.version_id.as_str(), "1", "version")?;
        let created = SystemTime::try_from(found.create_timestamp.ok_or("no creation")?)?;
        let age = created.elapsed().unwrap_or_else(|ahead| ahead.duration());
        holds(age < Duration::from_secs(60), "the time of creation")?;
        equal(found.destinations.len(), 1, "destinations")?;
        let told = destination(&found)?;
        equal(&told.bucket_arn, &given.bucket_arn, "bucket")?;
        equal(&told.prefix, &given.prefix, "prefix")?;
        equal(&told.error_output_prefix, &given.error_output_prefix, "error prefix")?;
        equal(&told.buffering_hints, &given.buffering_hints, "hints")?;
        equal(&told.compression_format, &CompressionFormat::Gzip, "compression")?;
        equal(&told.s3_backup_mode, &Some(S3BackupMode::Disabled), "backup")?;
        let processing = told.processing_configuration.as_ref().ok_or("no processing")?;
        equal(
            &processing.processors()[0].r#type,
            &ProcessorType::AppendDelimiterToRecord,
            "processor",
        )?;
        let listed = client.list_delivery_streams().limit(10_000).send().await?;
        let is_listed = listed.delivery_stream_names.iter().any(|listed| listed == name);
        holds(is_listed, "the delivery stream is not listed")?;
        let again = client
            .create_delivery_stream()
            .delivery_stream_name(name)
            .extended_s3_destination_configuration(to_bucket()?.build()?)
            .send()
            .await;
        let is_taken = again.as_ref().is_err_and(|error| {
            error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception())
        });
        holds(is_taken, "the error has another type")?;
        refused(again, "ResourceInUseException", "already exists")
    })
    .await?;
    eventually("the delivery stream is gone", 20, async || {
        let answer = client.describe_delivery_stream().delivery_stream_name(&gone).send().await;
        Ok(answer.is_err_and(|error| {
            error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception())
        }))
    })
    .await
}

fn record(data: Vec<u8>) -> Result<Record, Failure> {
    Ok(Record::builder().data(Blob::new(data)).build()?)
}

async fn put_all(
    client: &Client,
    name: &str,
    records: Vec<Record>,
) -> Result<PutRecordBatchOutput, PutRecordBatchError> {
    let call = client.put_record_batch().delivery_stream_name(name).set_records(Some(records));
    call.send().await.map_err(aws_sdk_firehose::error::SdkError::into_service_error)
}

async fn records_are_taken(client: &Client) -> Outcome {
    with_delivery(client, to_bucket()?.build()?, async |name| {
        let call = client.put_record().delivery_stream_name(name).record(record(vec![0, 255, 10])?);
        let one = call.send().await?;
        equal(one.encrypted, Some(false), "encrypted")?;
        let mut many = (0..500).map(|size| record(vec![7; size])).collect::<Result<Vec<_>, _>>()?;
        let batch = put_all(client, name, many.clone()).await?;
        equal(batch.failed_put_count, 0, "failed")?;
        let mut ids = BTreeSet::from([Some(one.record_id)]);
        ids.extend(batch.request_responses.into_iter().map(|each| each.record_id));
        equal(ids.len(), 501, "ids that differ")?;
        many.push(record(vec![1])?);
        refused(put_all(client, name, many).await, "ValidationException", "500")?;
        let large = record(vec![0; 1_024_000])?;
        let answer = put_all(client, name, vec![large.clone(); 5]).await;
        let is_modelled =
            answer.as_ref().is_err_and(PutRecordBatchError::is_invalid_argument_exception);
        holds(is_modelled, "the error has another type")?;
        refused(answer, "InvalidArgumentException", "4 MB")?;
        let mixed = vec![record(vec![1])?, record(vec![0; 1_024_001])?];
        refused(put_all(client, name, mixed).await, "ValidationException", "1024000")?;
        let largest = put_all(client, name, vec![large; 4]).await?;
        equal(largest.failed_put_count, 0, "failed of the largest that may be")
    })
    .await?;
    let stray = client.put_record().delivery_stream_name("nobody").record(record(vec![1])?);
    refused(stray.send().await, "ResourceNotFoundException", "nobody")
}

async fn an_update_merges(client: &Client) -> Outcome {
    with_delivery(client, to_bucket()?.build()?, async |name| {
        let before = describe(client, name).await?;
        let id = before.destinations[0].destination_id.as_str();
        let update = |version: &str, destination: &str| {
            let zip = CompressionFormat::Zip;
            let change = ExtendedS3DestinationUpdate::builder().compression_format(zip).build();
            client
                .update_destination()
                .delivery_stream_name(name)
                .current_delivery_stream_version_id(version)
                .destination_id(destination)
                .extended_s3_destination_update(change)
                .send()
        };
        let late = update("7", id).await;
        let is_modelled = late.as_ref().is_err_and(|error| {
            error
                .as_service_error()
                .is_some_and(|error| error.is_concurrent_modification_exception())
        });
        holds(is_modelled, "the error has another type")?;
        refused(late, "ConcurrentModificationException", "do not match")?;
        let elsewhere = update("1", "destinationId-000000000009").await;
        refused(elsewhere, "InvalidArgumentException", "not found")?;
        update("1", id).await?;
        let after = describe(client, name).await?;
        equal(after.version_id.as_str(), "2", "version")?;
        holds(after.last_update_timestamp >= after.create_timestamp, "updated before created")?;
        let mut wanted = destination(&before)?.clone();
        wanted.compression_format = CompressionFormat::Zip;
        equal(destination(&after)?, &wanted, "destination")
    })
    .await
}

async fn tags_come_and_go(client: &Client) -> Outcome {
    with_delivery(client, to_bucket()?.build()?, async |name| {
        let set = client.tag_delivery_stream().delivery_stream_name(name);
        set.tags(tag("b", Some("2"))?).tags(tag("c", None)?).send().await?;
        client.untag_delivery_stream().delivery_stream_name(name).tag_keys("c").send().await?;
        let list = || client.list_tags_for_delivery_stream().delivery_stream_name(name);
        let page = list().limit(1).send().await?;
        let rest = list().exclusive_start_tag_key(&page.tags[0].key).send().await?;
        equal((page.has_more_tags, rest.has_more_tags), (true, false), "more")?;
        let told: BTreeMap<String, Option<String>> =
            page.tags.into_iter().chain(rest.tags).map(|tag| (tag.key, tag.value)).collect();
        let wanted =
            [("a", "1"), ("b", "2")].map(|(key, value)| (key.to_owned(), Some(value.to_owned())));
        equal(told, BTreeMap::from(wanted), "tags")
    })
    .await
}

async fn encryption_is_switched(client: &Client) -> Outcome {
    with_delivery(client, to_bucket()?.build()?, async |name| {
        let becomes = async |wanted: DeliveryStreamEncryptionStatus| {
            eventually("the encryption changes", 20, async || {
                let found = describe(client, name).await?.delivery_stream_encryption_configuration;
                Ok(found.and_then(|found| found.status) == Some(wanted.clone()))
            })
            .await
        };
        let start = |key: Option<&str>| -> Result<_, Failure> {
            let input = DeliveryStreamEncryptionConfigurationInput::builder()
                .key_type(KeyType::CustomerManagedCmk)
                .set_key_arn(key.map(str::to_owned))
                .build()?;
            let call = client.start_delivery_stream_encryption().delivery_stream_name(name);
            Ok(call.delivery_stream_encryption_configuration_input(input).send())
        };
        let is_encrypted = async || -> Result<Option<bool>, Failure> {
            let call = client.put_record().delivery_stream_name(name).record(record(vec![1])?);
            Ok(call.send().await?.encrypted)
        };
        refused(start(None)?.await, "InvalidArgumentException", "KeyARN")?;
        start(Some(KEY))?.await?;
        becomes(DeliveryStreamEncryptionStatus::Enabled).await?;
        let found = describe(client, name).await?.delivery_stream_encryption_configuration;
        equal(found.and_then(|found| found.key_arn).as_deref(), Some(KEY), "key")?;
        equal(is_encrypted().await?, Some(true), "encrypted")?;
        client.stop_delivery_stream_encryption().delivery_stream_name(name).send().await?;
        becomes(DeliveryStreamEncryptionStatus::Disabled).await?;
        equal(is_encrypted().await?, Some(false), "encrypted")
    })
    .await
}
