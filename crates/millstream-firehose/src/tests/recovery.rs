//! Crashes: whatever a crash leaves unfinished is finished, and nothing acknowledged is lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::world::*;

/// What was acknowledged.
#[derive(Debug, Default)]
struct Acknowledged {
    records: Vec<Vec<u8>>,
    versions: u64,
    is_created: bool,
    is_doomed: bool,
}

/// Creates, puts, encrypts, puts, updates, puts, deletes another: as far as it comes.
async fn scenario(world: &World, told: &Mutex<Acknowledged>) -> Option<()> {
    let input = |name: &str| with(s3(), json!({"DeliveryStreamName": name}));
    world.call("CreateDeliveryStream", input("orders")).await.ok()?;
    told.lock().unwrap().is_created = true;
    told.lock().unwrap().versions = 1;
    world.call("CreateDeliveryStream", input("doomed")).await.ok()?;
    put(world, "first", told).await?;
    let named = json!({"DeliveryStreamName": "orders"});
    world.call("StartDeliveryStreamEncryption", named).await.ok()?;
    put(world, "while encrypting", told).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    put(world, "sealed", told).await?;
    let update = json!({
        "DeliveryStreamName": "orders",
        "CurrentDeliveryStreamVersionId": "1",
        "DestinationId": "destinationId-000000000001",
        "S3DestinationUpdate": {"Prefix": "updated/"},
    });
    world.call("UpdateDestination", update).await.ok()?;
    told.lock().unwrap().versions = 2;
    let doomed = json!({"DeliveryStreamName": "doomed"});
    world.call("DeleteDeliveryStream", doomed).await.ok()?;
    told.lock().unwrap().is_doomed = true;
    tokio::time::sleep(Duration::from_millis(300)).await;
    put(world, "last", told).await
}

async fn put(world: &World, round: &str, told: &Mutex<Acknowledged>) -> Option<()> {
    let name = |i: usize| format!("{round} {i}").into_bytes();
    let names: Vec<Vec<u8>> = (0..3).map(name).collect();
    let records: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    world.put("orders", &records).await.ok()?;
    told.lock().unwrap().records.extend(names);
    Some(())
}

/// The world after dying at the `changes`th change of the log, and whether it came to that.
async fn die_after(changes: u64) -> (World, Arc<Mutex<Acknowledged>>, bool) {
    let world = World::new().await;
    world.log.die_after(changes);
    let told = Arc::new(Mutex::default());
    let is_dead = tokio::select! {
        biased;
        _ = scenario(&world, &told) => world.log.is_dead(),
        // A dead world hangs; nothing that lives takes an hour.
        () = tokio::time::sleep(Duration::from_secs(3_600)) => true,
    };
    (world.crash().await, told, is_dead)
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_change_of_the_log_is_recovered_from() {
    let mut deaths = 0;
    for changes in 1.. {
        let (world, told, is_dead) = die_after(changes).await;
        deaths += usize::from(is_dead);
        // Logs that nothing names go with the next housekeeping.
        world.pass(Duration::from_secs(11)).await;
        let told = std::mem::take(&mut *told.lock().unwrap());
        check(&world, &told, changes).await;
        if !is_dead {
            break;
        }
    }
    assert!(deaths > 20, "the scenario has {deaths} places to die at");
}

async fn check(world: &World, told: &Acknowledged, changes: u64) {
    let listed = world.call("ListDeliveryStreams", json!({})).await.unwrap();
    let names: Vec<&str> = listed["DeliveryStreamNames"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for name in &names {
        let described = world.describe(name).await.unwrap();
        assert_eq!(described["DeliveryStreamStatus"], "ACTIVE", "{name} after {changes} changes");
    }
    assert!(!told.is_created || names.contains(&"orders"), "after {changes} changes");
    assert!(!told.is_doomed || !names.contains(&"doomed"), "after {changes} changes");
    // The catalog, and two logs for each delivery stream that is there.
    assert_eq!(world.log.ids().len(), 1 + 2 * names.len(), "after {changes} changes");
    if !names.contains(&"orders") {
        return;
    }
    let version: u64 =
        world.describe("orders").await.unwrap()["VersionId"].as_str().unwrap().parse().unwrap();
    assert!(version >= told.versions, "after {changes} changes");
    let stored = world.stored("orders");
    let is_prefix = stored.starts_with(&told.records);
    assert!(is_prefix, "after {changes} changes: {stored:?} of {:?}", told.records);
    world.put("orders", &[b"afterwards"]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_configured_is_there_after_a_snapshot_and_a_crash() {
    let policy = millstream_catalog::SnapshotPolicy { commands: 3, bytes: u64::MAX };
    let world = World::with(crate::Settings { snapshots: policy, ..settings() }).await;
    let more = json!({"Prefix": "a/", "CompressionFormat": "GZIP"});
    world.create("orders", extended(more)).await.unwrap();
    world.create("others", s3()).await.unwrap();
    world.settle().await;
    let before = world.describe("orders").await.unwrap();
    let world = world.crash().await;
    assert_eq!(world.describe("orders").await.unwrap(), before);
    assert_eq!(world.firehose.orders().len(), 2);
}
