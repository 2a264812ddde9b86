//! A directory of the real file system.
//!
//! Owns every system call on files. Write-ahead files bypass the page cache where the file system
//! allows it, since their bytes are read back only after a crash.
//!
//! Invariant: one handle writes a file and syncs it, for a sync reports the errors of its own
//! handle only (Linux's errseq; on macOS the drive's cache is flushed too).

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags};

use super::{FileKind, Storage, StorageFile, StorageLock};

const LOCK_NAME: &str = "LOCK";
const LOCK_TRIES: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Whether files written in blocks bypass the page cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DirectIo {
    /// Where the file system takes it.
    #[default]
    Try,
    /// Never.
    Never,
}

/// A directory on disk, made where it is missing.
#[derive(Debug)]
pub struct DiskStorage {
    path: PathBuf,
    directory: OwnedFd,
    direct: DirectIo,
}

#[derive(Debug)]
struct DiskFile(OwnedFd);

impl DiskStorage {
    /// Opens `path`, making it (and its parents) durably, readable by its owner only.
    pub fn open(path: &Path, direct: DirectIo) -> io::Result<Self> {
        make_directory(path)?;
        let directory = open_directory(path)?;
        Ok(Self { path: path.to_owned(), directory, direct })
    }

    fn open_file(&self, name: &str, kind: FileKind, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::RDWR | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        #[cfg(target_os = "linux")]
        if kind == FileKind::Blocks && self.direct == DirectIo::Try {
            match rustix::fs::openat(&self.directory, name, flags | OFlags::DIRECT, mode) {
                // The file system does not take it. It may have made the file all the same.
                Err(rustix::io::Errno::INVAL) => {
                    let flags = flags.difference(OFlags::EXCL);
                    return Ok(rustix::fs::openat(&self.directory, name, flags, mode)?);
                }
                outcome => return Ok(outcome?),
            }
        }
        let _ = kind;
        Ok(rustix::fs::openat(&self.directory, name, flags, mode)?)
    }
}

impl Storage for DiskStorage {
    fn create(&self, name: &str, kind: FileKind) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(DiskFile(self.open_file(name, kind, OFlags::CREATE | OFlags::EXCL)?)))
    }

    fn open(&self, name: &str, kind: FileKind) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(DiskFile(self.open_file(name, kind, OFlags::empty())?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.directory, from, &self.directory, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.directory, name, AtFlags::empty())?)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.directory)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." && name != LOCK_NAME {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.directory)?)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let space = rustix::fs::fstatvfs(&self.directory)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn lock(&self) -> io::Result<StorageLock> {
        let file = self.open_file(LOCK_NAME, FileKind::Plain, OFlags::CREATE)?;
        // A process that was killed keeps its lock until the system has buried it, and a child
        // that was just forked keeps ours until it runs its own program: a moment's patience.
        for _ in 0..LOCK_TRIES {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
                outcome => return Ok(outcome.map(|()| Box::new(file))?),
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn describe(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    fn blocks(&self) -> bool {
        true
    }
}

impl StorageFile for DiskFile {
    fn read_at(&self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            match rustix::io::pread(&self.0, &mut *buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => {
                    buffer = &mut buffer[bytes..];
                    offset += bytes as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn write_at(&self, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            // A full disk first writes less than asked, and says so at the next call only.
            match rustix::io::pwrite(&self.0, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        #[cfg(target_vendor = "apple")]
        return Ok(rustix::fs::fcntl_fullfsync(&self.0)?);
        #[cfg(not(target_vendor = "apple"))]
        Ok(rustix::fs::fdatasync(&self.0)?)
    }

    fn length(&self) -> io::Result<u64> {
        let length = rustix::fs::fstat(&self.0)?.st_size;
        u64::try_from(length).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Makes `path` and what is missing above it, each durable in its parent.
fn make_directory(path: &Path) -> io::Result<()> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) => {}
        Err(rustix::io::Errno::EXIST) => {
            // Whoever made it may have died before its name was durable.
            if let Ok(parent) = open_directory(parent_of(path)) {
                rustix::fs::fsync(parent)?;
            }
            return Ok(());
        }
        Err(rustix::io::Errno::NOENT) => {
            let parent = path.parent().ok_or(io::ErrorKind::NotFound)?;
            make_directory(parent)?;
            return make_directory(path);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(rustix::fs::fsync(open_directory(parent_of(path))?)?)
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
