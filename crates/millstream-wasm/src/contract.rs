//! The contract's names and numbers, first version.
//!
//! Source: docs/internals/webassembly.md, which is its description for authors of modules.

/// The version that a module's `millstream_abi` has to answer.
pub(crate) const VERSION: i32 = 1;

/// The module that imports come from.
pub(crate) const HOST: &str = "millstream";

/// A function's name and type.
pub(crate) type Signature = (&'static str, &'static str);

/// The memory that a module exports.
pub(crate) const MEMORY: &str = "memory";

/// Says which version of the contract the module follows.
pub(crate) const ABI: Signature = ("millstream_abi", "() -> i32");
/// Says where a record of so many bytes can be written.
pub(crate) const INPUT: Signature = ("input", "(i32) -> i32");
/// Reworks the record that is written there; answers a [`verdict`].
pub(crate) const TRANSFORM: Signature = ("transform", "(i32, i32) -> i32");
/// Called once before anything else, where there is one: what some languages need.
pub(crate) const INITIALIZE: Signature = ("_initialize", "()");

/// What a module may import.
pub(crate) mod import {
    use super::Signature;

    /// Appends bytes to what the record becomes.
    pub(crate) const OUTPUT: Signature = ("output", "(i32, i32)");
    /// Says why the record fails: what the error output repeats.
    pub(crate) const MESSAGE: Signature = ("message", "(i32, i32)");
    /// Sets a key that the record's partition is found by.
    pub(crate) const PARTITION_KEY: Signature = ("partition_key", "(i32, i32, i32, i32)");
    /// Sets what a table needs to know of the record.
    pub(crate) const OTF_METADATA: Signature = ("otf_metadata", "(i32, i32, i32, i32)");
    /// Reads what is known of the record beside its data.
    pub(crate) const ATTRIBUTE: Signature = ("attribute", "(i32, i32, i32, i32) -> i32");
    /// When the record arrived, in milliseconds of Unix time.
    pub(crate) const ARRIVAL_MS: Signature = ("arrival_ms", "() -> i64");

    pub(crate) const ALL: [Signature; 6] =
        [OUTPUT, MESSAGE, PARTITION_KEY, OTF_METADATA, ATTRIBUTE, ARRIVAL_MS];
}

/// What `transform` answers.
pub(crate) mod verdict {
    /// The record becomes what was put out, which may be nothing.
    pub(crate) const OK: i32 = 0;
    /// The record is wanted no more.
    pub(crate) const DROPPED: i32 = 1;
    /// The record goes to the error output.
    pub(crate) const PROCESSING_FAILED: i32 = 2;
    /// The record goes on as it came.
    pub(crate) const UNCHANGED: i32 = 3;
}

/// What `attribute` answers for a name that has no value.
pub(crate) const NO_ATTRIBUTE: i32 = -1;
