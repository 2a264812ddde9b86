//! Reshards: parents, children, and what is put and read meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use millstream_api::kinesis::*;
use millstream_core::SequenceNumber;

use super::world::*;

const SHARD: &str = "shardId-000000000000";
const HALF: &str = "170141183460469231731687303715884105728";

fn child<'a>(shards: &'a [Shard], id: &str) -> &'a Shard {
    shards.iter().find(|shard| shard.shard_id == id).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_split_opens_two_children_above_their_parent() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.put("orders", "a", b"1").await;
    world.split("orders", SHARD, HALF).await.unwrap();
    assert_eq!(world.summary("orders").await.stream_status, StreamStatus::Updating);
    let text = "Stream orders under account 123456789012 not ACTIVE, instead in state UPDATING";
    refused(world.split("orders", SHARD, HALF).await, "ResourceInUseException", text);
    world.settle().await;
    assert_eq!(world.summary("orders").await.stream_status, StreamStatus::Active);
    assert_eq!(world.summary("orders").await.open_shard_count, 2);
    let shards = world.shards("orders").await;
    assert_eq!(shards.len(), 3);
    let ending = shards[0].sequence_number_range.ending_sequence_number.clone().unwrap();
    let end: SequenceNumber = ending.parse().unwrap();
    assert_eq!(end.index, 0x7fff_ffff_ffff_ffff);
    for shard in &shards[1..] {
        assert_eq!(shard.parent_shard_id.as_deref(), Some(SHARD));
        assert_eq!(shard.adjacent_parent_shard_id, None);
        assert!(shard.sequence_number_range.starting_sequence_number > ending);
    }
    assert_eq!(shards[2].hash_key_range.starting_hash_key, HALF);
    let number = world.put("orders", "a", b"2").await.sequence_number;
    assert!(number > ending);
}

#[tokio::test(start_paused = true)]
async fn a_merge_joins_two_neighbours() {
    let world = World::new().await;
    world.create("orders", 3).await;
    let text = "Shards shardId-000000000000 and shardId-000000000002 in stream orders under \
                account 123456789012 are not an adjacent pair of shards eligible for merging";
    refused(world.merge("orders", "0", "2").await, "InvalidArgumentException", text);
    world.merge("orders", "shardId-1", "shardId-2").await.unwrap();
    world.settle().await;
    let shards = world.shards("orders").await;
    let merged = child(&shards, "shardId-000000000003");
    assert_eq!(merged.parent_shard_id.as_deref(), Some("shardId-000000000001"));
    assert_eq!(merged.adjacent_parent_shard_id.as_deref(), Some("shardId-000000000002"));
    let text = "Could not find shard shardId-000000000009 in stream orders under account \
                123456789012.";
    refused(world.merge("orders", "0", "9").await, "ResourceNotFoundException", text);
    let error = world.merge("orders", "1", "2").await.unwrap_err();
    assert!(matches!(error, MergeShardsError::InvalidArgument(_)), "closed: {error}");
}

#[tokio::test(start_paused = true)]
async fn a_split_needs_a_key_well_inside_the_range() {
    let world = World::new().await;
    world.create("orders", 3).await;
    for (shard, start, range) in [
        (
            "shard-0",
            "1",
            "0 and less than the shard's EndingHashKey 113427455640312821154458202477256070484",
        ),
        (
            "shard-0",
            "113427455640312821154458202477256070484",
            "0 and less than the shard's EndingHashKey 113427455640312821154458202477256070484",
        ),
        (
            "shard-2",
            "999999999999999999999999999999999999999",
            "226854911280625642308916404954512140970 and less than the shard's EndingHashKey 340282366920938463463374607431768211455",
        ),
    ] {
        let id = format!("shardId-{:0>12}", shard.strip_prefix("shard-").unwrap());
        let text = format!(
            "NewStartingHashKey {start} used in SplitShard() on shard {id} in stream orders \
             under account 123456789012 is not both greater than one plus the shard's \
             StartingHashKey {range}."
        );
        refused(world.split("orders", shard, start).await, "InvalidArgumentException", &text);
    }
    world.split("orders", "shard-0", "2").await.unwrap();
    let text = "Could not find shard 2147483648 in stream nobody under account 123456789012.";
    refused(world.split("nobody", "2147483648", "0").await, "ResourceNotFoundException", text);
    let text = "Stream nobody under account 123456789012 not found.";
    refused(world.split("nobody", "0", "0").await, "ResourceNotFoundException", text);
}

