//! The machine that modules run on, and how much of it one record may use.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::ticker::{TICK, Ticker, Working};

/// How much a module may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory of one instance.
    pub memory_bytes: usize,
    /// Instructions for one record, about. This is what ends an endless loop: the same record ends
    /// the same way each time.
    pub fuel: u64,
    /// How long one record may take: what ends whatever fuel does not measure, and a record on a
    /// machine that is far too slow.
    pub deadline: Duration,
    /// Bytes that the records of one batch may become together.
    pub output_bytes: usize,
}

impl Default for Limits {
    /// Ours; the output is what Lambda may answer (documented: 6 MB, which it counts as MiB).
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            fuel: 500_000_000,
            deadline: Duration::from_secs(5),
            output_bytes: 6 << 20,
        }
    }
}

impl Limits {
    /// Ticks until a deadline that is set between two of them.
    pub(crate) fn ticks(&self) -> u64 {
        let ticks = self.deadline.as_millis() / TICK.as_millis();
        u64::try_from(ticks).unwrap_or(u64::MAX / 2) + 1
    }
}

/// Why there is no engine: this machine cannot have one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("WebAssembly does not run on this machine: {0}")]
pub struct EngineError(String);

/// The machine. Clones are the same one.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    engine: wasmtime::Engine,
    limits: Limits,
    ticker: Ticker,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl Engine {
    /// A machine on which each record may use so much.
    pub fn new(limits: Limits) -> Result<Self, EngineError> {
        let mut config = wasmtime::Config::new();
        config
            .consume_fuel(true)
            .epoch_interruption(true)
            // One memory of 32 bits is all that the contract needs.
            .wasm_multi_memory(false)
            .wasm_memory64(false);
        let engine = wasmtime::Engine::new(&config);
        let engine = engine.map_err(|error| EngineError(format!("{error:#}")))?;
        // Weak, so that the thread does not keep what it counts for.
        let counted = engine.weak();
        let tick = move || {
            if let Some(engine) = counted.upgrade() {
                engine.increment_epoch();
            }
        };
        let ticker = Ticker::start(tick).map_err(|error| EngineError(error.to_string()))?;
        Ok(Self(Arc::new(Inner { engine, limits, ticker })))
    }

    /// How much each record may use.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.engine
    }

    /// Time passes for deadlines as long as the answer lives.
    pub(crate) fn work(&self) -> Working {
        self.0.ticker.work()
    }
}
