//! A Data Stream, read through the port that it and we share.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millstream_core::source::{
    SourceLimit, SourcePlace, SourceRecord, SourceShard, StreamLife, StreamSource,
};
use millstream_core::{ShardId, StreamArn, Timestamp};

use super::{Origin, Page, PartInfo, Parts, Record, RecordSource, SourceError};

/// The records of a Data Stream that arrived at or after a moment.
#[derive(Debug)]
pub(crate) struct DataStreamSource {
    streams: Arc<dyn StreamSource>,
    arn: StreamArn,
    from: Timestamp,
}

impl DataStreamSource {
    pub(crate) fn new(streams: Arc<dyn StreamSource>, arn: StreamArn, from: Timestamp) -> Self {
        Self { streams, arn, from }
    }
}

fn place(life: u64, part: u64) -> Result<SourcePlace, SourceError> {
    let shard = u32::try_from(part).map_err(|_| {
        SourceError::Damaged(format!("a checkpoint names part {part}, which is no shard"))
    })?;
    Ok(SourcePlace { life: StreamLife(life), shard: ShardId(shard) })
}

fn record(record: SourceRecord) -> Record {
    let SourceRecord { position, arrived, sequence_number, partition_key, data } = record;
    Record { position, arrived, origin: Some(Origin { sequence_number, partition_key }), data }
}

impl RecordSource for DataStreamSource {
    fn parts(&self) -> BoxFuture<'_, Result<Parts, SourceError>> {
        Box::pin(async {
            let listed = self.streams.shards(&self.arn).await?;
            let part = |shard: SourceShard| PartInfo {
                number: u64::from(shard.id.0),
                parents: shard.parents.iter().map(|parent| u64::from(parent.0)).collect(),
            };
            let parts = listed.shards.into_iter().map(part).collect();
            Ok(Parts { life: listed.life.0, parts })
        })
    }

    fn start(&self, life: u64, part: u64) -> BoxFuture<'_, Result<u64, SourceError>> {
        Box::pin(async move {
            self.streams.position(&self.arn, place(life, part)?, Some(self.from)).await
        })
    }

    fn read(
        &self,
        life: u64,
        part: u64,
        from: u64,
        limit: SourceLimit,
    ) -> BoxFuture<'_, Result<Page, SourceError>> {
        Box::pin(async move {
            let page = self.streams.read(&self.arn, place(life, part)?, from, limit).await?;
            Ok(Page {
                records: page.records.into_iter().map(record).collect(),
                begins: None,
                next: page.next,
                next_arrived: page.next_arrived,
                has_ended: page.has_ended,
            })
        })
    }

    fn changed(&self, life: u64, part: u64, from: u64) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move { self.streams.changed(&self.arn, place(life, part)?, from).await })
    }

    /// The stream keeps its records for as long as it was told to, whoever has read them.
    fn settled(&self, _: u64, _: u64) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn is_ordered(&self) -> bool {
        false
    }
}

impl Origin {
    /// The sequence number, as it is kept with a record that waits.
    pub(crate) fn sequence(&self) -> Bytes {
        Bytes::copy_from_slice(self.sequence_number.as_bytes())
    }
}
