//! The operations: one file each, or one for a small family.
//!
//! Owns the conversion between the API's types and the domain's, once, at the top of each
//! operation. Nothing outside this folder names the API's types.
//!
//! Each operation is a function `(streams, request, input) -> Result<output, Refusal>`; the trait's
//! methods below name it, say who asks for what, and turn a refusal into the operation's own error
//! in one place.

#![allow(clippy::unused_async)] // Operations have one shape, whether they wait or not.

mod account_settings;
mod consumers;
mod convert;
mod create_stream;
mod delete_stream;
mod describe_stream;
mod encryption;
mod get_records;
mod get_shard_iterator;
mod limits;
mod list_shards;
mod list_streams;
mod max_record_size;
mod merge_shards;
mod monitoring;
mod put_record;
mod put_records;
mod resource_policy;
mod resource_tags;
mod retention;
mod split_shard;
mod stream_mode;
mod stream_tags;
mod subscribe_to_shard;
mod update_shard_count;
mod warm_throughput;

#[allow(clippy::wildcard_imports)] // Every input, output and error of the service.
use millstream_api::kinesis::*;
use millstream_api::{Call, OperationError};

use crate::refusal::Refusal;
use crate::resolve::Request;
use crate::streams::Streams;

/// Who asks for what.
fn request_of(call: &Call) -> Request<'_> {
    Request {
        caller: &call.caller,
        action: call.operation.action,
        source_ip: call.source_ip,
        received: call.received,
    }
}

/// The operation's own error for a refusal. One that the operation's model lacks is an internal
/// failure: then the fault is ours.
fn refused<E: OperationError>(refusal: &Refusal) -> E {
    let message = refusal.to_string();
    let code = refusal.kind().code();
    E::from_code(code, message.clone())
        .or_else(|| E::from_code("InternalFailure", message.clone()))
        .or_else(|| E::from_code("InternalFailureException", message))
        .expect("every operation can fail for an internal reason")
}

/// Methods of the trait that run the function named.
macro_rules! operations {
    ($($method:ident = $($run:ident)::+ ($input:ty) -> Result<$output:ty, $error:ty>;)+) => {
        impl Kinesis for Streams {
            $(async fn $method(&self, call: &Call, input: $input) -> Result<$output, $error> {
                $($run)::+(self, &request_of(call), input).await.map_err(|refusal| refused(&refusal))
            })+
        }
    };
}

