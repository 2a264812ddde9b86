//! Crashes: whatever a crash leaves unfinished is finished, and nothing acknowledged is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_api::kinesis::*;

use super::world::*;

type Acknowledged = Arc<Mutex<BTreeMap<String, (String, String)>>>;

/// Creates, puts, scales up, puts, merges, puts, deletes: as far as it comes.
async fn scenario(world: &World, acknowledged: &Acknowledged) -> Option<()> {
    let create = |name: &str| CreateStreamInput {
        stream_name: name.into(),
        shard_count: Some(2),
        ..Default::default()
    };
    let call = world.call("CreateStream");
    world.streams.create_stream(&call, create("orders")).await.ok()?;
    world.streams.create_stream(&call, create("doomed")).await.ok()?;
    put(world, "first", acknowledged).await?;
    let scale = UpdateShardCountInput {
        stream_name: Some("orders".into()),
        target_shard_count: 3,
        ..Default::default()
    };
    world.streams.update_shard_count(&world.call("UpdateShardCount"), scale).await.ok()?;
    put(world, "while scaling", acknowledged).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let open: Vec<String> = world
        .shards("orders")
        .await
        .into_iter()
        .filter(|shard| shard.sequence_number_range.ending_sequence_number.is_none())
        .map(|shard| shard.shard_id)
        .collect();
    let (first, second) = (&open[open.len() - 2], &open[open.len() - 1]);
    // Neighbours or not, as it comes: what matters is where the crash falls.
    let _ = world.merge("orders", first, second).await;
    put(world, "while merging", acknowledged).await?;
    world.delete("doomed").await.ok()?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    put(world, "last", acknowledged).await
}

async fn put(world: &World, round: &str, acknowledged: &Acknowledged) -> Option<()> {
    let name = |i: usize| format!("{round} {i}");
    let records = (0..12).map(|i| entry(&name(i), name(i).as_bytes())).collect();
    let output = world.put_records("orders", records).await.ok()?;
    for (i, record) in output.records.into_iter().enumerate() {
        if let (Some(shard), Some(number)) = (record.shard_id, record.sequence_number) {
            acknowledged.lock().unwrap().insert(name(i), (shard, number));
        }
    }
    Some(())
}

/// What is readable: each record once, in the order of numbers within its shard.
async fn readable(world: &World) -> BTreeMap<String, (String, String)> {
    let mut found = BTreeMap::new();
    for shard in world.shards("orders").await {
        let from = world.iterator("orders", &shard.shard_id, ShardIteratorType::TrimHorizon).await;
        let read = world.read(&from).await.unwrap();
        let is_closed = shard.sequence_number_range.ending_sequence_number.is_some();
        assert_eq!(read.child_shards.is_some(), is_closed);
        assert_eq!(read.next_shard_iterator.is_none(), is_closed);
        let mut before = String::new();
        for record in read.records {
            assert!(before < record.sequence_number);
            before.clone_from(&record.sequence_number);
            let name = String::from_utf8(record.data.to_vec()).unwrap();
            let place = (shard.shard_id.clone(), record.sequence_number);
            assert_eq!(found.insert(name, place), None);
        }
    }
    found
}

