//! The port through which other services read a stream.

use std::time::Duration;

use millstream_core::ShardId;
use millstream_core::StreamArn;
use millstream_core::source::{
    SourceError, SourceLimit, SourcePlace, SourceShards, StreamLife, StreamSource,
};

use super::world::*;

const ALL: SourceLimit = SourceLimit { records: 1_000, bytes: 1 << 20 };
const HALF: &str = "170141183460469231731687303715884105728";

fn arn(name: &str) -> StreamArn {
    format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}").parse().unwrap()
}

async fn shards(world: &World, name: &str) -> SourceShards {
    world.streams.shards(&arn(name)).await.unwrap()
}

/// Reads a shard from its start: the data, whether it has ended, and where to read on.
async fn read(world: &World, name: &str, place: SourcePlace) -> (Vec<Vec<u8>>, bool, u64) {
    let source: &dyn StreamSource = &*world.streams;
    let from = source.position(&arn(name), place, None).await.unwrap();
    let page = source.read(&arn(name), place, from, ALL).await.unwrap();
    let data = page.records.iter().map(|record| record.data.to_vec()).collect();
    (data, page.has_ended, page.next)
}

#[tokio::test(start_paused = true)]
async fn a_reader_follows_a_split_from_the_parent_to_its_children() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let put = world.put("orders", "a", b"1").await;
    let SourceShards { life, shards: before } = shards(&world, "orders").await;
    let parent = SourcePlace { life, shard: before[0].id };
    let source: &dyn StreamSource = &*world.streams;
    let page = source.read(&arn("orders"), parent, 0, ALL).await.unwrap();
    assert_eq!(page.records[0].sequence_number, put.sequence_number);
    assert_eq!(page.records[0].partition_key, "a");
    assert_eq!(page.records[0].position, 0);
    assert_eq!((page.has_ended, page.next_arrived), (false, None));

    // The wait ends only when there is something to find: here the shard's end.
    let (streams, here) = (world.streams.clone(), arn("orders"));
    let waiting = tokio::spawn(async move { streams.changed(&here, parent, page.next).await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!waiting.is_finished());
    world.split("orders", "shardId-000000000000", HALF).await.unwrap();
    world.settle().await;
    waiting.await.unwrap().unwrap();
    assert_eq!(read(&world, "orders", parent).await, (vec![b"1".to_vec()], true, page.next));

    world.put("orders", "a", b"2").await;
    let after = shards(&world, "orders").await.shards;
    let children: Vec<_> = after.iter().filter(|shard| shard.parents == [parent.shard]).collect();
    assert_eq!(children.len(), 2);
    let mut found = Vec::new();
    for child in children {
        let (data, has_ended, _) =
            read(&world, "orders", SourcePlace { life, shard: child.id }).await;
        assert!(!has_ended);
        found.extend(data);
    }
    assert_eq!(found, [b"2".to_vec()]);
}

#[tokio::test(start_paused = true)]
async fn another_life_of_a_stream_is_another_source() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let SourceShards { life, shards: of_first } = shards(&world, "orders").await;
    let place = SourcePlace { life, shard: of_first[0].id };
    world.delete("orders").await.unwrap();
    world.settle().await;
    let source: &dyn StreamSource = &*world.streams;
    let gone = source.shards(&arn("orders")).await;
    assert_eq!(gone.unwrap_err(), SourceError::StreamNotFound);
    world.create("orders", 1).await;
    assert_ne!(shards(&world, "orders").await.life, life);
    let stale = source.read(&arn("orders"), place, 0, ALL).await;
    assert_eq!(stale.unwrap_err(), SourceError::StreamNotFound);
    let now = StreamLife(shards(&world, "orders").await.life.0);
    let unknown = SourcePlace { life: now, shard: ShardId(7) };
    let missing = source.read(&arn("orders"), unknown, 0, ALL).await;
    assert_eq!(missing.unwrap_err(), SourceError::ShardNotFound(ShardId(7)));
}

#[tokio::test(start_paused = true)]
async fn a_start_by_time_is_the_first_record_at_or_after_it() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.put("orders", "a", b"1").await;
    world.pass(Duration::from_secs(10)).await;
    let at = millstream_core::Clock::now(&*world.clock);
    world.put("orders", "a", b"2").await;
    let SourceShards { life, shards } = shards(&world, "orders").await;
    let place = SourcePlace { life, shard: shards[0].id };
    let from = StreamSource::position(&*world.streams, &arn("orders"), place, Some(at)).await;
    assert_eq!(from.unwrap(), 1);
}
