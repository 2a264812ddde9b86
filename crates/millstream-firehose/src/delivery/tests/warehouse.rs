//! Objects that a database loads.

use std::sync::Arc;
use std::time::Duration;

use super::outside::{Mood, Outside};
use super::world::{Size, World, objects, plan};
use crate::delivery::fail_point::{self, FailPoint};
use crate::plan::{Plan, RedshiftTarget, Target};

const STAGING: &str = "staging";

fn warehouse(retry_seconds: u64) -> Plan {
    let target = RedshiftTarget {
        jdbc_url: "jdbc:redshift://example.com:5439/db".to_owned(),
        user: "user".to_owned(),
        password: Arc::new("secret".to_owned().into()),
        table: "orders".to_owned(),
        columns: None,
        options: None,
        role_arn: "arn:aws:iam::1:role/r".to_owned(),
        staging: objects(STAGING, 1_024, 60),
        retry: Duration::from_secs(retry_seconds),
    };
    Plan { target: Target::Redshift(target), ..plan() }
}

#[tokio::test(start_paused = true)]
async fn objects_are_staged_and_loaded_in_order() {
    let mut world = World::new(warehouse(300)).await;
    world.put_numbered(0..100).await;
    world.until_delivered(200).await;
    assert_eq!(world.outside.world().rows, world.accepted);
    let staged: Vec<u8> = world.outside.bucket_objects(STAGING).into_values().flatten().collect();
    assert_eq!(staged.len(), world.accepted.concat().len(), "staged objects stay");
    let metrics = world.metrics();
    assert_eq!((metrics.delivery_records, metrics.staged_records), (100, 100));
    assert_eq!(
        (metrics.staging_successes, metrics.backup_attempts),
        (metrics.delivery_successes, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_load_whose_answer_was_lost_is_not_loaded_again() {
    let mut world = World::new(warehouse(300)).await;
    world.outside.set("database", Mood::Forgetful);
    world.put_numbered(0..20).await;
    world.pass(65).await;
    world.outside.set("database", Mood::Well);
    world.until_delivered(200).await;
    assert_eq!(world.outside.world().rows, world.accepted);
}

#[tokio::test(start_paused = true)]
async fn wherever_it_dies_the_database_has_each_row_once() {
    let points = [
        FailPoint::AfterBuffering,
        FailPoint::AfterPledge,
        FailPoint::AfterStaging,
        FailPoint::AfterDelivery,
        FailPoint::AfterCheckpoint,
        FailPoint::AfterTrim,
    ];
    for point in points {
        for nth in 1..=3 {
            let mut world = World::sized(warehouse(300), Outside::new(), Size::default()).await;
            fail_point::arm(point, nth);
            world.put_numbered(0..60).await;
            world.pass(70).await;
            let mut world = world.crash().await;
            world.put_numbered(60..100).await;
            world.until_delivered(300).await;
            assert_eq!(world.outside.world().rows, world.accepted, "{point:?} {nth}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_given_up_leaves_its_objects_and_a_manifest() {
    let mut world = World::new(warehouse(120)).await;
    world.outside.set("database", Mood::Down);
    world.put_numbered(0..10).await;
    world.until_delivered(300).await;
    assert!(world.outside.world().rows.is_empty());
    let objects = world.outside.bucket_objects(STAGING);
    let (manifest_key, manifest) =
        objects.iter().find(|(key, _)| key.starts_with("errors/manifests/2023/11/14/22/")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(manifest).unwrap();
    let url = manifest["entries"][0]["url"].as_str().unwrap();
    let key = url.strip_prefix("s3://staging/").unwrap();
    assert_ne!(key, manifest_key);
    assert_eq!(objects[key], world.accepted.concat());
    assert_eq!(world.metrics().error_records["redshift-failed"], 10);
}
