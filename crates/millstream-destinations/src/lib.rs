//! Where deliveries go: one folder for each kind, one trait for those that take documents.
//!
//! Owns a single attempt: how a destination is spoken to, what its answer means for each document,
//! and which failures are worth another try. When to try again, for how long, and what becomes of
//! what was refused is the delivering service's business.
//!
//! Invariants:
//! * An attempt may be repeated with the same [`Delivery`]: where the destination can tell, a
//!   repeat changes nothing.
//! * Nothing is reported delivered that the destination did not say it keeps.
//! * No connection is opened to an address that the [`outbound`] guard refuses.

pub mod backoff;
mod failure;
pub mod glue;
pub mod http_endpoint;
#[cfg(feature = "iceberg")]
pub mod iceberg;
pub mod lambda;
pub mod objects;
pub mod opensearch;
pub mod outbound;
pub mod redshift;
pub mod splunk;

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millstream_core::Timestamp;

pub use failure::{ConfigError, Failure, Outcome};

/// Names one document for good: across attempts and restarts of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId {
    /// The part of the source it came from (a shard, a partition; 0 for direct puts).
    pub part: u64,
    /// The record's position there.
    pub position: u64,
    /// Which of the documents that the record was split into.
    pub index: u32,
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.part, self.position, self.index)
    }
}

/// One document to deliver.
#[derive(Clone, Debug)]
pub struct Document {
    /// Which.
    pub id: DocumentId,
    /// When its record arrived at the source.
    pub arrived: Timestamp,
    /// What is to be done with it, where the destination keeps rows that change.
    pub operation: Operation,
    /// Its bytes, after all processing.
    pub data: Bytes,
}

/// What is to be done with a document at a destination whose rows change. Others add it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operation {
    /// Add it, whatever is there.
    #[default]
    Insert,
    /// Put it in the place of what has its keys, or add it.
    Update,
    /// Take away what has its keys.
    Delete,
}

/// Documents to deliver together, in order.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The same in every attempt, also after a restart: what a destination may tell repeats by.
    pub id: String,
    /// Which of the destination's parts they belong in, where it has several; else empty.
    pub partition: String,
    /// At least one.
    pub documents: Vec<Document>,
}

/// What a destination takes in one delivery. Whoever makes deliveries keeps to it: a delivery
/// above it is sent all the same, and the destination says what it thinks of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Documents at most.
    pub documents: usize,
    /// Bytes of their data at most, together.
    pub bytes: usize,
}

impl Limits {
    /// As much as one likes.
    pub const NONE: Self = Self { documents: usize::MAX, bytes: usize::MAX };
}

/// A destination that takes documents, rather than objects.
pub trait Destination: Send + Sync + fmt::Debug {
    /// What one delivery may hold.
    fn limits(&self) -> Limits {
        Limits::NONE
    }

    /// What a document is called at this destination, for the error output: also where a delivery
    /// failed as a whole, and no failure is about the one document.
    fn details(&self, document: &Document) -> Vec<(&'static str, String)> {
        let _ = document;
        Vec::new()
    }

    /// Tries once. An error speaks of the whole delivery; an answer of `Ok` lists those
    /// documents that were refused, each with its reason.
    fn attempt<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Outcome>;
}
