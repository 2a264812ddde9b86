//! The cases.

use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{
    ConsumerStatus, EncryptionType, MetricsName, MinimumThroughputBillingCommitmentInput,
    MinimumThroughputBillingCommitmentInputStatus, PutRecordsRequestEntry, Record, ScalingType,
    ShardFilter, ShardFilterType, ShardIteratorType, StartingPosition, StreamDescriptionSummary,
    StreamMode, StreamModeDetails, StreamStatus, SubscribeToShardEvent,
    SubscribeToShardEventStream,
};

use crate::harness::{Failure, Outcome, Run, equal, eventually, fresh_name, holds, refused};

const FIRST: &str = "shardId-000000000000";
const HALF: &str = "170141183460469231731687303715884105728";

/// Runs every case.
pub(crate) async fn run_all(client: &Client, run: &mut Run) {
    run.case(
        "CreateStream DescribeStream DescribeStreamSummary ListStreams ListTagsForStream DeleteStream",
        "a stream is created, described, listed and deleted",
        a_stream_lives(client),
    )
    .await;
    run.case(
        "PutRecord PutRecords GetShardIterator GetRecords",
        "records are put and read from every position",
        records_come_back(client),
    )
    .await;
    run.case(
        "SplitShard MergeShards UpdateShardCount ListShards GetRecords",
        "shards are split, merged and scaled, and a closed one names its children",
        a_reshard(client),
    )
    .await;
    run.case(
        "RegisterStreamConsumer DescribeStreamConsumer ListStreamConsumers DeregisterStreamConsumer",
        "consumers are registered, listed and removed",
        consumers_come_and_go(client),
    )
    .await;
    run.case(
        "SubscribeToShard",
        "records are pushed, and the end of a shard ends it",
        records_are_pushed(client),
    )
    .await;
    run.case(
        "IncreaseStreamRetentionPeriod DecreaseStreamRetentionPeriod StartStreamEncryption StopStreamEncryption \
         EnableEnhancedMonitoring DisableEnhancedMonitoring UpdateMaxRecordSize",
        "settings of a stream are changed and read back",
        settings_are_kept(client),
    )
    .await;
    run.case(
        "AddTagsToStream RemoveTagsFromStream TagResource UntagResource ListTagsForResource PutResourcePolicy \
         GetResourcePolicy DeleteResourcePolicy",
        "tags and policies are changed and read back",
        tags_and_policies(client),
    )
    .await;
    run.case(
        "DescribeLimits DescribeAccountSettings UpdateAccountSettings UpdateStreamMode UpdateStreamWarmThroughput",
        "limits, account settings, mode and warm throughput",
        the_account(client),
    )
    .await;
}

async fn summary(client: &Client, name: &str) -> Result<StreamDescriptionSummary, Failure> {
    let answer = client.describe_stream_summary().stream_name(name).send().await?;
    Ok(answer.stream_description_summary.ok_or("no summary")?)
}

async fn active(client: &Client, name: &str) -> Result<StreamDescriptionSummary, Failure> {
    eventually("the stream is ACTIVE", 20, async || {
        Ok(summary(client, name).await?.stream_status == StreamStatus::Active)
    })
    .await?;
    summary(client, name).await
}

/// Runs a case with a stream of its own; it is deleted whatever the case says.
async fn with_stream(
    client: &Client,
    shards: Option<i32>,
    prove: impl AsyncFnOnce(&str, &str) -> Outcome,
) -> Outcome {
    let name = fresh_name()?;
    client.create_stream().stream_name(&name).set_shard_count(shards).tags("a", "1").send().await?;
    let arn = active(client, &name).await?.stream_arn;
    let outcome = prove(&name, &arn).await;
    client.delete_stream().stream_name(&name).enforce_consumer_deletion(true).send().await?;
    outcome
}

async fn put(client: &Client, name: &str, data: &[u8]) -> Result<(String, String), Failure> {
    let answer = client
        .put_record()
        .stream_name(name)
        .partition_key("k")
        .data(Blob::new(data))
        .send()
        .await?;
    Ok((answer.shard_id, answer.sequence_number))
}

async fn read(client: &Client, iterator: Option<String>) -> Result<GetRecordsOutput, Failure> {
    Ok(client.get_records().set_shard_iterator(iterator).send().await?)
}

fn data(records: &[Record]) -> Vec<Vec<u8>> {
    records.iter().map(|record| record.data.as_ref().to_vec()).collect()
}

