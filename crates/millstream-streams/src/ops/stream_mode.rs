//! `UpdateStreamMode`.
//!
//! Source: API_UpdateStreamMode (documented): two switches in 24 hours.

use millstream_api::kinesis::UpdateStreamModeInput;
use millstream_core::limits;

use super::{convert, create_stream};
use crate::refusal::Refusal;
use crate::resolve::{Request, Target};
use crate::state::{Command, StreamChange, within_a_day};
use crate::streams::Streams;

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    input: UpdateStreamModeInput,
) -> Result<(), Refusal> {
    let target = Target { arn: Some(&input.stream_arn), ..Target::default() };
    let stream = streams.resolve(request, target)?;
    let (uid, at) = (stream.uid, streams.clock.now());
    let mode = convert::mode_of(&input.stream_mode_details);
    let warm = create_stream::warm_throughput(streams, mode, input.warm_throughput_mibps)?;
    streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(&stream))?;
            stream.require_active()?;
            let max = limits::MODE_SWITCHES_PER_DAY;
            let is_switch = stream.mode != mode;
            let switches = within_a_day(&stream.mode_switches, at);
            if is_switch && streams.enforces_quotas() && switches >= max {
                let (operation, stream) = ("UpdateStreamMode", stream.named());
                return Err(Refusal::DailyLimit { operation, max, stream });
            }
            let warm_throughput_mibps = input.warm_throughput_mibps.map(|_| warm);
            let change = StreamChange::Mode { mode, warm_throughput_mibps, at };
            let command = Command::UpdateStream { stream: uid, change, updating: true };
            Ok((is_switch.then_some(command), ()))
        })
        .await?;
    streams.drive(uid);
    Ok(())
}
