//! `PutRecords`: one answer for each record, never one failure for all.

use millstream_api::kinesis::{
    EncryptionType, PutRecordsInput, PutRecordsOutput, PutRecordsResultEntry,
};
use millstream_core::{HashKey, limits};

use super::convert;
use crate::append::{Entry, Slot};
use crate::refusal::Refusal;
use crate::resolve::Request;
use crate::state::Stream;
use crate::streams::Streams;

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    input: PutRecordsInput,
) -> Result<PutRecordsOutput, Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let stream = streams.resolve(request, target)?;
    let mut bytes = 0;
    let mut entries = Vec::with_capacity(input.records.len());
    for record in &input.records {
        let point = point(&record.partition_key, record.explicit_hash_key.as_deref())?;
        let entry = Entry { partition_key: &record.partition_key, data: &record.data, point };
        check_size(&stream, &entry)?;
        bytes += record.partition_key.len() + record.data.len();
        entries.push(entry);
    }
    if bytes > limits::PUT_RECORDS_BYTES_MAX {
        return Err(Refusal::RequestTooLarge { bytes, max: limits::PUT_RECORDS_BYTES_MAX });
    }
    let stored = streams.put(stream, &entries).await?;
    let mut failed = 0;
    let records = stored.slots.into_iter().map(|slot| result(slot, &mut failed)).collect();
    Ok(PutRecordsOutput {
        records,
        failed_record_count: Some(failed),
        encryption_type: stored.is_sealed.then_some(EncryptionType::Kms),
    })
}

fn result(slot: Slot, failed: &mut i32) -> PutRecordsResultEntry {
    let refusal = match slot {
        Slot::Stored { shard, number } => {
            return PutRecordsResultEntry {
                sequence_number: Some(number.to_string()),
                shard_id: Some(shard.to_string()),
                ..PutRecordsResultEntry::default()
            };
        }
        Slot::Failed(refusal) => refusal,
        Slot::Pending => Refusal::Internal,
    };
    *failed += 1;
    // An entry's codes are those of API_PutRecordsResultEntry, which says `InternalFailure`
    // where the operation's own error is `InternalFailureException`.
    let code = refusal.kind().code();
    let code = if code == "InternalFailureException" { "InternalFailure" } else { code };
    PutRecordsResultEntry {
        error_code: Some(code.to_owned()),
        error_message: Some(refusal.to_string()),
        ..PutRecordsResultEntry::default()
    }
}

/// Where a record falls on the ring.
pub(super) fn point(partition_key: &str, explicit: Option<&str>) -> Result<HashKey, Refusal> {
    let Some(explicit) = explicit else { return Ok(HashKey::of_partition_key(partition_key)) };
    explicit.parse().map_err(|_| Refusal::ExplicitHashKeyOutOfRange(explicit.to_owned()))
}

/// Refused where a record is above what its stream takes.
pub(super) fn check_size(stream: &Stream, entry: &Entry<'_>) -> Result<(), Refusal> {
    let bytes = entry.partition_key.len() + entry.data.len();
    // The key comes on top of data of the maximum size (observed: 1 MiB of data is taken).
    if entry.data.len() <= stream.max_record_bytes() {
        return Ok(());
    }
    let max_kib = stream.max_record_kib;
    Err(Refusal::RecordTooLarge { bytes, max_kib, stream: stream.named() })
}
