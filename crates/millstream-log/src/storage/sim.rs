//! A disk that exists in memory only and fails on demand.
//!
//! Owns what a real disk would do at its worst: unsynced sectors and names survive a crash or do
//! not, each for itself; a failed sync leaves pages that read as written, count as clean and are
//! not on the device; a full disk writes a part. All of it follows from the seed.
//!
//! Invariant: the same calls with the same seed leave the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_core::{Rand, SeededRand};

use super::{FileKind, Storage, StorageFile, StorageLock};

/// What a device writes whole or not at all.
const SECTOR_BYTES: usize = 512;

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

#[derive(Default)]
struct World {
    /// Grows with each crash; handles of earlier lives fail.
    life: u64,
    powered_off: bool,
    locked: bool,
    inodes: BTreeMap<u64, Inode>,
    inode_next: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Changes of names since the last sync of the directory.
    name_changes: Vec<NameChange>,
    counters: SimCounters,
    faults: Faults,
    capacity_bytes: Option<u64>,
    capacity_hidden: bool,
    sync_delay: Option<Duration>,
    /// Draws what part of an interrupted call took effect.
    dice: Dice,
}

#[derive(Default)]
struct Inode {
    /// As read.
    content: Vec<u8>,
    /// As after a crash.
    durable: Vec<u8>,
    /// Sectors that differ and would be written by a sync.
    dirty: BTreeSet<usize>,
}

enum NameChange {
    Put(String, u64),
    Remove(String),
    Rename(String, String, u64),
}

/// Counted down; the call that reaches 0 fails.
#[derive(Default)]
struct Faults {
    sync: Option<u64>,
    write: Option<u64>,
    refusal: Option<u64>,
    read: Option<u64>,
    power: Option<u64>,
}

#[derive(Debug)]
struct Dice(SeededRand);

impl Default for Dice {
    fn default() -> Self {
        Self(SeededRand::new(0))
    }
}

impl Dice {
    fn below(&self, bound: u64) -> u64 {
        self.0.next_u64() % bound.max(1)
    }

    fn coin(&self) -> bool {
        self.below(2) == 0
    }
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

fn counted_down(fault: &mut Option<u64>) -> bool {
    match fault {
        Some(left) if *left <= 1 => {
            *fault = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
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

    /// A disk of its own with the same bytes.
    pub fn fork(&self) -> Self {
        let world = lock(&self.world);
        let copy = Self::new(0);
        for (name, inode) in &world.names {
            copy.set_content(name, &world.inodes[inode].content);
        }
        copy
    }
}

impl World {
    /// Admits a call, or says that the power is gone.
    fn admit(&self, life: u64) -> io::Result<()> {
        if self.powered_off || self.life != life {
            return Err(io::Error::other("the power is off"));
        }
        Ok(())
    }

    /// Admits a changing call; `true` where the power goes during it.
    fn admit_change(&mut self, life: u64) -> io::Result<bool> {
        self.admit(life)?;
        self.counters.changes += 1;
        let power_goes = counted_down(&mut self.faults.power);
        self.powered_off |= power_goes;
        Ok(power_goes)
    }

    fn add_inode(&mut self) -> u64 {
        let inode = self.inode_next;
        self.inode_next += 1;
        self.inodes.insert(inode, Inode::default());
        inode
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[inode].content.len() as u64).sum()
    }

    fn inode_of(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Bytes that a write up to `end` of `inode` may reach.
    fn reach(&self, inode: u64, end: usize) -> usize {
        let length = self.inodes[&inode].content.len();
        let Some(capacity) = self.capacity_bytes else { return end };
        let free = capacity.saturating_sub(self.used_bytes());
        end.min(length + usize::try_from(free).unwrap_or(usize::MAX))
    }

    fn crash(&mut self, dice: &Dice) {
        self.life += 1;
        self.powered_off = false;
        self.locked = false;
        self.faults = Faults::default();
        // Names survive each for itself, or all, or none.
        let style = dice.below(3);
        for change in std::mem::take(&mut self.name_changes) {
            let kept = match style {
                0 => false,
                1 => true,
                _ => dice.coin(),
            };
            if !kept {
                continue;
            }
            match change {
                NameChange::Put(name, inode) => {
                    self.durable_names.insert(name, inode);
                }
                NameChange::Remove(name) => {
                    self.durable_names.remove(&name);
                }
                NameChange::Rename(from, to, inode) => {
                    self.durable_names.remove(&from);
                    self.durable_names.insert(to, inode);
                }
            }
        }
        self.names.clone_from(&self.durable_names);
        let named: BTreeSet<u64> = self.names.values().copied().collect();
        self.inodes.retain(|inode, _| named.contains(inode));
        for inode in self.inodes.values_mut() {
            inode.crash(dice);
        }
    }
}

impl Inode {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.content.len() < end {
            let first = self.content.len() / SECTOR_BYTES;
            self.content.resize(end, 0);
            self.dirty.extend(first..offset / SECTOR_BYTES);
        }
        self.content[offset..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.dirty.extend(offset / SECTOR_BYTES..=(end - 1) / SECTOR_BYTES);
        }
    }

    fn persist(&mut self, sector: usize) {
        let begin = sector * SECTOR_BYTES;
        let end = (begin + SECTOR_BYTES).min(self.content.len());
        if begin >= end {
            return;
        }
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[begin..end].copy_from_slice(&self.content[begin..end]);
    }

    fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty) {
            self.persist(sector);
        }
    }

    /// Persists some dirty sectors: none, all, a first part, or each by a coin.
    fn persist_some(&mut self, dice: &Dice) {
        let dirty: Vec<usize> = self.dirty.iter().copied().collect();
        let style = dice.below(4);
        let cut = usize::try_from(dice.below(dirty.len() as u64 + 1)).unwrap_or(0);
        for (index, sector) in dirty.into_iter().enumerate() {
            let kept = match style {
                0 => false,
                1 => true,
                2 => index < cut,
                _ => dice.coin(),
            };
            if kept {
                self.persist(sector);
            }
        }
    }

    fn crash(&mut self, dice: &Dice) {
        self.persist_some(dice);
        self.dirty.clear();
        self.content.clone_from(&self.durable);
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
