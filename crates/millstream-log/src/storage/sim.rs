//! A disk that exists in memory only and fails on demand.
//!
//! Owns the handles: the disk that a test orders misfortunes of, and the storage that an engine
//! sees until the next crash. A failed sync leaves pages that read as written, count as clean and
//! are not on the device; a full disk writes a part.
//!
//! Invariant: what is not admitted by the world (power, life, faults) changes nothing.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_core::SeededRand;

use super::world::{Dice, Faults, NameChange, World, counted_down};
use super::{FileKind, Storage, StorageFile, StorageLock};

/// Calls seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimCounters {
    /// Calls that change something: creates, writes, syncs, renames, removes, directory syncs.
    pub changes: u64,
    /// Writes among them.
    pub writes: u64,
    /// Syncs of files among them.
    pub syncs: u64,
    /// Syncs of the directory among them.
    pub directory_syncs: u64,
    /// Reads.
    pub reads: u64,
}

/// The simulated disk: outlives the engines that use it, crashes, and comes back.
#[derive(Clone)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
}

/// One power cycle's view of a [`SimDisk`]: dead once the disk crashed.
#[derive(Clone)]
pub struct SimStorage {
    world: Arc<Mutex<World>>,
    life: u64,
}

struct SimFile {
    world: Arc<Mutex<World>>,
    life: u64,
    inode: u64,
}

struct SimLock {
    world: Arc<Mutex<World>>,
    life: u64,
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimDisk {
    /// An empty disk whose misfortunes follow from `seed`.
    pub fn new(seed: u64) -> Self {
        let world = World { dice: Dice(SeededRand::new(seed)), ..World::default() };
        Self { world: Arc::new(Mutex::new(world)) }
    }

    /// The disk as an engine sees it until the next crash.
    pub fn storage(&self) -> Arc<SimStorage> {
        let life = lock(&self.world).life;
        Arc::new(SimStorage { world: Arc::clone(&self.world), life })
    }

    /// Cuts the power: of what was not synced a part survives that follows from `seed`. The disk
    /// is powered again on return, faults are gone, and earlier handles stay dead.
    pub fn crash(&self, seed: u64) {
        lock(&self.world).crash(&Dice(SeededRand::new(seed)));
    }

    /// The process dies, the machine does not: what was written stays, synced or not.
    pub fn kill(&self) {
        let mut world = lock(&self.world);
        world.life += 1;
        world.locked = false;
        world.powered_off = false;
        world.faults = Faults::default();
    }

    /// The `nth` sync of a file from now (1 is the next) fails with EIO, once.
    pub fn fail_sync_in(&self, nth: u64) {
        lock(&self.world).faults.sync = Some(nth);
    }

    /// The `nth` write from now fails with EIO, once, part of it done.
    pub fn fail_write_in(&self, nth: u64) {
        lock(&self.world).faults.write = Some(nth);
    }

    /// The `nth` read from now fails with EIO, once.
    pub fn fail_read_in(&self, nth: u64) {
        lock(&self.world).faults.read = Some(nth);
    }

    /// The `nth` write from now finds no space, once, even where it overwrites: as on file
    /// systems that copy on write.
    pub fn refuse_write_in(&self, nth: u64) {
        lock(&self.world).faults.refusal = Some(nth);
    }

    /// The `nth` sync of the directory from now fails with EIO, once: a first part of the changes
    /// of names arrived, and the rest still waits, as in a journal.
    pub fn fail_directory_sync_in(&self, nth: u64) {
        lock(&self.world).faults.directory_sync = Some(nth);
    }

    /// The `nth` removal of a file from now finds no space, once: as on file systems that copy on
    /// write.
    pub fn refuse_remove_in(&self, nth: u64) {
        lock(&self.world).faults.remove_refusal = Some(nth);
    }

    /// Whether `free_bytes` says that there is no end of space, as where quotas are at work.
    pub fn hide_capacity(&self, hidden: bool) {
        lock(&self.world).capacity_hidden = hidden;
    }

    /// The power goes during the `nth` changing call from now: it and all after it fail.
    pub fn lose_power_in(&self, nth: u64) {
        lock(&self.world).faults.power = Some(nth);
    }

    /// Whether the power has gone.
    pub fn is_powered_off(&self) -> bool {
        lock(&self.world).powered_off
    }

    /// Room for all files together; `None` for no end of it.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        lock(&self.world).capacity_bytes = bytes;
    }

