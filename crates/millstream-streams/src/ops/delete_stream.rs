//! `DeleteStream`.
//!
//! Source: API_DeleteStream (documented): of an ACTIVE stream. Without quotas a call waits for
//! that, which is moments.

use millstream_api::kinesis::DeleteStreamInput;

use super::convert;
use crate::refusal::Refusal;
use crate::resolve::Request;
use crate::state::{Command, StreamStatus};
use crate::streams::Streams;

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    input: DeleteStreamInput,
) -> Result<(), Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let stream = streams.resolve(request, target)?;
    streams.wait_out(&stream, &[StreamStatus::Creating, StreamStatus::Updating]).await?;
    let enforces = input.enforce_consumer_deletion.unwrap_or(false);
    let uid = stream.uid;
    streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(&stream))?;
            stream.require_active()?;
            if !stream.consumers.is_empty() && !enforces {
                return Err(Refusal::StreamHasConsumers(stream.named()));
            }
            Ok((Some(Command::DeleteStream { stream: uid }), ()))
        })
        .await?;
    streams.drive(uid);
    Ok(())
}
