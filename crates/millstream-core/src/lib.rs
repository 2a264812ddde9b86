//! The nouns every other crate speaks, and the two doors to the outside: time and entropy.
//!
//! Owns what a stream name, an ARN, a shard id, a sequence number and a point on the hash ring
//! *are*: how they are parsed, printed and compared. Knows no wire form, no disk and no service.
//!
//! Invariant: nothing in the workspace reads the wall clock or draws entropy but through
//! [`Clock`] and [`Rand`] (clippy bans the alternatives), so that a simulation can stand in.

mod arn;
mod call_windows;
mod clock;
pub mod limits;
mod name;
mod rand;
mod ring;
mod sequence;
mod shard_id;
pub mod source;

pub use arn::{Arn, ArnError, ConsumerArn, StreamArn};
pub use call_windows::{CALL_WINDOW, CALL_WINDOWS_MANY, CallWindows};
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use name::{AccountId, NameError, Region, StreamName};
pub use rand::{Rand, SeededRand, SystemRand};
pub use ring::{HashKey, HashKeyError, HashKeyRange};
pub use sequence::{SequenceError, SequenceNumber};
pub use shard_id::{ShardId, ShardIdError};
