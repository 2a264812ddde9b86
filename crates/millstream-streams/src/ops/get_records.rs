//! `GetRecords`.
//!
//! Invariant: `NextShardIterator` is absent exactly where `ChildShards` is not, and that is on
//! the answer that carries a closed shard's last record.

use millstream_api::kinesis::{GetRecordsInput, GetRecordsOutput};
use millstream_core::limits;
use millstream_log::ReadLimit;

use super::convert;
use crate::refusal::{Named, Refusal};
use crate::resolve::Request;
use crate::streams::Streams;
use crate::token::{ShardIterator, TokenError};

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    input: GetRecordsInput,
) -> Result<GetRecordsOutput, Refusal> {
    let now = streams.clock.now();
    let iterator = streams.tokens.read_iterator(&input.shard_iterator, now);
    let iterator = iterator.map_err(|error| match error {
        TokenError::Invalid => Refusal::InvalidIterator,
        TokenError::Expired { issued } => Refusal::ExpiredIterator { created: issued, now },
    })?;
    let named = Named { account: iterator.account.clone(), stream: iterator.name.clone() };
    let missing = || Refusal::ShardMissing { shard: iterator.shard, stream: named.clone() };
    let stream = streams.resolve_uid(request, iterator.stream, &named);
    let stream = stream.map_err(|refusal| match refusal {
        Refusal::StreamNotFound(_) => missing(),
        other => other,
    })?;
    let named_arn = input.stream_arn.as_ref();
    if named_arn.is_some_and(|arn| *arn != stream.arn(&streams.settings.region).to_string()) {
        return Err(Refusal::NamesDiffer);
    }
    let stream = streams.servable(stream).await?;
    let shard = stream.shard(iterator.shard).ok_or_else(missing)?;
    if streams.enforces_quotas() && !streams.throttle.admits_read(shard.log()) {
        return Err(Refusal::RateExceeded { shard: shard.id, stream: stream.named() });
    }
    let limit = ReadLimit {
        records: convert::limit(input.limit, limits::GET_RECORDS_COUNT_MAX),
        bytes: limits::GET_RECORDS_BYTES_MAX,
    };
    let page = streams.read(&stream, shard, iterator.position, limit).await?;
    if streams.enforces_quotas() {
        streams.throttle.count_read(shard.log(), page.bytes);
    }
    let next = ShardIterator { position: page.next, issued: now, ..iterator };
    Ok(GetRecordsOutput {
        records: page.records.into_iter().map(convert::record).collect(),
        next_shard_iterator: page.children.is_none().then(|| streams.tokens.iterator(&next)),
        millis_behind_latest: Some(i64::try_from(page.behind_ms).unwrap_or(i64::MAX)),
        child_shards: page.children.map(|all| all.iter().map(convert::child).collect()),
    })
}
