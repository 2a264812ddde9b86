//! One directory of files: the only door through which the workspace reaches a disk.
//!
//! Owns the [`Storage`] trait, the real [`DiskStorage`], and (for tests) a simulated disk. Says
//! nothing about what the files hold. Writing and syncing are two calls, so that whoever
//! simulates a disk, or injects faults into system calls, can tell a written byte from a durable
//! one.
//!
//! Invariant: nothing is durable until `sync` returned on the handle it was written through; no
//! name is until `sync_directory` returned.

mod aligned;
mod disk;
#[cfg(any(test, feature = "sim"))]
mod sim;
#[cfg(any(test, feature = "sim"))]
mod world;

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use aligned::{AlignedBuffer, BLOCK_BYTES};
pub use disk::{DirectIo, DiskStorage};
#[cfg(any(test, feature = "sim"))]
pub use sim::{SimCounters, SimDisk, SimStorage};

/// How a file is used, which decides how it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Written once, front to back, then only read.
    Plain,
    /// Overwritten in aligned blocks from an [`AlignedBuffer`]: may bypass the page cache.
    Blocks,
}

/// Held as long as the directory is in use by this engine.
pub type StorageLock = Box<dyn Any + Send + Sync>;

/// One flat directory.
pub trait Storage: Send + Sync + fmt::Debug + 'static {
    /// Makes an empty file; an error where the name is taken.
    fn create(&self, name: &str, kind: FileKind) -> io::Result<Arc<dyn StorageFile>>;

    /// Opens a file that exists.
    fn open(&self, name: &str, kind: FileKind) -> io::Result<Arc<dyn StorageFile>>;

    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// All names, sorted.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes creations, renames and removals durable.
    fn sync_directory(&self) -> io::Result<()>;

    /// Bytes that can still be written.
    fn free_bytes(&self) -> io::Result<u64>;

    /// Takes the directory for this engine alone; `WouldBlock` where another has it.
    fn lock(&self) -> io::Result<StorageLock>;

    /// The name with its directory, for messages.
    fn describe(&self, name: &str) -> String;

    /// Whether calls wait for a device, so that an async caller must take them elsewhere.
    fn blocks(&self) -> bool;

    /// How long, in simulated time, a sync takes; `None` where time passes by itself.
    fn sync_delay(&self) -> Option<Duration> {
        None
    }
}

/// One open file.
pub trait StorageFile: Send + Sync + fmt::Debug {
    /// Fills `buffer` from `offset`; `UnexpectedEof` where the file ends before.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`. After an error any part of it may be written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything written through this handle durable, and the length.
    fn sync(&self) -> io::Result<()>;

    /// Length in bytes.
    fn length(&self) -> io::Result<u64>;
}

/// Whether an error says that space, and nothing else, is missing.
pub fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
