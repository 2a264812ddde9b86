//! What can be set on streams and accounts.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_api::kinesis::*;

use super::world::*;

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

async fn add_tags(world: &World, pairs: &[(&str, &str)]) -> Result<(), AddTagsToStreamError> {
    let input = AddTagsToStreamInput {
        stream_name: Some("orders".into()),
        tags: tags(pairs),
        ..Default::default()
    };
    world.streams.add_tags_to_stream(&world.call("AddTagsToStream"), input).await
}

async fn remove_tags(world: &World, keys: &[&str]) -> Result<(), RemoveTagsFromStreamError> {
    let input = RemoveTagsFromStreamInput {
        stream_name: Some("orders".into()),
        tag_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        ..Default::default()
    };
    world.streams.remove_tags_from_stream(&world.call("RemoveTagsFromStream"), input).await
}

async fn tags_of(world: &World, arn: &str) -> Vec<(String, String)> {
    let input = ListTagsForResourceInput { resource_arn: arn.into(), ..Default::default() };
    let call = world.call("ListTagsForResource");
    let output = world.streams.list_tags_for_resource(&call, input).await.unwrap();
    output.tags.unwrap().into_iter().map(|tag| (tag.key, tag.value.unwrap())).collect()
}

#[tokio::test(start_paused = true)]
async fn tags_are_set_listed_and_removed_by_both_apis() {
    let world = World::new().await;
    let input = CreateStreamInput {
        stream_name: "orders".into(),
        tags: Some(tags(&[("made", "so")])),
        ..Default::default()
    };
    world.streams.create_stream(&world.call("CreateStream"), input).await.unwrap();
    world.settle().await;
    add_tags(&world, &[("a", "1"), ("b", "2"), ("ключ", "значение 3")]).await.unwrap();
    let list = async |limit, after: Option<&str>| {
        let input = ListTagsForStreamInput {
            stream_name: Some("orders".into()),
            limit,
            exclusive_start_tag_key: after.map(Into::into),
            ..Default::default()
        };
        let call = world.call("ListTagsForStream");
        let output = world.streams.list_tags_for_stream(&call, input).await.unwrap();
        let keys: Vec<String> = output.tags.into_iter().map(|tag| tag.key).collect();
        (keys.join(" "), output.has_more_tags)
    };
    assert_eq!(list(Some(2), None).await, ("a b".into(), true));
    assert_eq!(list(None, Some("b")).await, ("made ключ".into(), false));
    let input = TagResourceInput {
        resource_arn: arn("orders"),
        tags: tags(&[("a", "new")]),
        ..Default::default()
    };
    world.streams.tag_resource(&world.call("TagResource"), input).await.unwrap();
    remove_tags(&world, &["b", "made", "never there"]).await.unwrap();
    let input = UntagResourceInput {
        resource_arn: arn("orders"),
        tag_keys: vec!["ключ".into()],
        ..Default::default()
    };
    world.streams.untag_resource(&world.call("UntagResource"), input).await.unwrap();
    assert_eq!(tags_of(&world, &arn("orders")).await, [("a".into(), "new".into())]);
}

