//! `UpdateMaxRecordSize`.

use millstream_api::kinesis::UpdateMaxRecordSizeInput;
use millstream_core::limits;

use super::convert;
use crate::refusal::Refusal;
use crate::resolve::Request;
use crate::state::{Command, StreamChange};
use crate::streams::Streams;

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    input: UpdateMaxRecordSizeInput,
) -> Result<(), Refusal> {
    let target = convert::target(None, input.stream_arn.as_ref(), input.stream_id.as_ref());
    let stream = streams.resolve(request, target)?;
    let uid = stream.uid;
    // The model's constraints hold the number between 1,024 and 10,240.
    let kib = u32::try_from(input.max_record_size_in_kib).unwrap_or(limits::RECORD_KIB_DEFAULT);
    streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(&stream))?;
            stream.require_active()?;
            let change = StreamChange::MaxRecordKib(kib);
            let command = Command::UpdateStream { stream: uid, change, updating: true };
            Ok(((kib != stream.max_record_kib).then_some(command), ()))
        })
        .await?;
    streams.drive(uid);
    Ok(())
}
