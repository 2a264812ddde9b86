//! The whole service: from a put to the files of a bucket that is a directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millstream_core::SeededRand;
use millstream_destinations::objects::Buckets;
use millstream_destinations::outbound::{Outbound, OutboundSettings};
use serde_json::json;

use super::world::*;
use crate::{Connections, Deliveries, DeliverySettings, LambdaSettings};

/// A directory of its own, gone when dropped.
struct Directory(PathBuf);

#[allow(clippy::disallowed_methods)] // What is tested ends in files.
impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("firehose-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The files under `folder`, with their names from there, by name.
    fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    collect(root, &path, files);
                } else {
                    let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                    files.push((name, std::fs::read(&path).unwrap()));
                }
            }
        }
        let mut files = Vec::new();
        collect(&self.0.join(folder), &self.0.join(folder), &mut files);
        files.sort();
        files
    }

    #[cfg(feature = "iceberg")]
    fn tables(&self) -> millstream_destinations::iceberg::Tables {
        millstream_destinations::iceberg::Tables::folders(
            millstream_destinations::iceberg::Ground {
                buckets: Buckets::directory(self.0.join("s3")),
                clock: Arc::new(millstream_core::SystemClock),
                rand: Arc::new(SeededRand::new(6)),
            },
        )
    }

    fn deliver(&self, world: &World) -> Deliveries {
        let outbound = Outbound::new(OutboundSettings::default()).unwrap();
        let connections = Connections {
            buckets: Buckets::directory(self.0.join("s3")),
            catalog: None,
            operator: outbound.clone(),
            outbound,
            lambda: LambdaSettings { endpoint: None, region: REGION.to_owned(), credentials: None },
            functions: std::collections::BTreeMap::new(),
            #[cfg(feature = "wasm")]
            modules: crate::Modules::default(),
            #[cfg(feature = "iceberg")]
            tables: self.tables(),
            search: None,
            redshift_is_postgresql: false,
            clock: world.clock.clone(),
            rand: Arc::new(SeededRand::new(5)),
        };
        let settings = DeliverySettings::new(self.0.join("spill"));
        Deliveries::start(&world.firehose, &settings, connections).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn of_a_minute() -> serde_json::Value {
    let hints = json!({"BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 60}});
    extended(hints)
}

async fn wait(world: &World, seconds: u64) {
    for _ in 0..seconds {
        world.pass(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_put_is_in_a_file_encrypted_at_rest_or_not_and_then_forgotten() {
    let (world, directory) = (World::new().await, Directory::new("whole"));
    let deliveries = directory.deliver(&world);
    world.create("orders", of_a_minute()).await.unwrap();
    world.put("orders", &[b"one\n", b"two\n"]).await.unwrap();
    let input = json!({"DeliveryStreamName": "orders"});
    world.call("StartDeliveryStreamEncryption", input).await.unwrap();
    world.settle().await;
    world.put("orders", &[b"three\n"]).await.unwrap();
    wait(&world, 70).await;
    let files = directory.files("s3/lake");
    assert_eq!(files.len(), 1);
    assert!(
        files[0].0.starts_with("2023/11/14/22/orders-1-2023-11-14-22-13-20-"),
        "{}",
        files[0].0
    );
    assert_eq!(files[0].1, b"one\ntwo\nthree\n");
    assert!(world.stored("orders").is_empty(), "the log has forgotten them");
    let status = deliveries.status();
    assert_eq!((status.len(), status[0].name.as_str()), (1, "orders"));
    let metrics = &status[0].metrics;
    assert_eq!((metrics.destination, metrics.delivery_records), ("S3", 3));
    deliveries.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_update_is_followed_and_a_deletion_ends_it() {
    let (world, directory) = (World::new().await, Directory::new("update"));
    let deliveries = directory.deliver(&world);
    world.create("orders", of_a_minute()).await.unwrap();
    world.put("orders", &[b"one\n"]).await.unwrap();
    wait(&world, 5).await;
    let input = json!({
        "DeliveryStreamName": "orders",
        "CurrentDeliveryStreamVersionId": "1",
        "DestinationId": "destinationId-000000000001",
        "ExtendedS3DestinationUpdate": {"CompressionFormat": "GZIP"},
    });
    world.call("UpdateDestination", input).await.unwrap();
    world.put("orders", &[b"two\n"]).await.unwrap();
    wait(&world, 70).await;
    let files = directory.files("s3/lake");
    assert_eq!(files.len(), 1, "what waited is delivered under the new version");
    let (name, object) = &files[0];
    assert!(name.contains("/orders-2-") && name.strip_suffix(".gz").is_some(), "{name}");
    let object = millstream_formats::cloudwatch::decompress(&object.clone().into(), 100).unwrap();
    assert_eq!(object, b"one\ntwo\n"[..]);
    let logs = world.log.ids().len();
    world.put("orders", &[b"never delivered\n"]).await.unwrap();
    world.call("DeleteDeliveryStream", json!({"DeliveryStreamName": "orders"})).await.unwrap();
    wait(&world, 70).await;
    assert_eq!(directory.files("s3/lake").len(), 1);
    assert_eq!(world.log.ids().len(), logs - 2, "both of its logs are gone");
    assert!(deliveries.status().is_empty());
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_delivery_goes_on_where_it_was() {
    let (world, directory) = (World::new().await, Directory::new("crash"));
    let deliveries = directory.deliver(&world);
    world.create("orders", of_a_minute()).await.unwrap();
    world.put("orders", &[b"one\n"]).await.unwrap();
    wait(&world, 65).await;
    world.put("orders", &[b"two\n"]).await.unwrap();
    wait(&world, 5).await;
    drop(deliveries);
    let world = world.crash().await;
    let _deliveries = directory.deliver(&world);
    wait(&world, 70).await;
    let objects: Vec<Vec<u8>> =
        directory.files("s3/lake").into_iter().map(|(_, object)| object).collect();
    assert_eq!(objects, [b"one\n", b"two\n"]);
}
