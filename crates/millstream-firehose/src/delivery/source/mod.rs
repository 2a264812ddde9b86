//! Where records come from, as the courier sees it.
//!
//! Owns the one shape of every source: parts (a shard, a Kafka partition, the one log of direct
//! puts), each an ordered run of records with positions. `direct`, `stream` and `kafka` have that
//! shape; `reading` decides which part is read next.

mod direct;
#[cfg(feature = "kafka")]
mod kafka;
mod reading;
mod stream;

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millstream_core::Timestamp;
pub(crate) use millstream_core::source::SourceError;
use millstream_core::source::SourceLimit;

pub(super) use direct::DirectSource;
pub(crate) use direct::Opener;
#[cfg(feature = "kafka")]
pub(super) use kafka::KafkaSource;
pub(super) use reading::{Arrival, Reading};
pub(super) use stream::DataStreamSource;

/// A part of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartInfo {
    /// Which.
    pub(crate) number: u64,
    /// Those whose records all come before its own.
    pub(crate) parents: Vec<u64>,
}

/// All parts of one life of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Positions in another life mean nothing in this one.
    pub(crate) life: u64,
    pub(crate) parts: Vec<PartInfo>,
}

/// A record as it is in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) position: u64,
    pub(crate) arrived: Timestamp,
    /// What it is called there and the key that it was put under, where there is such a thing.
    pub(crate) origin: Option<Origin>,
    pub(crate) data: Bytes,
}

/// What a stream says of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) sequence_number: String,
    pub(crate) partition_key: String,
}

/// What a read found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) records: Vec<Record>,
    /// Where reading had to begin instead, because the source kept nothing below.
    pub(crate) begins: Option<u64>,
    /// Where to read on.
    pub(crate) next: u64,
    /// When the record at or after `next` arrived; `None` where none is there yet.
    pub(crate) next_arrived: Option<Timestamp>,
    /// Nothing will ever follow.
    pub(crate) has_ended: bool,
}

/// Records in parts.
pub(crate) trait RecordSource: Send + Sync + fmt::Debug {
    /// The parts as they are now.
    fn parts(&self) -> BoxFuture<'_, Result<Parts, SourceError>>;

    /// Where a part is begun that was never read.
    fn start(&self, life: u64, part: u64) -> BoxFuture<'_, Result<u64, SourceError>>;

    /// Reads from the first record at or after `from`.
    fn read(
        &self,
        life: u64,
        part: u64,
        from: u64,
        limit: SourceLimit,
    ) -> BoxFuture<'_, Result<Page, SourceError>>;

    /// Returns once a read from `from` would find something new, or earlier.
    fn changed(&self, life: u64, part: u64, from: u64) -> BoxFuture<'_, Result<(), SourceError>>;

    /// Everything below `before` is settled for good: the source may forget it, where it is ours.
    fn settled(&self, part: u64, before: u64) -> BoxFuture<'_, ()>;

    /// Whether there is one part only, so that a replay finds records in the same order.
    fn is_ordered(&self) -> bool;
}
