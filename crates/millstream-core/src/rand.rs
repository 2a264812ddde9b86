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

/// Bytes asked of the system at once: a request takes some hundred, and a system call for each
/// would cost it a microsecond.
const POOL_BYTES: usize = 4_096;
/// What is taken from the pool at most; more is asked of the system directly.
const POOLED_BYTES_MAX: usize = 256;

/// The operating system's generator.
pub struct SystemRand {
    system: SystemRandom,
    pool: Mutex<Pool>,
}

/// Entropy not yet given out. A byte is wiped as it is taken, so that none is given twice and
/// none is left for whoever reads the memory later.
struct Pool {
    bytes: [u8; POOL_BYTES],
    taken: usize,
}

impl fmt::Debug for SystemRand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemRand")
    }
}

impl Default for SystemRand {
    fn default() -> Self {
        let pool = Pool { bytes: [0; POOL_BYTES], taken: POOL_BYTES };
        Self { system: SystemRandom::new(), pool: Mutex::new(pool) }
    }
}

impl SystemRand {
    fn ask_system(&self, buffer: &mut [u8]) {
        // Without entropy no key, nonce or token is safe: stopping is the only right answer.
        self.system.fill(buffer).expect("the operating system gives entropy");
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
        if buffer.len() > POOLED_BYTES_MAX {
            return self.ask_system(buffer);
        }
        let mut pool = self.pool.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if POOL_BYTES - pool.taken < buffer.len() {
            self.ask_system(&mut pool.bytes);
            pool.taken = 0;
        }
        let from = pool.taken;
        pool.taken += buffer.len();
        let piece = &mut pool.bytes[from..from + buffer.len()];
        buffer.copy_from_slice(piece);
        piece.fill(0);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_bytes_of_the_system_are_given_twice() {
        let rand = SystemRand::new();
        let mut seen = BTreeSet::new();
        // Sizes that do not divide the pool, far beyond one filling of it, and some past it.
        for round in 0..2_000 {
            let mut buffer = vec![0; [16, 88, 255, 256, 300][round % 5]];
            rand.fill(&mut buffer);
            assert!(buffer.chunks_exact(16).all(|bytes| seen.insert(bytes.to_vec())), "{round}");
        }
        assert!(!seen.contains(&vec![0; 16]), "bytes that were wiped were given out");
    }
}