async fn at(
    client: &Client,
    name: &str,
    kind: ShardIteratorType,
    number: Option<&str>,
    moment: Option<DateTime>,
) -> Result<Vec<Record>, Failure> {
    let answer = client
        .get_shard_iterator()
        .stream_name(name)
        .shard_id(FIRST)
        .shard_iterator_type(kind)
        .set_starting_sequence_number(number.map(str::to_owned))
        .set_timestamp(moment)
        .send()
        .await?;
    Ok(read(client, answer.shard_iterator).await?.records)
}

async fn register(client: &Client, arn: &str) -> Result<String, Failure> {
    let made =
        client.register_stream_consumer().stream_arn(arn).consumer_name("app").send().await?;
    let consumer = made.consumer.ok_or("no consumer")?.consumer_arn;
    eventually("the consumer is ACTIVE", 20, async || {
        let answer = client.describe_stream_consumer().consumer_arn(&consumer).send().await?;
        let found = answer.consumer_description.ok_or("no description")?;
        Ok(found.consumer_status == ConsumerStatus::Active)
    })
    .await?;
    Ok(consumer)
}

async fn a_stream_lives(client: &Client) -> Outcome {
    let mut gone = String::new();
    with_stream(client, Some(2), async |name, arn| {
        gone = name.to_owned();
        let described = client.describe_stream().stream_arn(arn).send().await?;
        let description = described.stream_description.ok_or("no description")?;
        equal(description.shards.len(), 2, "shards")?;
        let created = SystemTime::try_from(description.stream_creation_timestamp)?;
        holds(created.elapsed().is_ok_and(|age| age < Duration::from_secs(60)), "an old stream")?;
        let listed = client.list_streams().limit(10_000).send().await?;
        holds(listed.stream_names.iter().any(|other| other == name), "the stream is not listed")?;
        let tags = client.list_tags_for_stream().stream_name(name).send().await?.tags;
        equal(tags.first().map(|tag| tag.key.as_str()), Some("a"), "tags")?;
        let again = client.create_stream().stream_name(name).shard_count(1).send().await;
        refused(again, "ResourceInUseException", "already exists")
    })
    .await?;
    eventually("the stream is gone", 20, async || {
        Ok(client.describe_stream().stream_name(&gone).send().await.is_err())
    })
    .await?;
    let missing = client.describe_stream().stream_name(&gone).send().await;
    refused(missing, "ResourceNotFoundException", "not found")
}

async fn records_come_back(client: &Client) -> Outcome {
    with_stream(client, Some(1), async |name, _| {
        let every: Vec<u8> = (0..=255).collect();
        let (shard, number) = put(client, name, &every).await?;
        equal(shard.as_str(), FIRST, "shard")?;
        let entry = |text: &str| {
            PutRecordsRequestEntry::builder().partition_key("k").data(Blob::new(text)).build()
        };
        let batch = client
            .put_records()
            .stream_name(name)
            .records(entry("2")?)
            .records(entry("3")?)
            .send()
            .await?;
        equal(batch.failed_record_count, Some(0), "failed")?;
        let all = at(client, name, ShardIteratorType::TrimHorizon, None, None).await?;
        equal(data(&all), vec![every, b"2".to_vec(), b"3".to_vec()], "records")?;
        let moment = all[0].approximate_arrival_timestamp;
        let exact =
            at(client, name, ShardIteratorType::AtSequenceNumber, Some(&number), None).await?;
        equal(exact.len(), 3, "AT_SEQUENCE_NUMBER")?;
        let after =
            at(client, name, ShardIteratorType::AfterSequenceNumber, Some(&number), None).await?;
        equal(after.len(), 2, "AFTER_SEQUENCE_NUMBER")?;
        let since = at(client, name, ShardIteratorType::AtTimestamp, None, moment).await?;
        equal(since.len(), 3, "AT_TIMESTAMP")?;
        let latest = at(client, name, ShardIteratorType::Latest, None, None).await?;
        equal(latest.len(), 0, "LATEST")?;
        let broken = client.get_records().shard_iterator("x").send().await;
        refused(broken, "InvalidArgumentException", "Invalid ShardIterator")
    })
    .await
}

