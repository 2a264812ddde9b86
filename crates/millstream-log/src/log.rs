//! The log trait: what every engine promises, and no more.

use std::future::Future;
use std::pin::Pin;

use millstream_core::Timestamp;
use tokio::sync::watch;

use crate::{Batch, Records};

/// A boxed future, so that the trait can stand behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Names one log. Given by the caller, never reused for another log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub u64);

/// The place of a record in its log. Grows with each record; an engine may leave gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// What an append was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The first record's position; the batch's records stand at consecutive positions.
    pub first: Position,
    /// How many records were appended.
    pub count: u32,
    /// When they arrived, by the log's clock, clamped never to fall within the log.
    pub arrived: Timestamp,
}

/// Why an append was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No such log, or it is deleted. Nothing was written.
    #[error("no such log")]
    NotFound,
    /// The log is sealed. Nothing was written: append to its successor.
    #[error("the log is sealed")]
    Sealed,
    /// More is waiting to be written than the engine may hold. Nothing was written: try later.
    #[error("the log is overloaded")]
    Overloaded,
    /// The batch is above what the engine takes at once. Nothing was written.
    #[error("the batch is too large")]
    TooLarge,
    /// No space is left. The batch is not acknowledged and not readable; a crash before the next
    /// acknowledged append may bring it back, whole. Appends work again once space is free.
    #[error("no space left for the log")]
    NoSpace,
    /// The engine stopped acknowledging (a sync failed, or it is shut down).
    /// Whether the batch is durable is unknown until the log is reopened.
    #[error("the log has stopped: {0}")]
    Stopped(String),
}

/// Why a seal was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No such log, or it is deleted.
    #[error("no such log")]
    NotFound,
    /// As for an append.
    #[error("no space left for the log")]
    NoSpace,
    /// As for an append.
    #[error("the log has stopped: {0}")]
    Stopped(String),
}

/// Why a read yields nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No such log, or it is deleted.
    #[error("no such log")]
    NotFound,
    /// The bytes on disk are not the bytes written. Other logs go on being served.
    #[error("corrupt data in {file} at byte {offset}: {reason}")]
    Corrupt {
        /// Where.
        file: String,
        /// Where in it.
        offset: u64,
        /// What does not hold.
        reason: String,
    },
    /// The operating system refused the read.
    #[error("cannot read {file}: {error}")]
    Io {
        /// Where.
        file: String,
        /// What it said.
        error: String,
    },
}

/// How much one read may return. At least one record is returned where there is one.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    /// Records at most.
    pub records: usize,
    /// Payload bytes at most (the first record may be larger).
    pub bytes: usize,
}

/// What a read found.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// The records, in order.
    pub records: Records,
    /// Where to read on from: after the last record returned, and past what was trimmed.
    pub next: Position,
    /// When the record at or after `next` arrived; `None` where none is there yet.
    pub next_arrived: Option<Timestamp>,
    /// The log is sealed and `next` is its end: nothing will ever follow.
    pub at_sealed_end: bool,
}

/// Where a log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first position that can still be read (all below is trimmed).
    pub start: Position,
    /// The position that the next record will have, once durable records only are counted.
    pub end: Position,
    /// Whether the log takes no more records.
    pub sealed: bool,
    /// The largest arrival time given to a record of this log, 0 before the first.
    pub last_arrived: Timestamp,
}

/// Follows the end of a log: changes whenever durable records were added, and once on seal,
/// delete or stop (then the sender is dropped or the bounds say sealed).
pub type Tail = watch::Receiver<Bounds>;

/// Many ordered logs of opaque records, durable before they are acknowledged.
///
/// What an engine must keep:
/// * Appends to one log are acknowledged in the order in which they took positions. A batch is
///   whole or absent after a crash.
/// * A record is returned by `read` only once it is durable; from then until trimmed, always.
/// * After `seal` returns, no append to that log succeeds, and the end never moves again. An
///   append racing it is either below the end that it returned, or fails with `Sealed`.
/// * A future dropped before it is ready leaves the outcome unknown, never half done.
pub trait Log: Send + Sync + 'static {
    /// Makes an empty log, durably. Making one that exists is no error.
    fn create(&self, id: LogId) -> BoxFuture<'static, Result<(), AppendError>>;

    /// Appends a batch whole and returns once it is durable.
    fn append(&self, id: LogId, batch: Batch) -> BoxFuture<'static, Result<Appended, AppendError>>;

    /// Reads durable records from the first at or after `from`.
    fn read(
        &self,
        id: LogId,
        from: Position,
        limit: ReadLimit,
    ) -> BoxFuture<'static, Result<Read, ReadError>>;

    /// The position of the first record that arrived at or after `at`; the end where none has.
    fn position_at(
        &self,
        id: LogId,
        at: Timestamp,
    ) -> BoxFuture<'static, Result<Position, ReadError>>;

    /// Where the log begins and ends now.
    fn bounds(&self, id: LogId) -> Result<Bounds, ReadError>;

    /// Follows the log's end.
    fn tail(&self, id: LogId) -> Result<Tail, ReadError>;

    /// Forgets all records below `before`; their space is given back in time. Above the end it
    /// stops at the end. Forgetting may be undone by a crash, never overdone.
    fn trim(&self, id: LogId, before: Position) -> BoxFuture<'static, Result<(), SealError>>;

    /// Closes the log for good, durably, and returns its end. Sealing again returns the same.
    fn seal(&self, id: LogId) -> BoxFuture<'static, Result<Position, SealError>>;

    /// Removes the log, durably. Removing one that is not there is no error.
    fn delete(&self, id: LogId) -> BoxFuture<'static, Result<(), SealError>>;
}
