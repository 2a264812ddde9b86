//! The operations: one file each, or one for a small family.
//!
//! Owns the conversion between the API's types and the domain's, once, at the top of each
//! operation. Nothing outside this folder names the API's types.
//!
//! Each operation is a function `(firehose, request, input) -> Result<output, Refusal>`; the
//! trait's methods below name it, say who asks for what, and turn a refusal into the operation's
//! own error in one place.

#![allow(clippy::unused_async)] // Operations have one shape, whether they wait or not.

mod create_delivery_stream;
mod delete_delivery_stream;
mod describe_delivery_stream;
mod destination;
mod encryption;
mod list_delivery_streams;
mod put;
mod tags;
mod update_destination;

#[allow(clippy::wildcard_imports)] // Every input, output and error of the service.
use millstream_api::firehose::*;
use millstream_api::{Call, OperationError};

use crate::refusal::Refusal;
use crate::resolve::Request;

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
#[allow(clippy::needless_pass_by_value)] // Shaped for `map_err`.
fn refused<E: OperationError>(refusal: Refusal) -> E {
    let message = refusal.to_string();
    E::from_code(refusal.kind().code(), message.clone())
        .or_else(|| E::from_code("InternalFailure", message))
        .expect("every operation can fail for an internal reason")
}

/// Methods of the trait that run the function named.
macro_rules! operations {
    ($($method:ident = $($run:ident)::+ ($input:ty) -> Result<$output:ty, $error:ty>;)+) => {
        impl Firehose for crate::Firehose {
            $(async fn $method(&self, call: &Call, input: $input) -> Result<$output, $error> {
                $($run)::+(self, &request_of(call), input).await.map_err(refused)
            })+
        }
    };
}

operations! {
    create_delivery_stream = create_delivery_stream::run(CreateDeliveryStreamInput)
        -> Result<CreateDeliveryStreamOutput, CreateDeliveryStreamError>;
    delete_delivery_stream = delete_delivery_stream::run(DeleteDeliveryStreamInput)
        -> Result<DeleteDeliveryStreamOutput, DeleteDeliveryStreamError>;
    describe_delivery_stream = describe_delivery_stream::run(DescribeDeliveryStreamInput)
        -> Result<DescribeDeliveryStreamOutput, DescribeDeliveryStreamError>;
    list_delivery_streams = list_delivery_streams::run(ListDeliveryStreamsInput)
        -> Result<ListDeliveryStreamsOutput, ListDeliveryStreamsError>;
    list_tags_for_delivery_stream = tags::list(ListTagsForDeliveryStreamInput)
        -> Result<ListTagsForDeliveryStreamOutput, ListTagsForDeliveryStreamError>;
    put_record = put::record(PutRecordInput) -> Result<PutRecordOutput, PutRecordError>;
    put_record_batch = put::batch(PutRecordBatchInput)
        -> Result<PutRecordBatchOutput, PutRecordBatchError>;
    start_delivery_stream_encryption = encryption::start(StartDeliveryStreamEncryptionInput)
        -> Result<StartDeliveryStreamEncryptionOutput, StartDeliveryStreamEncryptionError>;
    stop_delivery_stream_encryption = encryption::stop(StopDeliveryStreamEncryptionInput)
        -> Result<StopDeliveryStreamEncryptionOutput, StopDeliveryStreamEncryptionError>;
    tag_delivery_stream = tags::tag(TagDeliveryStreamInput)
        -> Result<TagDeliveryStreamOutput, TagDeliveryStreamError>;
    untag_delivery_stream = tags::untag(UntagDeliveryStreamInput)
        -> Result<UntagDeliveryStreamOutput, UntagDeliveryStreamError>;
    update_destination = update_destination::run(UpdateDestinationInput)
        -> Result<UpdateDestinationOutput, UpdateDestinationError>;
}
