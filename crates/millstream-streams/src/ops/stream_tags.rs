//! `AddTagsToStream`, `RemoveTagsFromStream`, `ListTagsForStream`, and what a tag may be.

use std::collections::{BTreeMap, BTreeSet};

use millstream_api::kinesis::{
    AddTagsToStreamInput, ListTagsForStreamInput, ListTagsForStreamOutput,
    RemoveTagsFromStreamInput, Tag,
};
use millstream_core::limits;

use super::convert;
use crate::refusal::{Named, Refusal};
use crate::resolve::{Request, RequestTags};
use crate::state::{Command, Stream, StreamChange, StreamStatus, StreamUid, TagTarget};
use crate::streams::Streams;

/// Tags in one answer unless the caller says otherwise.
const TAGS_DEFAULT: usize = 50;

pub(super) async fn add(
    streams: &Streams,
    request: &Request<'_>,
    input: AddTagsToStreamInput,
) -> Result<(), Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let brought = RequestTags { set: &input.tags, keys: &[] };
    let stream = streams.resolve_with(request, target, brought)?;
    check("add tags to", input.tags.iter(), &stream.named())?;
    set(streams, &stream, TagTarget::Stream, input.tags).await
}

pub(super) async fn remove(
    streams: &Streams,
    request: &Request<'_>,
    input: RemoveTagsFromStreamInput,
) -> Result<(), Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let brought = RequestTags { keys: &input.tag_keys, ..RequestTags::NONE };
    let stream = streams.resolve_with(request, target, brought)?;
    check_texts("remove tags from", input.tag_keys.iter(), &stream.named())?;
    unset(streams, &stream, TagTarget::Stream, input.tag_keys).await
}

pub(super) async fn list(
    streams: &Streams,
    request: &Request<'_>,
    input: ListTagsForStreamInput,
) -> Result<ListTagsForStreamOutput, Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let stream = streams.resolve(request, target)?;
    let limit = convert::limit(input.limit, TAGS_DEFAULT);
    let after = input.exclusive_start_tag_key.as_ref();
    let mut found = stream.tags.iter().filter(|(key, _)| after.is_none_or(|a| *key > a));
    let tags = found.by_ref().take(limit).map(tag).collect();
    Ok(ListTagsForStreamOutput { tags, has_more_tags: found.next().is_some() })
}

/// A tag as the API carries it.
pub(super) fn tag((key, value): (&String, &String)) -> Tag {
    Tag { key: key.clone(), value: Some(value.clone()) }
}

/// Sets tags on a stream or a consumer.
pub(super) async fn set(
    streams: &Streams,
    stream: &Stream,
    target: TagTarget,
    set: BTreeMap<String, String>,
) -> Result<(), Refusal> {
    streams.wait_out(stream, &[StreamStatus::Creating]).await?;
    let uid = stream.uid;
    streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(stream))?;
            stream.require_changeable(&target)?;
            let present = tags_of(stream, &target).ok_or_else(|| streams.gone(stream))?;
            let fresh = set.keys().filter(|key| !present.contains_key(*key)).count();
            if present.len() + fresh > limits::TAGS_MAX {
                return Err(Refusal::TooManyTags(stream.named()));
            }
            Ok((Some(change(uid, target, set, BTreeSet::new())), ()))
        })
        .await
}

/// Removes tags from a stream or a consumer.
pub(super) async fn unset(
    streams: &Streams,
    stream: &Stream,
    target: TagTarget,
    keys: Vec<String>,
) -> Result<(), Refusal> {
    streams.wait_out(stream, &[StreamStatus::Creating]).await?;
    let uid = stream.uid;
    streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(stream))?;
            stream.require_changeable(&target)?;
            let present = tags_of(stream, &target).ok_or_else(|| streams.gone(stream))?;
            let remove: BTreeSet<String> =
                keys.into_iter().filter(|key| present.contains_key(key)).collect();
            let is_change = !remove.is_empty();
            let change = change(uid, target, BTreeMap::new(), remove);
            Ok((is_change.then_some(change), ()))
        })
        .await
}

fn change(
    stream: StreamUid,
    target: TagTarget,
    set: BTreeMap<String, String>,
    remove: BTreeSet<String>,
) -> Command {
    let change = StreamChange::Tags { target, set, remove };
    Command::UpdateStream { stream, change, updating: false }
}

/// The tags of a stream, or of one of its consumers.
pub(super) fn tags_of<'a>(
    stream: &'a Stream,
    target: &TagTarget,
) -> Option<&'a BTreeMap<String, String>> {
    match target {
        TagTarget::Stream => Some(&stream.tags),
        TagTarget::Consumer(name) => stream.consumers.get(name).map(|consumer| &consumer.tags),
    }
}

/// Refused where a key or a value has characters that tags may not have. `verb` is what refusals
/// say was tried.
pub(super) fn check<'a>(
    verb: &'static str,
    tags: impl Iterator<Item = (&'a String, &'a String)>,
    stream: &Named,
) -> Result<(), Refusal> {
    check_texts(verb, tags.flat_map(|(key, value)| [key, value]), stream)
}

/// As [`check`], for keys alone.
pub(super) fn check_texts<'a>(
    verb: &'static str,
    texts: impl Iterator<Item = &'a String>,
    stream: &Named,
) -> Result<(), Refusal> {
    let mut has_percent = false;
    for character in texts.flat_map(|text| text.chars()) {
        if !is_allowed(character) {
            return Err(Refusal::TagCharacters);
        }
        has_percent |= character == '%';
    }
    if has_percent {
        // Let through by the one check and refused by the other (recorded).
        return Err(Refusal::TagPercent { verb, stream: stream.clone() });
    }
    Ok(())
}

/// Letters and digits of any script, spaces, and `_ . : / = + - % @`.
fn is_allowed(character: char) -> bool {
    character.is_alphanumeric() || " _.:/=+-%@".contains(character)
}
