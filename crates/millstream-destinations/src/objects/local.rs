//! Buckets that are directories.
//!
//! A put writes a file of its own under `ROOT/.uploads`, syncs it, moves it to its place in one
//! step and syncs the directory: what is in a bucket is whole, and survives a loss of power.
//! What a crash leaves under `.uploads` is overwritten or removed by later puts.
//!
//! Invariant: no key reaches a file outside of its bucket's directory.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use millstream_core::Timestamp;

use super::{Chunks, ObjectSummary, Page};
use crate::Failure;

/// Where unfinished objects lie; no bucket's name begins with a dot.
const UPLOADS: &str = ".uploads";
/// A key at most (documented by S3).
const KEY_BYTES_MAX: usize = 1_024;
/// A file's name at most, on every file system that matters.
const SEGMENT_BYTES_MAX: usize = 255;
/// Directories under a bucket are walked no deeper.
const DEPTH_MAX: usize = 512;

/// Tells apart the uploads of this process.
static UPLOAD: AtomicU64 = AtomicU64::new(0);

/// Runs blocking work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::retryable("InternalError", error.to_string())))
}

pub(super) async fn put(
    root: &Path,
    bucket: &str,
    key: &str,
    chunks: Chunks,
) -> Result<(), Failure> {
    let (root, directory, path) = (root.to_owned(), root.join(bucket), relative(key)?);
    blocking(move || {
        write_whole(&root, &directory.join(path), chunks).map_err(|error| failed(&error))
    })
    .await
}

pub(super) async fn read(
    root: &Path,
    bucket: &str,
    key: &str,
    offset: u64,
    bytes_max: usize,
) -> Result<Bytes, Failure> {
    let path = root.join(bucket).join(relative(key)?);
    blocking(move || read_part(&path, offset, bytes_max).map_err(|error| failed(&error))).await
}

pub(super) async fn list(
    root: &Path,
    bucket: &str,
    prefix: &str,
    after: Option<&str>,
    count_max: usize,
) -> Result<Page, Failure> {
    let directory = root.join(bucket);
    let wanted = Wanted { prefix: prefix.to_owned(), after: after.map(str::to_owned), count_max };
    blocking(move || find(&directory, &wanted).map_err(|error| failed(&error))).await
}

fn failed(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => Failure::retryable("S3.NoSuchKey", error.to_string()),
        io::ErrorKind::PermissionDenied => {
            Failure::retryable("S3.AccessDenied", format!("Access was denied. ({error})"))
        }
        // A key that needs a file where another needs a directory.
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            Failure::permanent("S3.KeyConflict", error.to_string())
        }
        _ => Failure::retryable(
            "InternalError",
            format!("An internal error occurred while attempting to deliver data. ({error})"),
        ),
    }
}

/// The file that holds `key`, under its bucket's directory. Each of the key's segments is a
/// name; those that a file system reads otherwise are escaped, with `%` itself.
fn relative(key: &str) -> Result<PathBuf, Failure> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let message = format!("a key has 1 to {KEY_BYTES_MAX} bytes, this one {}", key.len());
        return Err(Failure::permanent("S3.KeyTooLongError", message));
    }
    let mut path = PathBuf::new();
    for segment in key.split('/') {
        let name = match segment {
            "" => "%".to_owned(),
            "." => "%2E".to_owned(),
            ".." => "%2E%2E".to_owned(),
            plain => plain.replace('%', "%25").replace('\0', "%00"),
        };
        if name.len() > SEGMENT_BYTES_MAX {
            let message = format!("a directory's names have {SEGMENT_BYTES_MAX} bytes at most");
            return Err(Failure::permanent("S3.KeyTooLongError", message));
        }
        path.push(name);
    }
    Ok(path)
}

/// The segment that a file's name stands for; none where no key makes such a name.
fn segment(name: &str) -> Option<String> {
    match name {
        "%" => Some(String::new()),
        "%2E" => Some(".".to_owned()),
        "%2E%2E" => Some("..".to_owned()),
        name => {
            let plain = name.replace("%00", "\0").replace("%25", "%");
            let again = plain.replace('%', "%25").replace('\0', "%00");
            (again == name).then_some(plain)
        }
    }
}

