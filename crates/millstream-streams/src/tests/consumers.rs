//! Consumers and their subscriptions.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use millstream_api::OperationError;
use millstream_api::kinesis::*;
use tokio::time::Instant;

use super::world::*;

const SHARD: &str = "shardId-000000000000";

async fn register(world: &World, name: &str) -> Result<Consumer, RegisterStreamConsumerError> {
    let input = RegisterStreamConsumerInput {
        stream_arn: arn("orders"),
        consumer_name: name.into(),
        ..Default::default()
    };
    let call = world.call("RegisterStreamConsumer");
    Ok(world.streams.register_stream_consumer(&call, input).await?.consumer)
}

async fn describe(
    world: &World,
    input: DescribeStreamConsumerInput,
) -> Result<ConsumerDescription, DescribeStreamConsumerError> {
    let call = world.call("DescribeStreamConsumer");
    Ok(world.streams.describe_stream_consumer(&call, input).await?.consumer_description)
}

fn by_name(name: &str) -> DescribeStreamConsumerInput {
    DescribeStreamConsumerInput {
        stream_arn: Some(arn("orders")),
        consumer_name: Some(name.into()),
        ..Default::default()
    }
}

type Events =
    BoxStream<'static, Result<SubscribeToShardEventStream, SubscribeToShardEventStreamError>>;

async fn subscribe(
    world: &World,
    consumer: &Consumer,
    starting_position: StartingPosition,
) -> Result<Events, SubscribeToShardError> {
    let input = SubscribeToShardInput {
        consumer_arn: consumer.consumer_arn.clone(),
        shard_id: SHARD.into(),
        starting_position,
        ..Default::default()
    };
    let call = world.call("SubscribeToShard");
    Ok(world.streams.subscribe_to_shard(&call, input).await?.event_stream.0)
}

