//! Records reworked by WebAssembly modules, in this process and in a sandbox.
//!
//! Owns the contract between a module and Firehose (docs/internals/webassembly.md), the judging
//! of a module before any record is given to it, and the bounds of a run: instructions, time,
//! memory and output. Knows nothing of delivery streams, threads' pools or files.
//!
//! Invariants: a module gets at nothing but its own memory and what `host` offers, of which
//! nothing reaches out of the process; and whatever it does to one record, the next finds an
//! instance that is sound.

mod contract;
mod engine;
mod fault;
mod host;
mod module;
mod ticker;
mod worker;

pub use engine::{Engine, EngineError, Limits};
pub use fault::Fault;
pub use module::{Module, ModuleError};
pub use worker::{Batch, Record, Reworked, Verdict, Worker};

#[cfg(test)]
mod tests;
