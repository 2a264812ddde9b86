//! Data Streams as a source for other services: the port of `millstream_core::source`.
//!
//! Owns the translation only: reads go the same way as GetRecords', waits the same way as
//! subscriptions'. Who may connect a reader to a stream was decided when the reader was made (a
//! delivery stream is created by a verified caller), so nobody is authorized here.

use std::sync::Arc;

use millstream_core::source::{
    SourceError, SourceFuture, SourceLimit, SourcePage, SourcePlace, SourceRecord, SourceShard,
    SourceShards, StreamLife, StreamSource,
};
use millstream_core::{StreamArn, Timestamp};
use millstream_log::{Position, ReadLimit};

use crate::position::Start;
use crate::refusal::Refusal;
use crate::state::{Shard, Stream, StreamStatus, StreamUid};
use crate::streams::Streams;

impl Streams {
    /// The stream of that ARN, in any life, once it can be read.
    fn source(&self, arn: &StreamArn) -> Result<Arc<Stream>, SourceError> {
        let is_here = arn.region == self.settings.region;
        let found = self.catalog.read(|registry| {
            registry.by_name(&arn.account, &arn.name).filter(|_| is_here).cloned()
        });
        let stream = found.ok_or(SourceError::StreamNotFound)?;
        match stream.status {
            StreamStatus::Active | StreamStatus::Updating => Ok(stream),
            StreamStatus::Creating => {
                Err(SourceError::Unavailable("the source stream is being created".to_owned()))
            }
            StreamStatus::Deleting => Err(SourceError::StreamNotFound),
        }
    }

    /// As [`Streams::source`], of the one life that `place` names.
    fn source_at(&self, arn: &StreamArn, place: SourcePlace) -> Result<Arc<Stream>, SourceError> {
        let stream = self.source(arn)?;
        if stream.uid == StreamUid(place.life.0) {
            Ok(stream)
        } else {
            Err(SourceError::StreamNotFound)
        }
    }

    async fn read_source(
        &self,
        arn: &StreamArn,
        place: SourcePlace,
        from: u64,
        limit: SourceLimit,
    ) -> Result<SourcePage, SourceError> {
        let stream = self.source_at(arn, place)?;
        let shard = shard_of(&stream, place)?;
        let limit = ReadLimit { records: limit.records, bytes: limit.bytes };
        let page = self.read(&stream, shard, Position(from), limit).await;
        let page = page.map_err(|refusal| error_of(&refusal, place))?;
        let records = page.records.into_iter().map(|record| SourceRecord {
            // A record's number is its position and one (see the crate's invariants).
            position: record.number.index - 1,
            arrived: record.arrived,
            sequence_number: record.number.to_string(),
            partition_key: record.partition_key,
            data: record.data,
        });
        Ok(SourcePage {
            records: records.collect(),
            next: page.next.0,
            next_arrived: page.next_arrived,
            has_ended: page.children.is_some(),
        })
    }

    async fn source_changed(
        &self,
        arn: &StreamArn,
        place: SourcePlace,
        from: u64,
    ) -> Result<(), SourceError> {
        let stream = self.source_at(arn, place)?;
        let shard = shard_of(&stream, place)?;
        let mut tail =
            self.log.tail(shard.log()).map_err(|_| SourceError::ShardNotFound(shard.id))?;
        let grown = tail.wait_for(|bounds| bounds.end.0 > from || bounds.sealed).await;
        // The sender is gone when the log is deleted or has stopped: the next read says which.
        let Ok(is_sealed) = grown.map(|bounds| bounds.end.0 <= from) else { return Ok(()) };
        if is_sealed {
            // A shard has ended once its children are there to be read, not before.
            let is_closed =
                |now: &Stream| now.shard(place.shard).is_none_or(|it| it.closed.is_some());
            self.wait_until(&stream, is_closed)
                .await
                .map_err(|refusal| error_of(&refusal, place))?;
        }
        Ok(())
    }
}

fn shard_of(stream: &Stream, place: SourcePlace) -> Result<&Shard, SourceError> {
    stream.shard(place.shard).ok_or(SourceError::ShardNotFound(place.shard))
}

fn error_of(refusal: &Refusal, place: SourcePlace) -> SourceError {
    match refusal {
        Refusal::StreamNotFound(_) => SourceError::StreamNotFound,
        Refusal::ShardMissing { .. } | Refusal::ShardUnknown { .. } => {
            SourceError::ShardNotFound(place.shard)
        }
        Refusal::Internal => SourceError::Damaged(format!(
            "{} cannot be read; the server's log says why",
            place.shard
        )),
        other => SourceError::Unavailable(other.to_string()),
    }
}

impl StreamSource for Streams {
    fn shards<'a>(&'a self, stream: &'a StreamArn) -> SourceFuture<'a, SourceShards> {
        Box::pin(async move {
            let stream = self.source(stream)?;
            let seen = |shard: &Shard| SourceShard { id: shard.id, parents: shard.parents.clone() };
            let shards = stream.shards.iter().map(seen).collect();
            Ok(SourceShards { life: StreamLife(stream.uid.0), shards })
        })
    }

    fn position<'a>(
        &'a self,
        stream: &'a StreamArn,
        place: SourcePlace,
        at: Option<Timestamp>,
    ) -> SourceFuture<'a, u64> {
        Box::pin(async move {
            let stream = self.source_at(stream, place)?;
            let shard = shard_of(&stream, place)?;
            let start = at.map_or(Start::TrimHorizon, Start::AtTimestamp);
            let found = self.position(&stream, shard, start, "GetRecords").await;
            found.map(|position| position.0).map_err(|refusal| error_of(&refusal, place))
        })
    }

    fn read<'a>(
        &'a self,
        stream: &'a StreamArn,
        place: SourcePlace,
        from: u64,
        limit: SourceLimit,
    ) -> SourceFuture<'a, SourcePage> {
        Box::pin(self.read_source(stream, place, from, limit))
    }

    fn changed<'a>(
        &'a self,
        stream: &'a StreamArn,
        place: SourcePlace,
        from: u64,
    ) -> SourceFuture<'a, ()> {
        Box::pin(self.source_changed(stream, place, from))
    }
}
