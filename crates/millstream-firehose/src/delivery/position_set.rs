//! A set of positions, dense in places.
//!
//! Owns the memory and the durable form of "which records are still outstanding": a bit each, in
//! blocks that exist only where something is in them. A stream whose partitions flush at
//! different times leaves holes everywhere; a run-length list would then cost tens of bytes a
//! record, this costs a bit.

use std::collections::BTreeMap;

use super::varint::{self, Reader};

/// Positions in a block.
const BLOCK: u64 = 4_096;
const WORDS: usize = (BLOCK / 64) as usize;

const FULL: u8 = 0;
const BITS: u8 = 1;
const RUNS: u8 = 2;

/// Positions, as bits in blocks.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct PositionSet {
    /// None is empty.
    blocks: BTreeMap<u64, Block>,
}

#[derive(Clone, PartialEq, Eq)]
struct Block {
    count: u32,
    words: Box<[u64; WORDS]>,
}

impl std::fmt::Debug for PositionSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

fn place(position: u64) -> (u64, usize, u64) {
    let within = position % BLOCK;
    let word = usize::try_from(within / 64).expect("a block is small");
    (position / BLOCK, word, 1 << (within % 64))
}

impl Block {
    const fn positions(block: u64) -> u64 {
        block * BLOCK
    }

    fn empty() -> Self {
        Self { count: 0, words: Box::new([0; WORDS]) }
    }

    fn insert(&mut self, word: usize, bit: u64) -> bool {
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += u32::from(is_new);
        is_new
    }

    /// Starts and lengths of the runs of ones.
    fn runs(&self) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for within in self.iter() {
            match runs.last_mut() {
                Some((start, length)) if *start + *length == within => *length += 1,
                _ => runs.push((within, 1)),
            }
        }
        runs
    }

    fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.words.iter().zip((0_u64..).step_by(64)).flat_map(|(word, base)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                if left == 0 {
                    return None;
                }
                let bit = u64::from(left.trailing_zeros());
                left &= left - 1;
                Some(base + bit)
            })
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        if u64::from(self.count) == BLOCK {
            out.push(FULL);
            return;
        }
        let runs = self.runs();
        let mut coded = Vec::new();
        varint::put(&mut coded, runs.len() as u64);
        let mut end = 0;
        for (start, length) in runs {
            varint::put(&mut coded, start - end);
            varint::put(&mut coded, length);
            end = start + length;
        }
        if coded.len() < WORDS * 8 {
            out.push(RUNS);
            out.extend_from_slice(&coded);
        } else {
            out.push(BITS);
            out.extend(self.words.iter().flat_map(|word| word.to_le_bytes()));
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let mut block = Self::empty();
        match reader.byte()? {
            FULL => {
                block.words.fill(u64::MAX);
                block.count = u32::try_from(BLOCK).expect("a block is small");
            }
            BITS => {
                for word in block.words.iter_mut() {
                    *word = u64::from_le_bytes(reader.take(8)?.try_into().ok()?);
                    block.count += word.count_ones();
                }
            }
            RUNS => {
                let mut end = 0_u64;
                for _ in 0..reader.number()? {
                    let start = end.checked_add(reader.number()?)?;
                    end = start.checked_add(reader.number()?).filter(|end| *end <= BLOCK)?;
                    for position in start..end {
                        let (_, word, bit) = place(position);
                        block.insert(word, bit);
                    }
                }
            }
            _ => return None,
        }
        Some(block).filter(|block| block.count > 0)
    }
}

impl PositionSet {
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// How many positions are in it.
    pub(super) fn count(&self) -> u64 {
        self.blocks.values().map(|block| u64::from(block.count)).sum()
    }

    /// Blocks in memory: what bounds size, in memory and in a checkpoint (half a KiB each).
    pub(super) fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// The smallest.
    pub(super) fn first(&self) -> Option<u64> {
        let (index, block) = self.blocks.first_key_value()?;
        block.iter().next().map(|within| Block::positions(*index) + within)
    }

    pub(super) fn contains(&self, position: u64) -> bool {
        let (block, word, bit) = place(position);
        self.blocks.get(&block).is_some_and(|block| block.words[word] & bit != 0)
    }

