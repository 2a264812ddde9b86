//! Documents, and destinations that take them, or not, or in part.

use std::collections::BTreeSet;

use millstream_destinations::Limits;

use super::history::raw_data;
use super::outside::{ERRORS, Mood, Outside};
use super::world::{Size, World, document_plan, numbered};

#[tokio::test(start_paused = true)]
async fn documents_are_delivered_once_in_order_in_deliveries_of_the_configured_size() {
    let mut world = World::new(document_plan(300)).await;
    world.put_numbered(0..200).await;
    world.until_delivered(200).await;
    world.tally().exactly_once(&world.accepted);
    let outside = world.outside.world();
    let documents: Vec<_> = outside.documents.iter().map(|(_, data)| data.clone()).collect();
    assert_eq!(documents, world.accepted);
    let most = 1_024 / numbered(0).len();
    let least = 1_024 / numbered(199).len();
    let (last, full) = outside.delivery_sizes.split_last().unwrap();
    assert!(full.iter().all(|count| (least..=most).contains(count)) && *last <= most);
    let names: BTreeSet<&String> = outside.deliveries.iter().collect();
    assert_eq!(names.len(), outside.deliveries.len(), "each has a name of its own");
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_takes_fewer_at_once_gets_fewer() {
    let world = World::prepared(document_plan(300), Outside::new(), Size::default());
    world.outside.world().limits = Some(Limits { documents: 7, bytes: 300 });
    world.make_logs().await;
    let mut world = world.begun();
    world.put_numbered(0..100).await;
    world.until_delivered(200).await;
    world.tally().exactly_once(&world.accepted);
    assert!(world.outside.world().delivery_sizes.iter().all(|count| *count <= 7));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_now_is_tried_again_alone() {
    let mut world = World::new(document_plan(300)).await;
    world.outside.world().script = [Mood::Half, Mood::Half, Mood::Well].into();
    world.put_numbered(0..20).await;
    world.until_delivered(200).await;
    world.tally().exactly_once(&world.accepted);
    assert_eq!(world.outside.world().delivery_sizes[..3], [20, 10, 5]);
    let metrics = world.metrics();
    assert_eq!((metrics.delivery_attempts, metrics.delivery_successes), (3, 3));
    assert_eq!((metrics.attempted_records, metrics.delivery_records), (35, 20));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_goes_to_the_error_output_with_its_names() {
    let mut world = World::new(document_plan(300)).await;
    world.outside.set("documents", Mood::HalfForGood);
    world.put_numbered(0..20).await;
    world.until_delivered(200).await;
    let tally = world.tally();
    tally.once_somewhere(&world.accepted);
    assert_eq!((tally.delivered.len(), tally.refused.len()), (10, 10));
    let (key, object) = world.outside.bucket_objects(ERRORS).pop_first().unwrap();
    assert!(key.starts_with("http-endpoint-failed/2023/11/14/22/orders-1-"), "{key}");
    let text = String::from_utf8(object).unwrap();
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("{\"attemptsMade\":1,\"arrivalTimestamp\":17000000"), "{first}");
    let end = "\"subsequenceNumber\":0,\"dataId\":\"1.0\",\"esDocumentId\":\"0.1.0\"}";
    assert!(first.ends_with(end), "{first}");
    let metrics = world.metrics();
    assert_eq!((metrics.delivery_records, metrics.error_records["http-endpoint-failed"]), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_down_gets_its_retry_duration_and_then_the_error_output_gets_all() {
    let mut world = World::new(document_plan(600)).await;
    world.outside.set("documents", Mood::Down);
    world.put_numbered(0..20).await;
    world.pass(60 + 595).await;
    assert!(world.outside.bucket_objects(ERRORS).is_empty());
    world.pass(10).await;
    let tally = world.tally();
    tally.once_somewhere(&world.accepted);
    assert_eq!(tally.refused.len(), 20);
    let text = world.outside.bucket_objects(ERRORS).pop_first().unwrap().1;
    let first: serde_json::Value =
        serde_json::from_str(std::str::from_utf8(&text).unwrap().lines().next().unwrap()).unwrap();
    let attempts = first["attemptsMade"].as_u64().unwrap();
    assert!((8..20).contains(&attempts), "{attempts}");
    assert_eq!(first["errorCode"], "Test.Refused");
    assert_eq!(first["esDocumentId"], "0.0.0");
    // And the next ones are tried anew.
    world.outside.set("documents", Mood::Well);
    world.put_numbered(20..40).await;
    world.until_delivered(200).await;
    world.tally().once_somewhere(&world.accepted);
}

#[tokio::test(start_paused = true)]
async fn down_for_less_than_the_retry_duration_nothing_is_refused() {
    let mut world = World::new(document_plan(7_200)).await;
    world.outside.set("documents", Mood::Down);
    for minute in 0..60 {
        world.put_numbered(minute * 10..minute * 10 + 10).await;
        world.pass(60).await;
    }
    world.outside.set("documents", Mood::Well);
    world.until_delivered(1_000).await;
    world.tally().exactly_once(&world.accepted);
}

#[tokio::test(start_paused = true)]
async fn with_destination_and_error_output_down_delivery_stands_still_and_loses_nothing() {
    let mut world = World::new(document_plan(30)).await;
    world.outside.set("documents", Mood::Down);
    world.outside.set(ERRORS, Mood::Down);
    for minute in 0..60 {
        world.put_numbered(minute * 10..minute * 10 + 10).await;
        world.pass(60).await;
    }
    assert_eq!(world.undelivered(), 600, "the source keeps all");
    assert!(world.metrics().data_freshness_ms > 3_590_000);
    let logs: BTreeSet<&str> = world.errors().iter().map(|entry| entry.log).collect();
    assert_eq!(logs, ["BackupDelivery", "DestinationDelivery"].into());
    world.outside.set("documents", Mood::Well);
    world.outside.set(ERRORS, Mood::Well);
    world.until_delivered(1_000).await;
    world.tally().once_somewhere(&world.accepted);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_makes_no_sense_counts_as_none() {
    let mut world = World::new(document_plan(300)).await;
    world.outside.world().script = [Mood::Lying, Mood::Lying].into();
    world.put_numbered(0..20).await;
    world.until_delivered(200).await;
    world.tally().exactly_once(&world.accepted);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_never_answers_is_given_up_in_the_end() {
    let mut world = World::new(document_plan(0)).await;
    world.outside.set("documents", Mood::Silent);
    world.put_numbered(0..20).await;
    world.pass(60 + 65 * 60 + 10).await;
    let tally = world.tally();
    tally.once_somewhere(&world.accepted);
    assert_eq!(tally.refused.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_loses_its_answers_gets_duplicates_and_the_error_output_too() {
    // It took all each time: at least once is what is promised, and nothing is lost.
    let mut world = World::new(document_plan(5)).await;
    world.outside.set("documents", Mood::Forgetful);
    world.put_numbered(0..20).await;
    world.until_delivered(200).await;
    let tally = world.tally();
    tally.nothing_is_lost(&world.accepted);
    assert_eq!(tally.refused.len(), 20);
    let names: BTreeSet<String> = world.outside.world().deliveries.iter().cloned().collect();
    assert_eq!(names.len(), 1, "by its name it could have told");
    let (_, object) = world.outside.bucket_objects(ERRORS).pop_first().unwrap();
    assert_eq!(raw_data(&object), world.accepted);
}
