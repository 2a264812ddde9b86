//! `GetShardIterator`.

use millstream_api::kinesis::{GetShardIteratorInput, GetShardIteratorOutput};

use super::convert;
use crate::position::Start;
use crate::refusal::Refusal;
use crate::resolve::{Request, shard_id};
use crate::streams::Streams;
use crate::token::ShardIterator;

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    input: GetShardIteratorInput,
) -> Result<GetShardIteratorOutput, Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    // The shard's form is judged before the stream is looked for, and a missing stream is told
    // as a missing shard (recorded).
    let named = streams.name_of(request, target)?;
    let id = shard_id(&input.shard_id, &named)?;
    let stream = streams.resolve(request, target).map_err(|refusal| match refusal {
        Refusal::StreamNotFound(stream) => Refusal::ShardMissing { shard: id, stream },
        other => other,
    })?;
    let stream = streams.servable(stream).await?;
    let missing = || Refusal::ShardMissing { shard: id, stream: stream.named() };
    let shard = stream.shard(id).ok_or_else(missing)?;
    if streams.enforces_quotas() && !streams.throttle.admits_iterator(shard.log()) {
        return Err(Refusal::RateExceeded { shard: id, stream: stream.named() });
    }
    let now = streams.clock.now();
    let kind = convert::start_type(input.shard_iterator_type);
    let number = input.starting_sequence_number.as_deref();
    let start = Start::new(kind, number, input.timestamp, now)?;
    let position = streams.position(&stream, shard, start, "GetShardIterator").await?;
    let iterator = ShardIterator {
        account: stream.account.clone(),
        name: stream.name.clone(),
        stream: stream.uid,
        shard: id,
        position,
        issued: now,
    };
    Ok(GetShardIteratorOutput { shard_iterator: Some(streams.tokens.iterator(&iterator)) })
}
