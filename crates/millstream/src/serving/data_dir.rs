//! The data directory: what lies where, and who may read it.
//!
//! `log/` is the log engine's own; `keys/` holds the master key and the sealed access keys;
//! `tls/` the local authority and the server's certificate; `s3/` buckets that are folders, `schemas/`
//! the tables of conversions, `spill/` what Firehose's memory does not hold.
//!
//! Invariant: a secret is never on disk readable by others, and a file is replaced whole or not
//! at all: written beside, synced, renamed, and the directory synced.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::process::{Gid, Uid};

use crate::exit::{Failure, Outcome};

/// Only the owner.
const DIRECTORY_MODE: u32 = 0o700;
const SECRET_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;
/// Rights of the group and of others.
const OTHERS: u32 = 0o077;

/// How public a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privacy {
    /// The owner reads it, nobody else.
    Secret,
    /// All may read it.
    Public,
}

/// A directory that a server keeps everything in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    /// The directory at `path`, made where it is missing.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        let data_dir = Self(path.to_owned());
        for folder in [data_dir.0.clone(), data_dir.keys(), data_dir.tls()] {
            make(&folder).map_err(|error| {
                Failure::failed(format!("cannot make {}: {error}", folder.display()))
                    .advise("choose a place that you may write to with --data-dir")
            })?;
        }
        Ok(data_dir)
    }

    /// As [`DataDir::open`], for commands that are not the server: whoever meant a server's
    /// directory, and named none, is told that this is a new one.
    pub(crate) fn open_telling(path: &Path) -> Outcome<Self> {
        if !path.exists() {
            eprintln!(
                "note: made {}, which no server has used yet; --data-dir names another",
                path.display()
            );
        }
        Self::open(path)
    }

    /// The directory at `path` as it is: nothing is made.
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The log's directory, which the log makes.
    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// Where buckets are folders.
    pub(crate) fn buckets(&self) -> PathBuf {
        self.0.join("s3")
    }

    /// Where tables' schemas are files.
    pub(crate) fn schemas(&self) -> PathBuf {
        self.0.join("schemas")
    }

    /// Where Firehose lays what memory does not hold; emptied at each start.
    pub(crate) fn spill(&self) -> PathBuf {
        self.0.join("spill")
    }

    /// The directory of keys.
    pub(crate) fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// The directory of certificates.
    pub(crate) fn tls(&self) -> PathBuf {
        self.0.join("tls")
    }
}

fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(folder)?;
    give_to_owner_of_parent(&open_to_read(folder)?, folder)?;
    sync_parent(folder)
}

/// What root makes in somebody's directory is that somebody's: `sudo millstream keys create` must
/// not lock out the server, which runs as its own user.
fn give_to_owner_of_parent(file: &File, path: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = open_to_read(parent_of(path))?.metadata()?;
    if owner.uid() == 0 {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    Ok(rustix::fs::fchown(file, Some(user), Some(group))?)
}

fn parent_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn sync_parent(path: &Path) -> io::Result<()> {
    open_to_read(parent_of(path))?.sync_all()
}

fn open_to_read(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

/// The whole of a file; `None` where there is none. A secret that others can read is refused.
pub(crate) fn read(path: &Path, privacy: Privacy) -> Outcome<Option<Vec<u8>>> {
    let failed =
        |error: io::Error| Failure::failed(format!("cannot read {}: {error}", path.display()));
    let mut file = match open_to_read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.mode();
    if privacy == Privacy::Secret && mode & OTHERS != 0 {
        let message = format!(
            "{} is a secret that others can read (mode {:o})",
            path.display(),
            mode & 0o777
        );
        return Err(Failure::failed(message).advise(format!("chmod 600 {}", path.display())));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

/// Replaces a file, durably.
pub(crate) fn write(path: &Path, bytes: &[u8], privacy: Privacy) -> Outcome {
    let mode = match privacy {
        Privacy::Secret => SECRET_MODE,
        Privacy::Public => PUBLIC_MODE,
    };
    replace(path, bytes, mode)
        .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    give_to_owner_of_parent(&file, path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&beside, path)?;
    sync_parent(path)
}

/// Held by whoever changes files in a directory, for as long as it is held.
#[derive(Debug)]
pub(crate) struct DirectoryLock(#[allow(dead_code)] File);

/// Waits for its turn to change files in `folder`.
pub(crate) fn lock(folder: &Path) -> Outcome<DirectoryLock> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::failed(format!("cannot lock {}: {error}", folder.display()))
    };
    let file = open_to_read(folder).map_err(|error| failed(&error))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
        .map_err(|error| failed(&error))?;
    Ok(DirectoryLock(file))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use millstream_core::{Rand, SystemRand};

    use super::*;

    /// A directory that goes away with the test.
    pub(crate) struct TestDir(pub(crate) PathBuf);

    impl TestDir {
        pub(crate) fn new() -> Self {
            let name = format!("millstream-test-{:016x}", SystemRand::new().next_u64());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for TestDir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_root_makes_belongs_to_the_owner_of_the_directory() {
        if !rustix::process::geteuid().is_root() {
            return; // Nobody else can give files away.
        }
        let place = TestDir::new();
        let data_dir = DataDir::open(&place.0).unwrap();
        let somebody = (Some(Uid::from_raw(4_321)), Some(Gid::from_raw(4_322)));
        rustix::fs::chown(data_dir.keys(), somebody.0, somebody.1).unwrap();
        rustix::fs::chown(&place.0, somebody.0, somebody.1).unwrap();
        std::fs::remove_dir(data_dir.tls()).unwrap();
        DataDir::open(&place.0).unwrap();
        let path = data_dir.keys().join("secret");
        write(&path, b"one", Privacy::Secret).unwrap();
        for made in [data_dir.tls(), path] {
            let found = std::fs::metadata(&made).unwrap();
            assert_eq!((found.uid(), found.gid()), (4_321, 4_322), "{}", made.display());
        }
    }

    #[test]
    fn a_secret_is_written_for_its_owner_only_and_refused_once_others_can_read_it() {
        let place = TestDir::new();
        let data_dir = DataDir::open(&place.0).unwrap();
        let path = data_dir.keys().join("secret");
        assert_eq!(read(&path, Privacy::Secret).unwrap(), None);
        write(&path, b"one", Privacy::Secret).unwrap();
        write(&path, b"two", Privacy::Secret).unwrap();
        assert_eq!(read(&path, Privacy::Secret).unwrap().as_deref(), Some(&b"two"[..]));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&data_dir.keys()), 0o700);
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let failure = read(&path, Privacy::Secret).unwrap_err();
        assert!(failure.message.contains("others can read"), "{}", failure.message);
        let names = std::fs::read_dir(data_dir.keys()).unwrap().count();
        assert_eq!(names, 1, "nothing is left beside");
    }
}
