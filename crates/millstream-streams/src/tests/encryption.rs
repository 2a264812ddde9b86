//! Server-side encryption, proved on the bytes that are stored.

use std::time::Duration;

use millstream_api::kinesis::*;

use super::world::*;

const SHARD: &str = "shardId-000000000000";
const KEY: &str = "alias/aws/kinesis";

async fn start(world: &World, key_id: &str) -> Result<(), StartStreamEncryptionError> {
    let input = StartStreamEncryptionInput {
        stream_name: Some("orders".into()),
        encryption_type: EncryptionType::Kms,
        key_id: key_id.into(),
        ..Default::default()
    };
    world.streams.start_stream_encryption(&world.call("StartStreamEncryption"), input).await
}

async fn stop(world: &World) -> Result<(), StopStreamEncryptionError> {
    let input = StopStreamEncryptionInput {
        stream_name: Some("orders".into()),
        encryption_type: EncryptionType::Kms,
        key_id: KEY.into(),
        ..Default::default()
    };
    world.streams.stop_stream_encryption(&world.call("StopStreamEncryption"), input).await
}

/// Whether any stored byte string, the catalog's included, holds `text`.
fn is_stored(world: &World, text: &[u8]) -> bool {
    world
        .log
        .ids()
        .into_iter()
        .flat_map(|id| world.log.stored(id))
        .any(|payload| payload.windows(text.len()).any(|window| window == text))
}

#[tokio::test(start_paused = true)]
async fn neither_key_nor_data_of_an_encrypted_record_is_stored_as_it_is() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.put("orders", "first key", b"first secret").await;
    assert!(is_stored(&world, b"first key") && is_stored(&world, b"first secret"));
    start(&world, KEY).await.unwrap();
    assert_eq!(world.summary("orders").await.stream_status, StreamStatus::Updating);
    world.settle().await;
    let summary = world.summary("orders").await;
    assert_eq!(summary.encryption_type, Some(EncryptionType::Kms));
    assert_eq!(summary.key_id.as_deref(), Some(KEY));
    let put = world.put("orders", "second key", b"second secret").await;
    assert_eq!(put.encryption_type, Some(EncryptionType::Kms));
    let records = vec![entry("third key", b"third secret"), entry("fourth key", b"fourth secret")];
    let output = world.put_records("orders", records).await.unwrap();
    assert_eq!(output.encryption_type, Some(EncryptionType::Kms));
    for text in ["second", "third", "fourth"] {
        assert!(!is_stored(&world, format!("{text} key").as_bytes()), "{text}");
        assert!(!is_stored(&world, format!("{text} secret").as_bytes()), "{text}");
    }
    let from = world.iterator("orders", SHARD, ShardIteratorType::TrimHorizon).await;
    let read = world.read(&from).await.unwrap();
    let records: Vec<(&str, &[u8], bool)> = read
        .records
        .iter()
        .map(|r| (&*r.partition_key, &r.data[..], r.encryption_type == Some(EncryptionType::Kms)))
        .collect();
    assert_eq!(
        records,
        [
            ("first key", &b"first secret"[..], false),
            ("second key", b"second secret", true),
            ("third key", b"third secret", true),
            ("fourth key", b"fourth secret", true),
        ]
    );
    stop(&world).await.unwrap();
    world.settle().await;
    assert_eq!(world.summary("orders").await.encryption_type, Some(EncryptionType::None));
    assert_eq!(world.put("orders", "a", b"").await.encryption_type, None);
    assert_eq!(world.drain("orders", SHARD).await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn data_keys_are_rotated_every_five_minutes_and_survive_a_crash() {
    let mut world = World::new().await;
    world.create("orders", 1).await;
    start(&world, KEY).await.unwrap();
    world.settle().await;
    for minute in 0..12_u8 {
        world.put("orders", "a", &[minute]).await;
        world.pass(Duration::from_secs(60)).await;
    }
    let keys = |world: &World| {
        world
            .streams
            .catalog
            .read(|registry| registry.streams().map(|stream| stream.data_keys.len()).sum::<usize>())
    };
    assert_eq!(keys(&world), 3);
    world = world.crash().await;
    let expected: Vec<Vec<u8>> = (0..12_u8).map(|minute| vec![minute]).collect();
    assert_eq!(world.drain("orders", SHARD).await, expected);
    // A key made before the crash has an unknown counter: it opens, and never seals again.
    world.put("orders", "a", b"after").await;
    assert_eq!(keys(&world), 4);
    // Keys go when all they sealed has expired.
    world.pass(Duration::from_secs(26 * 3_600)).await;
    assert_eq!(keys(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stored_record_that_was_changed_is_an_error_and_not_data() {
    let world = World::new().await;
    world.create("orders", 1).await;
    start(&world, KEY).await.unwrap();
    world.settle().await;
    world.put("orders", "a", b"secret").await;
    // The same bytes on another shard's log are no record there: the seal names the place.
    world.create("other", 1).await;
    let ids = world.log.ids();
    let (orders, other) = (ids[ids.len() - 2], ids[ids.len() - 1]);
    let stored = world.log.stored(orders);
    let batch = millstream_log::Batch::of(&stored[0]);
    millstream_log::Log::append(&*world.log, other, batch).await.unwrap();
    let from = world.iterator("other", SHARD, ShardIteratorType::TrimHorizon).await;
    let error = world.read(&from).await.unwrap_err();
    assert!(matches!(error, GetRecordsError::InternalFailure(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn keys_must_be_named_as_keys_are() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let text = "KeyId nonsense is not a key id, a key ARN, an alias or an alias ARN.";
    refused(start(&world, "nonsense").await, "InvalidArgumentException", text);
}

#[tokio::test(start_paused = true)]
async fn with_quotas_encryption_starts_25_times_a_day() {
    let world = World::with_quotas().await;
    world.create("orders", 1).await;
    for _ in 0..25 {
        start(&world, KEY).await.unwrap();
        world.settle().await;
    }
    let error = start(&world, KEY).await.unwrap_err();
    assert!(matches!(error, StartStreamEncryptionError::LimitExceeded(_)), "{error}");
    world.pass(Duration::from_secs(24 * 3_600)).await;
    start(&world, KEY).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn with_quotas_encryption_stops_25_times_a_day() {
    let world = World::with_quotas().await;
    world.create("orders", 1).await;
    let hour = Duration::from_secs(3_600);
    // Starts are older than the stops by an hour, so that they are free again before them.
    start(&world, KEY).await.unwrap();
    world.pass(hour).await;
    for _ in 0..24 {
        stop(&world).await.unwrap();
        world.settle().await;
        start(&world, KEY).await.unwrap();
        world.settle().await;
    }
    stop(&world).await.unwrap();
    world.pass(hour * 23).await;
    start(&world, KEY).await.unwrap();
    world.settle().await;
    let error = stop(&world).await.unwrap_err();
    assert!(matches!(error, StopStreamEncryptionError::LimitExceeded(_)), "{error}");
    world.pass(hour).await;
    stop(&world).await.unwrap();
}
