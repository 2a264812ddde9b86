//! `SubscribeToShard`.

use futures_util::StreamExt;
use millstream_api::EventStream;
use millstream_api::kinesis::{
    SubscribeToShardEvent, SubscribeToShardEventStream, SubscribeToShardInput,
    SubscribeToShardOutput,
};

use super::{convert, refused};
use crate::position::Start;
use crate::refusal::Refusal;
use crate::resolve::{Request, shard_id};
use crate::streams::Streams;
use crate::subscription::{Event, Subscription};

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    input: SubscribeToShardInput,
) -> Result<SubscribeToShardOutput, Refusal> {
    let (stream, consumer) = streams.resolve_consumer_arn(request, &input.consumer_arn)?;
    stream.require_active_consumer(&consumer)?;
    let id = shard_id(&input.shard_id, &stream.named())?;
    let missing = || Refusal::ShardMissing { shard: id, stream: stream.named() };
    let shard = stream.shard(id).ok_or_else(missing)?.clone();
    let from = &input.starting_position;
    let kind = convert::start_type(from.r#type);
    let now = streams.clock.now();
    let start = Start::new(kind, from.sequence_number.as_deref(), from.timestamp, now)?;
    let position = streams.position(&stream, &shard, start, "SubscribeToShard").await?;
    let key = (stream.uid, id, consumer.name.clone());
    let claim = streams.subscriptions.claim(key, streams.enforces_quotas());
    let claim = claim.ok_or_else(|| Refusal::SubscriptionActive {
        consumer: consumer.name.to_string(),
        shard: id,
        stream: stream.named(),
    })?;
    let subscription = Subscription { stream, shard, position, claim };
    let streams = streams.me.upgrade().ok_or(Refusal::Internal)?;
    let feed = streams.feed(subscription)?;
    let events = feed.map(|event| event.map(pushed).map_err(|refusal| refused(&refusal)));
    Ok(SubscribeToShardOutput { event_stream: EventStream::new(events) })
}

fn pushed(event: Event) -> SubscribeToShardEventStream {
    SubscribeToShardEventStream::SubscribeToShardEvent(SubscribeToShardEvent {
        records: event.records.into_iter().map(convert::record).collect(),
        continuation_sequence_number: event.continuation.map(|number| number.to_string()),
        millis_behind_latest: i64::try_from(event.behind_ms).unwrap_or(i64::MAX),
        child_shards: event.children.map(|all| all.iter().map(convert::child).collect()),
    })
}
