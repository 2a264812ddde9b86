//! Records: put, found again, in order, from every kind of place.

use std::time::Duration;

use bytes::Bytes;
use millstream_api::kinesis::*;
use millstream_core::{SequenceNumber, ShardId, Timestamp};

use super::world::*;

const SHARD: &str = "shardId-000000000000";

fn iterator(kind: ShardIteratorType) -> GetShardIteratorInput {
    GetShardIteratorInput {
        stream_name: Some("orders".into()),
        shard_id: SHARD.into(),
        shard_iterator_type: kind,
        ..Default::default()
    }
}

fn data(output: &GetRecordsOutput) -> Vec<&[u8]> {
    output.records.iter().map(|record| &record.data[..]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_record_comes_back_as_it_was_put() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let put = world.put("orders", "ключ", b"data").await;
    assert_eq!(put.shard_id, SHARD);
    let from = world.iterator("orders", SHARD, ShardIteratorType::TrimHorizon).await;
    let read = world.read(&from).await.unwrap();
    assert_eq!(read.records.len(), 1);
    assert_eq!(read.records[0].sequence_number, put.sequence_number);
    assert_eq!(read.records[0].partition_key, "ключ");
    assert_eq!(&read.records[0].data[..], b"data");
    assert_eq!(read.records[0].encryption_type, None);
    let arrived = read.records[0].approximate_arrival_timestamp;
    assert_eq!(arrived, Some(START.plus(Duration::from_millis(1_200))));
    assert_eq!(read.millis_behind_latest, Some(0));
    assert!(read.next_shard_iterator.is_some() && read.child_shards.is_none());
}

#[tokio::test(start_paused = true)]
async fn sequence_numbers_have_the_form_and_the_order_of_the_service() {
    let world = World::new().await;
    world.create("orders", 2).await;
    let mut before = None;
    for _ in 0..20 {
        let put = world.put("orders", "a", b"").await;
        let number: SequenceNumber = put.sequence_number.parse().unwrap();
        assert_eq!(put.sequence_number.len(), 56);
        assert_eq!(number.shard.to_string(), put.shard_id);
        assert!(before.is_none_or(|before| before < put.sequence_number));
        before = Some(put.sequence_number);
    }
}

#[tokio::test(start_paused = true)]
async fn records_go_where_their_key_or_their_explicit_hash_says() {
    let world = World::new().await;
    world.create("orders", 3).await;
    // The MD5 of "a" is 0x0cc1…, of "b" 0x92eb…, of "c" 0x4a8a….
    for (key, shard) in [("a", 0), ("b", 1), ("c", 0)] {
        assert_eq!(world.put("orders", key, b"").await.shard_id, format!("shardId-{shard:012}"));
    }
    let put = async |explicit: &str| {
        let input = PutRecordInput {
            stream_name: Some("orders".into()),
            partition_key: "a".into(),
            explicit_hash_key: Some(explicit.into()),
            ..Default::default()
        };
        world.streams.put_record(&world.call("PutRecord"), input).await
    };
    for (explicit, shard) in [
        ("0", 0),
        ("113427455640312821154458202477256070484", 0),
        ("113427455640312821154458202477256070485", 1),
        ("340282366920938463463374607431768211455", 2),
    ] {
        assert_eq!(put(explicit).await.unwrap().shard_id, format!("shardId-{shard:012}"));
    }
    let above = "340282366920938463463374607431768211456";
    let text = format!(
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified \
         value was {above}"
    );
    refused(put(above).await, "InvalidArgumentException", &text);
}

#[tokio::test(start_paused = true)]
async fn put_records_keeps_the_place_of_each_record_and_the_order_within_shards() {
    let world = World::new().await;
    world.create("orders", 4).await;
    let records: Vec<_> =
        (0..500).map(|i| entry(&format!("key {i}"), format!("{i}").as_bytes())).collect();
    let output = world.put_records("orders", records).await.unwrap();
    assert_eq!((output.failed_record_count, output.records.len()), (Some(0), 500));
    for shard in world.shards("orders").await {
        let stored = world.drain("orders", &shard.shard_id).await;
        let expected: Vec<Vec<u8>> = (0..500)
            .filter(|i| output.records[*i].shard_id.as_ref() == Some(&shard.shard_id))
            .map(|i| format!("{i}").into_bytes())
            .collect();
        assert!(expected.len() > 50);
        assert_eq!(stored, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn sizes_are_held_to_the_streams_and_the_requests_maximum() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let mib = vec![0; 1024 * 1024];
    world.put("orders", "key", &mib).await;
    let over = vec![0; 1024 * 1024 + 1];
    let result = world.put_records("orders", vec![entry("a", b""), entry("key", &over)]).await;
    let text = "Record of 1048580 bytes exceeds the maximum record size of 1024 KiB of stream \
                orders under account 123456789012.";
    refused(result, "InvalidArgumentException", text);
    let result = world.put_records("orders", vec![entry("a", &mib); 11]).await;
    let text = "Records of 11534347 bytes exceed the maximum of 10485760 bytes of one request.";
    refused(result, "InvalidArgumentException", text);
    assert_eq!(world.drain("orders", SHARD).await.len(), 1, "nothing is half applied");

    let input = UpdateMaxRecordSizeInput {
        stream_arn: Some(arn("orders")),
        max_record_size_in_kib: 10_240,
        ..Default::default()
    };
    let call = world.call("UpdateMaxRecordSize");
    world.streams.update_max_record_size(&call, input).await.unwrap();
    world.settle().await;
    world.put("orders", "key", &vec![7; 10 * 1024 * 1024]).await;
}

#[tokio::test(start_paused = true)]
async fn every_type_of_iterator_finds_its_place() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let mut numbers = Vec::new();
    let mut times = Vec::new();
    for i in 0..5_u8 {
        world.pass(Duration::from_millis(10)).await;
        numbers.push(world.put("orders", "a", &[i]).await.sequence_number);
        times.push(START.plus(Duration::from_millis(1_200 + 10 * (u64::from(i) + 1))));
    }
    let first = async |input: GetShardIteratorInput| {
        let from = world.iterator_from(input).await.unwrap();
        world.read(&from).await.unwrap().records.first().map(|record| record.data[0])
    };
    assert_eq!(first(iterator(ShardIteratorType::TrimHorizon)).await, Some(0));
    assert_eq!(first(iterator(ShardIteratorType::Latest)).await, None);
    let at = |number: &String| GetShardIteratorInput {
        starting_sequence_number: Some(number.clone()),
        ..iterator(ShardIteratorType::AtSequenceNumber)
    };
    assert_eq!(first(at(&numbers[2])).await, Some(2));
    let after = |number: &String| GetShardIteratorInput {
        starting_sequence_number: Some(number.clone()),
        ..iterator(ShardIteratorType::AfterSequenceNumber)
    };
    assert_eq!(first(after(&numbers[2])).await, Some(3));
    assert_eq!(first(after(&numbers[4])).await, None);
    let start = &world.shards("orders").await[0].sequence_number_range.starting_sequence_number;
    assert_eq!(first(at(start)).await, Some(0));
    assert_eq!(first(after(start)).await, Some(0));
    let at_time = |time: Timestamp| GetShardIteratorInput {
        timestamp: Some(time),
        ..iterator(ShardIteratorType::AtTimestamp)
    };
    // Exact to the millisecond.
    assert_eq!(first(at_time(times[3])).await, Some(3));
    assert_eq!(first(at_time(times[3].minus(Duration::from_millis(1)))).await, Some(3));
    assert_eq!(first(at_time(times[3].plus(Duration::from_millis(1)))).await, Some(4));
    assert_eq!(first(at_time(Timestamp::from_ms(0))).await, Some(0));
}

#[tokio::test(start_paused = true)]
async fn latest_delivers_what_is_put_after_the_iterator_was_made() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.put("orders", "a", b"before").await;
    let mut from = world.iterator("orders", SHARD, ShardIteratorType::Latest).await;
    for _ in 0..3 {
        let read = world.read(&from).await.unwrap();
        assert!(read.records.is_empty());
        assert_eq!(read.millis_behind_latest, Some(0));
        from = read.next_shard_iterator.unwrap();
    }
    world.put("orders", "a", b"after").await;
    let read = world.read(&from).await.unwrap();
    assert_eq!(data(&read), [b"after"]);
    let next = world.read(&read.next_shard_iterator.unwrap()).await.unwrap();
    assert!(next.records.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_iterator_can_be_used_again_until_it_expires() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.put("orders", "a", b"1").await;
    let made = world.clock_seconds();
    let from = world.iterator("orders", SHARD, ShardIteratorType::TrimHorizon).await;
    for wait_ms in [0, 100_000, 200_000] {
        world.pass(Duration::from_millis(wait_ms)).await;
        assert_eq!(data(&world.read(&from).await.unwrap()), [b"1"]);
        assert_eq!(data(&world.read(&format!("\"{from}\"")).await.unwrap()), [b"1"]);
    }
    world.pass(Duration::from_millis(1)).await;
    assert_eq!(made, 1_700_000_001);
    let text = "Iterator expired. The iterator was created at time Tue Nov 14 22:13:21 UTC 2023 \
                while right now it is Tue Nov 14 22:18:21 UTC 2023 which is further in the \
                future than the tolerated delay of 300000 milliseconds.";
    refused(world.read(&from).await, "ExpiredIteratorException", text);
}

#[tokio::test(start_paused = true)]
async fn a_tampered_iterator_is_refused() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.put("orders", "a", b"1").await;
    let from = world.iterator("orders", SHARD, ShardIteratorType::Latest).await;
    for index in [0, 20, 100, 150, from.len() - 6] {
        let mut changed = from.clone().into_bytes();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let result = world.read(&changed).await;
        refused(result, "InvalidArgumentException", "Invalid ShardIterator.");
    }
    let result = world.read("not an iterator").await;
    refused(result, "InvalidArgumentException", "Invalid ShardIterator.");
}

#[tokio::test(start_paused = true)]
async fn an_iterator_of_a_deleted_stream_names_the_missing_shard() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let from = world.iterator("orders", SHARD, ShardIteratorType::Latest).await;
    world.delete("orders").await.unwrap();
    world.settle().await;
    world.create("orders", 1).await;
    let text = "Shard shardId-000000000000 in stream orders under account 123456789012 does not \
                exist";
    refused(world.read(&from).await, "ResourceNotFoundException", text);
}

