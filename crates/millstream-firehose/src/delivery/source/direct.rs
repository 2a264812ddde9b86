//! Direct puts: the delivery stream's own log, of which delivered records are forgotten.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millstream_core::source::SourceLimit;
use millstream_log::{Log, LogId, Position, ReadError, ReadLimit};

use super::{Page, PartInfo, Parts, Record, RecordSource, SourceError};

/// Makes the data of a record from what is stored of it, or says why not.
pub(crate) type Opener = Arc<dyn Fn(&Bytes) -> Result<Bytes, String> + Send + Sync>;

/// The log of direct puts.
pub(crate) struct DirectSource {
    log: Arc<dyn Log>,
    id: LogId,
    open: Opener,
}

impl fmt::Debug for DirectSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectSource").field("id", &self.id).finish_non_exhaustive()
    }
}

impl DirectSource {
    pub(crate) fn new(log: Arc<dyn Log>, id: LogId, open: Opener) -> Self {
        Self { log, id, open }
    }

    async fn page(&self, from: u64, limit: SourceLimit) -> Result<Page, SourceError> {
        let limit = ReadLimit { records: limit.records, bytes: limit.bytes };
        let read = self.log.read(self.id, Position(from), limit).await.map_err(|it| error(&it))?;
        let record = |record: millstream_log::Record| {
            let data = (self.open)(&record.payload).map_err(SourceError::Damaged)?;
            let (position, arrived) = (record.position.0, record.arrived);
            Ok(Record { position, arrived, origin: None, data })
        };
        Ok(Page {
            records: read.records.into_iter().map(record).collect::<Result<_, _>>()?,
            begins: None,
            next: read.next.0,
            next_arrived: read.next_arrived,
            has_ended: read.at_sealed_end,
        })
    }
}

fn error(error: &ReadError) -> SourceError {
    match error {
        ReadError::NotFound => SourceError::StreamNotFound,
        ReadError::Corrupt { .. } => SourceError::Damaged(error.to_string()),
        ReadError::Io { .. } => SourceError::Unavailable(error.to_string()),
    }
}

impl RecordSource for DirectSource {
    fn parts(&self) -> BoxFuture<'_, Result<Parts, SourceError>> {
        Box::pin(async {
            Ok(Parts { life: 0, parts: vec![PartInfo { number: 0, parents: vec![] }] })
        })
    }

    fn start(&self, _: u64, _: u64) -> BoxFuture<'_, Result<u64, SourceError>> {
        Box::pin(async { Ok(self.log.bounds(self.id).map_err(|it| error(&it))?.start.0) })
    }

    fn read(
        &self,
        _: u64,
        _: u64,
        from: u64,
        limit: SourceLimit,
    ) -> BoxFuture<'_, Result<Page, SourceError>> {
        Box::pin(self.page(from, limit))
    }

    fn changed(&self, _: u64, _: u64, from: u64) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move {
            let mut tail = self.log.tail(self.id).map_err(|it| error(&it))?;
            // A sender that is gone says that the log is deleted or has stopped: a read says which.
            let _ = tail.wait_for(|bounds| bounds.end.0 > from || bounds.sealed).await;
            Ok(())
        })
    }

    fn settled(&self, _: u64, before: u64) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Not forgotten now is forgotten later: the next checkpoint asks again.
            if let Err(error) = self.log.trim(self.id, Position(before)).await {
                tracing::debug!(%error, log = self.id.0, "delivered records were not forgotten");
            }
        })
    }

    fn is_ordered(&self) -> bool {
        true
    }
}