#[tokio::test(start_paused = true)]
async fn tags_have_the_characters_and_the_number_of_the_service() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let text = "Some tags contain invalid characters. Valid characters: Unicode letters, digits, \
                white space, _ . / = + - % @.";
    for bad in ["abc;def", "abc\tdef", "abc\ndef", "abc,def"] {
        refused(add_tags(&world, &[(bad, "1")]).await, "InvalidArgumentException", text);
        refused(add_tags(&world, &[("a", bad)]).await, "InvalidArgumentException", text);
        refused(remove_tags(&world, &[bad]).await, "InvalidArgumentException", text);
    }
    let text = |verb: &str| {
        format!(
            "Failed to {verb} stream orders under account 123456789012 because some tags \
             contained illegal characters. The allowed characters are Unicode letters, \
             white-spaces, '_',',','/','=','+','-','@'."
        )
    };
    let result = add_tags(&world, &[("abc%def", "1")]).await;
    refused(result, "InvalidArgumentException", &text("add tags to"));
    let result = remove_tags(&world, &["abc%def"]).await;
    refused(result, "InvalidArgumentException", &text("remove tags from"));
    let many: Vec<String> = (0..50).map(|i| format!("key {i}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|key| (&**key, "")).collect();
    add_tags(&world, &many).await.unwrap();
    add_tags(&world, &many[..3]).await.unwrap();
    let text = "Failed to add tags to stream orders under account 123456789012 because a given \
                stream cannot have more than 50 tags associated with it.";
    refused(add_tags(&world, &[("more", "")]).await, "InvalidArgumentException", text);
}

#[tokio::test(start_paused = true)]
async fn consumers_have_tags_and_policies_of_their_own() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let input = RegisterStreamConsumerInput {
        stream_arn: arn("orders"),
        consumer_name: "billing".into(),
        tags: Some(tags(&[("team", "blue")])),
        ..Default::default()
    };
    let call = world.call("RegisterStreamConsumer");
    let consumer = world.streams.register_stream_consumer(&call, input).await.unwrap().consumer;
    assert_eq!(tags_of(&world, &consumer.consumer_arn).await, [("team".into(), "blue".into())]);
    assert!(tags_of(&world, &arn("orders")).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_hangs_on_a_consumer_is_changed_while_it_is_active_only() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let input = RegisterStreamConsumerInput {
        stream_arn: arn("orders"),
        consumer_name: "billing".into(),
        ..Default::default()
    };
    let call = world.call("RegisterStreamConsumer");
    let consumer = world.streams.register_stream_consumer(&call, input).await.unwrap().consumer;
    let resource_arn = consumer.consumer_arn.clone();
    let tag = async || {
        let tags = tags(&[("team", "blue")]);
        let input =
            TagResourceInput { tags, resource_arn: resource_arn.clone(), ..Default::default() };
        world.streams.tag_resource(&world.call("TagResource"), input).await
    };
    let put_policy = async || {
        let policy = POLICY.to_owned();
        let input = PutResourcePolicyInput {
            policy,
            resource_arn: resource_arn.clone(),
            ..Default::default()
        };
        world.streams.put_resource_policy(&world.call("PutResourcePolicy"), input).await
    };
    let text = "Consumer billing with creation timestamp 1700000001 under stream: orders, account \
                123456789012 is not in ACTIVE status.";
    refused(tag().await, "ResourceInUseException", text);
    refused(put_policy().await, "ResourceInUseException", text);
    world.settle().await;
    tag().await.unwrap();
    put_policy().await.unwrap();
    let consumer_arn = Some(consumer.consumer_arn);
    let input = DeregisterStreamConsumerInput { consumer_arn, ..Default::default() };
    let call = world.call("DeregisterStreamConsumer");
    world.streams.deregister_stream_consumer(&call, input).await.unwrap();
    refused(tag().await, "ResourceInUseException", text);
    refused(put_policy().await, "ResourceInUseException", text);
}

const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"kinesis:GetRecords","Resource":"*"}]}"#;

#[tokio::test(start_paused = true)]
async fn an_unset_resource_policy_reads_as_an_empty_one() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let get = async || {
        let input = GetResourcePolicyInput { resource_arn: arn("orders"), ..Default::default() };
        let call = world.call("GetResourcePolicy");
        world.streams.get_resource_policy(&call, input).await.unwrap().policy
    };
    let put = async |policy: &str| {
        let policy = policy.to_owned();
        let input =
            PutResourcePolicyInput { resource_arn: arn("orders"), policy, ..Default::default() };
        world.streams.put_resource_policy(&world.call("PutResourcePolicy"), input).await
    };
    let delete = async || {
        let input = DeleteResourcePolicyInput { resource_arn: arn("orders"), ..Default::default() };
        world.streams.delete_resource_policy(&world.call("DeleteResourcePolicy"), input).await
    };
    assert_eq!(get().await, "");
    put(POLICY).await.unwrap();
    assert_eq!(get().await, POLICY);
    let error = put("{").await.unwrap_err();
    assert!(matches!(error, PutResourcePolicyError::InvalidArgument(_)), "{error}");
    delete().await.unwrap();
    assert_eq!(get().await, "");
    let error = delete().await.unwrap_err();
    assert!(matches!(error, DeleteResourcePolicyError::ResourceNotFound(_)), "{error}");
}

async fn increase(world: &World, hours: i32) -> Result<(), IncreaseStreamRetentionPeriodError> {
    let input = IncreaseStreamRetentionPeriodInput {
        stream_name: Some("orders".into()),
        retention_period_hours: hours,
        ..Default::default()
    };
    let call = world.call("IncreaseStreamRetentionPeriod");
    world.streams.increase_stream_retention_period(&call, input).await
}

