//! Puts, up to the log.

use std::time::Duration;

use millstream_catalog::memory::AppendFault;
use millstream_log::AppendError;
use serde_json::{Value, json};

use super::world::*;

#[tokio::test(start_paused = true)]
async fn records_are_stored_in_order_as_one_batch_and_answered_one_by_one() {
    let world = World::new().await;
    world.create("orders", s3()).await.unwrap();
    let put = world.put("orders", &[b"a", b"", b"c"]).await.unwrap();
    assert_eq!(put["FailedPutCount"], 0);
    assert_eq!(put["Encrypted"], false);
    let ids: Vec<&str> =
        put["RequestResponses"].as_array().unwrap().iter().filter_map(id_of).collect();
    assert_eq!(ids.len(), 3);
    let input = json!({"DeliveryStreamName": "orders", "Record": record(b"d")});
    let put = world.call("PutRecord", input).await.unwrap();
    assert_eq!(put["Encrypted"], false);
    assert!(!ids.contains(&put["RecordId"].as_str().unwrap()));
    assert_eq!(world.stored("orders"), [b"a".to_vec(), b"".into(), b"c".into(), b"d".into()]);
}

fn id_of(response: &Value) -> Option<&str> {
    assert_eq!(response.get("ErrorCode"), None);
    response["RecordId"].as_str()
}

#[tokio::test(start_paused = true)]
async fn a_put_waits_out_creating_but_not_with_quotas() {
    let world = World::new().await;
    let input = with(s3(), json!({"DeliveryStreamName": "orders"}));
    world.call("CreateDeliveryStream", input.clone()).await.unwrap();
    world.put("orders", &[b"early"]).await.unwrap();
    assert_eq!(world.stored("orders"), [b"early"]);
    let world = World::with_quotas().await;
    world.call("CreateDeliveryStream", input).await.unwrap();
    let text = "Firehose orders under account 123456789012 not found.";
    refused(world.put("orders", &[b"early"]).await, "ResourceNotFoundException", text);
}

#[tokio::test(start_paused = true)]
async fn a_call_holds_four_mebibytes_and_a_record_a_thousand_kibibytes() {
    let world = World::new().await;
    world.create("orders", s3()).await.unwrap();
    let largest = vec![b'a'; 1_024_000];
    let rest = vec![b'b'; 4 * 1024 * 1024 - 4 * 1_024_000];
    let full: [&[u8]; 5] = [&largest, &largest, &largest, &largest, &rest];
    world.put("orders", &full).await.unwrap();
    let told = world.put("orders", &[&full[..], &[b"c"]].concat()).await;
    refused(told, "InvalidArgumentException", "Records size exceeds 4 MB limit");
    let too_large = vec![b'a'; 1_024_001];
    let told = world.put("orders", &[&too_large]).await.expect_err("refused");
    assert_eq!(told.code, "ValidationException");
    let told = world.put("orders", &vec![&b"a"[..]; 501]).await.expect_err("refused");
    assert_eq!(told.code, "ValidationException");
    assert_eq!(world.stored("orders").len(), 5);
}

#[tokio::test(start_paused = true)]
async fn only_direct_puts_are_put_to() {
    let world = World::new().await;
    let kinesis = json!({
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {"KinesisStreamARN": STREAM_ARN, "RoleARN": ROLE},
    });
    world.create("orders", with(s3(), kinesis)).await.unwrap();
    let text = "This operation is not permitted on KinesisStreamAsSource delivery stream type.";
    refused(world.put("orders", &[b"a"]).await, "InvalidArgumentException", text);
}

#[tokio::test(start_paused = true)]
async fn with_decompression_only_what_cloudwatch_logs_sends_is_taken() {
    let world = World::new().await;
    let processors = json!([{
        "Type": "Decompression",
        "Parameters": [{"ParameterName": "CompressionFormat", "ParameterValue": "GZIP"}],
    }]);
    let processing = json!({"Enabled": true, "Processors": processors});
    let destination = extended(json!({"ProcessingConfiguration": processing}));
    world.create("logs", destination).await.unwrap();
    world.put("logs", &[&[0x1f, 0x8b, 8]]).await.unwrap();
    let text = "Only requests from CloudWatch Logs are supported when CloudWatch Logs \
                decompression is enabled.";
    let told = world.put("logs", &[&[0x1f, 0x8b, 8], b"plain"]).await;
    refused(told, "InvalidSourceException", text);
    assert_eq!(world.stored("logs").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_log_does_not_take_is_not_acknowledged() {
    let world = World::new().await;
    world.create("orders", s3()).await.unwrap();
    for (error, code, text) in [
        (AppendError::Overloaded, "ServiceUnavailableException", "Slow down."),
        (AppendError::NoSpace, "ServiceUnavailableException", "Slow down."),
        (AppendError::Stopped(String::new()), "InternalFailure", "Internal service failure."),
    ] {
        world.log.order(AppendFault::Refused(error));
        refused(world.put("orders", &[b"a"]).await, code, text);
    }
    assert!(world.stored("orders").is_empty());
    world.put("orders", &[b"b"]).await.unwrap();
    assert_eq!(world.stored("orders"), [b"b"]);
}

#[tokio::test(start_paused = true)]
async fn with_quotas_the_records_beyond_them_fail_one_by_one() {
    let world = World::with_quotas().await;
    world.create("orders", s3()).await.unwrap();
    // Five mebibytes a second in this region.
    let largest = vec![b'a'; 1_024_000];
    let four: [&[u8]; 4] = [&largest; 4];
    world.put("orders", &four).await.unwrap();
    let put = world.put("orders", &[&largest, &largest, b"small"]).await.unwrap();
    assert_eq!(put["FailedPutCount"], 1);
    let responses = put["RequestResponses"].as_array().unwrap();
    assert!(responses[0]["RecordId"].is_string());
    let failed = json!({"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."});
    assert_eq!(responses[1], failed);
    assert!(responses[2]["RecordId"].is_string());
    let stored = world.stored("orders");
    assert_eq!(stored.len(), 6, "what failed is not stored, and what follows it is");
    assert_eq!(stored[5], b"small");
    let told = world.put("orders", &[&largest]).await;
    refused(told, "ServiceUnavailableException", "Slow down.");
    world.pass(Duration::from_secs(1)).await;
    world.put("orders", &[&largest]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_is_counted_and_what_is_throttled_apart() {
    let world = World::with_quotas().await;
    world.create("orders", s3()).await.unwrap();
    assert_eq!(world.firehose.put_quotas(), Some([2_000, 500_000, 5 * 1024 * 1024]));
    world.put("orders", &[b"one", b"three"]).await.unwrap();
    let large = vec![7; 1_000_000];
    for _ in 0..2 {
        world.put("orders", &[&large, &large, &large]).await.unwrap();
    }
    let counted = world.firehose.incoming();
    let expected = crate::Incoming { requests: 3, records: 7, bytes: 5_000_008, throttled: 1 };
    let arn = "arn:aws:firehose:us-east-1:123456789012:deliverystream/orders";
    assert_eq!(counted, [(arn.to_owned(), expected)]);
    world.call("DeleteDeliveryStream", json!({"DeliveryStreamName": "orders"})).await.unwrap();
    world.settle().await;
    assert!(world.firehose.incoming().is_empty());
}
