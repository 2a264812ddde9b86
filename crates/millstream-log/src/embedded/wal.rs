//! Write-ahead files: which is written, which are ready, which wait to be destaged.
//!
//! Owns their life: zero-filled once, given an epoch and synced (prepared), written by the lane,
//! full, destaged, blank, prepared again. Preparing happens in the background, before the lane
//! needs the file, so that an append never waits for it on a healthy disk.
//!
//! Invariant: a file's header is durable before a commit goes into it, and files are used in
//! order of their epochs.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::commit::{Salt, encode_file_header};
use super::manifest::LogSnapshot;
use super::state::lock;
use crate::storage::{AlignedBuffer, BLOCK_BYTES, FileKind, Storage, StorageFile};

/// How much of a new file is zero-filled with one call.
const FILL_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct WalFile {
    pub(super) number: u64,
    pub(super) file: Arc<dyn StorageFile>,
    pub(super) epoch: u64,
    pub(super) bytes: u64,
}

/// A file that takes no more commits.
#[derive(Debug)]
pub(super) struct FullFile {
    pub(super) wal: WalFile,
    /// Number of the first commit after it.
    pub(super) checkpoint: u64,
    /// Every log's state at that point.
    pub(super) logs: Vec<LogSnapshot>,
}

/// Why the background cannot give the lane a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PoolFailure {
    NoSpace,
    Stopped,
}

#[derive(Debug, Default)]
pub(super) struct PoolState {
    pub(super) spares: VecDeque<WalFile>,
    pub(super) blanks: Vec<WalFile>,
    pub(super) full: VecDeque<FullFile>,
    /// All files that exist, the one being written included.
    pub(super) file_count: usize,
    pub(super) number_next: u64,
    pub(super) epoch: u64,
    /// How often the background failed, and why last.
    pub(super) failures: u64,
    pub(super) failure: Option<PoolFailure>,
    /// Counts calls for the background, so that none is slept through.
    pub(super) calls: u64,
    pub(super) closing: bool,
}

/// The files between lane and background.
#[derive(Debug, Default)]
pub(super) struct Pool {
    state: Mutex<PoolState>,
    changed: Condvar,
}

pub(super) fn wal_name(number: u64) -> String {
    format!("wal-{number:06}")
}

pub(super) fn wal_number(name: &str) -> Option<u64> {
    name.strip_prefix("wal-")?.parse().ok()
}

impl Pool {
    pub(super) fn new(state: PoolState) -> Self {
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn with<T>(&self, change: impl FnOnce(&mut PoolState) -> T) -> T {
        change(&mut lock(&self.state))
    }

    /// Wakes the background.
    pub(super) fn call(&self) {
        self.with(|state| state.calls += 1);
        self.changed.notify_all();
    }

    pub(super) fn add_spare(&self, wal: WalFile) {
        self.with(|state| {
            state.spares.push_back(wal);
            state.failure = None;
        });
        self.changed.notify_all();
    }

    pub(super) fn finish_full(&self, recycle: Option<WalFile>) {
        self.with(|state| {
            match recycle {
                Some(wal) => state.blanks.push(wal),
                None => state.file_count -= 1,
            }
            state.failure = None;
        });
        self.changed.notify_all();
    }

    pub(super) fn fail(&self, failure: PoolFailure) {
        self.with(|state| {
            state.failures += 1;
            state.failure = Some(failure);
        });
        self.changed.notify_all();
    }

    /// Blocks until a prepared file is there, or the background failed once more.
    pub(super) fn wait_for_spare(&self) -> Result<(), PoolFailure> {
        let mut state = lock(&self.state);
        state.calls += 1;
        let failures = state.failures;
        self.changed.notify_all();
        loop {
            match state.failure {
                _ if !state.spares.is_empty() => return Ok(()),
                Some(PoolFailure::Stopped) => return Err(PoolFailure::Stopped),
                Some(failure) if state.failures > failures => return Err(failure),
                _ => {}
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Blocks until all full files are destaged, or the background failed once more.
    pub(super) fn wait_until_destaged(&self) -> Result<(), PoolFailure> {
        let mut state = lock(&self.state);
        state.calls += 1;
        let failures = state.failures;
        self.changed.notify_all();
        loop {
            match state.failure {
                _ if state.full.is_empty() => return Ok(()),
                Some(PoolFailure::Stopped) => return Err(PoolFailure::Stopped),
                Some(failure) if state.failures > failures => return Err(failure),
                _ => {}
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Blocks the background until it is called after `seen` calls, or `patience` is over.
    /// Returns how many calls there were; `None` once the engine closes.
    pub(super) fn wait_for_call(&self, seen: u64, patience: Option<Duration>) -> Option<u64> {
        let mut state = lock(&self.state);
        while state.calls == seen && !state.closing {
            match patience {
                None => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Some(patience) => {
                    let waited = self.changed.wait_timeout(state, patience);
                    let (held, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    state = held;
                    if timeout.timed_out() {
                        break;
                    }
                }
            }
        }
        if state.closing { None } else { Some(state.calls) }
    }

    pub(super) fn close(&self) {
        self.with(|state| state.closing = true);
        self.changed.notify_all();
    }
}

/// Makes a file of `bytes` zeros, durable with its name.
pub(super) fn create_file(
    storage: &dyn Storage,
    number: u64,
    bytes: u64,
) -> io::Result<Arc<dyn StorageFile>> {
    // Looked at first, so that a full disk is not filled and emptied again with every try.
    if storage.free_bytes()? < bytes {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let name = wal_name(number);
    let file = storage.create(&name, FileKind::Blocks)?;
    let filled = fill_with_zeros(&*file, bytes).and_then(|()| file.sync());
    if let Err(error) = filled.and_then(|()| storage.sync_directory()) {
        // Best effort: what is left is found and removed at the next start.
        let _ = storage.remove(&name);
        return Err(error);
    }
    Ok(file)
}

fn fill_with_zeros(file: &dyn StorageFile, bytes: u64) -> io::Result<()> {
    let zeros = AlignedBuffer::zeroed(FILL_BYTES);
    let mut at = 0;
    while at < bytes {
        let part = usize::try_from(bytes - at).unwrap_or(usize::MAX).min(FILL_BYTES);
        file.write_at(at, &zeros.as_slice()[..part])?;
        at += part as u64;
    }
    Ok(())
}

/// Gives a file a new life: commits of earlier ones no longer validate.
pub(super) fn prepare_file(wal: &mut WalFile, epoch: u64, salt: Salt) -> io::Result<()> {
    let header = encode_file_header(epoch, salt);
    debug_assert_eq!(header.as_slice().len(), BLOCK_BYTES);
    wal.file.write_at(0, header.as_slice())?;
    wal.file.sync()?;
    wal.epoch = epoch;
    Ok(())
}
