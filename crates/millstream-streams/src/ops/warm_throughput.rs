//! `UpdateStreamWarmThroughput`: an on-demand stream scaled ahead of its load, UPDATING meanwhile
//! even where it has shards enough (documented: API_UpdateStreamWarmThroughput).

use millstream_api::kinesis::{UpdateStreamWarmThroughputInput, UpdateStreamWarmThroughputOutput};

use super::{convert, create_stream, describe_stream};
use crate::refusal::Refusal;
use crate::resolve::Request;
use crate::state::{Command, Mode, Plan, StreamChange};
use crate::streams::Streams;

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    input: UpdateStreamWarmThroughputInput,
) -> Result<UpdateStreamWarmThroughputOutput, Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let stream = streams.resolve(request, target)?;
    let uid = stream.uid;
    let asked = input.warm_throughput_mibps;
    let warm = create_stream::warm_throughput(streams, Mode::OnDemand, Some(asked))?;
    streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(&stream))?;
            stream.require_active()?;
            if stream.mode == Mode::Provisioned {
                let operation = "UpdateStreamWarmThroughput";
                return Err(Refusal::Provisioned { operation, stream: stream.named() });
            }
            let change = StreamChange::WarmThroughput(warm);
            Ok((Some(Command::UpdateStream { stream: uid, change, updating: false }), ()))
        })
        .await?;
    // A shard takes one MiB a second; capacity is added and never taken away.
    streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(&stream))?;
            let command = if stream.open_shard_count() < warm as usize {
                let plan = Plan::Uniform { count: warm };
                Command::BeginReshard { stream: uid, plan, scaling: None }
            } else {
                let change = StreamChange::WarmThroughput(warm);
                Command::UpdateStream { stream: uid, change, updating: true }
            };
            let is_free = stream.require_active().is_ok();
            Ok((is_free.then_some(command), ()))
        })
        .await?;
    streams.drive(uid);
    let stream = streams.refresh(&stream)?;
    Ok(UpdateStreamWarmThroughputOutput {
        stream_arn: Some(stream.arn(&streams.settings.region).to_string()),
        stream_name: Some(stream.name.to_string()),
        warm_throughput: Some(describe_stream::warm_throughput(&stream)),
    })
}
