//! `TagResource`, `UntagResource`, `ListTagsForResource`: of streams and of consumers.

use std::sync::Arc;

use millstream_api::kinesis::{
    ListTagsForResourceInput, ListTagsForResourceOutput, TagResourceInput, UntagResourceInput,
};

use super::stream_tags;
use crate::refusal::Refusal;
use crate::resolve::{Request, RequestTags, Resource};
use crate::state::{Stream, TagTarget};
use crate::streams::Streams;

impl Resource {
    /// The stream, and what of it is meant.
    pub(super) fn parts(self) -> (Arc<Stream>, TagTarget) {
        match self {
            Self::Stream(stream) => (stream, TagTarget::Stream),
            Self::Consumer(stream, name) => (stream, TagTarget::Consumer(name)),
        }
    }
}

pub(super) async fn tag(
    streams: &Streams,
    request: &Request<'_>,
    input: TagResourceInput,
) -> Result<(), Refusal> {
    let brought = RequestTags { set: &input.tags, keys: &[] };
    let (stream, target) = streams.resolve_resource(request, &input.resource_arn, brought)?.parts();
    stream_tags::check("add tags to", input.tags.iter(), &stream.named())?;
    stream_tags::set(streams, &stream, target, input.tags).await
}

pub(super) async fn untag(
    streams: &Streams,
    request: &Request<'_>,
    input: UntagResourceInput,
) -> Result<(), Refusal> {
    let brought = RequestTags { keys: &input.tag_keys, ..RequestTags::NONE };
    let (stream, target) = streams.resolve_resource(request, &input.resource_arn, brought)?.parts();
    stream_tags::check_texts("remove tags from", input.tag_keys.iter(), &stream.named())?;
    stream_tags::unset(streams, &stream, target, input.tag_keys).await
}

pub(super) async fn list(
    streams: &Streams,
    request: &Request<'_>,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput, Refusal> {
    let resource = streams.resolve_resource(request, &input.resource_arn, RequestTags::NONE)?;
    let (stream, target) = resource.parts();
    let tags = stream_tags::tags_of(&stream, &target).ok_or_else(|| streams.gone(&stream))?;
    let tags = tags.iter().map(stream_tags::tag).collect();
    Ok(ListTagsForResourceOutput { tags: Some(tags) })
}