fn write_whole(root: &Path, target: &Path, chunks: Chunks) -> io::Result<()> {
    let uploads = root.join(UPLOADS);
    create_directory(&uploads)?;
    let number = UPLOAD.fetch_add(1, Ordering::Relaxed);
    let upload = Upload(uploads.join(format!("{}-{number}", std::process::id())));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&upload.0)?;
    for chunk in chunks {
        file.write_all(&chunk?)?;
    }
    file.sync_all()?;
    drop(file);
    let parent = target.parent().expect("a key is below its bucket");
    create_directory(parent)?;
    fs::rename(&upload.0, target)?;
    sync_directory(parent)
}

/// An unfinished object's file, which goes when the put is over, however it ends.
struct Upload(PathBuf);

impl Drop for Upload {
    fn drop(&mut self) {
        // After a success it is not there any more.
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes a directory and those above it, each durably.
fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_directory(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(error) => return Err(error),
        Ok(()) => {}
    }
    // Also where another put made it: its own sync may still be under way.
    sync_directory(parent.unwrap_or(Path::new(".")))
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

/// What a list is to hold.
struct Wanted {
    prefix: String,
    after: Option<String>,
    count_max: usize,
}

impl Wanted {
    /// Whether keys that begin with `start` may be wanted.
    fn may_hold(&self, start: &str) -> bool {
        let shares_prefix = start.starts_with(&self.prefix) || self.prefix.starts_with(start);
        let is_behind =
            self.after.as_deref().is_none_or(|after| start > after || after.starts_with(start));
        shares_prefix && is_behind
    }

    fn holds(&self, key: &str) -> bool {
        key.starts_with(&self.prefix) && self.after.as_deref().is_none_or(|after| key > after)
    }
}

fn find(directory: &Path, wanted: &Wanted) -> io::Result<Page> {
    let mut objects = Vec::new();
    if directory.is_dir() {
        walk(directory, "", wanted, &mut objects, DEPTH_MAX)?;
    }
    let has_more = objects.len() > wanted.count_max;
    objects.truncate(wanted.count_max);
    Ok(Page { objects, has_more })
}

/// Collects objects in the order of their keys, one more than wanted at most. An entry's place
/// in the order is that of its key, so a directory counts with the slash behind it.
fn walk(
    directory: &Path,
    start: &str,
    wanted: &Wanted,
    objects: &mut Vec<ObjectSummary>,
    depth: usize,
) -> io::Result<()> {
    let mut entries = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(segment) = name.to_str().and_then(segment) else { continue };
        let is_directory = entry.file_type()?.is_dir();
        let slash = if is_directory { "/" } else { "" };
        let key = format!("{start}{segment}{slash}");
        if wanted.may_hold(&key) {
            entries.insert((key, is_directory, entry.path()));
        }
    }
    for (key, is_directory, path) in entries {
        if objects.len() > wanted.count_max {
            break;
        }
        if is_directory && depth > 0 {
            walk(&path, &key, wanted, objects, depth - 1)?;
        } else if !is_directory && wanted.holds(&key) {
            let metadata = match fs::metadata(&path) {
                // Removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            let modified =
                metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let modified = modified.and_then(|since| u64::try_from(since.as_millis()).ok());
            let bytes = metadata.len();
            objects.push(ObjectSummary { key, bytes, modified: modified.map(Timestamp::from_ms) });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_file_of_its_own_inside_the_bucket() {
        let keys = [
            "a",
            "a/b",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../x",
            "a/../../x",
            "a/./b",
            "%",
            "%25",
            "%2E",
            "a%2Fb",
            "%00",
            "\0",
            "..a",
            "\u{e9}",
        ];
        let mut paths = BTreeSet::new();
        for key in keys {
            let path = relative(key).unwrap();
            assert!(path.is_relative(), "{key:?}");
            for part in path.components() {
                assert!(matches!(part, std::path::Component::Normal(_)), "{key:?} {path:?}");
            }
            let segments: Vec<String> =
                path.iter().map(|name| segment(name.to_str().unwrap()).unwrap()).collect();
            assert_eq!(segments.join("/"), key);
            assert!(paths.insert(path), "{key:?} shares its file");
        }
        assert!(relative("").is_err());
        assert!(relative(&"k".repeat(1_025)).is_err());
        assert!(relative(&"k".repeat(256)).is_err());
    }
}
