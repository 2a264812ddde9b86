//! The key that signs for one day, region and service.

use std::fmt;

use ring::hmac;

use super::{Scope, TERMINATOR};
use crate::Secret;

/// A secret access key bound to one day, region and service. Four HMACs to derive: cache it.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl SigningKey {
    /// Derives the key for `scope` (its date, region and service) from a secret access key.
    pub fn derive(secret: &Secret, scope: &Scope<'_>) -> Self {
        let mut first = zeroize::Zeroizing::new(Vec::with_capacity(4 + secret.expose().len()));
        first.extend_from_slice(b"AWS4");
        first.extend_from_slice(secret.expose().as_bytes());
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, &first);
        for part in [scope.date, scope.region, scope.service, TERMINATOR] {
            let tag = hmac::sign(&key, part.as_bytes());
            key = hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref());
        }
        Self(key)
    }

    /// The signature of a string to sign.
    pub(super) fn sign(&self, string_to_sign: &str) -> [u8; 32] {
        let tag = hmac::sign(&self.0, string_to_sign.as_bytes());
        tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
    }

    /// Whether `signature` fits, in time that does not depend on where it differs.
    pub(super) fn verifies(&self, string_to_sign: &str, signature: &[u8; 32]) -> bool {
        hmac::verify(&self.0, string_to_sign.as_bytes(), signature).is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}
