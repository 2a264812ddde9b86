//! Durable metadata: a deterministic state machine over one log.
//!
//! Owns the order of commands, their durability, snapshots and recovery. Knows no service: what a
//! command means is the [`Machine`]'s business. One log holds everything: first a genesis record,
//! then commands as JSON, and now and then the whole state in parts, below which the log is
//! trimmed.
//!
//! Invariant: the state that readers see is exactly what a replay of the durable log gives. A
//! command is applied only after it is durable; where its durability is unknown, the catalog
//! serves reads but takes no further command until it is opened again.
//!
//! * [`Catalog`]: open, read, propose, follow.
//! * `record`: the bytes of one record, and the recovery that reads them.

mod catalog;
#[cfg(any(test, feature = "memory-log"))]
pub mod memory;
mod record;

pub use catalog::{Catalog, OpenError, ProposeError, SnapshotPolicy};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A state and how commands change it.
///
/// `apply` must be a function of the state and the command alone: no clock, no entropy, no
/// iteration in an order that may differ. Whatever a command needs of the outside (the time, an
/// id drawn at random) is in the command. Fields added later carry `#[serde(default)]`, so that
/// old logs replay.
pub trait Machine: Default + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What can change the state.
    type Command: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Changes the state. A command was judged against exactly this state before it was written,
    /// so it cannot fail.
    fn apply(&mut self, command: Self::Command);
}