#[tokio::test(start_paused = true)]
async fn the_answer_with_the_last_record_of_a_closed_shard_names_the_children() {
    let world = World::new().await;
    world.create("orders", 1).await;
    for i in 0..3_u8 {
        world.put("orders", "a", &[i]).await;
    }
    let before = world.iterator("orders", SHARD, ShardIteratorType::TrimHorizon).await;
    world.split("orders", SHARD, HALF).await.unwrap();
    world.settle().await;
    let input = GetRecordsInput { shard_iterator: before, limit: Some(2), ..Default::default() };
    let call = world.call("GetRecords");
    let first = world.streams.get_records(&call, input).await.unwrap();
    assert!(first.child_shards.is_none() && first.next_shard_iterator.is_some());
    let last = world.read(&first.next_shard_iterator.unwrap()).await.unwrap();
    assert_eq!(last.records.len(), 1);
    assert_eq!(last.next_shard_iterator, None);
    assert_eq!(last.millis_behind_latest, Some(0));
    let children = last.child_shards.unwrap();
    assert_eq!(children.len(), 2);
    for (child, range) in children.iter().zip(["0", HALF]) {
        assert_eq!(child.parent_shards, [SHARD]);
        assert_eq!(child.hash_key_range.starting_hash_key, range);
    }
    // Every way to the end of the shard says the same.
    let latest = world.iterator("orders", SHARD, ShardIteratorType::Latest).await;
    let read = world.read(&latest).await.unwrap();
    assert!(read.records.is_empty() && read.next_shard_iterator.is_none());
    assert_eq!(read.child_shards, Some(children));
}

