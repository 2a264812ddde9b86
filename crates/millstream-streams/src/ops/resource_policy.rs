//! `PutResourcePolicy`, `GetResourcePolicy`, `DeleteResourcePolicy`: of streams and of consumers.
//!
//! A resource without a policy answers with an empty one (observed).

use millstream_api::kinesis::{
    DeleteResourcePolicyInput, GetResourcePolicyInput, GetResourcePolicyOutput,
    PutResourcePolicyInput,
};
use millstream_auth::{Policy, PolicyKind};

use crate::refusal::Refusal;
use crate::resolve::{Request, RequestTags};
use crate::state::{Command, Stream, StreamChange, StreamStatus, TagTarget};
use crate::streams::Streams;

pub(super) async fn put(
    streams: &Streams,
    request: &Request<'_>,
    input: PutResourcePolicyInput,
) -> Result<(), Refusal> {
    let resource = streams.resolve_resource(request, &input.resource_arn, RequestTags::NONE)?;
    let (stream, target) = resource.parts();
    // Only what reads is kept, so that a policy in force is never one that nobody understands.
    Policy::parse(&input.policy, PolicyKind::Resource)
        .map_err(|error| Refusal::PolicyInvalid(error.to_string()))?;
    set(streams, &stream, target, Some(input.policy)).await
}

pub(super) async fn delete(
    streams: &Streams,
    request: &Request<'_>,
    input: DeleteResourcePolicyInput,
) -> Result<(), Refusal> {
    let resource = streams.resolve_resource(request, &input.resource_arn, RequestTags::NONE)?;
    let (stream, target) = resource.parts();
    if policy_of(&stream, &target).is_none() {
        return Err(Refusal::NoPolicy(input.resource_arn));
    }
    set(streams, &stream, target, None).await
}

pub(super) async fn get(
    streams: &Streams,
    request: &Request<'_>,
    input: GetResourcePolicyInput,
) -> Result<GetResourcePolicyOutput, Refusal> {
    let resource = streams.resolve_resource(request, &input.resource_arn, RequestTags::NONE)?;
    let (stream, target) = resource.parts();
    let policy = policy_of(&stream, &target).cloned().unwrap_or_default();
    Ok(GetResourcePolicyOutput { policy })
}

fn policy_of<'a>(stream: &'a Stream, target: &TagTarget) -> Option<&'a String> {
    match target {
        TagTarget::Stream => stream.policy.as_ref(),
        TagTarget::Consumer(name) => stream.consumers.get(name)?.policy.as_ref(),
    }
}

async fn set(
    streams: &Streams,
    stream: &Stream,
    target: TagTarget,
    policy: Option<String>,
) -> Result<(), Refusal> {
    streams.wait_out(stream, &[StreamStatus::Creating]).await?;
    let uid = stream.uid;
    streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(stream))?;
            stream.require_changeable(&target)?;
            let change = StreamChange::Policy { target, policy };
            Ok((Some(Command::UpdateStream { stream: uid, change, updating: false }), ()))
        })
        .await
}
