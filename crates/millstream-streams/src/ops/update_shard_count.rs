//! `UpdateShardCount`: uniform scaling.
//!
//! Source: API_UpdateShardCount (documented): at most double, at least half the open shards,
//! ten times in 24 hours.

use millstream_api::kinesis::{UpdateShardCountInput, UpdateShardCountOutput};
use millstream_core::limits;

use super::{convert, create_stream};
use crate::refusal::Refusal;
use crate::resolve::Request;
use crate::state::{Command, Mode, Plan, within_a_day};
use crate::streams::Streams;

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    input: UpdateShardCountInput,
) -> Result<UpdateShardCountOutput, Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let stream = streams.resolve(request, target)?;
    let (uid, now) = (stream.uid, streams.clock.now());
    let count = u32::try_from(input.target_shard_count).unwrap_or(0);
    let current = streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(&stream))?;
            stream.require_active()?;
            let named = stream.named();
            if stream.mode == Mode::OnDemand {
                return Err(Refusal::OnDemand { operation: "UpdateShardCount", stream: named });
            }
            let current = stream.open_shard_count();
            if count > limits::SHARDS_PER_STREAM_MAX {
                let max = limits::SHARDS_PER_STREAM_MAX;
                return Err(Refusal::TooManyShards { count: count.into(), max });
            }
            let wanted = count as usize;
            if wanted > current * 2 || wanted * 2 < current {
                return Err(Refusal::ScaleOutOfRange { stream: named, current, target: count });
            }
            let max = limits::UPDATE_SHARD_COUNT_PER_DAY;
            if streams.enforces_quotas() && within_a_day(&stream.scalings, now) >= max {
                let operation = "UpdateShardCount";
                return Err(Refusal::DailyLimit { operation, max, stream: named });
            }
            if let Some(account) = registry.account(&stream.account) {
                let additional = wanted.saturating_sub(current);
                create_stream::check_shard_limit(streams, &stream.account, account, additional)?;
            }
            let plan = Plan::Uniform { count };
            let command = Command::BeginReshard { stream: uid, plan, scaling: Some(now) };
            Ok((Some(command), current))
        })
        .await?;
    streams.drive(uid);
    Ok(UpdateShardCountOutput {
        stream_name: Some(stream.name.to_string()),
        current_shard_count: Some(convert::count(current)),
        target_shard_count: Some(input.target_shard_count),
        stream_arn: Some(stream.arn(&streams.settings.region).to_string()),
    })
}