#[tokio::test(start_paused = true)]
async fn places_that_do_not_fit_their_type_are_refused() {
    let world = World::new().await;
    world.create("orders", 2).await;
    let must = "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and \
                StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no \
                StartingSequenceNumber.";
    for kind in [ShardIteratorType::AtSequenceNumber, ShardIteratorType::AfterSequenceNumber] {
        let text = format!("{must} Request specified {kind} and no StartingSequenceNumber.");
        let result = world.iterator_from(iterator(kind)).await;
        refused(result, "InvalidArgumentException", &text);
    }
    for kind in [ShardIteratorType::TrimHorizon, ShardIteratorType::Latest] {
        let text = format!("{must} Request specified {kind} and also a StartingSequenceNumber.");
        let input =
            GetShardIteratorInput { starting_sequence_number: Some("5".into()), ..iterator(kind) };
        refused(world.iterator_from(input).await, "InvalidArgumentException", &text);
    }
    let result = world.iterator_from(iterator(ShardIteratorType::AtTimestamp)).await;
    let text = "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. \
                Current request has no timestamp parameter.";
    refused(result, "InvalidArgumentException", text);
    let input = GetShardIteratorInput {
        timestamp: Some(START.plus(Duration::from_secs(10))),
        ..iterator(ShardIteratorType::AtTimestamp)
    };
    let text = "The timestampInMillis parameter cannot be greater than the \
                currentTimestampInMillis. timestampInMillis: 1700000010000, \
                currentTimestampInMillis: 1700000001200";
    refused(world.iterator_from(input).await, "InvalidArgumentException", text);
}

