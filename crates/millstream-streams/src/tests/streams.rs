//! Streams: made, described, listed, deleted.

use std::time::Duration;

use millstream_api::kinesis::*;

use super::world::*;

async fn create(world: &World, input: CreateStreamInput) -> Result<(), CreateStreamError> {
    world.streams.create_stream(&world.call("CreateStream"), input).await
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_creating_and_then_active() {
    let world = World::new().await;
    let input = CreateStreamInput { stream_name: "orders".into(), ..Default::default() };
    create(&world, input).await.unwrap();
    assert_eq!(world.summary("orders").await.stream_status, StreamStatus::Creating);
    assert!(world.shards("orders").await.is_empty());
    world.settle().await;
    let summary = world.summary("orders").await;
    assert_eq!(summary.stream_status, StreamStatus::Active);
    assert_eq!(summary.stream_arn, arn("orders"));
    assert_eq!(summary.stream_creation_timestamp, START);
    assert_eq!(summary.retention_period_hours, 24);
    assert_eq!(summary.encryption_type, Some(EncryptionType::None));
    assert_eq!(summary.max_record_size_in_kib, Some(1_024));
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_shard_count_has_four_shards() {
    let world = World::new().await;
    let input = CreateStreamInput { stream_name: "orders".into(), ..Default::default() };
    create(&world, input).await.unwrap();
    world.settle().await;
    assert_eq!(world.shards("orders").await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn shards_have_exact_ranges_and_starting_numbers() {
    let world = World::new().await;
    world.create("orders", 3).await;
    let shards = world.shards("orders").await;
    let ranges: Vec<(&str, &str)> = shards
        .iter()
        .map(|s| (&*s.hash_key_range.starting_hash_key, &*s.hash_key_range.ending_hash_key))
        .collect();
    assert_eq!(
        ranges,
        [
            ("0", "113427455640312821154458202477256070484"),
            ("113427455640312821154458202477256070485", "226854911280625642308916404954512140969"),
            ("226854911280625642308916404954512140970", "340282366920938463463374607431768211455"),
        ]
    );
    assert_eq!(shards[2].shard_id, "shardId-000000000002");
    let number = &shards[1].sequence_number_range.starting_sequence_number;
    let number: millstream_core::SequenceNumber = number.parse().unwrap();
    assert_eq!((number.shard.0, number.index), (1, 0));
    assert_eq!(number.shard_created_seconds, START.seconds());
    assert_eq!(shards[1].sequence_number_range.ending_sequence_number, None);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_taken_until_its_stream_is_gone() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let again = || CreateStreamInput { stream_name: "orders".into(), ..Default::default() };
    let text = "Stream orders under account 123456789012 already exists.";
    refused(create(&world, again()).await, "ResourceInUseException", text);
    world.delete("orders").await.unwrap();
    assert_eq!(world.summary("orders").await.stream_status, StreamStatus::Deleting);
    refused(create(&world, again()).await, "ResourceInUseException", text);
    world.settle().await;
    let text = "Stream orders under account 123456789012 not found.";
    refused(world.try_summary("orders").await, "ResourceNotFoundException", text);
    create(&world, again()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_made_or_changed_is_deleted_once_it_has_settled() {
    let world = World::new().await;
    let before = world.log.ids();
    let orders = CreateStreamInput { stream_name: "orders".into(), ..Default::default() };
    create(&world, orders).await.unwrap();
    assert_eq!(world.summary("orders").await.stream_status, StreamStatus::Creating);
    world.delete("orders").await.unwrap();
    world.create("clicks", 1).await;
    world.split("clicks", "0", "5").await.unwrap();
    assert_eq!(world.summary("clicks").await.stream_status, StreamStatus::Updating);
    world.delete("clicks").await.unwrap();
    assert_eq!(world.summary("clicks").await.stream_status, StreamStatus::Deleting);
    world.settle().await;
    assert_eq!(world.log.ids(), before);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_stream_leaves_no_log_behind() {
    let world = World::new().await;
    let before = world.log.ids();
    world.create("orders", 5).await;
    assert_eq!(world.log.ids().len(), before.len() + 5);
    world.delete("orders").await.unwrap();
    world.settle().await;
    assert_eq!(world.log.ids(), before);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_found_by_name_arn_and_id_and_by_nothing_else() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let call = world.call("DescribeStreamSummary");
    let describe = async |name: Option<&str>, arn: Option<&str>, id: Option<&str>| {
        let input = DescribeStreamSummaryInput {
            stream_name: name.map(Into::into),
            stream_arn: arn.map(Into::into),
            stream_id: id.map(Into::into),
        };
        world.streams.describe_stream_summary(&call, input).await
    };
    let own = arn("orders");
    describe(Some("orders"), None, None).await.unwrap();
    describe(None, Some(&own), None).await.unwrap();
    describe(Some("orders"), Some(&own), Some("abcdefghij0123456789-abc")).await.unwrap();
    describe(None, None, Some("00000000000000000001-mst")).await.unwrap();
    let text = "Either StreamName or StreamARN should be provided.";
    refused(describe(None, None, None).await, "InvalidArgumentException", text);
    let text = "StreamARN and StreamName name different streams.";
    let result = describe(Some("other"), Some(&own), None).await;
    refused(result, "InvalidArgumentException", text);
    let abroad = own.replace(REGION, "eu-west-1");
    let text = format!("{abroad} is not an ARN of a stream in region us-east-1.");
    refused(describe(None, Some(&abroad), None).await, "InvalidArgumentException", &text);
    let result = describe(None, None, Some("00000000000000000009-mst")).await;
    let text = "Stream 00000000000000000009-mst not found.";
    refused(result, "ResourceNotFoundException", text);
}

#[tokio::test(start_paused = true)]
async fn accounts_see_their_own_streams_only() {
    let mut world = World::new().await;
    world.create("orders", 1).await;
    world.caller = caller("999999999999");
    let text = "Stream orders under account 999999999999 not found.";
    refused(world.try_summary("orders").await, "ResourceNotFoundException", text);
    let call = world.call("ListStreams");
    let listed = world.streams.list_streams(&call, ListStreamsInput::default()).await.unwrap();
    assert!(listed.stream_names.is_empty());
}

#[tokio::test(start_paused = true)]
async fn streams_are_listed_by_name_in_pages() {
    let world = World::new().await;
    for name in ["c", "a", "b"] {
        world.create(name, 1).await;
    }
    let list = async |input| world.streams.list_streams(&world.call("ListStreams"), input).await;
    let first = ListStreamsInput { limit: Some(2), ..Default::default() };
    let first = list(first).await.unwrap();
    assert_eq!(first.stream_names, ["a", "b"]);
    assert!(first.has_more_streams);
    let next = ListStreamsInput { next_token: first.next_token.clone(), ..Default::default() };
    let second = list(next.clone()).await.unwrap();
    assert_eq!((&second.stream_names[..], second.has_more_streams), (&["c".to_owned()][..], false));
    assert_eq!(second.next_token, None);
    let after =
        ListStreamsInput { exclusive_start_stream_name: Some("a".into()), ..Default::default() };
    assert_eq!(list(after).await.unwrap().stream_names, ["b", "c"]);
    world.pass(Duration::from_millis(300_001)).await;
    let error = list(next).await.unwrap_err();
    assert!(matches!(error, ListStreamsError::ExpiredNextToken(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn shards_are_listed_in_pages() {
    let world = World::new().await;
    world.create("orders", 5).await;
    let list = async |input| world.streams.list_shards(&world.call("ListShards"), input).await;
    let first = ListShardsInput {
        stream_name: Some("orders".into()),
        max_results: Some(2),
        exclusive_start_shard_id: Some("shardId-0".into()),
        ..Default::default()
    };
    let ids = |output: &ListShardsOutput| -> Vec<String> {
        output.shards.as_ref().unwrap().iter().map(|shard| shard.shard_id.clone()).collect()
    };
    let first = list(first).await.unwrap();
    assert_eq!(ids(&first), ["shardId-000000000001", "shardId-000000000002"]);
    let next = ListShardsInput { next_token: first.next_token, ..Default::default() };
    let second = list(next.clone()).await.unwrap();
    assert_eq!(ids(&second), ["shardId-000000000003", "shardId-000000000004"]);
    assert_eq!(second.next_token, None);

    let text = "NextToken and StreamName cannot be provided together.";
    let both = ListShardsInput { stream_name: Some("orders".into()), ..next.clone() };
    refused(list(both).await, "InvalidArgumentException", text);
    let text = "Either NextToken or StreamName should be provided.";
    refused(list(ListShardsInput::default()).await, "InvalidArgumentException", text);
    let forged = ListShardsInput { next_token: Some("AAAA".into()), ..Default::default() };
    refused(list(forged).await, "InvalidArgumentException", "Invalid NextToken.");
    world.pass(Duration::from_millis(300_001)).await;
    let error = list(next).await.unwrap_err();
    assert!(matches!(error, ListShardsError::ExpiredNextToken(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_described_stream_says_whether_it_has_more_shards() {
    let world = World::new().await;
    world.create("orders", 3).await;
    let describe = async |limit, after: Option<&str>| {
        let input = DescribeStreamInput {
            stream_name: Some("orders".into()),
            limit: Some(limit),
            exclusive_start_shard_id: after.map(Into::into),
            ..Default::default()
        };
        let call = world.call("DescribeStream");
        world.streams.describe_stream(&call, input).await.unwrap().stream_description
    };
    let first = describe(2, None).await;
    assert_eq!((first.shards.len(), first.has_more_shards), (2, true));
    let second = describe(2, Some("shardId-000000000001")).await;
    assert_eq!((second.shards.len(), second.has_more_shards), (1, false));
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_consumers_is_deleted_only_when_told_so() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let input = RegisterStreamConsumerInput {
        stream_arn: arn("orders"),
        consumer_name: "billing".into(),
        ..Default::default()
    };
    let call = world.call("RegisterStreamConsumer");
    world.streams.register_stream_consumer(&call, input).await.unwrap();
    let error = world.delete("orders").await.unwrap_err();
    assert!(matches!(error, DeleteStreamError::ResourceInUse(_)), "{error}");
    let input = DeleteStreamInput {
        stream_name: Some("orders".into()),
        enforce_consumer_deletion: Some(true),
        ..Default::default()
    };
    world.streams.delete_stream(&world.call("DeleteStream"), input).await.unwrap();
    world.settle().await;
    assert!(world.try_summary("orders").await.is_err());
}
