//! Distinct values in the order in which they came, for the dictionaries of both formats.
//!
//! A table of indices, open addressing, at most half full; the values lie in one arena. The hash is
//! seeded, so that nobody can choose values that collide.

use std::hash::{BuildHasher, RandomState};

/// Slots to begin with.
const SLOTS_MIN: usize = 1024;
const EMPTY: u32 = u32::MAX;

/// Values by index, and indices by value.
#[derive(Debug)]
pub(crate) struct Dictionary {
    /// Index and the hash's upper half, or empty.
    slots: Vec<(u32, u32)>,
    data: Vec<u8>,
    ends: Vec<u32>,
    seed: u64,
}

impl Dictionary {
    pub(crate) fn new() -> Self {
        let seed = RandomState::new().hash_one(0_u8);
        Self { slots: vec![(EMPTY, 0); SLOTS_MIN], data: Vec::new(), ends: Vec::new(), seed }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all values.
    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.data.capacity() + self.ends.capacity() * 4 + self.slots.capacity() * 8
    }

    pub(crate) fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.data[start..self.ends[index] as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The index of a value, which is added if it is new.
    #[inline]
    pub(crate) fn index(&mut self, value: &[u8]) -> u32 {
        let hash = hash(self.seed, value);
        let (low, high) = halves(hash);
        let mask = self.slots.len() - 1;
        let mut slot = low as usize & mask;
        loop {
            let (index, found) = self.slots[slot];
            if index == EMPTY {
                return self.add(value, slot, high);
            }
            if found == high && self.get(index as usize) == value {
                return index;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn add(&mut self, value: &[u8], slot: usize, high: u32) -> u32 {
        let index = u32::try_from(self.ends.len()).expect("dictionaries are cut far below 4 Gi");
        self.data.extend_from_slice(value);
        self.ends.push(u32::try_from(self.data.len()).expect("and below 4 GiB"));
        self.slots[slot] = (index, high);
        if self.ends.len() * 2 > self.slots.len() {
            self.grow();
        }
        index
    }

    #[cold]
    fn grow(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        let mut slots = vec![(EMPTY, 0); mask + 1];
        for index in 0..self.len() {
            let (low, high) = halves(hash(self.seed, self.get(index)));
            let mut slot = low as usize & mask;
            while slots[slot].0 != EMPTY {
                slot = (slot + 1) & mask;
            }
            slots[slot] = (u32::try_from(index).expect("it was one"), high);
        }
        self.slots = slots;
    }
}

/// The low and the high half of a hash.
#[expect(clippy::cast_possible_truncation, reason = "the two halves of 64 bits")]
fn halves(hash: u64) -> (u32, u32) {
    (hash as u32, (hash >> 32) as u32)
}

/// Folded multiplication over 16 bytes at a time, as wyhash does it.
#[inline]
fn hash(seed: u64, value: &[u8]) -> u64 {
    const A: u64 = 0x2d35_8dcc_aa6c_78a5;
    const B: u64 = 0x8bb8_4b93_962e_acc9;
    let mut state = seed ^ A;
    let mut rest = value;
    while rest.len() > 16 {
        state = fold(word(&rest[..8]) ^ A, word(&rest[8..16]) ^ state);
        rest = &rest[16..];
    }
    let (low, high) = match rest.len() {
        8..=16 => (word(&rest[..8]), word(&rest[rest.len() - 8..])),
        4..=7 => (half(&rest[..4]), half(&rest[rest.len() - 4..])),
        1..=3 => {
            let middle = u64::from(rest[rest.len() / 2]);
            (u64::from(rest[0]) << 16 | middle << 8 | u64::from(rest[rest.len() - 1]), 0)
        }
        _ => (0, 0),
    };
    fold(B ^ value.len() as u64, fold(low ^ B, high ^ state))
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of 128 bits")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("8 bytes"))
}

fn half(bytes: &[u8]) -> u64 {
    u64::from(u32::from_le_bytes(bytes.try_into().expect("4 bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_one_index_each_through_growth() {
        let mut dictionary = Dictionary::new();
        let value = |index: u32| "x".repeat(index as usize % 40) + &index.to_string();
        for round in 0..2 {
            for index in 0..5_000 {
                assert_eq!(dictionary.index(value(index).as_bytes()), index, "round {round}");
            }
        }
        assert_eq!(dictionary.len(), 5_000);
        assert!(
            dictionary
                .iter()
                .enumerate()
                .all(|(i, v)| v == value(u32::try_from(i).unwrap()).as_bytes())
        );
        assert_eq!(dictionary.index(b""), 5_000);
    }
}
