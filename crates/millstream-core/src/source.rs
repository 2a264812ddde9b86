//! The port through which one service reads another's stream.
//!
//! Owns what a reader may ask of a stream of records that lives elsewhere, in the least words that
//! a Data Stream can answer. Firehose reads through it; Data Streams implements it; the binary
//! joins the two, so that services never import one another.
//!
//! Invariants that an implementation keeps:
//! * Positions grow with the records of one shard and never change; the reader keeps them across
//!   restarts and makes no arithmetic on them.
//! * A record is returned only once it is durable, and until it expires always.
//! * A shard whose page says [`SourcePage::has_ended`] never has another record, and its children
//!   are in the list of shards by then.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::{ShardId, StreamArn, Timestamp};

/// A boxed future, so that the port can stand behind `dyn`.
pub type SourceFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, SourceError>> + Send + 'a>>;

/// Names one life of a stream: one made again under the same name has another, and positions in
/// the earlier one mean nothing there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamLife(pub u64);

/// Why a source does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No such stream, or that life of it is over.
    #[error("the source stream is not there")]
    StreamNotFound,
    /// The shard is not, or no longer, in the stream's list: all of it has expired.
    #[error("the source stream has no {0}")]
    ShardNotFound(ShardId),
    /// Not now: being created, overloaded, or a fault that may pass.
    #[error("the source cannot be read now: {0}")]
    Unavailable(String),
    /// The records cannot be read, and another try will not help before someone acts.
    #[error("the source is damaged: {0}")]
    Damaged(String),
}

/// A shard as its reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceShard {
    /// Which.
    pub id: ShardId,
    /// Those it took over from, one or two, or none: all of their records come before its own.
    /// May name shards that have expired and are no longer listed.
    pub parents: Vec<ShardId>,
}

/// The shards of one life of a stream, open and closed, as far as they hold records that may
/// still be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceShards {
    /// The life they belong to.
    pub life: StreamLife,
    /// By id.
    pub shards: Vec<SourceShard>,
}

/// Which shard of which life of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourcePlace {
    /// The life of the stream.
    pub life: StreamLife,
    /// The shard in it.
    pub shard: ShardId,
}

/// One record as its producer put it: aggregates are not taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRecord {
    /// Its place in the shard.
    pub position: u64,
    /// When it arrived.
    pub arrived: Timestamp,
    /// As GetRecords returns it.
    pub sequence_number: String,
    /// The key it was put under.
    pub partition_key: String,
    /// What was put.
    pub data: Bytes,
}

/// How much one read may return. At least one record is returned where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceLimit {
    /// Records at most.
    pub records: usize,
    /// Bytes of data at most; the first record may be larger.
    pub bytes: usize,
}

/// What a read found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourcePage {
    /// In order of position.
    pub records: Vec<SourceRecord>,
    /// Where to read on: after the last record returned, and past what has expired.
    pub next: u64,
    /// When the record at or after `next` arrived; `None` where none is there yet.
    pub next_arrived: Option<Timestamp>,
    /// The shard is closed and `next` is its end.
    pub has_ended: bool,
}

/// Streams that can be read record by record.
pub trait StreamSource: Send + Sync + fmt::Debug + 'static {
    /// The shards of the stream that has this ARN now.
    fn shards<'a>(&'a self, stream: &'a StreamArn) -> SourceFuture<'a, SourceShards>;

    /// The position of the first record that arrived at or after `at`; of the shard's first
    /// record that has not expired where `at` is `None`; the end where there is none.
    fn position<'a>(
        &'a self,
        stream: &'a StreamArn,
        place: SourcePlace,
        at: Option<Timestamp>,
    ) -> SourceFuture<'a, u64>;

    /// Reads from the first record at or after `from`.
    fn read<'a>(
        &'a self,
        stream: &'a StreamArn,
        place: SourcePlace,
        from: u64,
        limit: SourceLimit,
    ) -> SourceFuture<'a, SourcePage>;

    /// Returns once a read from `from` would find something new: a record, or the shard's end.
    /// May return early, and costs nothing while it waits. Dropping it is fine.
    fn changed<'a>(
        &'a self,
        stream: &'a StreamArn,
        place: SourcePlace,
        from: u64,
    ) -> SourceFuture<'a, ()>;
}
