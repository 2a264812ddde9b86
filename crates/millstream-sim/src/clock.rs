//! The wall clock of a simulated machine: simulated time, and an error that jumps.

use std::sync::atomic::{AtomicI64, Ordering};

use millstream_core::{Clock, Timestamp};
use tokio::time::Instant;

/// 2026-01-01, where every simulated world begins.
const BEGIN_MS: u64 = 1_767_225_600_000;

/// Says what the paused tokio clock says, plus an offset that the simulation moves either way.
#[derive(Debug)]
pub struct SimClock {
    begin: Instant,
    offset_ms: AtomicI64,
}

impl SimClock {
    /// A right clock. Call inside the runtime.
    pub fn new() -> Self {
        Self { begin: Instant::now(), offset_ms: AtomicI64::new(0) }
    }

    /// Makes the clock wrong by `offset_ms` from here on.
    pub fn set_offset_ms(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::SeqCst);
    }

    /// Milliseconds of simulated time since the world began, whatever the clock says.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).expect("simulations are short")
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let right = BEGIN_MS + self.elapsed_ms();
        Timestamp::from_ms(right.saturating_add_signed(self.offset_ms.load(Ordering::SeqCst)))
    }
}
