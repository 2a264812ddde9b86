//! Buckets that are directories.
//!
//! A put writes a file of its own under `ROOT/.uploads`, syncs it, moves it to its place in one
//! step and syncs the directory: what is in a bucket is whole, and survives a loss of power.
//!
//! Invariant: no key reaches a file outside of its bucket's directory.

mod list;
mod path;

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::{Chunks, Page};
use crate::Failure;
pub(super) use list::Wanted;

/// Where unfinished objects lie; no bucket's name begins with a dot.
const UPLOADS: &str = ".uploads";
/// The code of a key that cannot be a file's name, or has a file already.
const CONFLICT: &str = "S3.KeyConflict";
/// Directories that are remembered as durable; beyond, all are forgotten and synced anew.
const DURABLE_MAX: usize = 10_000;

/// Tells apart the uploads of this process.
static UPLOAD: AtomicU64 = AtomicU64::new(0);

/// A directory of buckets.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    /// Directories that this process knows to survive a loss of power. That one exists does not
    /// say so: whoever made it may have ended before it was synced.
    durable: Mutex<HashSet<PathBuf>>,
}

/// Runs blocking work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|error| failure(&error))
}

impl Directory {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, durable: Mutex::default() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) async fn put(
        self: &Arc<Self>,
        bucket: &str,
        key: &str,
        chunks: Chunks,
    ) -> Result<(), Failure> {
        let own = Arc::clone(self);
        let target = self.root.join(bucket).join(path::of_key(key)?);
        blocking(move || own.write_whole(&target, chunks)).await
    }

    /// Puts an object unless there is one: false says so.
    pub(super) async fn put_new(
        self: &Arc<Self>,
        bucket: &str,
        key: &str,
        body: Bytes,
    ) -> Result<bool, Failure> {
        let own = Arc::clone(self);
        let target = self.root.join(bucket).join(path::of_key(key)?);
        let put = blocking(move || own.link_whole(&target, &body)).await;
        match put {
            Err(failure) if failure.code == CONFLICT => Ok(false),
            put => put.map(|()| true),
        }
    }

    pub(super) async fn read(
        &self,
        bucket: &str,
        key: &str,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Bytes, Failure> {
        let path = self.root.join(bucket).join(path::of_key(key)?);
        blocking(move || read_part(&path, offset, bytes_max)).await
    }

    pub(super) async fn list(&self, bucket: &str, wanted: Wanted) -> Result<Page, Failure> {
        let directory = self.root.join(bucket);
        blocking(move || list::find(&directory, &wanted)).await
    }

    fn write_whole(&self, target: &Path, chunks: Chunks) -> io::Result<()> {
        let upload = self.upload(chunks)?;
        let parent = target.parent().expect("a key is below its bucket");
        self.make_durable(parent)?;
        fs::rename(&upload.0, target)?;
        sync_directory(parent)
    }

    /// A link, other than a move, fails where there is something already.
    fn link_whole(&self, target: &Path, body: &Bytes) -> io::Result<()> {
        let upload = self.upload(super::in_memory([body.clone()]))?;
        let parent = target.parent().expect("a key is below its bucket");
        self.make_durable(parent)?;
        fs::hard_link(&upload.0, target)?;
        sync_directory(parent)
    }

    /// A file of its own with all of the chunks, synced.
    fn upload(&self, chunks: Chunks) -> io::Result<Upload> {
        let uploads = self.root.join(UPLOADS);
        self.make_durable(&uploads)?;
        let number = UPLOAD.fetch_add(1, Ordering::Relaxed);
        let upload = Upload(uploads.join(format!("{}-{number}", std::process::id())));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).open(&upload.0)?;
        for chunk in chunks {
            file.write_all(&chunk?)?;
        }
        file.sync_all()?;
        Ok(upload)
    }

    /// Makes a directory and those above it, and sees to it that they stay.
    fn make_durable(&self, path: &Path) -> io::Result<()> {
        let known = |path: &Path| self.locked().contains(path);
        if known(path) && path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent.filter(|_| path != self.root) {
            self.make_durable(parent)?;
        } else {
            fs::create_dir_all(path)?;
        }
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            made => made?,
        }
        sync_directory(parent.unwrap_or(Path::new(".")))?;
        let mut durable = self.locked();
        if durable.len() >= DURABLE_MAX {
            durable.clear();
        }
        durable.insert(path.to_owned());
        Ok(())
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => Failure::retryable("S3.NoSuchKey", error.to_string()),
        io::ErrorKind::PermissionDenied => {
            Failure::retryable("S3.AccessDenied", format!("Access was denied. ({error})"))
        }
        // A key that needs a file where another needs a directory.
        io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::AlreadyExists => Failure::permanent(CONFLICT, error.to_string()),
        _ => Failure::retryable(
            "InternalError",
            format!("An internal error occurred while attempting to deliver data. ({error})"),
        ),
    }
}

/// An unfinished object's file, which goes when the put is over, however it ends.
struct Upload(PathBuf);

impl Drop for Upload {
    fn drop(&mut self) {
        // After a success it is not there any more.
        let _ = fs::remove_file(&self.0);
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    #[allow(clippy::disallowed_methods)] // Buckets that are directories live here.
    File::open(path)?.sync_all()
}

fn read_part(path: &Path, offset: u64, bytes_max: usize) -> io::Result<Bytes> {
    #[allow(clippy::disallowed_methods)] // Buckets that are directories live here.
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let left = file.metadata()?.len().saturating_sub(offset);
    let mut bytes = Vec::with_capacity(usize::try_from(left).unwrap_or(bytes_max).min(bytes_max));
    file.take(u64::try_from(bytes_max).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(Bytes::from(bytes))
}
