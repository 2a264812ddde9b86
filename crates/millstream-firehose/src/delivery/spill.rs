//! Files that buffered records go to when memory is short.
//!
//! Owns a directory of its own, and in it a file for each buffer that spilled. Nothing in it is
//! worth anything after a restart (the source is the truth), so it is emptied at start.
//!
//! Invariants:
//! * Only this file touches `std::fs` in this crate.
//! * What is on disk is sealed under a key that is in memory only: records of encrypted delivery
//!   streams never lie in clear, and what is read back is what was written or an error.

use std::fmt;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use millstream_core::Rand;
use ring::aead::{self, LessSafeKey, Nonce, UnboundKey};

/// Bytes that sealing adds to a chunk.
const TAG_BYTES: usize = 16;

/// Where spilled records lie.
pub(crate) struct Spill {
    place: Place,
    key: LessSafeKey,
    /// Names files, and makes nonces: never twice the same.
    next: AtomicU64,
    used_bytes: AtomicU64,
    max_bytes: u64,
}

enum Place {
    Directory(PathBuf),
    #[cfg(test)]
    Memory(std::sync::Mutex<std::collections::BTreeMap<u64, Vec<u8>>>),
}

impl fmt::Debug for Spill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spill").field("used_bytes", &self.used_bytes()).finish_non_exhaustive()
    }
}

/// One file, removed when dropped.
#[derive(Debug)]
pub(super) struct SpillFile {
    spill: Arc<Spill>,
    name: u64,
    bytes: u64,
}

/// Where in its file a chunk lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    offset: u64,
    bytes: usize,
    nonce: u64,
}

fn random_key(rand: &dyn Rand) -> LessSafeKey {
    let mut bytes = [0; 32];
    rand.fill(&mut bytes);
    let key = UnboundKey::new(&aead::AES_256_GCM, &bytes).expect("the key has the length asked");
    LessSafeKey::new(key)
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; aead::NONCE_LEN];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[allow(clippy::disallowed_methods)] // Spill files are no state: a simulation needs none of them.
impl Spill {
    /// Takes `directory` for spilled records, `max_bytes` of them at most. What an earlier run
    /// left there is removed.
    pub(crate) fn open(directory: PathBuf, max_bytes: u64, rand: &dyn Rand) -> io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|extension| extension == "spill") {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(Self::new(Place::Directory(directory), max_bytes, rand))
    }

    fn new(place: Place, max_bytes: u64, rand: &dyn Rand) -> Self {
        let (next, used_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { place, key: random_key(rand), next, used_bytes, max_bytes }
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Bytes that lie in files now.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// A new file, which takes no space yet.
    pub(super) fn file(self: &Arc<Self>) -> SpillFile {
        SpillFile { spill: Arc::clone(self), name: self.number(), bytes: 0 }
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        let taken = self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= self.max_bytes)
        });
        taken.map(drop).map_err(|_| io::ErrorKind::StorageFull.into())
    }

    fn append(&self, name: u64, offset: u64, sealed: &[u8]) -> io::Result<()> {
        match &self.place {
            Place::Directory(directory) => {
                let path = directory.join(format!("{name}.spill"));
                let mut options = std::fs::OpenOptions::new();
                let mut file = options.write(true).create(true).truncate(false).open(path)?;
                // Not in append mode: after a write that failed half way, the next one begins
                // where it should.
                file.seek(io::SeekFrom::Start(offset))?;
                file.write_all(sealed)
            }
            #[cfg(test)]
            Place::Memory(files) => {
                let mut files = files.lock().unwrap();
                let file = files.entry(name).or_default();
                file.truncate(usize::try_from(offset).unwrap());
                file.extend_from_slice(sealed);
                Ok(())
            }
        }
    }

    fn read(&self, name: u64, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match &self.place {
            Place::Directory(directory) => {
                let mut file = std::fs::File::open(directory.join(format!("{name}.spill")))?;
                file.seek(io::SeekFrom::Start(offset))?;
                file.read_exact(buffer)
            }
            #[cfg(test)]
            Place::Memory(files) => {
                let offset = usize::try_from(offset).unwrap();
                let files = files.lock().unwrap();
                buffer.copy_from_slice(&files[&name][offset..offset + buffer.len()]);
                Ok(())
            }
        }
    }

    fn remove(&self, name: u64) {
        match &self.place {
            Place::Directory(directory) => {
                let path = directory.join(format!("{name}.spill"));
                if let Err(error) = std::fs::remove_file(&path) {
                    tracing::warn!(%error, path = %path.display(), "a spill file was not removed");
                }
            }
            #[cfg(test)]
            Place::Memory(files) => drop(files.lock().unwrap().remove(&name)),
        }
    }
}

