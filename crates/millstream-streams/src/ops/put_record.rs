//! `PutRecord`.

use millstream_api::kinesis::{EncryptionType, PutRecordInput, PutRecordOutput};
use millstream_core::{SequenceNumber, Timestamp};

use super::{convert, put_records};
use crate::append::{Entry, Slot};
use crate::refusal::{Named, Refusal};
use crate::resolve::Request;
use crate::streams::Streams;

/// Seconds by which a sequence number may be ahead of the clock: shards split within a second of
/// their making are dated ahead, so that their numbers are above their parents'.
const NUMBER_AHEAD_SECONDS_MAX: u64 = 60;

/// The greatest shard number in a sequence number (observed: it is a signed integer).
const SHARD_NUMBER_MAX: u32 = i32::MAX.cast_unsigned();

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    input: PutRecordInput,
) -> Result<PutRecordOutput, Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let stream = streams.resolve(request, target)?;
    let point = put_records::point(&input.partition_key, input.explicit_hash_key.as_deref())?;
    if let Some(number) = &input.sequence_number_for_ordering {
        check_ordering(number, streams.clock.now(), stream.named())?;
    }
    let entry = Entry { partition_key: &input.partition_key, data: &input.data, point };
    put_records::check_size(&stream, &entry)?;
    let stored = streams.put(stream, &[entry]).await?;
    match stored.slots.into_iter().next() {
        Some(Slot::Stored { shard, number }) => Ok(PutRecordOutput {
            shard_id: shard.to_string(),
            sequence_number: number.to_string(),
            encryption_type: stored.is_sealed.then_some(EncryptionType::Kms),
        }),
        Some(Slot::Failed(refusal)) => Err(refusal),
        Some(Slot::Pending) | None => Err(Refusal::Internal),
    }
}

/// The number is only looked at: records of one shard are always in the order of their puts.
fn check_ordering(text: &str, now: Timestamp, stream: Named) -> Result<(), Refusal> {
    let latest = now.seconds() + NUMBER_AHEAD_SECONDS_MAX;
    let number = text.parse::<SequenceNumber>().ok();
    let is_plausible = |number: &SequenceNumber| {
        number.arrived_seconds <= latest && number.shard.0 <= SHARD_NUMBER_MAX
    };
    if number.as_ref().is_some_and(is_plausible) {
        return Ok(());
    }
    Err(Refusal::SequenceNumberForOrderingInvalid { number: text.to_owned(), stream })
}
