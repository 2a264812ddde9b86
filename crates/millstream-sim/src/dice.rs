//! Chance, drawn from a seed.
//!
//! Owns the draws that actors make. Each actor has dice of its own, so that one more draw by one
//! of them does not change what the others do.

use millstream_core::{Rand, SeededRand};

/// A stream of chances that follows from its seed.
#[derive(Debug)]
pub struct Dice(SeededRand);

impl Dice {
    /// The dice that `seed` names, for the actor or purpose `of`.
    pub fn new(seed: u64, of: &str) -> Self {
        // FNV-1a over the purpose, so that two purposes share no draws.
        let mut mixed = seed ^ 0xcbf2_9ce4_8422_2325;
        for byte in of.bytes() {
            mixed = (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(SeededRand::new(mixed))
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing lies below 0");
        self.0.next_u64() % bound
    }

    /// An index below `count`, which is at least 1.
    pub fn index(&self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).expect("it is below a usize")
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `permille` of 1,000 draws.
    pub fn chance(&self, permille: u64) -> bool {
        self.below(1_000) < permille
    }

    /// One of `choices`, of which there is at least one.
    pub fn pick<'a, T>(&self, choices: &'a [T]) -> &'a T {
        &choices[self.index(choices.len())]
    }

    /// Any 128-bit number.
    pub fn wide(&self) -> u128 {
        (u128::from(self.0.next_u64()) << 64) | u128::from(self.0.next_u64())
    }

    /// Any 64-bit number.
    pub fn seed(&self) -> u64 {
        self.0.next_u64()
    }
}
