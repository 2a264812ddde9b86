//! The objects of a directory, in the order of their keys.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use millstream_core::Timestamp;

use super::super::{ObjectSummary, Page};
use super::path::segment_of;

/// Directories under a bucket are walked no deeper: no key has more segments.
const DEPTH_MAX: usize = 1_024;

/// What a list is to hold.
#[derive(Debug)]
pub(in crate::objects) struct Wanted {
    pub(in crate::objects) prefix: String,
    pub(in crate::objects) after: Option<String>,
    pub(in crate::objects) count_max: usize,
}

impl Wanted {
    /// Whether keys that begin with `start` may be wanted.
    fn may_hold(&self, start: &str) -> bool {
        let shares_prefix = start.starts_with(&self.prefix) || self.prefix.starts_with(start);
        let is_behind = |after: &str| start > after || after.starts_with(start);
        shares_prefix && self.after.as_deref().is_none_or(is_behind)
    }

    fn holds(&self, key: &str) -> bool {
        key.starts_with(&self.prefix) && self.after.as_deref().is_none_or(|after| key > after)
    }
}

pub(super) fn find(directory: &Path, wanted: &Wanted) -> io::Result<Page> {
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
        let Some(segment) = name.to_str().and_then(segment_of) else { continue };
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
            match summary(key, &path) {
                // Removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                found => objects.push(found?),
            }
        }
    }
    Ok(())
}

fn summary(key: String, path: &Path) -> io::Result<ObjectSummary> {
    let metadata = fs::metadata(path)?;
    let since = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let ms = since.and_then(|since| u64::try_from(since.as_millis()).ok());
    Ok(ObjectSummary { key, bytes: metadata.len(), modified: ms.map(Timestamp::from_ms) })
}
