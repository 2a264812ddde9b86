//! AWS Signature Version 4: what is signed, how, and whether it fits.
//!
//! Owns the canonical request, the reading of the `Authorization` header and of presigned
//! queries, the checks in the service's order, and a signer for our own client. It knows no key
//! store: whoever verifies hands in the signing key that [`Claim::access_key_id`] asks for.
//!
//! Invariant: pure; the signature is compared in constant time, and last.
//! Sources: the AWS documentation "Signature Version 4"; the published signing test suite
//! (`tests/vectors.rs`); the order of checks and the wording of errors as recorded against the
//! service by the authors of kinesalite and dynalite (observed).

mod canonical;
mod claim;
mod error;
mod moment;
mod scope;
mod sign;
mod signing_key;
mod verify;

pub(crate) use canonical::hex;
pub use canonical::{PathForm, UNSIGNED_PAYLOAD, sha256_hex, sha256_hex_of};
pub use claim::{Claim, Form, access_key_id_of};
pub use error::{ScopeFault, SignatureError};
pub use moment::Moment;
pub use scope::Scope;
pub use sign::{SignError, Signer, SigningCredentials};
pub use signing_key::SigningKey;
pub use verify::{Payload, SignedRequest};

/// The one algorithm that is understood.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What ends each credential scope.
pub const TERMINATOR: &str = "aws4_request";
