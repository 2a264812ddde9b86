//! The disk's own limit, by the pattern of our log: aligned writes over a file that was filled
//! with zeros, each followed by fdatasync.
//!
//! Owns a small writer and nothing of the log's code, so that it says what the disk can do and
//! not what we do. Direct writes where the file system takes them, as the log does; `direct` tells.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What the log pads its commits to, and what direct writes must be aligned to.
const BLOCK_BYTES: usize = 4_096;
const FILE_BYTES: u64 = 64 * 1_024 * 1_024;
/// A lone small commit, a middling one, and one request of 500 × 1 KiB.
const WRITE_BYTES: [usize; 3] = [BLOCK_BYTES, 64 * 1_024, 512 * 1_024];
/// `O_DIRECT` of Linux, which differs by architecture and which std does not name.
const DIRECT: i32 = if cfg!(target_arch = "aarch64") { 0x1_0000 } else { 0x4000 };

/// What one size of write gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct DiskRate {
    pub(super) write_bytes: usize,
    pub(super) direct: bool,
    pub(super) bytes_per_second: f64,
    /// A write with its sync.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

/// Measures each size for `each`; the file lies in `folder` and is removed.
pub(super) fn measure(folder: &Path, each: Duration) -> Result<Vec<DiskRate>, String> {
    let path = folder.join("disk-rate");
    let rates = WRITE_BYTES.iter().map(|bytes| rate(&path, *bytes, each)).collect();
    let _ = fs::remove_file(&path); // The figures matter more than a file left in the cache.
    rates
}

fn rate(path: &Path, write_bytes: usize, each: Duration) -> Result<DiskRate, String> {
    let say = |error: std::io::Error| format!("{}: {error}", path.display());
    fill(path).map_err(say)?;
    let opened = OpenOptions::new().write(true).custom_flags(DIRECT).open(path);
    let direct = opened.is_ok();
    let file = opened.or_else(|_| OpenOptions::new().write(true).open(path)).map_err(say)?;
    let mut buffer = vec![0x5a_u8; write_bytes + BLOCK_BYTES];
    let start = buffer.as_ptr().align_offset(BLOCK_BYTES);
    let block = &mut buffer[start..start + write_bytes];

    let mut took = Vec::new();
    let (mut offset, mut written, begun) = (0_u64, 0_u64, Instant::now());
    while begun.elapsed() < each {
        // Bytes that change, so that no layer below can tell one write from the next.
        block[..8].copy_from_slice(&written.to_le_bytes());
        let at = Instant::now();
        file.write_all_at(block, offset).map_err(say)?;
        file.sync_data().map_err(say)?;
        took.push(at.elapsed());
        written += write_bytes as u64;
        offset = (offset + write_bytes as u64) % FILE_BYTES;
    }
    let seconds = begun.elapsed().as_secs_f64();
    took.sort_unstable();
    let percentile = |percent: usize| took[(took.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    #[allow(clippy::cast_precision_loss)] // Far below 2^52 bytes in seconds.
    let bytes_per_second = written as f64 / seconds;
    Ok(DiskRate {
        write_bytes,
        direct,
        bytes_per_second,
        p50_ms: percentile(50),
        p99_ms: percentile(99),
    })
}

/// Zeros, written and synced: later writes change no metadata.
fn fill(path: &Path) -> std::io::Result<()> {
    let file = File::create(path)?;
    let zeros = vec![0_u8; 1_024 * 1_024];
    let mut offset = 0;
    while offset < FILE_BYTES {
        file.write_all_at(&zeros, offset)?;
        offset += zeros.len() as u64;
    }
    file.sync_all()
}
