//! Reads: from a place in a shard to records, and to what follows a shard's end.

use bytes::Bytes;
use millstream_core::{SequenceNumber, ShardId, Timestamp};
use millstream_log::{Position, ReadError, ReadLimit};

use crate::payload::{self, Place};
use crate::refusal::Refusal;
use crate::state::{ChildShard, Shard, Stream};
use crate::streams::Streams;

/// One record as read.
#[derive(Clone, Debug)]
pub(crate) struct ReadRecord {
    pub(crate) number: SequenceNumber,
    pub(crate) arrived: Timestamp,
    pub(crate) partition_key: String,
    pub(crate) data: Bytes,
    pub(crate) is_sealed: bool,
}

/// What a read found.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) records: Vec<ReadRecord>,
    /// Where to read on.
    pub(crate) next: Position,
    /// Age of the record at `next`; 0 where none is there yet.
    pub(crate) behind_ms: u64,
    /// When the record at `next` arrived; `None` where none is there yet.
    pub(crate) next_arrived: Option<Timestamp>,
    /// The children, where `next` is the end of a closed shard. Never empty.
    pub(crate) children: Option<Vec<ChildShard>>,
    /// Bytes of records as stored.
    pub(crate) bytes: usize,
}

impl Streams {
    /// Reads a shard from the first record at or after `from`.
    pub(crate) async fn read(
        &self,
        stream: &Stream,
        shard: &Shard,
        from: Position,
        limit: ReadLimit,
    ) -> Result<Page, Refusal> {
        let missing = || Refusal::ShardMissing { shard: shard.id, stream: stream.named() };
        let read = self.log.read(shard.log(), from, limit).await.map_err(|error| match error {
            ReadError::NotFound => missing(),
            ReadError::Corrupt { .. } | ReadError::Io { .. } => {
                tracing::error!(%error, stream = %stream.name, shard = %shard.id, "unreadable");
                Refusal::Internal
            }
        })?;
        let bytes = read.records.iter().map(|record| record.payload.len()).sum();
        let mut records = Vec::with_capacity(read.records.len());
        for record in read.records {
            records.push(self.decode(stream, shard, &record)?);
        }
        let children = if read.at_sealed_end { self.children(stream, shard.id) } else { None };
        let now = self.clock.now();
        let behind_ms = read.next_arrived.map_or(0, |arrived| now.ms_since(arrived));
        let (next, next_arrived) = (read.next, read.next_arrived);
        Ok(Page { records, next, behind_ms, next_arrived, children, bytes })
    }

    fn decode(
        &self,
        stream: &Stream,
        shard: &Shard,
        record: &millstream_log::Record,
    ) -> Result<ReadRecord, Refusal> {
        let opener = payload::data_key_id(&record.payload).and_then(|id| {
            let known = self.data_keys.opener(&self.keyring, stream, id);
            // The key may be younger than the caller's view of the stream.
            known.or_else(|| self.data_keys.opener(&self.keyring, &*self.refresh(stream).ok()?, id))
        });
        let place = Place { stream: stream.uid, shard: shard.id };
        let payload = payload::decode(&record.payload, place, opener.as_ref());
        let payload = payload.map_err(|error| {
            let position = record.position.0;
            tracing::error!(%error, stream = %stream.name, shard = %shard.id, position, "unreadable");
            Refusal::Internal
        })?;
        Ok(ReadRecord {
            number: shard.sequence_number(record.position, record.arrived),
            arrived: record.arrived,
            partition_key: payload.partition_key,
            data: payload.data,
            is_sealed: payload.is_sealed,
        })
    }

    /// Who took over from a shard whose log is sealed. `None` as long as the catalog has not
    /// opened them: a reader at the end then simply waits.
    fn children(&self, stream: &Stream, shard: ShardId) -> Option<Vec<ChildShard>> {
        let now = self.refresh(stream).ok()?;
        Some(now.shard(shard)?.closed.as_ref()?.children.clone())
    }
}