async fn a_reshard(client: &Client) -> Outcome {
    with_stream(client, Some(1), async |name, _| {
        put(client, name, b"1").await?;
        client
            .split_shard()
            .stream_name(name)
            .shard_to_split(FIRST)
            .new_starting_hash_key(HALF)
            .send()
            .await?;
        active(client, name).await?;
        let position = client.get_shard_iterator().stream_name(name).shard_id(FIRST);
        let start = position.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await?;
        let mut answer = read(client, start.shard_iterator).await?;
        let mut found = data(&answer.records);
        while answer.next_shard_iterator.is_some() {
            answer = read(client, answer.next_shard_iterator).await?;
            found.extend(data(&answer.records));
        }
        equal(found, vec![b"1".to_vec()], "records of the parent")?;
        let children = answer.child_shards.ok_or("no children")?;
        equal(children.len(), 2, "children")?;
        equal(children[0].parent_shards.as_slice(), &[FIRST.to_owned()], "parents")?;
        client
            .merge_shards()
            .stream_name(name)
            .shard_to_merge(&children[0].shard_id)
            .adjacent_shard_to_merge(&children[1].shard_id)
            .send()
            .await?;
        active(client, name).await?;
        let filter = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build()?;
        let open = client.list_shards().stream_name(name).shard_filter(filter).send().await?;
        let ids: Vec<&str> = open.shards().iter().map(|shard| shard.shard_id.as_str()).collect();
        equal(ids, vec!["shardId-000000000003"], "open shards")?;
        let scaling = client.update_shard_count().stream_name(name).target_shard_count(2);
        let scaled = scaling.scaling_type(ScalingType::UniformScaling).send().await?;
        equal(scaled.target_shard_count, Some(2), "target")?;
        equal(active(client, name).await?.open_shard_count, 2, "open shards")
    })
    .await
}

async fn consumers_come_and_go(client: &Client) -> Outcome {
    with_stream(client, Some(1), async |_, arn| {
        let consumer = register(client, arn).await?;
        let listed = client.list_stream_consumers().stream_arn(arn).send().await?;
        let names: Vec<&str> =
            listed.consumers().iter().map(|one| one.consumer_name.as_str()).collect();
        equal(names, vec!["app"], "consumers")?;
        client.deregister_stream_consumer().consumer_arn(consumer).send().await?;
        eventually("none is left", 20, async || {
            let left = client.list_stream_consumers().stream_arn(arn).send().await?;
            Ok(left.consumers().is_empty())
        })
        .await
    })
    .await
}

async fn records_are_pushed(client: &Client) -> Outcome {
    with_stream(client, Some(1), async |name, arn| {
        let consumer = register(client, arn).await?;
        put(client, name, b"before").await?;
        let position =
            StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build()?;
        let subscription = client
            .subscribe_to_shard()
            .consumer_arn(&consumer)
            .shard_id(FIRST)
            .starting_position(position.clone());
        let mut answer = subscription.clone().send().await?;
        let mut events = vec![next(&mut answer).await?.ok_or("no event")?];
        while pushed(&events) < 1 {
            events.push(next(&mut answer).await?.ok_or("an early end")?);
        }
        refused(subscription.send().await, "ResourceInUseException", "")?;
        for text in [b"1", b"2", b"3"] {
            put(client, name, text).await?;
        }
        while pushed(&events) < 4 {
            events.push(next(&mut answer).await?.ok_or("an early end")?);
        }
        let found: Vec<_> = events.iter().flat_map(|event| data(&event.records)).collect();
        equal(
            found,
            vec![b"before".to_vec(), b"1".to_vec(), b"2".to_vec(), b"3".to_vec()],
            "records",
        )?;
        next(&mut answer).await?.ok_or("no event in a quiet stream")?;
        let split = client.split_shard().stream_name(name).shard_to_split(FIRST);
        split.new_starting_hash_key(HALF).send().await?;
        let mut last = events.pop().ok_or("no event")?;
        while let Some(event) = next(&mut answer).await? {
            last = event;
        }
        equal(last.child_shards().len(), 2, "children")?;
        holds(last.continuation_sequence_number.is_empty(), "a continuation after the end")
    })
    .await
}

fn pushed(events: &[SubscribeToShardEvent]) -> usize {
    events.iter().map(|event| event.records.len()).sum()
}

/// The next event, `None` at a clean end; a silence of fifteen seconds is a failure.
async fn next(
    answer: &mut SubscribeToShardOutput,
) -> Result<Option<SubscribeToShardEvent>, Failure> {
    match tokio::time::timeout(Duration::from_secs(15), answer.event_stream.recv()).await?? {
        None => Ok(None),
        Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) => Ok(Some(event)),
        Some(other) => Err(format!("an unknown event: {other:?}").into()),
    }
}

