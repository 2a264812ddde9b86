//! Keys whose policies say what they may do, and resources whose policies say who may.

use std::sync::Arc;

use millstream_api::kinesis::*;
use millstream_auth::sigv4::{Payload, SignedRequest, Signer, SigningCredentials};
use millstream_auth::{
    AccessKeys, Keyring, MasterKey, NewAccessKey, Policy, PolicyKind, VerifiedCaller, Verifier,
};
use millstream_core::SeededRand;

use super::world::*;

const ABROAD: &str = "999999999999";

/// A caller who proved to hold a key with that policy, as none can be made otherwise.
fn holder(account: &str, policy: &str) -> VerifiedCaller {
    let rand = Arc::new(SeededRand::new(1));
    let keyring = Keyring::new(MasterKey::generate(rand.as_ref()), Vec::new(), rand.clone());
    let mut keys = AccessKeys::new();
    let new = NewAccessKey {
        account: account.parse().unwrap(),
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
    Signer::new(credentials, REGION, "kinesis").sign(&mut parts, payload(), START).unwrap();
    let request = SignedRequest::of(&parts);
    let pending = verifier.begin(&request, "kinesis", START).unwrap();
    pending.finish(&request, payload(), true).unwrap()
}

fn statement(effect: &str, action: &str, resource: &str) -> String {
    format!(r#"{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}"#)
}

fn policy(statements: &[String]) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
}

fn denied<T: std::fmt::Debug>(result: Result<T, DescribeStreamSummaryError>, why: &str) {
    let error = result.expect_err("denied");
    assert!(matches!(error, DescribeStreamSummaryError::AccessDenied(_)), "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

async fn describe(
    world: &World,
    arn: &str,
) -> Result<StreamDescriptionSummary, DescribeStreamSummaryError> {
    let input = DescribeStreamSummaryInput { stream_arn: Some(arn.into()), ..Default::default() };
    let call = world.call("DescribeStreamSummary");
    let output = world.streams.describe_stream_summary(&call, input).await?;
    Ok(output.stream_description_summary)
}

#[tokio::test(start_paused = true)]
async fn a_key_does_what_its_policy_allows_and_learns_of_nothing_else() {
    let mut world = World::new().await;
    world.create("orders", 1).await;
    world.create("secrets", 1).await;
    let allows = statement("Allow", "kinesis:Describe*", &arn("orders"));
    world.caller = holder(ACCOUNT, &policy(&[allows]));
    assert_eq!(describe(&world, &arn("orders")).await.unwrap().stream_name, "orders");
    let why = "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: \
               kinesis:DescribeStreamSummary on resource: \
               arn:aws:kinesis:us-east-1:123456789012:stream/secrets because no identity-based \
               policy allows the kinesis:DescribeStreamSummary action";
    denied(describe(&world, &arn("secrets")).await, why);
    // One that is not there is refused in the same words.
    denied(describe(&world, &arn("absent")).await, &why.replace("secrets", "absent"));
    let error = world.put_records("orders", vec![entry("a", b"")]).await.unwrap_err();
    assert!(matches!(error, PutRecordsError::AccessDenied(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_deny_beats_every_allow() {
    let mut world = World::new().await;
    world.create("orders", 1).await;
    let statements = [
        statement("Allow", "kinesis:*", "*"),
        statement("Deny", "kinesis:DescribeStreamSummary", &arn("orders")),
    ];
    world.caller = holder(ACCOUNT, &policy(&statements));
    denied(describe(&world, &arn("orders")).await, "with an explicit deny in an identity-based");
    world.put_records("orders", vec![entry("a", b"")]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn conditions_read_the_tags_of_the_stream_and_of_the_request() {
    let mut world = World::new().await;
    world.create("orders", 1).await;
    let owner = world.caller.clone();
    let blue = r#"{"Effect":"Allow","Action":"kinesis:*","Resource":"*","Condition":
        {"StringEquals":{"aws:ResourceTag/team":"blue"}}}"#;
    let label = r#"{"Effect":"Allow","Action":"kinesis:AddTagsToStream","Resource":"*","Condition":
        {"StringEquals":{"aws:RequestTag/team":"blue"}}}"#;
    let ada = holder(ACCOUNT, &policy(&[blue.to_owned(), label.to_owned()]));
    let tag = async |world: &World, value: &str| {
        let input = AddTagsToStreamInput {
            stream_name: Some("orders".into()),
            tags: [("team".to_owned(), value.to_owned())].into(),
            ..Default::default()
        };
        world.streams.add_tags_to_stream(&world.call("AddTagsToStream"), input).await
    };
    tag(&world, "red").await.unwrap();
    world.caller = ada.clone();
    denied(describe(&world, &arn("orders")).await, "no identity-based policy allows");
    let error = tag(&world, "green").await.unwrap_err();
    assert!(matches!(error, AddTagsToStreamError::AccessDenied(_)), "{error}");
    tag(&world, "blue").await.unwrap();
    describe(&world, &arn("orders")).await.unwrap();
    world.caller = owner;
    tag(&world, "red").await.unwrap();
    world.caller = ada;
    denied(describe(&world, &arn("orders")).await, "no identity-based policy allows");
}

#[tokio::test(start_paused = true)]
async fn another_account_is_let_in_by_both_sides_only() {
    let mut world = World::new().await;
    world.create("orders", 1).await;
    let owner = world.caller.clone();
    let everything = policy(&[statement("Allow", "kinesis:*", "*")]);
    let stranger = holder(ABROAD, &everything);
    world.caller = stranger.clone();
    denied(describe(&world, &arn("orders")).await, "no resource-based policy allows");

    world.caller = owner;
    let lets_in = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",
            "Principal":{{"AWS":"arn:aws:iam::{ABROAD}:root"}},
            "Action":"kinesis:DescribeStreamSummary","Resource":"{}"}}]}}"#,
        arn("orders")
    );
    let input = PutResourcePolicyInput {
        resource_arn: arn("orders"),
        policy: lets_in,
        ..Default::default()
    };
    world.streams.put_resource_policy(&world.call("PutResourcePolicy"), input).await.unwrap();
    world.caller = stranger;
    describe(&world, &arn("orders")).await.unwrap();
    // By its bare name the stream would be one of the stranger's own.
    let text = "Stream orders under account 999999999999 not found.";
    refused(world.try_summary("orders").await, "ResourceNotFoundException", text);
    let input = PutRecordInput {
        stream_arn: Some(arn("orders")),
        partition_key: "a".into(),
        ..Default::default()
    };
    let error = world.streams.put_record(&world.call("PutRecord"), input).await.unwrap_err();
    assert!(matches!(error, PutRecordError::AccessDenied(_)), "{error}");

    // Its own side has to allow it, too.
    world.caller = holder(ABROAD, &policy(&[statement("Allow", "kinesis:List*", "*")]));
    denied(describe(&world, &arn("orders")).await, "no identity-based policy allows");
}