    /// Adds one; says whether it was missing.
    pub(super) fn insert(&mut self, position: u64) -> bool {
        let (block, word, bit) = place(position);
        self.blocks.entry(block).or_insert_with(Block::empty).insert(word, bit)
    }

    /// Takes one out; says whether it was there.
    pub(super) fn remove(&mut self, position: u64) -> bool {
        let (index, word, bit) = place(position);
        let Some(block) = self.blocks.get_mut(&index) else { return false };
        if block.words[word] & bit == 0 {
            return false;
        }
        block.words[word] &= !bit;
        block.count -= 1;
        if block.count == 0 {
            self.blocks.remove(&index);
        }
        true
    }

    /// All of them, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.blocks
            .iter()
            .flat_map(|(index, block)| block.iter().map(|within| Block::positions(*index) + within))
    }

    /// Those from `start` up to but not including `end`, ascending.
    pub(super) fn range(&self, start: u64, end: u64) -> Vec<u64> {
        if start >= end {
            return Vec::new();
        }
        let blocks = self.blocks.range(start / BLOCK..=(end - 1) / BLOCK);
        let all = blocks.flat_map(|(index, block)| {
            block.iter().map(|within| Block::positions(*index) + within)
        });
        all.filter(|position| (start..end).contains(position)).collect()
    }

    /// Appends the durable form.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        varint::put(out, self.blocks.len() as u64);
        let mut last = 0;
        for (index, block) in &self.blocks {
            varint::put(out, index - last);
            last = *index;
            block.encode(out);
        }
    }

    /// Reads the durable form; `None` where it makes no sense.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let mut set = Self::default();
        let mut last = 0_u64;
        for _ in 0..reader.number()? {
            last = last.checked_add(reader.number()?)?;
            last.checked_mul(BLOCK)?;
            set.blocks.insert(last, Block::decode(reader)?);
        }
        Some(set)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn decoded(set: &PositionSet) -> Option<PositionSet> {
        let mut bytes = Vec::new();
        set.encode(&mut bytes);
        let mut reader = Reader::new(&bytes);
        PositionSet::decode(&mut reader).filter(|_| reader.rest().is_empty())
    }

    proptest! {
        #[test]
        fn it_is_a_set(
            steps in proptest::collection::vec((any::<bool>(), 0..20_000_u64), 0..400),
            (start, end) in (0..20_000_u64, 0..20_000_u64),
        ) {
            let (mut set, mut model) = (PositionSet::default(), BTreeSet::new());
            for (is_insert, position) in steps {
                if is_insert {
                    prop_assert_eq!(set.insert(position), model.insert(position));
                } else {
                    prop_assert_eq!(set.remove(position), model.remove(&position));
                }
                prop_assert_eq!(set.contains(position), model.contains(&position));
            }
            prop_assert_eq!(set.first(), model.first().copied());
            prop_assert_eq!(set.count(), model.len() as u64);
            prop_assert_eq!(set.is_empty(), model.is_empty());
            prop_assert!(set.iter().eq(model.iter().copied()));
            let within: Vec<u64> =
                model.iter().copied().filter(|at| (start..end).contains(at)).collect();
            prop_assert_eq!(set.range(start, end), within);
            prop_assert_eq!(decoded(&set), Some(set));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = PositionSet::decode(&mut Reader::new(&bytes));
        }
    }

    fn coded_bytes(positions: impl Iterator<Item = u64>) -> usize {
        let mut set = PositionSet::default();
        positions.for_each(|position| assert!(set.insert(position)));
        assert_eq!(decoded(&set).as_ref(), Some(&set));
        let mut bytes = Vec::new();
        set.encode(&mut bytes);
        bytes.len()
    }

    #[test]
    fn a_contiguous_million_is_small_and_the_worst_case_is_a_bit_a_position() {
        assert!(coded_bytes(7..1_000_007) < 600);
        assert!(coded_bytes((0..1_000_000).step_by(2)) < 1_000_000 / 8 + 1_000);
    }

    #[test]
    fn the_last_positions_can_be_in_it() {
        assert!(coded_bytes(u64::MAX - 3..u64::MAX) > 0);
    }
}