async fn settings_are_kept(client: &Client) -> Outcome {
    with_stream(client, Some(1), async |name, arn| {
        let raised = client.increase_stream_retention_period().stream_name(name);
        raised.retention_period_hours(48).send().await?;
        equal(active(client, name).await?.retention_period_hours, 48, "retention")?;
        let lowered = client.decrease_stream_retention_period().stream_name(name);
        lowered.retention_period_hours(24).send().await?;
        equal(active(client, name).await?.retention_period_hours, 24, "retention")?;
        let start = client.start_stream_encryption().stream_name(name).key_id("alias/aws/kinesis");
        start.encryption_type(EncryptionType::Kms).send().await?;
        equal(
            active(client, name).await?.encryption_type,
            Some(EncryptionType::Kms),
            "encryption",
        )?;
        let stop = client.stop_stream_encryption().stream_name(name).key_id("alias/aws/kinesis");
        stop.encryption_type(EncryptionType::Kms).send().await?;
        equal(
            active(client, name).await?.encryption_type,
            Some(EncryptionType::None),
            "encryption",
        )?;
        let on = client.enable_enhanced_monitoring().stream_name(name);
        let on = on.shard_level_metrics(MetricsName::IncomingBytes).send().await?;
        equal(on.desired_shard_level_metrics(), &[MetricsName::IncomingBytes], "metrics")?;
        active(client, name).await?;
        let off = client.disable_enhanced_monitoring().stream_name(name);
        let off = off.shard_level_metrics(MetricsName::All).send().await?;
        equal(off.desired_shard_level_metrics().len(), 0, "metrics")?;
        active(client, name).await?;
        client.update_max_record_size().stream_arn(arn).max_record_size_in_kib(2048).send().await?;
        equal(active(client, name).await?.max_record_size_in_kib, Some(2048), "record size")?;
        put(client, name, &vec![7; 1_500_000]).await?;
        Ok(())
    })
    .await
}

async fn tags_and_policies(client: &Client) -> Outcome {
    with_stream(client, Some(1), async |name, arn| {
        client.add_tags_to_stream().stream_name(name).tags("b", "2").send().await?;
        client.remove_tags_from_stream().stream_name(name).tag_keys("a").send().await?;
        client.tag_resource().resource_arn(arn).tags("c", "3").send().await?;
        client.untag_resource().resource_arn(arn).tag_keys("b").send().await?;
        let tags = client.list_tags_for_resource().resource_arn(arn).send().await?;
        let keys: Vec<&str> = tags.tags().iter().map(|tag| tag.key.as_str()).collect();
        equal(keys, vec!["c"], "tags")?;
        let account = arn.split(':').nth(4).ok_or("no account")?;
        let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": account},
            "Action": "kinesis:PutRecord", "Resource": arn,
        }]});
        client.put_resource_policy().resource_arn(arn).policy(policy.to_string()).send().await?;
        let kept = client.get_resource_policy().resource_arn(arn).send().await?;
        equal(serde_json::from_str(&kept.policy)?, policy, "policy")?;
        client.delete_resource_policy().resource_arn(arn).send().await?;
        Ok(())
    })
    .await
}

async fn the_account(client: &Client) -> Outcome {
    with_stream(client, None, async |name, arn| {
        let limits = client.describe_limits().send().await?;
        holds(limits.open_shard_count >= 4, "open shards")?;
        let commitment = MinimumThroughputBillingCommitmentInput::builder()
            .status(MinimumThroughputBillingCommitmentInputStatus::Enabled)
            .build()?;
        let update = client.update_account_settings();
        update.minimum_throughput_billing_commitment(commitment).send().await?;
        let settings = client.describe_account_settings().send().await?;
        let found = settings.minimum_throughput_billing_commitment.ok_or("no commitment")?;
        equal(found.status.as_str(), "ENABLED", "commitment")?;
        let mode = StreamModeDetails::builder().stream_mode(StreamMode::OnDemand).build()?;
        client.update_stream_mode().stream_arn(arn).stream_mode_details(mode).send().await?;
        active(client, name).await?;
        let warm = client.update_stream_warm_throughput().stream_arn(arn);
        let warm = warm.warm_throughput_mibps(8).send().await?;
        let target = warm.warm_throughput.ok_or("no throughput")?.target_mibps;
        equal(target, Some(8), "warm throughput")?;
        let details = active(client, name).await?.stream_mode_details.ok_or("no mode")?;
        equal(details.stream_mode, StreamMode::OnDemand, "mode")
    })
    .await
}
