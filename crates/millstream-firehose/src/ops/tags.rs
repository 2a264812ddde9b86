//! `TagDeliveryStream`, `UntagDeliveryStream` and `ListTagsForDeliveryStream`.

use std::collections::{BTreeMap, BTreeSet};

use millstream_api::firehose::{
    ListTagsForDeliveryStreamInput, ListTagsForDeliveryStreamOutput, Tag, TagDeliveryStreamInput,
    TagDeliveryStreamOutput, UntagDeliveryStreamInput, UntagDeliveryStreamOutput,
};
use millstream_core::limits;

use crate::firehose::Firehose;
use crate::refusal::Refusal;
use crate::resolve::{Request, RequestTags};
use crate::state::Command;

/// A tag as it is kept. One without a value has an empty one.
pub(super) fn pair(tag: &Tag) -> (String, String) {
    (tag.key.clone(), tag.value.clone().unwrap_or_default())
}

pub(super) async fn tag(
    firehose: &Firehose,
    request: &Request<'_>,
    input: TagDeliveryStreamInput,
) -> Result<TagDeliveryStreamOutput, Refusal> {
    let set: BTreeMap<String, String> = input.tags.iter().map(pair).collect();
    let brought = RequestTags { set: &set, keys: &[] };
    let stream = firehose.resolve_with(request, &input.delivery_stream_name, brought)?;
    let uid = stream.uid;
    firehose
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| stream.gone())?;
            let fresh = set.keys().filter(|key| !stream.tags.contains_key(*key)).count();
            if stream.tags.len() + fresh > limits::TAGS_MAX {
                return Err(Refusal::TooManyTags(stream.named()));
            }
            let remove = BTreeSet::new();
            Ok((Some(Command::Tag { stream: uid, set: set.clone(), remove }), ()))
        })
        .await?;
    Ok(TagDeliveryStreamOutput {})
}

pub(super) async fn untag(
    firehose: &Firehose,
    request: &Request<'_>,
    input: UntagDeliveryStreamInput,
) -> Result<UntagDeliveryStreamOutput, Refusal> {
    let brought = RequestTags { keys: &input.tag_keys, ..RequestTags::NONE };
    let stream = firehose.resolve_with(request, &input.delivery_stream_name, brought)?;
    let uid = stream.uid;
    firehose
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| stream.gone())?;
            let is_there = |key: &&String| stream.tags.contains_key(*key);
            let remove: BTreeSet<String> =
                input.tag_keys.iter().filter(is_there).cloned().collect();
            let is_change = !remove.is_empty();
            let command = Command::Tag { stream: uid, set: BTreeMap::new(), remove };
            Ok((is_change.then_some(command), ()))
        })
        .await?;
    Ok(UntagDeliveryStreamOutput {})
}

pub(super) async fn list(
    firehose: &Firehose,
    request: &Request<'_>,
    input: ListTagsForDeliveryStreamInput,
) -> Result<ListTagsForDeliveryStreamOutput, Refusal> {
    let stream = firehose.resolve(request, &input.delivery_stream_name)?;
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok());
    let after = input.exclusive_start_tag_key.as_ref();
    let mut found = stream.tags.iter().filter(|(key, _)| after.is_none_or(|after| *key > after));
    let tag =
        |(key, value): (&String, &String)| Tag { key: key.clone(), value: Some(value.clone()) };
    let tags = found.by_ref().take(limit.unwrap_or(limits::TAGS_MAX)).map(tag).collect();
    Ok(ListTagsForDeliveryStreamOutput { tags, has_more_tags: found.next().is_some() })
}
