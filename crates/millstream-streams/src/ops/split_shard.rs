//! `SplitShard`.

use millstream_api::kinesis::SplitShardInput;
use millstream_core::HashKey;

use super::{convert, create_stream};
use crate::refusal::Refusal;
use crate::resolve::{Request, shard_id};
use crate::state::{Command, Plan};
use crate::streams::Streams;

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    input: SplitShardInput,
) -> Result<(), Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let id = shard_id(&input.shard_to_split, &streams.name_of(request, target)?)?;
    let stream = streams.resolve(request, target)?;
    let uid = stream.uid;
    streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(&stream))?;
            stream.require_active()?;
            let shard = stream.shard_named(id)?;
            if shard.closed.is_some() {
                return Err(Refusal::ShardClosed { shard: id, stream: stream.named() });
            }
            if let Some(account) = registry.account(&stream.account) {
                create_stream::check_shard_limit(streams, &stream.account, account, 1)?;
            }
            let range = shard.range;
            // Both halves are at least two points wide (recorded: above the start plus one, and
            // below the end).
            let is_inside =
                |start: &HashKey| start.0.saturating_sub(range.start.0) > 1 && *start < range.end;
            let start = input.new_starting_hash_key.parse().ok().filter(is_inside);
            let start = start.ok_or_else(|| Refusal::SplitOutOfRange {
                start: input.new_starting_hash_key.clone(),
                shard: id,
                stream: stream.named(),
                range,
            })?;
            let plan = Plan::Split { shard: id, start };
            Ok((Some(Command::BeginReshard { stream: uid, plan, scaling: None }), ()))
        })
        .await?;
    streams.drive(uid);
    Ok(())
}
