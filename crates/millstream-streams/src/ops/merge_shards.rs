//! `MergeShards`.

use millstream_api::kinesis::MergeShardsInput;

use super::convert;
use crate::refusal::Refusal;
use crate::resolve::{Request, shard_id};
use crate::state::{Command, Plan};
use crate::streams::Streams;

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    input: MergeShardsInput,
) -> Result<(), Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let named = streams.name_of(request, target)?;
    let id = shard_id(&input.shard_to_merge, &named)?;
    let adjacent = shard_id(&input.adjacent_shard_to_merge, &named)?;
    let stream = streams.resolve(request, target)?;
    let uid = stream.uid;
    streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(&stream))?;
            stream.require_active()?;
            let (first, second) = (stream.shard_named(id)?, stream.shard_named(adjacent)?);
            for shard in [first, second] {
                if shard.closed.is_some() {
                    return Err(Refusal::ShardClosed { shard: shard.id, stream: stream.named() });
                }
            }
            if !first.range.is_adjacent(&second.range) {
                return Err(Refusal::NotAdjacent { shard: id, adjacent, stream: stream.named() });
            }
            let plan = Plan::Merge { shard: id, adjacent };
            Ok((Some(Command::BeginReshard { stream: uid, plan, scaling: None }), ()))
        })
        .await?;
    streams.drive(uid);
    Ok(())
}
