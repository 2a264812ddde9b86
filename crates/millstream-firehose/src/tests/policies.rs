//! Keys whose policies say what they may do.

use std::sync::Arc;

use millstream_auth::sigv4::{Payload, SignedRequest, Signer, SigningCredentials};
use millstream_auth::{
    AccessKeys, Keyring, MasterKey, NewAccessKey, Policy, PolicyKind, VerifiedCaller, Verifier,
};
use millstream_core::SeededRand;
use serde_json::json;

use super::world::*;

/// A caller who proved to hold a key with that policy, as none can be made otherwise.
fn holder(policy: &str) -> VerifiedCaller {
    let rand = Arc::new(SeededRand::new(1));
    let keyring = Keyring::new(MasterKey::generate(rand.as_ref()), Vec::new(), rand.clone());
    let mut keys = AccessKeys::new();
    let new = NewAccessKey {
        account: ACCOUNT.parse().unwrap(),
        user_name: Some("ada".to_owned()),
        policies: vec![Policy::parse(policy, PolicyKind::Identity).unwrap()],
    };
    let key = keys.create(new, START, rand.as_ref()).unwrap();
    let verifier = Verifier::new(REGION.parse().unwrap(), &keys, &keyring);
    let request = http::Request::post("/").header("host", "localhost");
    let mut parts = request.body(()).unwrap().into_parts().0;
    let credentials = SigningCredentials {
        access_key_id: key.access_key_id,
        secret_access_key: key.secret_access_key,
        session_token: None,
    };
    let payload = || Payload::Bytes(b"{}");
    Signer::new(credentials, REGION, "firehose").sign(&mut parts, payload(), START).unwrap();
    let request = SignedRequest::of(&parts);
    let pending = verifier.begin(&request, "firehose", START).unwrap();
    pending.finish(&request, payload(), true).unwrap()
}

fn policy(statement: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#)
}

#[tokio::test(start_paused = true)]
async fn a_key_does_what_its_policy_allows_and_learns_of_nothing_else() {
    let mut world = World::new().await;
    world.create("orders", s3()).await.unwrap();
    world.create("secrets", s3()).await.unwrap();
    let statement = r#"{"Effect":"Allow","Action":"firehose:Describe*",
        "Resource":"arn:aws:firehose:us-east-1:123456789012:deliverystream/orders"}"#;
    world.caller = holder(&policy(statement));
    world.describe("orders").await.unwrap();
    let text = "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: \
                firehose:DescribeDeliveryStream on resource: \
                arn:aws:firehose:us-east-1:123456789012:deliverystream/secrets because no \
                identity-based policy allows the firehose:DescribeDeliveryStream action";
    refused(world.describe("secrets").await, "AccessDeniedException", text);
    // One that is not there is refused in the same words.
    let absent = text.replace("secrets", "absent");
    refused(world.describe("absent").await, "AccessDeniedException", &absent);
    for (operation, more) in [
        ("PutRecord", json!({"Record": record(b"a")})),
        ("DeleteDeliveryStream", json!({})),
        ("CreateDeliveryStream", s3()),
    ] {
        let input = with(json!({"DeliveryStreamName": "orders"}), more);
        let told = world.call(operation, input).await.expect_err("denied");
        assert_eq!(told.code, "AccessDeniedException", "{operation}");
    }
    let told = world.call("ListDeliveryStreams", json!({})).await.expect_err("denied");
    assert!(told.text.contains("on resource: * because"), "{}", told.text);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_sees_what_it_may_describe() {
    let mut world = World::new().await;
    world.create("orders", s3()).await.unwrap();
    world.create("secrets", s3()).await.unwrap();
    let seen = |world: &World| -> Vec<(String, &'static str, &'static str, bool)> {
        let ip = std::net::IpAddr::from([127, 0, 0, 1]);
        let all = world.firehose.overview(&world.caller, ip, START).into_iter();
        all.map(|stream| (stream.name, stream.status, stream.source, stream.holds)).collect()
    };
    let line = |name: &str| (name.to_owned(), "ACTIVE", "DirectPut", true);
    assert_eq!(seen(&world), [line("orders"), line("secrets")]);
    let statement = r#"{"Effect":"Allow","Action":"firehose:Describe*",
        "Resource":"arn:aws:firehose:us-east-1:123456789012:deliverystream/orders"}"#;
    world.caller = holder(&policy(statement));
    assert_eq!(seen(&world), [line("orders")]);
}

#[tokio::test(start_paused = true)]
async fn tags_of_the_request_and_of_the_delivery_stream_are_conditions() {
    let mut world = World::new().await;
    let team = |value: &str| json!({"Tags": [{"Key": "team", "Value": value}]});
    world.create("theirs", with(s3(), team("app"))).await.unwrap();
    let statements = r#"
        {"Effect":"Allow","Action":"firehose:CreateDeliveryStream","Resource":"*",
         "Condition":{"StringEquals":{"aws:RequestTag/team":"web"}}},
        {"Effect":"Allow","Action":"firehose:DescribeDeliveryStream","Resource":"*",
         "Condition":{"StringEquals":{"aws:ResourceTag/team":"web"}}}"#;
    world.caller = holder(&policy(statements));
    world.create("ours", with(s3(), team("web"))).await.unwrap();
    world.describe("ours").await.unwrap();
    let told = world.create("untagged", s3()).await.expect_err("denied");
    assert_eq!(told.code, "AccessDeniedException");
    let told = world.describe("theirs").await.expect_err("denied");
    assert_eq!(told.code, "AccessDeniedException");
}