#[tokio::test(start_paused = true)]
async fn numbers_of_other_shards_and_other_lives_are_refused() {
    let world = World::new().await;
    world.create("orders", 2).await;
    let at = |number: &str| GetShardIteratorInput {
        starting_sequence_number: Some(number.into()),
        ..iterator(ShardIteratorType::AtSequenceNumber)
    };
    let shards = world.shards("orders").await;
    let other = &shards[1].sequence_number_range.starting_sequence_number;
    let text = "Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was \
                used in a call to a shard with shardId-000000000000";
    refused(world.iterator_from(at(other)).await, "InvalidArgumentException", text);
    let text = "StartingSequenceNumber 26227199374822427428162556223570313216 used in \
                GetShardIterator on shard shardId-000000000000 in stream orders under account \
                123456789012 is invalid.";
    let result = world.iterator_from(at("26227199374822427428162556223570313216")).await;
    refused(result, "InvalidArgumentException", text);

    // Numbers of the service's first version are read, and then come from nowhere.
    let text = "Invalid StartingSequenceNumber. It encodes shardId-000000000005, while it was \
                used in a call to a shard with shardId-000000000000";
    let leading = (1_u128 << 124) + 5;
    for number in ["5", &leading.to_string()] {
        refused(world.iterator_from(at(number)).await, "InvalidArgumentException", text);
    }
    let text = "StartingSequenceNumber 0 used in GetShardIterator on shard shardId-000000000000 in \
                stream orders under account 123456789012 is invalid because it did not come from \
                this stream.";
    refused(world.iterator_from(at("0")).await, "InvalidArgumentException", text);

    let own = shards[0].sequence_number_range.starting_sequence_number.clone();
    world.delete("orders").await.unwrap();
    world.settle().await;
    world.create("orders", 1).await;
    let text = format!(
        "StartingSequenceNumber {own} used in GetShardIterator on shard shardId-000000000000 in \
         stream orders under account 123456789012 is invalid because it did not come from this \
         stream."
    );
    refused(world.iterator_from(at(&own)).await, "InvalidArgumentException", &text);
}

