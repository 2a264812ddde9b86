//! Who calls, and what they may do.
//!
//! Owns the verification and the making of AWS signatures (SigV4), the proof that it happened
//! ([`VerifiedCaller`]), access keys, policies and the keyring that seals secrets at rest.
//!
//! Invariant: pure. No IO, no clock, no entropy of its own: bytes, `now` and a
//! [`millstream_core::Rand`] are arguments.

mod caller;
mod keyring;
mod secret;
pub mod sigv4;

pub use caller::{DevMode, VerifiedCaller};
pub use keyring::{
    DataKey, DataKeyOpener, KEY_LENGTH, Keyring, MasterKey, RECORD_OVERHEAD_BYTES,
    SEALED_OVERHEAD_BYTES, Sealer,
};
pub use secret::Secret;