/// The world after dying at the `changes`th change of the log, and whether it came to that.
async fn die_after(changes: u64) -> (World, Acknowledged, bool) {
    let world = World::new().await;
    world.log.die_after(changes);
    let acknowledged = Acknowledged::default();
    let is_dead = tokio::select! {
        biased;
        _ = scenario(&world, &acknowledged) => world.log.is_dead(),
        // A dead world hangs; nothing that lives takes an hour.
        () = tokio::time::sleep(Duration::from_secs(3_600)) => true,
    };
    (world.crash().await, acknowledged, is_dead)
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_change_of_the_log_is_recovered_from() {
    let mut deaths = 0;
    for changes in 1.. {
        let (world, acknowledged, is_dead) = die_after(changes).await;
        deaths += usize::from(is_dead);
        // Logs that nothing names go with the next housekeeping.
        world.pass(Duration::from_secs(11)).await;
        check(&world, &acknowledged, changes).await;
        if !is_dead {
            break;
        }
    }
    assert!(deaths > 30, "the scenario has {deaths} places to die at");
}

async fn check(world: &World, acknowledged: &Acknowledged, changes: u64) {
    let input = ListStreamsInput::default();
    let list = world.streams.list_streams(&world.call("ListStreams"), input).await.unwrap();
    for summary in list.stream_summaries.unwrap() {
        assert_eq!(summary.stream_status, StreamStatus::Active, "after {changes} changes");
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    if !list.stream_names.contains(&"orders".to_owned()) {
        assert!(acknowledged.is_empty());
        return;
    }
    let found = readable(world).await;
    for (name, place) in &acknowledged {
        assert_eq!(found.get(name), Some(place), "{name}, after {changes} changes");
    }
    // The open shards tile the ring.
    let mut open: Vec<HashKeyRange> = world
        .shards("orders")
        .await
        .into_iter()
        .filter(|shard| shard.sequence_number_range.ending_sequence_number.is_none())
        .map(|shard| shard.hash_key_range)
        .collect();
    let number = |text: &str| text.parse::<u128>().unwrap();
    open.sort_by_key(|range| number(&range.starting_hash_key));
    assert_eq!(open[0].starting_hash_key, "0");
    assert_eq!(number(&open[open.len() - 1].ending_hash_key), u128::MAX);
    for pair in open.windows(2) {
        assert_eq!(number(&pair[0].ending_hash_key) + 1, number(&pair[1].starting_hash_key));
    }
    // No log is left that nothing names.
    let named: BTreeSet<u64> = world.streams.catalog.read(|registry| {
        let logs = registry.streams().flat_map(|stream| stream.shards.iter());
        logs.map(|shard| shard.log().0).chain([crate::CATALOG_LOG.0]).collect()
    });
    let present: BTreeSet<u64> = world.log.ids().into_iter().map(|id| id.0).collect();
    assert_eq!(present, named, "after {changes} changes");
    world.put("orders", "a", b"life goes on").await;
}

#[tokio::test(start_paused = true)]
async fn everything_is_there_after_a_restart() {
    let mut world = World::new().await;
    world.create("orders", 2).await;
    let put = world.put("orders", "a", b"1").await;
    let input = RegisterStreamConsumerInput {
        stream_arn: arn("orders"),
        consumer_name: "billing".into(),
        ..Default::default()
    };
    let call = world.call("RegisterStreamConsumer");
    world.streams.register_stream_consumer(&call, input).await.unwrap();
    let from = world.iterator("orders", "0", ShardIteratorType::TrimHorizon).await;
    let before = world.shards("orders").await;
    world = world.crash().await;
    world.settle().await;
    assert_eq!(world.shards("orders").await, before);
    assert_eq!(world.summary("orders").await.consumer_count, Some(1));
    // An iterator given out before is as good as one given out now.
    let read = world.read(&from).await.unwrap();
    assert_eq!(read.records[0].sequence_number, put.sequence_number);
}

#[tokio::test(start_paused = true)]
async fn an_append_that_fails_fails_its_records_and_no_others() {
    use millstream_catalog::memory::AppendFault;
    use millstream_log::AppendError;
    let world = World::new().await;
    world.create("orders", 2).await;
    // "a" and "c" fall on the first shard, "b" on the second.
    for (error, code) in [
        (AppendError::Overloaded, "ProvisionedThroughputExceededException"),
        (AppendError::NoSpace, "InternalFailure"),
        (AppendError::Stopped("a sync failed".into()), "InternalFailure"),
    ] {
        world.log.order(AppendFault::Refused(error));
        let records = vec![entry("a", b"1"), entry("b", b"2"), entry("c", b"3")];
        let output = world.put_records("orders", records).await.unwrap();
        assert_eq!(output.failed_record_count, Some(2));
        let codes: Vec<Option<&str>> =
            output.records.iter().map(|record| record.error_code.as_deref()).collect();
        assert_eq!(codes, [Some(code), None, Some(code)]);
        assert!(output.records[0].sequence_number.is_none());
        assert!(output.records[0].error_message.is_some());
        assert!(output.records[1].sequence_number.is_some());
    }
    assert!(world.drain("orders", "0").await.is_empty());
    assert_eq!(world.drain("orders", "1").await.len(), 3);
}
