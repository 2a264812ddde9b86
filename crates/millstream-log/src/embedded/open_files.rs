//! Segment files held open for reading, a bounded number of them.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::segment::segment_name;
use super::state::lock;
use crate::storage::{FileKind, Storage, StorageFile};

#[derive(Debug)]
pub(super) struct OpenFiles {
    count_max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    uses: u64,
    files: BTreeMap<u64, (u64, Arc<dyn StorageFile>)>,
}

impl OpenFiles {
    pub(super) fn new(count_max: usize) -> Self {
        Self { count_max, held: Mutex::default() }
    }

    /// The segment's file, open as long as the caller keeps it.
    ///
    /// Opened under the lock, which nobody but readers of segments and the background takes: so
    /// that `forget`, called once the name is gone, leaves no handle behind that would hold on to
    /// the space.
    pub(super) fn get(
        &self,
        storage: &dyn Storage,
        segment: u64,
    ) -> io::Result<Arc<dyn StorageFile>> {
        let mut held = lock(&self.held);
        held.uses += 1;
        let now = held.uses;
        if let Some((used, file)) = held.files.get_mut(&segment) {
            *used = now;
            return Ok(Arc::clone(file));
        }
        let file = storage.open(&segment_name(segment), FileKind::Plain)?;
        held.files.insert(segment, (now, Arc::clone(&file)));
        if held.files.len() > self.count_max {
            let oldest = held.files.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key);
            held.files.remove(&oldest.expect("not empty"));
        }
        Ok(file)
    }

    pub(super) fn forget(&self, segment: u64) {
        lock(&self.held).files.remove(&segment);
    }
}
