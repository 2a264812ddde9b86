//! Who calls, and what they may do.
//!
//! Owns the verification and the making of AWS signatures (SigV4), the proof that it happened
//! ([`VerifiedCaller`]), access keys, policies and the keyring that seals secrets at rest.
//!
//! Invariant: pure. No IO, no clock, no entropy of its own: bytes, `now` and a
//! [`millstream_core::Rand`] are arguments.

mod authorize;
mod caller;
mod data_keys;
mod keyring;
mod keys;
pub mod policy;
mod secret;
pub mod sigv4;
mod verifier;

pub use authorize::{AuthorizationRequest, Decision, Denial, DenialReason, authorize};
pub use caller::{DevMode, VerifiedCaller};
pub use data_keys::{DataKeys, SealingKey};
pub use keyring::{
    DataKey, DataKeyOpener, KEY_LENGTH, Keyring, MasterKey, RECORD_OVERHEAD_BYTES,
    SEALED_OVERHEAD_BYTES, Sealer,
};
pub use keys::{
    AccessKeySummary, AccessKeys, CreateAccessKeyError, CreatedAccessKey, KEYS_PER_USER_MAX,
    NewAccessKey, POLICIES_PER_KEY_MAX, ReadAccessKeysError,
};
pub use policy::{Policy, PolicyError, PolicyKind};
pub use secret::Secret;
pub use verifier::{Pending, SessionCredentials, Verifier};