async fn decrease(world: &World, hours: i32) -> Result<(), DecreaseStreamRetentionPeriodError> {
    let input = DecreaseStreamRetentionPeriodInput {
        stream_name: Some("orders".into()),
        retention_period_hours: hours,
        ..Default::default()
    };
    let call = world.call("DecreaseStreamRetentionPeriod");
    world.streams.decrease_stream_retention_period(&call, input).await
}

#[tokio::test(start_paused = true)]
async fn retention_goes_up_and_down_and_staying_is_no_error() {
    let world = World::new().await;
    world.create("orders", 1).await;
    increase(&world, 24).await.unwrap();
    increase(&world, 25).await.unwrap();
    world.settle().await;
    assert_eq!(world.summary("orders").await.retention_period_hours, 25);
    let code = "InvalidArgumentException";
    let text = "Requested retention period (24 hours) for stream orders can not be shorter than \
                existing retention period (25 hours). Use DecreaseRetentionPeriod API.";
    refused(increase(&world, 24).await, code, text);
    let text = "Requested retention period (26 hours) for stream orders can not be longer than \
                existing retention period (25 hours). Use IncreaseRetentionPeriod API.";
    refused(decrease(&world, 26).await, code, text);
    let text = "Minimum allowed retention period is 24 hours. Requested retention period (23 \
                hours) is too short.";
    refused(increase(&world, 23).await, code, text);
    refused(decrease(&world, 23).await, code, text);
    let text = "Maximum allowed retention period is 8760 hours. Requested retention period (8761 \
                hours) is too long.";
    refused(increase(&world, 8_761).await, code, text);
    decrease(&world, 24).await.unwrap();
    world.settle().await;
    assert_eq!(world.summary("orders").await.retention_period_hours, 24);
}

#[tokio::test(start_paused = true)]
async fn a_longer_retention_keeps_records_longer() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.put("orders", "a", b"1").await;
    increase(&world, 48).await.unwrap();
    world.pass(Duration::from_secs(47 * 3_600)).await;
    assert_eq!(world.drain("orders", "0").await.len(), 1);
    decrease(&world, 24).await.unwrap();
    world.pass(Duration::from_secs(60)).await;
    assert!(world.drain("orders", "0").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn enhanced_monitoring_answers_with_before_and_after() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let input = EnableEnhancedMonitoringInput {
        stream_name: Some("orders".into()),
        shard_level_metrics: vec![MetricsName::IncomingBytes, MetricsName::OutgoingBytes],
        ..Default::default()
    };
    let call = world.call("EnableEnhancedMonitoring");
    let output = world.streams.enable_enhanced_monitoring(&call, input).await.unwrap();
    assert_eq!(output.current_shard_level_metrics, Some(vec![]));
    assert_eq!(output.desired_shard_level_metrics.unwrap().len(), 2);
    world.settle().await;
    let input = DisableEnhancedMonitoringInput {
        stream_name: Some("orders".into()),
        shard_level_metrics: vec![MetricsName::All],
        ..Default::default()
    };
    let call = world.call("DisableEnhancedMonitoring");
    let output = world.streams.disable_enhanced_monitoring(&call, input).await.unwrap();
    assert_eq!(output.current_shard_level_metrics.unwrap().len(), 2);
    assert_eq!(output.desired_shard_level_metrics, Some(vec![]));
    assert_eq!(output.stream_arn, Some(arn("orders")));
}

#[tokio::test(start_paused = true)]
async fn limits_count_open_shards_and_on_demand_streams() {
    let world = World::new().await;
    world.create("orders", 3).await;
    let input = CreateStreamInput {
        stream_name: "clicks".into(),
        stream_mode_details: Some(StreamModeDetails { stream_mode: StreamMode::OnDemand }),
        ..Default::default()
    };
    world.streams.create_stream(&world.call("CreateStream"), input).await.unwrap();
    let call = world.call("DescribeLimits");
    let limits = world.streams.describe_limits(&call, DescribeLimitsInput {}).await.unwrap();
    assert_eq!((limits.open_shard_count, limits.on_demand_stream_count), (3, 1));
    assert!(limits.shard_limit >= 500 && limits.on_demand_stream_count_limit >= 50);
}

