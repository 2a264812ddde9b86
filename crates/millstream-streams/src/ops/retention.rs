//! `IncreaseStreamRetentionPeriod` and `DecreaseStreamRetentionPeriod`.
//!
//! Asking for what already is succeeds (Terraform always does).

use millstream_api::kinesis::{
    DecreaseStreamRetentionPeriodInput, IncreaseStreamRetentionPeriodInput,
};
use millstream_core::limits;

use super::convert;
use crate::refusal::Refusal;
use crate::resolve::{Request, Target};
use crate::state::{Command, StreamChange};
use crate::streams::Streams;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

pub(super) async fn increase(
    streams: &Streams,
    request: &Request<'_>,
    input: IncreaseStreamRetentionPeriodInput,
) -> Result<(), Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    change(streams, request, target, input.retention_period_hours, Direction::Up).await
}

pub(super) async fn decrease(
    streams: &Streams,
    request: &Request<'_>,
    input: DecreaseStreamRetentionPeriodInput,
) -> Result<(), Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    change(streams, request, target, input.retention_period_hours, Direction::Down).await
}

async fn change(
    streams: &Streams,
    request: &Request<'_>,
    target: Target<'_>,
    requested: i32,
    direction: Direction,
) -> Result<(), Refusal> {
    let stream = streams.resolve(request, target)?;
    let uid = stream.uid;
    let hours = u32::try_from(requested).unwrap_or(0);
    if hours < limits::RETENTION_HOURS_DEFAULT {
        return Err(Refusal::RetentionTooShort(requested));
    }
    if hours > limits::RETENTION_HOURS_MAX {
        return Err(Refusal::RetentionTooLong(requested));
    }
    streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(&stream))?;
            let existing = stream.retention_hours;
            let name = stream.name.clone();
            if direction == Direction::Up && hours < existing {
                return Err(Refusal::RetentionShorter { requested, stream: name, existing });
            }
            if direction == Direction::Down && hours > existing {
                return Err(Refusal::RetentionLonger { requested, stream: name, existing });
            }
            stream.require_active()?;
            let change = StreamChange::RetentionHours(hours);
            let command = Command::UpdateStream { stream: uid, change, updating: true };
            Ok(((hours != existing).then_some(command), ()))
        })
        .await?;
    streams.drive(uid);
    Ok(())
}
