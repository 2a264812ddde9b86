//! The one thing that must be durable, ordered and fast: a log of opaque records.
//!
//! Owns the [`Log`] trait, which promises only what both a local disk and a Kafka-protocol
//! cluster can keep, and the [`embedded`] engine. Knows neither what records mean, nor AWS, nor
//! HTTP. Only this crate's [`storage`] touches files.
//!
//! Invariant: a record is acknowledged only after its bytes are durable at the configured level,
//! and is readable only after it is acknowledged or could be.

mod batch;
pub mod embedded;
mod log;
pub mod storage;

pub use batch::{Batch, BatchBuilder, Record, Records};
pub use embedded::{Driver, Durability, EmbeddedLog, OpenError, RecoveryReport, Settings, Stats};
pub use log::{
    AppendError, Appended, Bounds, BoxFuture, Log, LogId, Position, Read, ReadError, ReadLimit,
    SealError, Tail,
};

#[cfg(test)]
mod tests;