    /// How long, in simulated time, each commit's sync takes.
    pub fn set_sync_delay(&self, delay: Option<Duration>) {
        lock(&self.world).sync_delay = delay;
    }

    /// Calls so far.
    pub fn counters(&self) -> SimCounters {
        lock(&self.world).counters
    }

    /// Bytes of all files.
    pub fn used_bytes(&self) -> u64 {
        lock(&self.world).used_bytes()
    }

    /// Names of all files, sorted.
    pub fn names(&self) -> Vec<String> {
        lock(&self.world).names.keys().cloned().collect()
    }

    /// A file's bytes as read now.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let world = lock(&self.world);
        let inode = world.names.get(name)?;
        Some(world.inodes[inode].content.clone())
    }

    /// Replaces a file's bytes behind the engine's back, durably; makes the file where missing.
    pub fn set_content(&self, name: &str, content: &[u8]) {
        let mut world = lock(&self.world);
        let known = world.names.get(name).copied();
        let inode = known.unwrap_or_else(|| {
            let inode = world.add_inode();
            world.names.insert(name.to_owned(), inode);
            world.durable_names.insert(name.to_owned(), inode);
            inode
        });
        let held = world.inodes.get_mut(&inode).expect("names point to inodes");
        held.content = content.to_vec();
        held.durable = content.to_vec();
        held.dirty.clear();
    }

    /// Flips one bit of a file, durably.
    pub fn flip_bit(&self, name: &str, byte: usize, bit: u8) {
        let mut world = lock(&self.world);
        let inode = world.names[name];
        let held = world.inodes.get_mut(&inode).expect("names point to inodes");
        held.content[byte] ^= 1 << bit;
        if let Some(durable) = held.durable.get_mut(byte) {
            *durable ^= 1 << bit;
        }
    }

    /// Takes a file away, durably.
    pub fn remove(&self, name: &str) {
        let mut world = lock(&self.world);
        world.names.remove(name);
        world.durable_names.remove(name);
    }

    /// Whether a fault that was ordered has not struck yet.
    pub fn has_faults(&self) -> bool {
        let Faults { sync, write, refusal, read, directory_sync, remove_refusal, power } =
            lock(&self.world).faults;
        [sync, write, refusal, read, directory_sync, remove_refusal, power]
            .iter()
            .any(Option::is_some)
    }

    /// A disk of its own with the same bytes.
    pub fn fork(&self) -> Self {
        self.fork_seeded(0)
    }

    /// A disk of its own with the same bytes, whose misfortunes follow from `seed`.
    pub fn fork_seeded(&self, seed: u64) -> Self {
        let world = lock(&self.world);
        let copy = Self::new(seed);
        for (name, inode) in &world.names {
            copy.set_content(name, &world.inodes[inode].content);
        }
        copy
    }
}

impl Storage for SimStorage {
    fn create(&self, name: &str, _: FileKind) -> io::Result<Arc<dyn StorageFile>> {
        let mut world = lock(&self.world);
        let power_goes = world.admit_change(self.life)?;
        if world.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = world.add_inode();
        world.names.insert(name.to_owned(), inode);
        world.name_changes.push(NameChange::Put(name.to_owned(), inode));
        if power_goes {
            return Err(io::Error::other("the power went"));
        }
        Ok(Arc::new(SimFile { world: Arc::clone(&self.world), life: self.life, inode }))
    }

