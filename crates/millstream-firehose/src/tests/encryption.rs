//! Server-side encryption, proved on the bytes that are stored.

use std::time::Duration;

use millstream_log::{Log, Position};
use serde_json::{Value, json};

use super::world::*;

const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-123456789012";

async fn start(world: &World, more: Value) -> Result<Value, Told> {
    let input = with(json!({"DeliveryStreamName": "orders"}), more);
    world.call("StartDeliveryStreamEncryption", input).await
}

async fn stop(world: &World) -> Result<Value, Told> {
    world.call("StopDeliveryStreamEncryption", json!({"DeliveryStreamName": "orders"})).await
}

async fn encryption(world: &World) -> Value {
    world.describe("orders").await.unwrap()["DeliveryStreamEncryptionConfiguration"].take()
}

fn customers(arn: &str) -> Value {
    let key = json!({"KeyType": "CUSTOMER_MANAGED_CMK", "KeyARN": arn});
    json!({"DeliveryStreamEncryptionConfigurationInput": key})
}

#[tokio::test(start_paused = true)]
async fn nothing_of_an_encrypted_record_is_stored_as_it_is() {
    let world = World::new().await;
    world.create("orders", s3()).await.unwrap();
    world.put("orders", &[b"first secret"]).await.unwrap();
    assert!(world.is_stored(b"first secret"));
    start(&world, json!({})).await.unwrap();
    let enabling = json!({"Status": "ENABLING", "KeyType": "AWS_OWNED_CMK"});
    assert_eq!(encryption(&world).await, enabling);
    world.settle().await;
    let enabled = json!({"Status": "ENABLED", "KeyType": "AWS_OWNED_CMK"});
    assert_eq!(encryption(&world).await, enabled);
    let put = world.put("orders", &[b"second secret", b"third secret"]).await.unwrap();
    assert_eq!(put["Encrypted"], true);
    assert!(!world.is_stored(b"second secret") && !world.is_stored(b"third secret"));
    start(&world, customers(KEY)).await.unwrap();
    world.settle().await;
    let own = json!({"Status": "ENABLED", "KeyType": "CUSTOMER_MANAGED_CMK", "KeyARN": KEY});
    assert_eq!(encryption(&world).await, own);
    stop(&world).await.unwrap();
    assert_eq!(encryption(&world).await["Status"], "DISABLING");
    world.settle().await;
    assert_eq!(encryption(&world).await, json!({"Status": "DISABLED"}));
    let put = world.put("orders", &[b"plain again"]).await.unwrap();
    assert_eq!(put["Encrypted"], false);
    let stored = world.stored("orders");
    let texts: Vec<&str> = stored.iter().map(|data| std::str::from_utf8(data).unwrap()).collect();
    assert_eq!(texts, ["first secret", "second secret", "third secret", "plain again"]);
}

#[tokio::test(start_paused = true)]
async fn encryption_may_be_on_from_the_first_record() {
    let world = World::new().await;
    world.create("orders", with(s3(), customers(KEY))).await.unwrap();
    assert_eq!(encryption(&world).await["Status"], "ENABLED");
    assert_eq!(world.put("orders", &[b"secret"]).await.unwrap()["Encrypted"], true);
    assert!(!world.is_stored(b"secret"));
}

#[tokio::test(start_paused = true)]
async fn data_keys_are_rotated_survive_a_crash_and_go_with_what_they_sealed() {
    let mut world = World::new().await;
    world.create("orders", s3()).await.unwrap();
    start(&world, json!({})).await.unwrap();
    world.settle().await;
    for minute in 0..12_u8 {
        world.put("orders", &[&[minute]]).await.unwrap();
        world.pass(Duration::from_secs(60)).await;
    }
    let keys = |world: &World| {
        let streams = |registry: &crate::state::Registry| {
            registry.streams().map(|stream| stream.data_keys.len()).sum::<usize>()
        };
        world.firehose.catalog.read(streams)
    };
    assert_eq!(keys(&world), 3);
    world = world.crash().await;
    let expected: Vec<Vec<u8>> = (0..12_u8).map(|minute| vec![minute]).collect();
    assert_eq!(world.stored("orders"), expected);
    // A key made before the crash has an unknown counter: it opens, and never seals again.
    world.put("orders", &[b"after"]).await.unwrap();
    assert_eq!(keys(&world), 4);
    // However long it takes to deliver, keys stay.
    world.pass(Duration::from_secs(24 * 3_600)).await;
    assert_eq!(keys(&world), 4);
    let log = world.firehose.orders()[0].records.unwrap();
    world.log.trim(log, Position(12)).await.unwrap();
    world.pass(Duration::from_secs(60)).await;
    // Which of the old keys sealed what is not known, so all of them wait for the whole.
    assert_eq!(world.stored("orders"), [b"after"]);
    world.log.trim(log, Position(13)).await.unwrap();
    world.pass(Duration::from_secs(60)).await;
    // The last key is the one that seals, for as long as nobody asks for another.
    assert_eq!(keys(&world), 1);
    world.put("orders", &[b"later"]).await.unwrap();
    assert_eq!(world.stored("orders"), [b"later"]);
}

#[tokio::test(start_paused = true)]
async fn only_direct_puts_and_only_whole_keys_are_taken() {
    let world = World::new().await;
    let kinesis = json!({
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {"KinesisStreamARN": STREAM_ARN, "RoleARN": ROLE},
    });
    let text = "This operation is not permitted on KinesisStreamAsSource delivery stream type.";
    let both = with(with(s3(), kinesis.clone()), customers(KEY));
    refused(world.create("orders", both).await, "InvalidArgumentException", text);
    world.create("orders", with(s3(), kinesis)).await.unwrap();
    refused(start(&world, json!({})).await, "InvalidArgumentException", text);
    refused(stop(&world).await, "InvalidArgumentException", text);
    let key = |key: Value| json!({"DeliveryStreamEncryptionConfigurationInput": key});
    let lacks = key(json!({"KeyType": "CUSTOMER_MANAGED_CMK"}));
    let text = "KeyARN must be given with KeyType CUSTOMER_MANAGED_CMK.";
    refused(start(&world, lacks).await, "InvalidArgumentException", text);
    let extra = key(json!({"KeyType": "AWS_OWNED_CMK", "KeyARN": KEY}));
    let text = "KeyARN can be given with KeyType CUSTOMER_MANAGED_CMK only.";
    refused(start(&world, extra).await, "InvalidArgumentException", text);
}

#[tokio::test(start_paused = true)]
async fn one_change_comes_after_the_other() {
    let world = World::new().await;
    world.create("orders", s3()).await.unwrap();
    start(&world, json!({})).await.unwrap();
    let text = "Encryption of Firehose orders under account 123456789012 is ENABLING: try again \
                when that is over.";
    refused(stop(&world).await, "ResourceInUseException", text);
    world.settle().await;
    stop(&world).await.unwrap();
    refused(start(&world, json!({})).await, "ResourceInUseException", &text.replace("EN", "DIS"));
}

#[tokio::test(start_paused = true)]
async fn with_quotas_encryption_changes_25_times_a_day() {
    let world = World::with_quotas().await;
    world.create("orders", s3()).await.unwrap();
    for call in 0..25 {
        let told = if call % 2 == 0 { start(&world, json!({})).await } else { stop(&world).await };
        told.unwrap();
        world.settle().await;
    }
    assert_eq!(stop(&world).await.expect_err("refused").code, "LimitExceededException");
    world.pass(Duration::from_secs(24 * 3_600)).await;
    stop(&world).await.unwrap();
}