impl SpillFile {
    /// Writes a chunk at the end. Blocks. After an error the file is as it was.
    pub(super) fn append(&mut self, chunk: &[u8]) -> io::Result<Extent> {
        let bytes = chunk.len() + TAG_BYTES;
        self.spill.reserve(bytes as u64)?;
        let number = self.spill.number();
        let mut sealed = Vec::with_capacity(bytes);
        sealed.extend_from_slice(chunk);
        let key = &self.spill.key;
        key.seal_in_place_append_tag(nonce(number), aead::Aad::empty(), &mut sealed)
            .expect("a chunk is far below the cipher's limit");
        let extent = Extent { offset: self.bytes, bytes, nonce: number };
        if let Err(error) = self.spill.append(self.name, self.bytes, &sealed) {
            self.spill.used_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
            return Err(error);
        }
        self.bytes += bytes as u64;
        Ok(extent)
    }

    /// Reads a chunk back. Blocks.
    pub(super) fn read(&self, extent: Extent) -> io::Result<Bytes> {
        let mut buffer = vec![0; extent.bytes];
        self.spill.read(self.name, extent.offset, &mut buffer)?;
        let key = &self.spill.key;
        let opened = key.open_in_place(nonce(extent.nonce), aead::Aad::empty(), &mut buffer);
        let length = opened.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?.len();
        buffer.truncate(length);
        Ok(buffer.into())
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.spill.remove(self.name);
            self.spill.used_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
impl Spill {
    /// Spilled records in memory, for tests.
    pub(crate) fn in_memory(max_bytes: u64) -> Arc<Self> {
        let place = Place::Memory(std::sync::Mutex::default());
        Arc::new(Self::new(place, max_bytes, &millstream_core::SeededRand::new(5)))
    }

    fn files(&self) -> usize {
        let Place::Memory(files) = &self.place else { panic!("only of those in memory") };
        files.lock().unwrap().len()
    }

    fn damage(&self) {
        let Place::Memory(files) = &self.place else { panic!("only of those in memory") };
        files.lock().unwrap().values_mut().for_each(|file| file[3] ^= 1);
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::SeededRand;

    use super::*;

    #[test]
    fn what_was_spilled_is_read_back_and_gone_when_dropped() {
        let spill = Spill::in_memory(1 << 20);
        let mut file = spill.file();
        let extents: Vec<Extent> = [&b"first"[..], b"", b"third"]
            .iter()
            .map(|chunk| file.append(chunk).unwrap())
            .collect();
        let read: Vec<Bytes> = extents.iter().rev().map(|at| file.read(*at).unwrap()).collect();
        assert_eq!(read, [&b"third"[..], b"", b"first"]);
        assert_eq!(spill.used_bytes(), file.bytes);
        drop(file);
        assert_eq!((spill.used_bytes(), spill.files()), (0, 0));
    }

    #[test]
    fn damage_is_an_error_and_not_another_record() {
        let spill = Spill::in_memory(1 << 20);
        let mut file = spill.file();
        let extent = file.append(b"a record").unwrap();
        spill.damage();
        assert_eq!(file.read(extent).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn no_more_is_spilled_than_is_allowed() {
        let spill = Spill::in_memory(100);
        let mut file = spill.file();
        file.append(&[1; 60]).unwrap();
        assert_eq!(file.append(&[2; 60]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        drop(file);
        spill.file().append(&[2; 60]).unwrap();
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // The directory is what is tested.
    fn what_an_earlier_run_left_is_removed_and_nothing_lies_in_clear() {
        let directory = std::env::temp_dir().join(format!("spill-test-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("7.spill"), b"old").unwrap();
        let rand = SeededRand::new(1);
        let spill = Arc::new(Spill::open(directory.clone(), 1 << 20, &rand).unwrap());
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
        let mut file = spill.file();
        let extent = file.append(b"a secret record").unwrap();
        let second = file.append(b"and another").unwrap();
        let path = std::fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
        let stored = std::fs::read(path).unwrap();
        assert!(!stored.windows(6).any(|window| window == b"secret"));
        assert_eq!(file.read(extent).unwrap(), b"a secret record"[..]);
        assert_eq!(file.read(second).unwrap(), b"and another"[..]);
        drop(file);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