fn from(kind: ShardIteratorType) -> StartingPosition {
    StartingPosition { r#type: kind, ..Default::default() }
}

fn after(number: &str) -> StartingPosition {
    StartingPosition {
        r#type: ShardIteratorType::AfterSequenceNumber,
        sequence_number: Some(number.into()),
        timestamp: None,
    }
}

async fn next(events: &mut Events) -> Option<SubscribeToShardEvent> {
    match events.next().await? {
        Ok(SubscribeToShardEventStream::SubscribeToShardEvent(event)) => Some(event),
        Err(error) => panic!("{error}"),
    }
}

fn data(event: &SubscribeToShardEvent) -> Vec<&[u8]> {
    event.records.iter().map(|record| &record.data[..]).collect()
}

/// A world with a stream of one shard and a consumer that is ready.
async fn ready() -> (World, Consumer) {
    let world = World::new().await;
    world.create("orders", 1).await;
    let consumer = register(&world, "billing").await.unwrap();
    world.settle().await;
    (world, consumer)
}

#[tokio::test(start_paused = true)]
async fn a_consumer_is_creating_and_then_active() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let consumer = register(&world, "billing").await.unwrap();
    assert_eq!(consumer.consumer_status, ConsumerStatus::Creating);
    let expected = format!("{}/consumer/billing:{}", arn("orders"), world.clock_seconds());
    assert_eq!(consumer.consumer_arn, expected);
    let error = subscribe(&world, &consumer, from(ShardIteratorType::Latest)).await.err().unwrap();
    assert_eq!(
        (error.code(), error.message()),
        (
            "ResourceInUseException",
            "Consumer billing with creation timestamp 1700000001 under stream: orders, account \
             123456789012 is not in ACTIVE status."
        )
    );
    world.settle().await;
    let described = describe(&world, by_name("billing")).await.unwrap();
    assert_eq!(described.consumer_status, ConsumerStatus::Active);
    assert_eq!(described.stream_arn, arn("orders"));
    assert_eq!(described.consumer_arn, consumer.consumer_arn);
    let by_arn = DescribeStreamConsumerInput {
        consumer_arn: Some(consumer.consumer_arn.clone()),
        ..Default::default()
    };
    assert_eq!(describe(&world, by_arn).await.unwrap(), described);
    let text = "Consumer billing under stream orders under account 123456789012 already exists.";
    refused(register(&world, "billing").await, "ResourceInUseException", text);
    assert_eq!(world.summary("orders").await.consumer_count, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_deregistered_consumer_is_deleting_and_then_gone() {
    let (world, consumer) = ready().await;
    let deregister = async || {
        let input = DeregisterStreamConsumerInput {
            consumer_arn: Some(consumer.consumer_arn.clone()),
            ..Default::default()
        };
        let call = world.call("DeregisterStreamConsumer");
        world.streams.deregister_stream_consumer(&call, input).await
    };
    deregister().await.unwrap();
    let described = describe(&world, by_name("billing")).await.unwrap();
    assert_eq!(described.consumer_status, ConsumerStatus::Deleting);
    deregister().await.unwrap();
    world.settle().await;
    let text = "Consumer billing, stream orders under account 123456789012 not found.";
    refused(describe(&world, by_name("billing")).await, "ResourceNotFoundException", text);
    refused(deregister().await, "ResourceNotFoundException", text);
}

#[tokio::test(start_paused = true)]
async fn consumers_are_listed_in_pages_without_their_streams_arn() {
    let world = World::new().await;
    world.create("orders", 1).await;
    for name in ["c", "a", "b"] {
        register(&world, name).await.unwrap();
    }
    let list = async |token: Option<String>| {
        let input = ListStreamConsumersInput {
            stream_arn: arn("orders"),
            max_results: Some(2),
            next_token: token,
            ..Default::default()
        };
        let call = world.call("ListStreamConsumers");
        world.streams.list_stream_consumers(&call, input).await.unwrap()
    };
    let names = |output: &ListStreamConsumersOutput| -> Vec<String> {
        output.consumers.as_ref().unwrap().iter().map(|c| c.consumer_name.clone()).collect()
    };
    let first = list(None).await;
    assert_eq!(names(&first), ["a", "b"]);
    let second = list(first.next_token).await;
    assert_eq!(names(&second), ["c"]);
    assert_eq!(second.next_token, None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_twenty_consumers_and_fifty_under_a_commitment() {
    let world = World::new().await;
    world.create("orders", 1).await;
    for i in 0..20 {
        register(&world, &format!("c{i}")).await.unwrap();
    }
    let error = register(&world, "more").await.unwrap_err();
    assert!(matches!(error, RegisterStreamConsumerError::LimitExceeded(_)), "{error}");
    let status = MinimumThroughputBillingCommitmentInputStatus::Enabled;
    let input = UpdateAccountSettingsInput {
        minimum_throughput_billing_commitment: MinimumThroughputBillingCommitmentInput { status },
    };
    let call = world.call("UpdateAccountSettings");
    world.streams.update_account_settings(&call, input).await.unwrap();
    register(&world, "more").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_record_is_pushed_the_moment_it_is_put() {
    let (world, consumer) = ready().await;
    world.put("orders", "a", b"old").await;
    let mut events = subscribe(&world, &consumer, from(ShardIteratorType::Latest)).await.unwrap();
    for i in 0..3_u8 {
        let before = Instant::now();
        let (event, put) = tokio::join!(next(&mut events), async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            world.put("orders", "a", &[i]).await
        });
        let event = event.unwrap();
        assert_eq!(before.elapsed(), Duration::from_millis(700), "by the put, not by a timer");
        assert_eq!(data(&event), [&[i][..]]);
        assert_eq!(event.continuation_sequence_number, Some(put.sequence_number));
        assert_eq!(event.millis_behind_latest, 0);
        assert_eq!(event.child_shards, None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_comes_every_three_seconds_and_the_end_after_five_minutes() {
    let (world, consumer) = ready().await;
    let started = Instant::now();
    let mut events =
        subscribe(&world, &consumer, from(ShardIteratorType::TrimHorizon)).await.unwrap();
    let mut last = started;
    let mut count = 0;
    let mut continuation = None;
    while let Some(event) = next(&mut events).await {
        assert!(last.elapsed() <= Duration::from_secs(3));
        assert!(event.records.is_empty());
        last = Instant::now();
        count += 1;
        continuation = event.continuation_sequence_number;
    }
    assert!((99..=101).contains(&count), "{count} heartbeats");
    assert_eq!(started.elapsed(), Duration::from_secs(300));
    // The empty events' number leads on to what came since.
    world.put("orders", "a", b"since").await;
    let mut events = subscribe(&world, &consumer, after(&continuation.unwrap())).await.unwrap();
    assert_eq!(data(&next(&mut events).await.unwrap()), [b"since"]);
}

#[tokio::test(start_paused = true)]
async fn the_continuation_leads_on_without_gap_or_repeat() {
    let (world, consumer) = ready().await;
    let mut expected: Vec<Vec<u8>> = Vec::new();
    for i in 0..30_u8 {
        // Each of a size that only few fit in one event.
        expected.push(vec![i; 300 * 1024]);
        world.put("orders", "a", &expected[usize::from(i)]).await;
    }
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut position = from(ShardIteratorType::TrimHorizon);
    while found.len() < expected.len() {
        let mut events = subscribe(&world, &consumer, position).await.unwrap();
        let event = next(&mut events).await.unwrap();
        let bytes: usize = event.records.iter().map(|record| record.data.len()).sum();
        assert!(bytes <= 1024 * 1024, "an event carries a mebibyte at most");
        found.extend(event.records.iter().map(|record| record.data.to_vec()));
        position = after(&event.continuation_sequence_number.unwrap());
    }
    assert!(found == expected);
}

#[tokio::test(start_paused = true)]
async fn the_event_at_a_shards_end_names_the_children_and_no_continuation() {
    let (world, consumer) = ready().await;
    world.put("orders", "a", b"1").await;
    let mut events =
        subscribe(&world, &consumer, from(ShardIteratorType::TrimHorizon)).await.unwrap();
    assert_eq!(data(&next(&mut events).await.unwrap()), [b"1"]);
    world.put("orders", "a", b"2").await;
    let before = Instant::now();
    world.split("orders", SHARD, "12345").await.unwrap();
    let event = next(&mut events).await.unwrap();
    assert_eq!(data(&event), [b"2"]);
    let event = if event.child_shards.is_some() { event } else { next(&mut events).await.unwrap() };
    assert!(before.elapsed() < Duration::from_secs(1), "pushed, not found by a heartbeat");
    assert_eq!(event.continuation_sequence_number, None);
    let children = event.child_shards.unwrap();
    assert_eq!(children.len(), 2);
    assert_eq!(children[0].parent_shards, [SHARD]);
    assert!(events.next().await.is_none(), "nothing follows");
}

#[tokio::test(start_paused = true)]
async fn a_second_subscription_is_refused_for_five_seconds_and_then_takes_over() {
    let (world, consumer) = ready().await;
    let latest = || from(ShardIteratorType::Latest);
    let mut first = subscribe(&world, &consumer, latest()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(4_999)).await;
    let error = subscribe(&world, &consumer, latest()).await.err().unwrap();
    assert_eq!(
        (error.code(), error.message()),
        (
            "ResourceInUseException",
            "Another active subscription exists for this consumer: \
             123456789012:orders:shardId-000000000000:billing"
        )
    );
    let other = register(&world, "audit").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut third = subscribe(&world, &other, latest()).await.unwrap();
    let mut second = subscribe(&world, &consumer, latest()).await.unwrap();
    assert!(first.next().await.is_none(), "the first has ended");
    world.put("orders", "a", b"1").await;
    assert_eq!(data(&next(&mut second).await.unwrap()), [b"1"]);
    assert_eq!(data(&next(&mut third).await.unwrap()), [b"1"], "each consumer has its own");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_connection_gives_the_subscription_back() {
    let (world, consumer) = ready().await;
    for _ in 0..10 {
        let events = subscribe(&world, &consumer, from(ShardIteratorType::Latest)).await.unwrap();
        assert_eq!(world.streams.subscriptions.count(), 1);
        drop(events);
        assert_eq!(world.streams.subscriptions.count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn with_quotas_a_subscription_counts_for_five_seconds_even_if_dropped() {
    let world = World::with_quotas().await;
    world.create("orders", 1).await;
    let consumer = register(&world, "billing").await.unwrap();
    world.settle().await;
    let latest = || from(ShardIteratorType::Latest);
    drop(subscribe(&world, &consumer, latest()).await.unwrap());
    let error = subscribe(&world, &consumer, latest()).await.err().unwrap();
    assert!(matches!(error, SubscribeToShardError::ResourceInUse(_)), "{error}");
    tokio::time::sleep(Duration::from_secs(5)).await;
    drop(subscribe(&world, &consumer, latest()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn deleting_the_stream_ends_a_subscription_with_an_exception() {
    let (world, consumer) = ready().await;
    let mut events = subscribe(&world, &consumer, from(ShardIteratorType::Latest)).await.unwrap();
    let input = DeleteStreamInput {
        stream_name: Some("orders".into()),
        enforce_consumer_deletion: Some(true),
        ..Default::default()
    };
    world.streams.delete_stream(&world.call("DeleteStream"), input).await.unwrap();
    let error = loop {
        match events.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("the feed ended silently"),
        }
    };
    assert!(matches!(error, SubscribeToShardEventStreamError::ResourceNotFound(_)), "{error}");
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn stopping_the_service_ends_subscriptions() {
    let (world, consumer) = ready().await;
    let mut events = subscribe(&world, &consumer, from(ShardIteratorType::Latest)).await.unwrap();
    world.streams.stop();
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_does_not_read_holds_nothing_up() {
    let (world, consumer) = ready().await;
    let events = subscribe(&world, &consumer, from(ShardIteratorType::TrimHorizon)).await.unwrap();
    for i in 0..200_u8 {
        world.put("orders", "a", &[i]).await;
    }
    let mut events = events;
    let event = next(&mut events).await.unwrap();
    assert_eq!(event.records.len(), 200, "read when asked for, not queued before");
}
