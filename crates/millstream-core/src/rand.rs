//! Entropy, injected.

use std::fmt;
use std::sync::Mutex;

use ring::rand::{SecureRandom, SystemRandom};

/// Fills buffers with bytes nobody can guess (or, in a simulation, that a seed fixes).
pub trait Rand: Send + Sync + fmt::Debug {
    /// Overwrites the whole of `buffer`.
    fn fill(&self, buffer: &mut [u8]);

    /// A random 64-bit number.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// The operating system's generator.
#[derive(Debug)]
pub struct SystemRand(SystemRandom);

impl Default for SystemRand {
    fn default() -> Self {
        Self(SystemRandom::new())
    }
}

impl SystemRand {
    /// A handle onto the operating system's generator.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Rand for SystemRand {
    fn fill(&self, buffer: &mut [u8]) {
        // Without entropy no key, nonce or token is safe: stopping is the only right answer.
        self.0.fill(buffer).expect("the operating system gives entropy");
    }
}

/// A generator whose whole output follows from its seed (SplitMix64). Never for secrets.
#[derive(Debug)]
pub struct SeededRand(Mutex<u64>);

impl SeededRand {
    /// The generator that `seed` names.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Rand for SeededRand {
    fn fill(&self, buffer: &mut [u8]) {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for chunk in buffer.chunks_mut(8) {
            *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = *state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^= mixed >> 31;
            chunk.copy_from_slice(&mixed.to_le_bytes()[..chunk.len()]);
        }
    }
}
