//! New versions of a configuration, and the end of a delivery stream.

use super::outside::{MAIN, Mood};
use super::world::{CHECKPOINTS, RECORDS, World, document_plan, objects, plan};
use crate::delivery::fail_point::{self, FailPoint};
use crate::plan::Target;
use millstream_log::{Log, ReadError};

#[tokio::test(start_paused = true)]
async fn a_new_version_applies_to_what_is_not_delivered_yet_and_nothing_is_lost() {
    let mut world = World::new(plan()).await;
    world.put_numbered(0..40).await;
    world.pass(5).await;
    let before = world.tally().delivered.len();
    assert!(before > 0 && before < 40, "some are delivered, some wait: {before}");
    world.plan.version = 2;
    world.reconfigure();
    world.put_numbered(40..60).await;
    world.until_delivered(200).await;
    world.tally().exactly_once(&world.accepted);
    let keys = world.outside.bucket_objects(MAIN);
    let is_of = |version: &str| keys.keys().any(|key| key.contains(version));
    assert!(is_of("/orders-1-") && is_of("/orders-2-"));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_bucket_is_mended_by_an_update() {
    let mut world = World::new(plan()).await;
    world.outside.set(MAIN, Mood::Refusing);
    world.put_numbered(0..100).await;
    world.pass(1_000).await;
    world.plan.version = 2;
    world.plan.target = Target::Objects(objects("other", 1_024, 60));
    world.reconfigure();
    world.until_delivered(200).await;
    assert!(world.outside.bucket_objects(MAIN).is_empty());
    let records: Vec<u8> = world.outside.bucket_objects("other").into_values().flatten().collect();
    assert_eq!(records.len(), world.accepted.concat().len());
}

#[tokio::test(start_paused = true)]
async fn a_delivery_under_way_comes_to_its_end_before_the_new_version_begins() {
    let mut world = World::new(plan()).await;
    world.outside.set(MAIN, Mood::Slow(20));
    world.put_numbered(0..40).await;
    world.pass(5).await;
    world.plan.version = 2;
    world.reconfigure();
    world.pass(30).await;
    world.outside.set(MAIN, Mood::Well);
    world.until_delivered(200).await;
    world.tally().exactly_once(&world.accepted);
    assert!(world.outside.bucket_objects(MAIN).keys().any(|key| key.contains("/orders-1-")));
}

#[tokio::test(start_paused = true)]
async fn from_objects_to_documents_and_back_nothing_is_lost() {
    let mut world = World::new(plan()).await;
    for round in 0..12 {
        world.put_numbered(round * 30..round * 30 + 30).await;
        world.pass(u64::try_from(round).unwrap() * 3 % 7).await;
        let base = if round % 2 == 0 { document_plan(300) } else { plan() };
        world.plan = crate::plan::Plan { version: world.plan.version + 1, ..base };
        world.reconfigure();
    }
    world.until_delivered(300).await;
    world.tally().exactly_once(&world.accepted);
}

#[tokio::test(start_paused = true)]
async fn another_split_after_the_update_loses_no_piece() {
    // A record is half delivered under one way of splitting it when the way changes.
    let mut first = plan();
    first.processing.split = Some(crate::plan::Split::Delimited(b"\n".to_vec()));
    first.processing.append_delimiter = true;
    let mut world = World::new(first).await;
    let records: Vec<_> =
        (0..10).map(|record| (record * 9..record * 9 + 9).map(super::world::numbered)).collect();
    for record in records {
        let pieces: Vec<_> = record.collect();
        world.put([pieces.concat().into()]).await;
    }
    world.accepted = (0..90).map(super::world::numbered).collect();
    world.pass(5).await;
    let before = world.tally();
    world.plan = plan();
    world.plan.version = 2;
    world.reconfigure();
    world.until_delivered(200).await;
    let tally = world.tally();
    tally.nothing_is_lost(&world.accepted);
    // Only the one record that was half delivered is delivered again.
    assert!(tally.duplicates() < 9, "{}", tally.duplicates());
    assert!(before.delivered.len() % 9 != 0, "it was half delivered");
}

#[tokio::test(start_paused = true)]
async fn dying_during_an_update_loses_nothing() {
    for nth in 1..=2 {
        let mut world = World::new(plan()).await;
        world.put_numbered(0..70).await;
        world.pass(5).await;
        fail_point::arm(FailPoint::WhileReconfiguring, nth);
        for version in 2..4 {
            world.plan.version = version;
            world.reconfigure();
            world.pass(3).await;
        }
        assert!(fail_point::has_died());
        let mut world = world.crash().await;
        world.put_numbered(70..90).await;
        world.until_delivered(200).await;
        world.tally().exactly_once(&world.accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_courier_that_is_taken_off_does_nothing_more() {
    let mut world = World::new(plan()).await;
    world.outside.set(MAIN, Mood::Slow(10));
    world.put_numbered(0..100).await;
    world.pass(5).await;
    world.couriers().carry(Vec::new());
    world.pass(1_000).await;
    assert!(world.outside.bucket_objects(MAIN).is_empty());
    assert!(world.couriers().status().is_empty());
    for log in [RECORDS, CHECKPOINTS] {
        world.log.delete(log).await.unwrap();
        assert_eq!(world.log.bounds(log), Err(ReadError::NotFound));
    }
    world.pass(1_000).await;
    assert!(world.outside.bucket_objects(MAIN).is_empty());
}

/// Two couriers of one delivery stream would write one checkpoint by turns.
#[tokio::test(start_paused = true)]
async fn orders_that_come_while_all_leave_are_not_taken() {
    let mut world = World::new(plan()).await;
    world.put_numbered(0..10).await;
    world.pass(1).await;
    world.couriers().stop().await;
    world.reconfigure();
    assert!(world.couriers().status().is_empty());
    world.pass(120).await;
    assert_eq!(world.undelivered(), 10, "they are delivered after the next start");
}