    fn open(&self, name: &str, _: FileKind) -> io::Result<Arc<dyn StorageFile>> {
        let world = lock(&self.world);
        world.admit(self.life)?;
        let inode = world.inode_of(name)?;
        Ok(Arc::new(SimFile { world: Arc::clone(&self.world), life: self.life, inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = lock(&self.world);
        let power_goes = world.admit_change(self.life)?;
        let inode = world.inode_of(from)?;
        world.names.remove(from);
        world.names.insert(to.to_owned(), inode);
        world.name_changes.push(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        if power_goes { Err(io::Error::other("the power went")) } else { Ok(()) }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = lock(&self.world);
        let power_goes = world.admit_change(self.life)?;
        world.inode_of(name)?;
        if counted_down(&mut world.faults.remove_refusal) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        world.names.remove(name);
        world.name_changes.push(NameChange::Remove(name.to_owned()));
        if power_goes { Err(io::Error::other("the power went")) } else { Ok(()) }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let world = lock(&self.world);
        world.admit(self.life)?;
        Ok(world.names.keys().cloned().collect())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut world = lock(&self.world);
        if world.admit_change(self.life)? {
            return Err(io::Error::other("the power went"));
        }
        world.counters.directory_syncs += 1;
        if counted_down(&mut world.faults.directory_sync) {
            world.persist_some_names();
            return Err(eio());
        }
        world.name_changes.clear();
        world.durable_names = world.names.clone();
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let world = lock(&self.world);
        world.admit(self.life)?;
        let told = world.capacity_bytes.filter(|_| !world.capacity_hidden);
        Ok(told.map_or(u64::MAX, |all| all.saturating_sub(world.used_bytes())))
    }

    fn lock(&self) -> io::Result<StorageLock> {
        let mut world = lock(&self.world);
        world.admit(self.life)?;
        if world.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        world.locked = true;
        Ok(Box::new(SimLock { world: Arc::clone(&self.world), life: self.life }))
    }

    fn describe(&self, name: &str) -> String {
        format!("sim/{name}")
    }

    fn blocks(&self) -> bool {
        false
    }

    fn sync_delay(&self) -> Option<Duration> {
        lock(&self.world).sync_delay
    }
}

impl StorageFile for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut world = lock(&self.world);
        world.admit(self.life)?;
        world.counters.reads += 1;
        if counted_down(&mut world.faults.read) {
            return Err(eio());
        }
        let content = &world.inodes[&self.inode].content;
        let begin = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = begin.saturating_add(buffer.len());
        let bytes = content.get(begin..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut world = lock(&self.world);
        let power_goes = world.admit_change(self.life)?;
        world.counters.writes += 1;
        let fails = counted_down(&mut world.faults.write);
        let refused = counted_down(&mut world.faults.refusal);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = offset + bytes.len();
        let reach = world.reach(self.inode, end).max(offset);
        let mut written = &bytes[..reach - offset];
        if power_goes || fails || refused {
            let part = world.dice.below(written.len() as u64 + 1);
            written = &written[..usize::try_from(part).unwrap_or(0)];
        }
        world.inodes.get_mut(&self.inode).expect("open files exist").write(offset, written);
        match (power_goes, fails) {
            (true, _) => Err(io::Error::other("the power went")),
            (_, true) => Err(eio()),
            _ if reach < end || refused => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = lock(&self.world);
        let power_goes = world.admit_change(self.life)?;
        world.counters.syncs += 1;
        let fails = counted_down(&mut world.faults.sync);
        let World { inodes, dice, .. } = &mut *world;
        let inode = inodes.get_mut(&self.inode).expect("open files exist");
        if power_goes {
            return Err(io::Error::other("the power went"));
        }
        if fails {
            // As Linux does it: some of it arrived, all of it counts as clean, and reads as new.
            inode.persist_some(dice);
            inode.dirty.clear();
            return Err(eio());
        }
        inode.sync();
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let world = lock(&self.world);
        world.admit(self.life)?;
        Ok(world.inodes[&self.inode].content.len() as u64)
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut world = lock(&self.world);
        if world.life == self.life {
            world.locked = false;
        }
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names();
        f.debug_struct("SimDisk").field("names", &names).finish()
    }
}

impl fmt::Debug for SimStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimStorage").field("life", &self.life).finish()
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("inode", &self.inode).finish()
    }
}
