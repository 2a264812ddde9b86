//! What `limits = "aws"` enforces, and what the default does not.

use std::time::Duration;

use millstream_api::kinesis::*;

use super::world::*;

const SHARD: &str = "shardId-000000000000";
const TEXT: &str =
    "Rate exceeded for shard shardId-000000000000 in stream orders under account 123456789012.";

#[tokio::test(start_paused = true)]
async fn writes_above_a_shards_quota_fail_one_by_one() {
    let world = World::with_quotas().await;
    world.create("orders", 1).await;
    let records = |count: usize| (0..count).map(|i| entry(&i.to_string(), b"x")).collect();
    for _ in 0..2 {
        let output = world.put_records("orders", records(500)).await.unwrap();
        assert_eq!(output.failed_record_count, Some(0));
    }
    let output = world.put_records("orders", records(3)).await.unwrap();
    assert_eq!(output.failed_record_count, Some(3));
    let code = output.records[0].error_code.as_deref();
    assert_eq!(code, Some("ProvisionedThroughputExceededException"));
    assert_eq!(output.records[0].error_message.as_deref(), Some(TEXT));
    let input = PutRecordInput {
        stream_name: Some("orders".into()),
        partition_key: "a".into(),
        ..Default::default()
    };
    let result = world.streams.put_record(&world.call("PutRecord"), input).await;
    refused(result, "ProvisionedThroughputExceededException", TEXT);
    world.pass(Duration::from_secs(1)).await;
    let output = world.put_records("orders", records(500)).await.unwrap();
    assert_eq!(output.failed_record_count, Some(0));
}

