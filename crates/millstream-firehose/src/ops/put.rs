//! `PutRecord` and `PutRecordBatch`: one answer for each record, never one failure for all, unless
//! all fail alike.

use millstream_api::firehose::{
    PutRecordBatchInput, PutRecordBatchOutput, PutRecordBatchResponseEntry, PutRecordInput,
    PutRecordOutput,
};
use millstream_core::limits;

use crate::firehose::Firehose;
use crate::intake::Slot;
use crate::refusal::Refusal;
use crate::resolve::Request;

pub(super) async fn record(
    firehose: &Firehose,
    request: &Request<'_>,
    input: PutRecordInput,
) -> Result<PutRecordOutput, Refusal> {
    let stream = firehose.resolve(request, &input.delivery_stream_name)?;
    let stored = firehose.put(stream, &[&input.record.data]).await?;
    let encrypted = Some(stored.is_sealed);
    match stored.slots.into_iter().next() {
        Some(Slot::Stored(record_id)) => Ok(PutRecordOutput { record_id, encrypted }),
        Some(Slot::Failed(refusal)) => Err(refusal),
        None => Err(Refusal::Internal),
    }
}

pub(super) async fn batch(
    firehose: &Firehose,
    request: &Request<'_>,
    input: PutRecordBatchInput,
) -> Result<PutRecordBatchOutput, Refusal> {
    let stream = firehose.resolve(request, &input.delivery_stream_name)?;
    let records: Vec<_> = input.records.iter().map(|record| &record.data).collect();
    let bytes: usize = records.iter().map(|data| data.len()).sum();
    if bytes > limits::FIREHOSE_BATCH_BYTES_MAX {
        return Err(Refusal::BatchTooLarge);
    }
    let stored = firehose.put(stream, &records).await?;
    let mut failed_put_count = 0;
    let request_responses =
        stored.slots.into_iter().map(|slot| response(slot, &mut failed_put_count)).collect();
    let encrypted = Some(stored.is_sealed);
    Ok(PutRecordBatchOutput { failed_put_count, encrypted, request_responses })
}

fn response(slot: Slot, failed: &mut i32) -> PutRecordBatchResponseEntry {
    match slot {
        Slot::Stored(record_id) => PutRecordBatchResponseEntry {
            record_id: Some(record_id),
            ..PutRecordBatchResponseEntry::default()
        },
        Slot::Failed(refusal) => {
            *failed += 1;
            PutRecordBatchResponseEntry {
                error_code: Some(refusal.kind().code().to_owned()),
                error_message: Some(refusal.to_string()),
                ..PutRecordBatchResponseEntry::default()
            }
        }
    }
}
