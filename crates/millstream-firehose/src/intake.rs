//! Puts: from records to acknowledged records.
//!
//! Owns the path of a direct put into its delivery stream's log: quotas, sealing, one batch a
//! call, and the ids that callers get back.
//!
//! Invariant: a record is acknowledged only once the log has made it durable, whole and in the
//! order of the call.

use std::sync::Arc;

use bytes::Bytes;
use millstream_log::{AppendError, Appended, BatchBuilder, LogId, Position};

use crate::delivery::fail_point::{self, FailPoint};
use crate::firehose::Firehose;
use crate::incoming::Incoming;
use crate::payload::{self, OVERHEAD_BYTES};
use crate::refusal::Refusal;
use crate::state::{DeliveryStream, DeliveryStreamUid};

/// Bytes of framing that the log puts before each record.
const FRAME_BYTES: usize = 4;
/// What every gzip member begins with (RFC 1952): CloudWatch Logs sends nothing else.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What became of a record.
#[derive(Clone, Debug)]
pub(crate) enum Slot {
    /// Stored, under this id.
    Stored(String),
    Failed(Refusal),
}

/// What became of all.
#[derive(Debug)]
pub(crate) struct Stored {
    /// In the order of the call.
    pub(crate) slots: Vec<Slot>,
    pub(crate) is_sealed: bool,
}

impl Firehose {
    /// Stores records, in order. Refused as a whole where the delivery stream does not take any,
    /// or none was stored; else each slot says what became of its record.
    pub(crate) async fn put(
        &self,
        stream: Arc<DeliveryStream>,
        records: &[&Bytes],
    ) -> Result<Stored, Refusal> {
        let stream = self.servable(stream).await?;
        let kind = stream.source.kind();
        let log = stream.records().ok_or(Refusal::NotDirectPut(kind))?;
        // A plan that does not hold at present stops the delivery, and no puts.
        let decompresses = self.plan_of(&stream).is_ok_and(|plan| plan.processing.decompress);
        if decompresses && !records.iter().all(|data| data.starts_with(&GZIP_MAGIC)) {
            return Err(Refusal::NotCloudWatchLogs);
        }
        let admitted = self.admit(stream.uid, log, records)?;
        let sealing = self.sealing_key(&stream).await?;
        let taken = records.iter().zip(&admitted).filter(|(_, admits)| **admits);
        let bytes = taken.clone().map(|(data, _)| data.len() + OVERHEAD_BYTES + FRAME_BYTES).sum();
        let mut batch = BatchBuilder::with_capacity(bytes);
        let mut scratch = Vec::new();
        for (data, _) in taken {
            match &sealing {
                None => payload::push_plain(&mut batch, data),
                Some(sealing) => {
                    let key = (sealing.id, &sealing.key);
                    payload::push_sealed(&mut batch, data, stream.uid, key, &mut scratch);
                }
            }
        }
        let appended = self.log.append(log, batch.build()).await;
        let appended = appended.map_err(|error| refusal_of(&error, &stream))?;
        fail_point::reached(FailPoint::AfterAppend).await;
        self.count_stored(stream.uid, records, &admitted);
        let slots = slots(stream.uid, appended, &admitted);
        Ok(Stored { slots, is_sealed: sealing.is_some() })
    }

    /// Which of the records the quotas let through. Refused where they let none.
    fn admit(
        &self,
        stream: DeliveryStreamUid,
        log: LogId,
        records: &[&Bytes],
    ) -> Result<Vec<bool>, Refusal> {
        if !self.enforces_quotas() {
            return Ok(vec![true; records.len()]);
        }
        let sizes = records.iter().map(|data| data.len());
        let admitted = self.throttle.admit(log, sizes);
        let throttled = admitted.iter().filter(|admits| !**admits).count() as u64;
        if throttled > 0 {
            self.incoming.add(stream, Incoming { throttled, ..Incoming::default() });
        }
        if admitted.iter().any(|admits| *admits) { Ok(admitted) } else { Err(Refusal::SlowDown) }
    }
}

impl Firehose {
    fn count_stored(&self, stream: DeliveryStreamUid, records: &[&Bytes], admitted: &[bool]) {
        let mut count = Incoming { requests: 1, ..Incoming::default() };
        for (data, _) in records.iter().zip(admitted).filter(|(_, admits)| **admits) {
            count.records += 1;
            count.bytes += data.len() as u64;
        }
        self.incoming.add(stream, count);
    }
}

fn slots(stream: DeliveryStreamUid, appended: Appended, admitted: &[bool]) -> Vec<Slot> {
    let mut position = appended.first;
    let slot = |admits: &bool| {
        if !admits {
            return Slot::Failed(Refusal::SlowDown);
        }
        let id = record_id(stream, position, appended);
        position.0 += 1;
        Slot::Stored(id)
    };
    admitted.iter().map(slot).collect()
}

/// An id that no other record has. Callers can do nothing with it but tell it.
fn record_id(stream: DeliveryStreamUid, position: Position, appended: Appended) -> String {
    let mut id = [0; 24];
    id[..8].copy_from_slice(&stream.0.to_be_bytes());
    id[8..16].copy_from_slice(&position.0.to_be_bytes());
    id[16..].copy_from_slice(&appended.arrived.ms().to_be_bytes());
    base64_simd::STANDARD.encode_to_string(id)
}

fn refusal_of(error: &AppendError, stream: &DeliveryStream) -> Refusal {
    match error {
        AppendError::Overloaded | AppendError::NoSpace => {
            tracing::warn!(%error, stream = %stream.name, "records are not taken");
            Refusal::SlowDown
        }
        // The delivery stream was deleted under the put.
        AppendError::NotFound => stream.gone(),
        AppendError::Sealed | AppendError::TooLarge | AppendError::Stopped(_) => {
            tracing::error!(%error, stream = %stream.name, "records were not stored");
            Refusal::Internal
        }
    }
}
