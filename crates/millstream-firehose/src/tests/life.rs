//! Delivery streams come, are listed and tagged, and go.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::*;

const NOT_FOUND: &str = "Firehose orders under account 123456789012 not found.";

#[tokio::test(start_paused = true)]
async fn a_delivery_stream_is_creating_and_then_active() {
    let world = World::new().await;
    let input = with(s3(), json!({"DeliveryStreamName": "orders"}));
    let created = world.call("CreateDeliveryStream", input.clone()).await.unwrap();
    let arn = "arn:aws:firehose:us-east-1:123456789012:deliverystream/orders";
    assert_eq!(created, json!({"DeliveryStreamARN": arn}));
    assert_eq!(world.describe("orders").await.unwrap()["DeliveryStreamStatus"], "CREATING");
    world.settle().await;
    let described = world.describe("orders").await.unwrap();
    assert_eq!(described["DeliveryStreamStatus"], "ACTIVE");
    assert_eq!(described["DeliveryStreamARN"], arn);
    assert_eq!(described["DeliveryStreamType"], "DirectPut");
    assert_eq!(described["VersionId"], "1");
    assert_eq!(described["HasMoreDestinations"], false);
    assert_eq!(described["CreateTimestamp"].as_f64(), Some(1_700_000_000.0));
    assert_eq!(described["DeliveryStreamEncryptionConfiguration"], json!({"Status": "DISABLED"}));
    assert_eq!(described["Destinations"][0]["DestinationId"], "destinationId-000000000001");
    let text = "Firehose orders under accountId 123456789012 already exists";
    refused(world.call("CreateDeliveryStream", input).await, "ResourceInUseException", text);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_not_found_by_any_operation() {
    let world = World::new().await;
    let named = json!({"DeliveryStreamName": "orders"});
    for (operation, more) in [
        ("DeleteDeliveryStream", json!({})),
        ("DescribeDeliveryStream", json!({})),
        ("ListTagsForDeliveryStream", json!({})),
        ("PutRecord", json!({"Record": record(b"a")})),
        ("PutRecordBatch", json!({"Records": [record(b"a")]})),
        ("StartDeliveryStreamEncryption", json!({})),
        ("StopDeliveryStreamEncryption", json!({})),
        ("TagDeliveryStream", json!({"Tags": [{"Key": "a"}]})),
        ("UntagDeliveryStream", json!({"TagKeys": ["a"]})),
        (
            "UpdateDestination",
            json!({
                "CurrentDeliveryStreamVersionId": "1",
                "DestinationId": "destinationId-000000000001",
                "S3DestinationUpdate": {},
            }),
        ),
    ] {
        let told = world.call(operation, with(named.clone(), more)).await;
        refused(told, "ResourceNotFoundException", NOT_FOUND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_delivery_stream_is_deleting_and_then_gone_with_its_logs() {
    let world = World::new().await;
    let before = world.log.ids();
    world.create("orders", s3()).await.unwrap();
    world.put("orders", &[b"undelivered"]).await.unwrap();
    let named = json!({"DeliveryStreamName": "orders"});
    world.call("DeleteDeliveryStream", named.clone()).await.unwrap();
    assert_eq!(world.describe("orders").await.unwrap()["DeliveryStreamStatus"], "DELETING");
    // Asked for a second time, it goes on.
    world.call("DeleteDeliveryStream", named.clone()).await.unwrap();
    refused(world.put("orders", &[b"late"]).await, "ResourceNotFoundException", NOT_FOUND);
    world.settle().await;
    refused(world.describe("orders").await, "ResourceNotFoundException", NOT_FOUND);
    assert_eq!(world.log.ids(), before);
    // The name is free, and the new one has nothing of the old.
    world.create("orders", s3()).await.unwrap();
    assert!(world.stored("orders").is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_being_created_is_not_deleted() {
    let world = World::new().await;
    let input = with(s3(), json!({"DeliveryStreamName": "orders"}));
    world.call("CreateDeliveryStream", input).await.unwrap();
    let told = world.call("DeleteDeliveryStream", json!({"DeliveryStreamName": "orders"})).await;
    let text = "Firehose orders under account 123456789012 is not in ACTIVE state, instead in \
                state CREATING.";
    refused(told, "ResourceInUseException", text);
}

#[tokio::test(start_paused = true)]
async fn creating_fails_where_the_source_is_not_there() {
    let world = World::new().await;
    let source = |arn: &str| {
        let source = json!({"KinesisStreamARN": arn, "RoleARN": ROLE});
        let kinesis = json!({
            "DeliveryStreamType": "KinesisStreamAsSource",
            "KinesisStreamSourceConfiguration": source,
        });
        with(s3(), kinesis)
    };
    let absent = STREAM_ARN.replace("clicks", "absent");
    world.create("orders", source(&absent)).await.unwrap();
    let described = world.describe("orders").await.unwrap();
    assert_eq!(described["DeliveryStreamStatus"], "CREATING_FAILED");
    let details = format!("The source stream {absent} is not there.");
    let failure = json!({"Type": "UNKNOWN_ERROR", "Details": details});
    assert_eq!(described["FailureDescription"], failure);
    // It stays so, and can only be deleted.
    world.pass(Duration::from_secs(60)).await;
    assert!(world.firehose.orders().is_empty());
    world.call("DeleteDeliveryStream", json!({"DeliveryStreamName": "orders"})).await.unwrap();
    world.settle().await;
    world.create("orders", source(STREAM_ARN)).await.unwrap();
    let described = world.describe("orders").await.unwrap();
    assert_eq!(described["DeliveryStreamStatus"], "ACTIVE");
    assert_eq!(described.get("DeliveryStreamEncryptionConfiguration"), None);
    let source = &described["Source"]["KinesisStreamSourceDescription"];
    assert_eq!(source["KinesisStreamARN"], STREAM_ARN);
    assert_eq!(source["RoleARN"], ROLE);
    assert!(source["DeliveryStartTimestamp"].is_number());
}

#[tokio::test(start_paused = true)]
async fn lists_are_in_order_of_name_by_pages_and_by_type() {
    let world = World::new().await;
    for name in ["c", "a", "d"] {
        world.create(name, s3()).await.unwrap();
    }
    let kinesis = json!({
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {"KinesisStreamARN": STREAM_ARN, "RoleARN": ROLE},
    });
    world.create("b", with(s3(), kinesis)).await.unwrap();
    let list = async |input: Value| {
        let listed = world.call("ListDeliveryStreams", input).await.unwrap();
        (listed["DeliveryStreamNames"].clone(), listed["HasMoreDeliveryStreams"] == true)
    };
    assert_eq!(list(json!({})).await, (json!(["a", "b", "c", "d"]), false));
    assert_eq!(list(json!({"Limit": 2})).await, (json!(["a", "b"]), true));
    let next = json!({"Limit": 2, "ExclusiveStartDeliveryStreamName": "b"});
    assert_eq!(list(next).await, (json!(["c", "d"]), false));
    let direct = json!({"DeliveryStreamType": "DirectPut"});
    assert_eq!(list(direct).await, (json!(["a", "c", "d"]), false));
    let kinesis = json!({"DeliveryStreamType": "KinesisStreamAsSource"});
    assert_eq!(list(kinesis).await, (json!(["b"]), false));
    let database = json!({"DeliveryStreamType": "DatabaseAsSource"});
    assert_eq!(list(database).await, (json!([]), false));
    for number in 0..8 {
        world.create(&format!("e{number}"), s3()).await.unwrap();
    }
    let (names, has_more) = list(json!({})).await;
    assert_eq!((names.as_array().map(Vec::len), has_more), (Some(10), true), "ten by default");
}

#[tokio::test(start_paused = true)]
async fn tags_are_set_listed_by_pages_and_removed() {
    let world = World::new().await;
    let tags = json!({"Tags": [{"Key": "team", "Value": "web"}, {"Key": "empty"}]});
    world.create("orders", with(s3(), tags)).await.unwrap();
    let named = json!({"DeliveryStreamName": "orders"});
    let list = async |more: Value| {
        let input = with(named.clone(), more);
        world.call("ListTagsForDeliveryStream", input).await.unwrap()
    };
    let empty = json!({"Key": "empty", "Value": ""});
    let team = |value: &str| json!({"Key": "team", "Value": value});
    assert_eq!(list(json!({})).await, json!({"Tags": [empty, team("web")], "HasMoreTags": false}));
    assert_eq!(list(json!({"Limit": 1})).await, json!({"Tags": [empty], "HasMoreTags": true}));
    let next = json!({"ExclusiveStartTagKey": "empty"});
    assert_eq!(list(next).await, json!({"Tags": [team("web")], "HasMoreTags": false}));
    let set = with(named.clone(), json!({"Tags": [team("app")]}));
    world.call("TagDeliveryStream", set).await.unwrap();
    let untag = with(named.clone(), json!({"TagKeys": ["empty", "absent"]}));
    world.call("UntagDeliveryStream", untag).await.unwrap();
    assert_eq!(list(json!({})).await, json!({"Tags": [team("app")], "HasMoreTags": false}));
    let many: Vec<Value> = (0..50).map(|number| json!({"Key": format!("k{number}")})).collect();
    let told = world.call("TagDeliveryStream", with(named.clone(), json!({"Tags": many}))).await;
    let text = "Firehose orders under account 123456789012 cannot have more than 50 tags.";
    refused(told, "LimitExceededException", text);
}

#[tokio::test(start_paused = true)]
async fn with_quotas_an_account_has_so_many_delivery_streams() {
    let settings = crate::Settings {
        limits: millstream_core::limits::LimitsMode::Aws,
        stream_limit: 2,
        ..settings()
    };
    let world = World::with(settings).await;
    world.create("a", s3()).await.unwrap();
    world.create("b", s3()).await.unwrap();
    let text = "You have already consumed your firehose quota of 2 hoses.";
    refused(world.create("c", s3()).await, "LimitExceededException", text);
}

#[tokio::test(start_paused = true)]
async fn the_only_destination_is_paged_over() {
    let world = World::new().await;
    world.create("orders", s3()).await.unwrap();
    let after =
        |id: &str| json!({"DeliveryStreamName": "orders", "ExclusiveStartDestinationId": id});
    for (id, count) in [("destinationId-000000000000", 1), ("destinationId-000000000001", 0)] {
        let described = world.call("DescribeDeliveryStream", after(id)).await.unwrap();
        let destinations = &described["DeliveryStreamDescription"]["Destinations"];
        assert_eq!(destinations.as_array().map(Vec::len), Some(count), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_quotas_an_operation_is_called_five_times_a_second() {
    let list = |world: World| async move {
        let mut told = Vec::new();
        for _ in 0..6 {
            told.push(world.call("ListDeliveryStreams", json!({})).await);
        }
        (world, told)
    };
    let (world, mut told) = list(World::with_quotas().await).await;
    refused(told.pop().unwrap(), "ThrottlingException", "Rate exceeded");
    assert!(told.iter().all(Result::is_ok));
    world.pass(Duration::from_secs(1)).await;
    let (_, told) = list(world).await;
    assert!(told[..5].iter().all(Result::is_ok));
    let (_, told) = list(World::new().await).await;
    assert!(told.iter().all(Result::is_ok), "without quotas nobody counts");
}

/// Whoever asks may hang up at any time, also between the decision and the start of its driver.
#[tokio::test(start_paused = true)]
async fn what_a_caller_began_comes_to_its_end_without_the_caller() {
    let world = World::new().await;
    let mut left_behind = 0;
    for patience in 0..40 {
        let name = format!("orders-{patience}");
        let input = with(s3(), json!({"DeliveryStreamName": name}));
        tokio::select! {
            biased;
            _ = world.call("CreateDeliveryStream", input) => {}
            () = turns(patience) => left_behind += 1,
        }
    }
    assert!(left_behind > 0, "some have hung up");
    world.pass(Duration::from_secs(11)).await;
    let listed = world.call("ListDeliveryStreams", json!({"Limit": 100})).await.unwrap();
    let names = listed["DeliveryStreamNames"].as_array().unwrap().clone();
    for name in &names {
        let described = world.describe(name.as_str().unwrap()).await.unwrap();
        assert_eq!(described["DeliveryStreamStatus"], "ACTIVE", "{name}");
    }
    assert!(!names.is_empty());
}

async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}