#[tokio::test(start_paused = true)]
async fn missing_shards_are_named() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let find = async |stream: &str, shard: &str| {
        let input = GetShardIteratorInput {
            stream_name: Some(stream.into()),
            shard_id: shard.into(),
            ..iterator(ShardIteratorType::Latest)
        };
        world.iterator_from(input).await
    };
    let text = "Shard shardId-000000000005 in stream orders under account 123456789012 does not \
                exist";
    refused(find("orders", "shardId-5").await, "ResourceNotFoundException", text);
    let text = "Shard shardId-002147483647 in stream nobody under account 123456789012 does not \
                exist";
    refused(find("nobody", "a-2147483647").await, "ResourceNotFoundException", text);
    for shard in ["2147483648", "shardId-002147483648", "ABKLFD8", "2.14E4"] {
        let text =
            format!("Could not find shard {shard} in stream nobody under account 123456789012.");
        refused(find("nobody", shard).await, "ResourceNotFoundException", &text);
    }
    for shard in ["shardId-0", "0", "shardId-000000000000"] {
        find("orders", shard).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_holds_and_the_next_iterator_goes_on() {
    let world = World::new().await;
    world.create("orders", 1).await;
    for i in 0..5_u8 {
        world.put("orders", "a", &[i]).await;
        world.pass(Duration::from_millis(100)).await;
    }
    let from = world.iterator("orders", SHARD, ShardIteratorType::TrimHorizon).await;
    let input = GetRecordsInput { shard_iterator: from, limit: Some(2), ..Default::default() };
    let read = world.streams.get_records(&world.call("GetRecords"), input).await.unwrap();
    assert_eq!(data(&read), [&[0][..], &[1]]);
    assert_eq!(read.millis_behind_latest, Some(300), "the age of the third record");
    let read = world.read(&read.next_shard_iterator.unwrap()).await.unwrap();
    assert_eq!(data(&read), [&[2][..], &[3], &[4]]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_carries_ten_mebibytes_at_most() {
    let world = World::new().await;
    world.create("orders", 1).await;
    for _ in 0..12 {
        world.put("orders", "a", &vec![1; 1024 * 1024]).await;
    }
    let from = world.iterator("orders", SHARD, ShardIteratorType::TrimHorizon).await;
    let read = world.read(&from).await.unwrap();
    let bytes: usize = read.records.iter().map(|record| record.data.len()).sum();
    assert!((9 * 1024 * 1024..=10 * 1024 * 1024).contains(&bytes), "{bytes}");
    let rest = world.read(&read.next_shard_iterator.unwrap()).await.unwrap();
    assert_eq!(read.records.len() + rest.records.len(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_number_for_ordering_is_looked_at() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let number = world.put("orders", "a", b"").await.sequence_number;
    let put = async |number: &str| {
        let input = PutRecordInput {
            stream_name: Some("orders".into()),
            partition_key: "a".into(),
            data: Bytes::new(),
            sequence_number_for_ordering: Some(number.into()),
            ..Default::default()
        };
        world.streams.put_record(&world.call("PutRecord"), input).await
    };
    assert!(put(&number).await.unwrap().sequence_number > number);
    let future = SequenceNumber {
        arrived_seconds: START.seconds() + 1_000,
        ..number.parse::<SequenceNumber>().unwrap()
    };
    let negative =
        SequenceNumber { shard: ShardId(1 << 31), ..number.parse::<SequenceNumber>().unwrap() };
    let (future, negative) = (future.to_string(), negative.to_string());
    for number in ["0", "26227199374822427428162556223570313216", &future, &negative] {
        let text = format!(
            "ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream orders under \
             account 123456789012 is invalid."
        );
        refused(put(number).await, "InvalidArgumentException", &text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_to_a_stream_in_the_making_waits_for_it() {
    let world = World::new().await;
    let input = CreateStreamInput { stream_name: "orders".into(), ..Default::default() };
    world.streams.create_stream(&world.call("CreateStream"), input).await.unwrap();
    world.put("orders", "a", b"1").await;
    let result = world.put_records("nobody", vec![entry("a", b"")]).await;
    let text = "Stream nobody under account 123456789012 not found.";
    refused(result, "ResourceNotFoundException", text);
}

#[tokio::test(start_paused = true)]
async fn records_expire_and_the_trim_horizon_moves() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.put("orders", "a", b"old").await;
    let hour = Duration::from_secs(3_600);
    world.pass(hour * 12).await;
    world.put("orders", "a", b"new").await;
    world.pass(Duration::from_secs(12 * 3_600 - 60)).await;
    assert_eq!(world.drain("orders", SHARD).await.len(), 2, "kept for its 24 hours");
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(world.drain("orders", SHARD).await, [b"new"]);
}