operations! {
    add_tags_to_stream = stream_tags::add(AddTagsToStreamInput) -> Result<(), AddTagsToStreamError>;
    create_stream = create_stream::run(CreateStreamInput) -> Result<(), CreateStreamError>;
    decrease_stream_retention_period = retention::decrease(DecreaseStreamRetentionPeriodInput)
        -> Result<(), DecreaseStreamRetentionPeriodError>;
    delete_resource_policy = resource_policy::delete(DeleteResourcePolicyInput)
        -> Result<(), DeleteResourcePolicyError>;
    delete_stream = delete_stream::run(DeleteStreamInput) -> Result<(), DeleteStreamError>;
    deregister_stream_consumer = consumers::deregister(DeregisterStreamConsumerInput)
        -> Result<(), DeregisterStreamConsumerError>;
    describe_account_settings = account_settings::describe(DescribeAccountSettingsInput)
        -> Result<DescribeAccountSettingsOutput, DescribeAccountSettingsError>;
    describe_limits = limits::run(DescribeLimitsInput)
        -> Result<DescribeLimitsOutput, DescribeLimitsError>;
    describe_stream = describe_stream::run(DescribeStreamInput)
        -> Result<DescribeStreamOutput, DescribeStreamError>;
    describe_stream_consumer = consumers::describe(DescribeStreamConsumerInput)
        -> Result<DescribeStreamConsumerOutput, DescribeStreamConsumerError>;
    describe_stream_summary = describe_stream::summary(DescribeStreamSummaryInput)
        -> Result<DescribeStreamSummaryOutput, DescribeStreamSummaryError>;
    disable_enhanced_monitoring = monitoring::disable(DisableEnhancedMonitoringInput)
        -> Result<EnhancedMonitoringOutput, DisableEnhancedMonitoringError>;
    enable_enhanced_monitoring = monitoring::enable(EnableEnhancedMonitoringInput)
        -> Result<EnhancedMonitoringOutput, EnableEnhancedMonitoringError>;
    get_records = get_records::run(GetRecordsInput) -> Result<GetRecordsOutput, GetRecordsError>;
    get_resource_policy = resource_policy::get(GetResourcePolicyInput)
        -> Result<GetResourcePolicyOutput, GetResourcePolicyError>;
    get_shard_iterator = get_shard_iterator::run(GetShardIteratorInput)
        -> Result<GetShardIteratorOutput, GetShardIteratorError>;
    increase_stream_retention_period = retention::increase(IncreaseStreamRetentionPeriodInput)
        -> Result<(), IncreaseStreamRetentionPeriodError>;
    list_shards = list_shards::run(ListShardsInput) -> Result<ListShardsOutput, ListShardsError>;
    list_stream_consumers = consumers::list(ListStreamConsumersInput)
        -> Result<ListStreamConsumersOutput, ListStreamConsumersError>;
    list_streams = list_streams::run(ListStreamsInput)
        -> Result<ListStreamsOutput, ListStreamsError>;
    list_tags_for_resource = resource_tags::list(ListTagsForResourceInput)
        -> Result<ListTagsForResourceOutput, ListTagsForResourceError>;
    list_tags_for_stream = stream_tags::list(ListTagsForStreamInput)
        -> Result<ListTagsForStreamOutput, ListTagsForStreamError>;
    merge_shards = merge_shards::run(MergeShardsInput) -> Result<(), MergeShardsError>;
    put_record = put_record::run(PutRecordInput) -> Result<PutRecordOutput, PutRecordError>;
    put_records = put_records::run(PutRecordsInput) -> Result<PutRecordsOutput, PutRecordsError>;
    put_resource_policy = resource_policy::put(PutResourcePolicyInput)
        -> Result<(), PutResourcePolicyError>;
    register_stream_consumer = consumers::register(RegisterStreamConsumerInput)
        -> Result<RegisterStreamConsumerOutput, RegisterStreamConsumerError>;
    remove_tags_from_stream = stream_tags::remove(RemoveTagsFromStreamInput)
        -> Result<(), RemoveTagsFromStreamError>;
    split_shard = split_shard::run(SplitShardInput) -> Result<(), SplitShardError>;
    start_stream_encryption = encryption::start(StartStreamEncryptionInput)
        -> Result<(), StartStreamEncryptionError>;
    stop_stream_encryption = encryption::stop(StopStreamEncryptionInput)
        -> Result<(), StopStreamEncryptionError>;
    subscribe_to_shard = subscribe_to_shard::run(SubscribeToShardInput)
        -> Result<SubscribeToShardOutput, SubscribeToShardError>;
    tag_resource = resource_tags::tag(TagResourceInput) -> Result<(), TagResourceError>;
    untag_resource = resource_tags::untag(UntagResourceInput) -> Result<(), UntagResourceError>;
    update_account_settings = account_settings::update(UpdateAccountSettingsInput)
        -> Result<UpdateAccountSettingsOutput, UpdateAccountSettingsError>;
    update_max_record_size = max_record_size::run(UpdateMaxRecordSizeInput)
        -> Result<(), UpdateMaxRecordSizeError>;
    update_shard_count = update_shard_count::run(UpdateShardCountInput)
        -> Result<UpdateShardCountOutput, UpdateShardCountError>;
    update_stream_mode = stream_mode::run(UpdateStreamModeInput)
        -> Result<(), UpdateStreamModeError>;
    update_stream_warm_throughput = warm_throughput::run(UpdateStreamWarmThroughputInput)
        -> Result<UpdateStreamWarmThroughputOutput, UpdateStreamWarmThroughputError>;
}
