//! Bits, packed, that know how many of them are set.

use std::ops::Range;

/// A growing row of bits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: usize,
    ones: usize,
}

impl Bits {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many are set.
    pub(crate) fn ones(&self) -> usize {
        self.ones
    }

    #[inline]
    pub(crate) fn push(&mut self, bit: bool) {
        let shift = self.len % 64;
        if shift == 0 {
            self.words.push(u64::from(bit));
        } else if let Some(word) = self.words.last_mut() {
            *word |= u64::from(bit) << shift;
        }
        self.len += 1;
        self.ones += usize::from(bit);
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> bool {
        self.words[index / 64] >> (index % 64) & 1 == 1
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = bool> {
        (0..self.len).map(|index| self.get(index))
    }

    /// How many of `range` are set.
    pub(crate) fn count(&self, range: Range<usize>) -> usize {
        if self.ones == self.len {
            return range.len();
        }
        let mut count = 0;
        let mut at = range.start;
        while at < range.end {
            let bits = (64 - at % 64).min(range.end - at);
            let word = self.words[at / 64] >> (at % 64);
            count += (word << (64 - bits)).count_ones() as usize;
            at += bits;
        }
        count
    }

    /// Keeps the first `len`. Costs what is taken off.
    pub(crate) fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        let words = len.div_ceil(64);
        let dropped: u32 = self.words[words..].iter().map(|word| word.count_ones()).sum();
        self.ones -= dropped as usize;
        self.words.truncate(words);
        if let (1.., Some(word)) = (len % 64, self.words.last_mut()) {
            let kept = *word & ((1 << (len % 64)) - 1);
            self.ones -= (word.count_ones() - kept.count_ones()) as usize;
            *word = kept;
        }
        self.len = len;
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncating_anywhere_leaves_what_was_pushed_up_to_there() {
        let pattern = |index: usize| index % 3 == 1 || index % 7 == 2;
        for keep in 0..=200 {
            let mut bits = Bits::default();
            (0..200).for_each(|index| bits.push(pattern(index)));
            bits.truncate(keep);
            assert_eq!(bits.len(), keep);
            assert_eq!(bits.ones(), (0..keep).filter(|index| pattern(*index)).count());
            for start in [0, keep / 3, keep / 2, keep] {
                assert_eq!(bits.count(start..keep), (start..keep).filter(|i| pattern(*i)).count());
            }
            bits.push(true);
            assert!(
                bits.get(keep) && bits.iter().take(keep).enumerate().all(|(i, b)| b == pattern(i))
            );
        }
    }
}