#[tokio::test(start_paused = true)]
async fn reads_are_held_to_five_a_second_and_a_full_answer_to_five_seconds() {
    let world = World::with_quotas().await;
    world.create("orders", 1).await;
    let from = world.iterator("orders", SHARD, ShardIteratorType::TrimHorizon).await;
    for _ in 0..5 {
        world.read(&from).await.unwrap();
    }
    refused(world.read(&from).await, "ProvisionedThroughputExceededException", TEXT);
    for _ in 0..10 {
        world.put("orders", "a", &vec![0; 1_000_000]).await;
        world.pass(Duration::from_secs(1)).await;
    }
    world.read(&from).await.unwrap();
    world.pass(Duration::from_secs(4)).await;
    refused(world.read(&from).await, "ProvisionedThroughputExceededException", TEXT);
    world.pass(Duration::from_secs(1)).await;
    world.read(&from).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_default_throttles_nothing() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let from = world.iterator("orders", SHARD, ShardIteratorType::TrimHorizon).await;
    for _ in 0..20 {
        let records = (0..500).map(|i| entry(&i.to_string(), &[0; 1024])).collect();
        let output = world.put_records("orders", records).await.unwrap();
        assert_eq!(output.failed_record_count, Some(0));
        world.read(&from).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_has_only_so_many_shards() {
    let mut settings = settings();
    settings.limits = millstream_core::limits::LimitsMode::Aws;
    settings.shard_limit = 5;
    let world = World::with(settings).await;
    world.create("orders", 3).await;
    let text = |additional: u32| {
        format!(
            "This request would exceed the shard limit for the account 123456789012 in \
             us-east-1. Current shard count for the account: 3. Limit: 5. Number of additional \
             shards that would have resulted from this request: {additional}. Refer to the AWS \
             Service Limits page \
             (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current \
             limits and how to request higher limits."
        )
    };
    let input = CreateStreamInput {
        stream_name: "more".into(),
        shard_count: Some(1_000),
        ..Default::default()
    };
    let result = world.streams.create_stream(&world.call("CreateStream"), input).await;
    refused(result, "LimitExceededException", &text(1_000));
    let input = UpdateShardCountInput {
        stream_name: Some("orders".into()),
        target_shard_count: 6,
        ..Default::default()
    };
    let call = world.call("UpdateShardCount");
    let result = world.streams.update_shard_count(&call, input).await;
    refused(result, "LimitExceededException", &text(3));
}

#[tokio::test(start_paused = true)]
async fn with_quotas_a_stream_in_the_making_is_not_found_by_puts() {
    let world = World::with_quotas().await;
    let input = CreateStreamInput { stream_name: "orders".into(), ..Default::default() };
    world.streams.create_stream(&world.call("CreateStream"), input).await.unwrap();
    let result = world.put_records("orders", vec![entry("a", b"")]).await;
    let text = "Stream orders under account 123456789012 not found.";
    refused(result, "ResourceNotFoundException", text);
}

#[tokio::test(start_paused = true)]
async fn with_quotas_only_an_active_stream_is_deleted() {
    let world = World::with_quotas().await;
    let input = CreateStreamInput { stream_name: "orders".into(), ..Default::default() };
    world.streams.create_stream(&world.call("CreateStream"), input).await.unwrap();
    let text = |state| {
        format!("Stream orders under account 123456789012 not ACTIVE, instead in state {state}")
    };
    refused(world.delete("orders").await, "ResourceInUseException", &text("CREATING"));
    world.settle().await;
    world.split("orders", "0", "5").await.unwrap();
    refused(world.delete("orders").await, "ResourceInUseException", &text("UPDATING"));
    world.settle().await;
    world.delete("orders").await.unwrap();
    refused(world.delete("orders").await, "ResourceInUseException", &text("DELETING"));
}

#[tokio::test(start_paused = true)]
async fn calls_are_held_to_their_documented_rates() {
    let world = World::with_quotas().await;
    world.create("orders", 1).await;
    let text = "Rate exceeded for stream orders under account 123456789012.";
    for _ in 0..20 {
        world.summary("orders").await;
    }
    refused(world.try_summary("orders").await, "LimitExceededException", text);
    let list = async || {
        let input = ListStreamsInput::default();
        world.streams.list_streams(&world.call("ListStreams"), input).await
    };
    for _ in 0..5 {
        list().await.unwrap();
    }
    let text = "Rate exceeded for kinesis:ListStreams under account 123456789012.";
    refused(list().await, "LimitExceededException", text);
    let latest = async || {
        let input = GetShardIteratorInput {
            stream_name: Some("orders".into()),
            shard_id: SHARD.into(),
            shard_iterator_type: ShardIteratorType::Latest,
            ..Default::default()
        };
        world.iterator_from(input).await
    };
    for _ in 0..5 {
        latest().await.unwrap();
    }
    refused(latest().await, "ProvisionedThroughputExceededException", TEXT);
    world.pass(Duration::from_secs(1)).await;
    world.summary("orders").await;
    list().await.unwrap();
    latest().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn with_quotas_five_streams_are_made_at_once() {
    let mut settings = settings();
    settings.limits = millstream_core::limits::LimitsMode::Aws;
    settings.creating = Duration::from_secs(60);
    let world = World::with(settings).await;
    let create = async |number: usize| {
        let stream_name = format!("orders-{number}");
        let input = CreateStreamInput { stream_name, ..Default::default() };
        world.streams.create_stream(&world.call("CreateStream"), input).await
    };
    for number in 0..5 {
        create(number).await.unwrap();
        world.pass(Duration::from_secs(1)).await;
    }
    let text = "streams being created: the account has 5, which is the limit.";
    refused(create(5).await, "LimitExceededException", text);
    world.pass(Duration::from_secs(60)).await;
    create(5).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn with_quotas_a_stream_in_the_making_is_not_tagged() {
    let world = World::with_quotas().await;
    let input = CreateStreamInput { stream_name: "orders".into(), ..Default::default() };
    world.streams.create_stream(&world.call("CreateStream"), input).await.unwrap();
    let tag = async || {
        let input = AddTagsToStreamInput {
            stream_name: Some("orders".into()),
            tags: [("team".to_owned(), "blue".to_owned())].into(),
            ..Default::default()
        };
        world.streams.add_tags_to_stream(&world.call("AddTagsToStream"), input).await
    };
    let text = "Stream orders under account 123456789012 not ACTIVE, instead in state CREATING";
    refused(tag().await, "ResourceInUseException", text);
    world.settle().await;
    tag().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn with_quotas_shards_are_scaled_ten_times_a_day() {
    let world = World::with_quotas().await;
    world.create("orders", 1).await;
    let scale = async |target| {
        let input = UpdateShardCountInput {
            stream_name: Some("orders".into()),
            target_shard_count: target,
            ..Default::default()
        };
        let call = world.call("UpdateShardCount");
        let result = world.streams.update_shard_count(&call, input).await;
        world.settle().await;
        result
    };
    for _ in 0..5 {
        scale(2).await.unwrap();
        scale(1).await.unwrap();
    }
    let error = scale(2).await.unwrap_err();
    assert!(matches!(error, UpdateShardCountError::LimitExceeded(_)), "{error}");
}
