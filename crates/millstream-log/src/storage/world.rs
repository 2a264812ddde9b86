//! The state of a simulated disk: what is written, what would survive, what is about to fail.
//!
//! Owns what a real disk would do at its worst: unsynced sectors and names survive a crash or do
//! not, each for itself; all of it follows from the seed.
//!
//! Invariant: the same calls with the same seed leave the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use millstream_core::{Rand, SeededRand};

use super::sim::SimCounters;

/// What a device writes whole or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Default)]
pub(super) struct World {
    /// Grows with each crash; handles of earlier lives fail.
    pub(super) life: u64,
    pub(super) powered_off: bool,
    pub(super) locked: bool,
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) inode_next: u64,
    pub(super) names: BTreeMap<String, u64>,
    pub(super) durable_names: BTreeMap<String, u64>,
    /// Changes of names since the last sync of the directory.
    pub(super) name_changes: Vec<NameChange>,
    pub(super) counters: SimCounters,
    pub(super) faults: Faults,
    pub(super) capacity_bytes: Option<u64>,
    pub(super) capacity_hidden: bool,
    pub(super) sync_delay: Option<Duration>,
    /// Draws what part of an interrupted call took effect.
    pub(super) dice: Dice,
}

#[derive(Default)]
pub(super) struct Inode {
    /// As read.
    pub(super) content: Vec<u8>,
    /// As after a crash.
    pub(super) durable: Vec<u8>,
    /// Sectors that differ and would be written by a sync.
    pub(super) dirty: BTreeSet<usize>,
}

pub(super) enum NameChange {
    Put(String, u64),
    Remove(String),
    Rename(String, String, u64),
}

/// Counted down; the call that reaches 0 fails.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) sync: Option<u64>,
    pub(super) write: Option<u64>,
    pub(super) refusal: Option<u64>,
    pub(super) read: Option<u64>,
    pub(super) directory_sync: Option<u64>,
    pub(super) remove_refusal: Option<u64>,
    pub(super) power: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Dice(pub(super) SeededRand);

impl Default for Dice {
    fn default() -> Self {
        Self(SeededRand::new(0))
    }
}

impl Dice {
    pub(super) fn below(&self, bound: u64) -> u64 {
        self.0.next_u64() % bound.max(1)
    }

    pub(super) fn coin(&self) -> bool {
        self.below(2) == 0
    }
}

pub(super) fn counted_down(fault: &mut Option<u64>) -> bool {
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

impl World {
    /// Admits a call, or says that the power is gone.
    pub(super) fn admit(&self, life: u64) -> io::Result<()> {
        if self.powered_off || self.life != life {
            return Err(io::Error::other("the power is off"));
        }
        Ok(())
    }

    /// Admits a changing call; `true` where the power goes during it.
    pub(super) fn admit_change(&mut self, life: u64) -> io::Result<bool> {
        self.admit(life)?;
        self.counters.changes += 1;
        let power_goes = counted_down(&mut self.faults.power);
        self.powered_off |= power_goes;
        Ok(power_goes)
    }

    pub(super) fn add_inode(&mut self) -> u64 {
        let inode = self.inode_next;
        self.inode_next += 1;
        self.inodes.insert(inode, Inode::default());
        inode
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[inode].content.len() as u64).sum()
    }

    pub(super) fn inode_of(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Bytes that a write up to `end` of `inode` may reach.
    pub(super) fn reach(&self, inode: u64, end: usize) -> usize {
        let length = self.inodes[&inode].content.len();
        let Some(capacity) = self.capacity_bytes else { return end };
        let free = capacity.saturating_sub(self.used_bytes());
        end.min(length + usize::try_from(free).unwrap_or(usize::MAX))
    }

    pub(super) fn persist_name(&mut self, change: NameChange) {
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

    /// A sync of the directory that fails on its way.
    pub(super) fn persist_some_names(&mut self) {
        let count = self.dice.below(self.name_changes.len() as u64 + 1);
        let count = usize::try_from(count).unwrap_or(0);
        for change in self.name_changes.drain(..count).collect::<Vec<_>>() {
            self.persist_name(change);
        }
    }

    pub(super) fn crash(&mut self, dice: &Dice) {
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
            if kept {
                self.persist_name(change);
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
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
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

    pub(super) fn persist(&mut self, sector: usize) {
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

    pub(super) fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty) {
            self.persist(sector);
        }
    }

    /// Persists some dirty sectors: none, all, a first part, or each by a coin.
    pub(super) fn persist_some(&mut self, dice: &Dice) {
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

    pub(super) fn crash(&mut self, dice: &Dice) {
        self.persist_some(dice);
        self.dirty.clear();
        self.content.clone_from(&self.durable);
    }
}