#[tokio::test(start_paused = true)]
async fn a_merged_shards_parents_both_name_it() {
    let world = World::new().await;
    world.create("orders", 2).await;
    world.merge("orders", "0", "1").await.unwrap();
    world.settle().await;
    for shard in ["0", "1"] {
        let from = world.iterator("orders", shard, ShardIteratorType::TrimHorizon).await;
        let children = world.read(&from).await.unwrap().child_shards.unwrap();
        assert_eq!(children.len(), 1);
        assert_eq!(children[0].parent_shards, [SHARD, "shardId-000000000001"]);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_or_doubled_by_puts_that_race_reshards() {
    let world = Arc::new(World::new().await);
    world.create("orders", 1).await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let world = world.clone();
            tokio::spawn(async move {
                let mut acknowledged = BTreeMap::new();
                for batch in 0..60 {
                    let name = |i: usize| format!("{writer}/{batch}/{i}");
                    let records = (0..20).map(|i| entry(&name(i), name(i).as_bytes())).collect();
                    let output = world.put_records("orders", records).await.unwrap();
                    assert_eq!(output.failed_record_count, Some(0));
                    for (i, record) in output.records.into_iter().enumerate() {
                        let place = (record.shard_id.unwrap(), record.sequence_number.unwrap());
                        acknowledged.insert(name(i), place);
                    }
                    tokio::time::sleep(Duration::from_millis(7)).await;
                }
                acknowledged
            })
        })
        .collect();
    for target in [2, 3, 2, 4, 8, 5] {
        let input = UpdateShardCountInput {
            stream_name: Some("orders".into()),
            target_shard_count: target,
            ..Default::default()
        };
        let call = world.call("UpdateShardCount");
        world.streams.update_shard_count(&call, input).await.unwrap();
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    let mut acknowledged = BTreeMap::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    assert_eq!(acknowledged.len(), 4 * 60 * 20);
    let mut found = BTreeMap::new();
    for shard in world.shards("orders").await {
        let from = world.iterator("orders", &shard.shard_id, ShardIteratorType::TrimHorizon).await;
        let read = world.read(&from).await.unwrap();
        for record in read.records {
            let name = String::from_utf8(record.data.to_vec()).unwrap();
            let place = (shard.shard_id.clone(), record.sequence_number);
            assert_eq!(found.insert(name, place), None, "each record once");
        }
    }
    assert_eq!(found, acknowledged);
    let used: BTreeSet<&String> = found.values().map(|(shard, _)| shard).collect();
    assert!(used.len() > 8, "records went to {} shards", used.len());
    assert_eq!(world.summary("orders").await.open_shard_count, 5);
}

#[tokio::test(start_paused = true)]
async fn update_shard_count_is_uniform_and_held_to_half_and_double() {
    let world = World::new().await;
    world.create("orders", 3).await;
    let scale = async |target| {
        let input = UpdateShardCountInput {
            stream_arn: Some(arn("orders")),
            target_shard_count: target,
            ..Default::default()
        };
        world.streams.update_shard_count(&world.call("UpdateShardCount"), input).await
    };
    let output = scale(5).await.unwrap();
    assert_eq!((output.current_shard_count, output.target_shard_count), (Some(3), Some(5)));
    assert_eq!(output.stream_name.as_deref(), Some("orders"));
    world.settle().await;
    let tiles = millstream_core::HashKeyRange::tile(5);
    let open: Vec<String> = world
        .shards("orders")
        .await
        .into_iter()
        .filter(|shard| shard.sequence_number_range.ending_sequence_number.is_none())
        .map(|shard| shard.hash_key_range.starting_hash_key)
        .collect();
    let mut expected: Vec<String> = tiles.iter().map(|tile| tile.start.to_string()).collect();
    expected.sort();
    assert_eq!(BTreeSet::from_iter(open), BTreeSet::from_iter(expected));
    for target in [11, 2] {
        let error = scale(target).await.unwrap_err();
        assert!(matches!(error, UpdateShardCountError::InvalidArgument(_)), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn filters_list_the_shards_of_their_time() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.pass(Duration::from_secs(100)).await;
    world.split("orders", SHARD, HALF).await.unwrap();
    world.settle().await;
    world.pass(Duration::from_secs(100)).await;
    world.merge("orders", "1", "2").await.unwrap();
    world.settle().await;
    let list = async |kind, shard: Option<&str>, seconds: Option<u64>| -> Vec<u32> {
        let shard_filter = Some(ShardFilter {
            r#type: kind,
            shard_id: shard.map(Into::into),
            timestamp: seconds.map(|s| START.plus(Duration::from_secs(s))),
        });
        let stream_name = Some("orders".into());
        let input = ListShardsInput { stream_name, shard_filter, ..Default::default() };
        let output = world.streams.list_shards(&world.call("ListShards"), input).await.unwrap();
        let shards = output.shards.unwrap().into_iter();
        shards.map(|s| s.shard_id.parse::<millstream_core::ShardId>().unwrap().0).collect()
    };
    assert_eq!(list(ShardFilterType::AtLatest, None, None).await, [3]);
    assert_eq!(list(ShardFilterType::AtTrimHorizon, None, None).await, [0]);
    assert_eq!(list(ShardFilterType::FromTrimHorizon, None, None).await, [0, 1, 2, 3]);
    assert_eq!(list(ShardFilterType::AtTimestamp, None, Some(50)).await, [0]);
    assert_eq!(list(ShardFilterType::AtTimestamp, None, Some(150)).await, [1, 2]);
    assert_eq!(list(ShardFilterType::FromTimestamp, None, Some(150)).await, [1, 2, 3]);
    assert_eq!(list(ShardFilterType::AfterShardId, Some("shardId-1"), None).await, [2, 3]);
    // Once the first split's parent has nothing left, it is gone from every list.
    world.pass(Duration::from_secs(24 * 3_600 - 60)).await;
    assert_eq!(list(ShardFilterType::FromTrimHorizon, None, None).await, [1, 2, 3]);
    assert_eq!(list(ShardFilterType::AtTrimHorizon, None, None).await, [1, 2]);
    let all: Vec<String> =
        world.shards("orders").await.into_iter().map(|shard| shard.shard_id).collect();
    assert_eq!(all.len(), 3);
    assert!(!all.contains(&SHARD.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_closed_parent_stays_readable_until_its_records_expire() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.put("orders", "a", b"1").await;
    world.split("orders", SHARD, HALF).await.unwrap();
    world.settle().await;
    let logs = world.log.ids().len();
    world.pass(Duration::from_secs(23 * 3_600)).await;
    assert_eq!(world.drain("orders", SHARD).await, [b"1"]);
    world.pass(Duration::from_secs(2 * 3_600)).await;
    assert_eq!(world.shards("orders").await.len(), 2);
    assert_eq!(world.log.ids().len(), logs - 1, "its log is deleted");
}

#[tokio::test(start_paused = true)]
async fn an_on_demand_stream_grows_with_its_load() {
    let world = World::new().await;
    let input = CreateStreamInput {
        stream_name: "orders".into(),
        stream_mode_details: Some(StreamModeDetails { stream_mode: StreamMode::OnDemand }),
        ..Default::default()
    };
    world.streams.create_stream(&world.call("CreateStream"), input).await.unwrap();
    world.settle().await;
    assert_eq!(world.summary("orders").await.open_shard_count, 4);
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.summary("orders").await.open_shard_count, 4, "no load, no growth");
    for _ in 0..6 {
        let megabyte = vec![0; 100 * 1024];
        let records = (0..80).map(|i| entry(&i.to_string(), &megabyte)).collect();
        world.put_records("orders", records).await.unwrap();
        world.pass(Duration::from_secs(2)).await;
    }
    world.pass(Duration::from_secs(30)).await;
    let open = world.summary("orders").await.open_shard_count;
    assert!(open > 4, "{open} shards after 4 MB/s");
}