async fn switch(world: &World, stream_mode: StreamMode) -> Result<(), UpdateStreamModeError> {
    let input = UpdateStreamModeInput {
        stream_arn: arn("orders"),
        stream_mode_details: StreamModeDetails { stream_mode },
        ..Default::default()
    };
    let result = world.streams.update_stream_mode(&world.call("UpdateStreamMode"), input).await;
    world.settle().await;
    result
}

#[tokio::test(start_paused = true)]
async fn modes_switch_and_on_demand_streams_are_not_scaled_by_hand() {
    let world = World::new().await;
    world.create("orders", 2).await;
    switch(&world, StreamMode::OnDemand).await.unwrap();
    let summary = world.summary("orders").await;
    assert_eq!(summary.stream_mode_details.unwrap().stream_mode, StreamMode::OnDemand);
    assert_eq!(summary.open_shard_count, 2);
    let input = UpdateShardCountInput {
        stream_name: Some("orders".into()),
        target_shard_count: 4,
        ..Default::default()
    };
    let call = world.call("UpdateShardCount");
    let error = world.streams.update_shard_count(&call, input).await.unwrap_err();
    assert!(matches!(error, UpdateShardCountError::Validation(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn with_quotas_modes_switch_twice_a_day() {
    let world = World::with_quotas().await;
    world.create("orders", 1).await;
    switch(&world, StreamMode::OnDemand).await.unwrap();
    switch(&world, StreamMode::Provisioned).await.unwrap();
    let error = switch(&world, StreamMode::OnDemand).await.unwrap_err();
    assert!(matches!(error, UpdateStreamModeError::LimitExceeded(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn warm_throughput_scales_an_on_demand_stream_ahead_of_its_load() {
    let world = World::new().await;
    world.create("orders", 2).await;
    let warm = async |mibps| {
        let input = UpdateStreamWarmThroughputInput {
            stream_name: Some("orders".into()),
            warm_throughput_mibps: mibps,
            ..Default::default()
        };
        let call = world.call("UpdateStreamWarmThroughput");
        world.streams.update_stream_warm_throughput(&call, input).await
    };
    let error = warm(10).await.unwrap_err();
    assert!(matches!(error, UpdateStreamWarmThroughputError::Validation(_)), "{error}");
    switch(&world, StreamMode::OnDemand).await.unwrap();
    let output = warm(10).await.unwrap().warm_throughput.unwrap();
    assert_eq!((output.target_mibps, output.current_mibps), (Some(10), Some(2)));
    world.settle().await;
    let summary = world.summary("orders").await;
    assert_eq!(summary.open_shard_count, 10);
    assert_eq!(summary.warm_throughput.unwrap().current_mibps, Some(10));
    warm(3).await.unwrap();
    assert_eq!(world.summary("orders").await.stream_status, StreamStatus::Updating);
    world.settle().await;
    assert_eq!(world.summary("orders").await.open_shard_count, 10, "never taken away");
}

#[tokio::test(start_paused = true)]
async fn a_commitment_runs_for_a_day_at_least() {
    use MinimumThroughputBillingCommitmentInputStatus as Asked;
    use MinimumThroughputBillingCommitmentOutputStatus as Status;
    let world = World::new().await;
    let set = async |status| {
        let commitment = MinimumThroughputBillingCommitmentInput { status };
        let input =
            UpdateAccountSettingsInput { minimum_throughput_billing_commitment: commitment };
        world.streams.update_account_settings(&world.call("UpdateAccountSettings"), input).await
    };
    let get = async || {
        let call = world.call("DescribeAccountSettings");
        let output =
            world.streams.describe_account_settings(&call, DescribeAccountSettingsInput {}).await;
        output.unwrap().minimum_throughput_billing_commitment.unwrap().status
    };
    assert_eq!(get().await, Status::Disabled);
    set(Asked::Enabled).await.unwrap();
    assert_eq!(get().await, Status::Enabled);
    let error = set(Asked::Disabled).await.unwrap_err();
    assert!(matches!(error, UpdateAccountSettingsError::InvalidArgument(_)), "{error}");
    world.pass(Duration::from_secs(24 * 3_600)).await;
    set(Asked::Disabled).await.unwrap();
    assert_eq!(get().await, Status::Disabled);
}
