//! SCRAM: proving that one knows a password, without saying it, to someone who proves the same.
//!
//! Owns the three messages of a client, without channel binding. Names and passwords are taken as
//! they are, which is what Kafka does: its brokers do not prepare them (RFC 4013).
//!
//! Invariants:
//! * The broker is believed only once it has proved to know the password too.
//! * How much there is to hash is the broker's word, within bounds: fewer rounds than
//!   [`ROUNDS_MIN`] would make the proof easy to search, more than [`ROUNDS_MAX`] are a siege.
//!
//! Source: RFC 5802, RFC 7677.

use std::fmt;
use std::num::NonZeroU32;

use millstream_auth::Secret;
use ring::{digest, hmac, pbkdf2};
use zeroize::Zeroizing;

/// The least that RFC 7677 and Kafka allow.
pub(super) const ROUNDS_MIN: u32 = 4_096;
/// Six times what Kafka's own tools allow at most (ours).
pub(super) const ROUNDS_MAX: u32 = 100_000;
/// No channel binding: `n,,` in Base64.
const NO_BINDING: &str = "biws";

/// Which hash it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        self.hmac().digest_algorithm()
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

/// Why the other side is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScramError {
    #[error("its challenge cannot be read")]
    Challenge,
    #[error("its challenge is to someone else's nonce")]
    Nonce,
    #[error("it asks for {0} rounds of hashing, not for {ROUNDS_MIN} to {ROUNDS_MAX}")]
    Rounds(u32),
    /// In its own words.
    #[error("{0}")]
    Refused(String),
    #[error("it does not prove to know the password")]
    Unproven,
}

/// A client's side, before the challenge.
pub(super) struct Scram {
    hash: Hash,
    password: Secret,
    nonce: String,
    /// The first message without its head.
    bare: String,
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scram").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Scram {
    /// `nonce` has to be another each time, and to be in Base64.
    pub(super) fn new(hash: Hash, username: &str, password: Secret, nonce: String) -> Self {
        let name = username.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={name},r={nonce}");
        Self { hash, password, nonce, bare }
    }

    /// The first message.
    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// What to answer to a challenge, and what the other side has to prove then. Takes some
    /// milliseconds of hashing.
    pub(super) fn answer(&self, challenge: &[u8]) -> Result<(String, Proof), ScramError> {
        let challenge = std::str::from_utf8(challenge).map_err(|_| ScramError::Challenge)?;
        let parts: Vec<&str> = challenge.split(',').collect();
        let [nonce, salt, rounds, ..] = parts[..] else { return Err(ScramError::Challenge) };
        let value = |part: &'_ str, name| part.strip_prefix(name).map(ToOwned::to_owned);
        let nonce = value(nonce, "r=").ok_or(ScramError::Challenge)?;
        let salt = value(salt, "s=").ok_or(ScramError::Challenge)?;
        let salt = base64_simd::STANDARD.decode_to_vec(salt).map_err(|_| ScramError::Challenge)?;
        let rounds = value(rounds, "i=").and_then(|rounds| rounds.parse().ok());
        let rounds: u32 = rounds.ok_or(ScramError::Challenge)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(ScramError::Nonce);
        }
        let is_in_bounds = (ROUNDS_MIN..=ROUNDS_MAX).contains(&rounds);
        let counted = NonZeroU32::new(rounds).filter(|_| is_in_bounds);
        let rounds = counted.ok_or(ScramError::Rounds(rounds))?;
        let bare = format!("c={NO_BINDING},r={nonce}");
        let said = format!("{},{challenge},{bare}", self.bare);
        Ok(self.prove(&salt, rounds, &bare, said))
    }

    fn prove(&self, salt: &[u8], rounds: NonZeroU32, bare: &str, said: String) -> (String, Proof) {
        let hash = self.hash;
        let mut salted = Zeroizing::new(vec![0; hash.digest().output_len()]);
        let password = self.password.expose().as_bytes();
        pbkdf2::derive(hash.pbkdf2(), rounds, salt, password, &mut salted);
        let salted = hmac::Key::new(hash.hmac(), &salted);
        let client = hmac::sign(&salted, b"Client Key");
        let stored = digest::digest(hash.digest(), client.as_ref());
        let stored = hmac::Key::new(hash.hmac(), stored.as_ref());
        let signature = hmac::sign(&stored, said.as_bytes());
        let each = client.as_ref().iter().zip(signature.as_ref());
        let proof: Vec<u8> = each.map(|(key, signature)| key ^ signature).collect();
        let proof = base64_simd::STANDARD.encode_to_string(proof);
        let server = hmac::sign(&salted, b"Server Key");
        let key = hmac::Key::new(hash.hmac(), server.as_ref());
        (format!("{bare},p={proof}"), Proof { key, said })
    }
}

/// What the other side has to prove.
#[derive(Debug)]
pub(super) struct Proof {
    key: hmac::Key,
    said: String,
}

impl Proof {
    /// Whether its last message proves it.
    pub(super) fn check(&self, last: &[u8]) -> Result<(), ScramError> {
        let last = std::str::from_utf8(last).map_err(|_| ScramError::Unproven)?;
        let first = last.split(',').next().unwrap_or_default();
        if let Some(reason) = first.strip_prefix("e=") {
            return Err(ScramError::Refused(reason.to_owned()));
        }
        let signature = first.strip_prefix("v=").ok_or(ScramError::Unproven)?;
        let signature = base64_simd::STANDARD.decode_to_vec(signature);
        let signature = signature.map_err(|_| ScramError::Unproven)?;
        // In a time that does not tell how much of it is right.
        hmac::verify(&self.key, self.said.as_bytes(), &signature).map_err(|_| ScramError::Unproven)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
    const JOINED: &str = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

    fn scram(hash: Hash, username: &str) -> Scram {
        Scram::new(hash, username, Secret::from("pencil"), NONCE.to_owned())
    }

    fn challenge(rounds: &str) -> String {
        format!("r={JOINED},s={SALT},i={rounds}")
    }

    /// The exchange of RFC 7677, section 3; the one over SHA-512 by Python's hashlib.
    #[test]
    fn the_exchanges_of_the_rfc_are_made() {
        let rows = [
            (
                Hash::Sha256,
                "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            ),
            (
                Hash::Sha512,
                "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
                "ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==",
            ),
        ];
        for (hash, proof, signature) in rows {
            let scram = scram(hash, "user");
            assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
            let (answer, server) = scram.answer(challenge("4096").as_bytes()).unwrap();
            assert_eq!(answer, format!("c=biws,r={JOINED},p={proof}"));
            assert_eq!(server.check(format!("v={signature}").as_bytes()), Ok(()));
        }
    }

    #[test]
    fn names_are_escaped() {
        let first = scram(Hash::Sha256, "a=b,c").first();
        assert_eq!(first, "n,,n=a=3Db=2Cc,r=rOprNGfwEbeRWgbNEkqO");
    }

    #[test]
    fn a_challenge_that_is_not_to_be_believed_is_not_answered() {
        let rows = [
            (challenge("4095"), ScramError::Rounds(4_095)),
            (challenge("0"), ScramError::Rounds(0)),
            (challenge("100001"), ScramError::Rounds(100_001)),
            (challenge("99999999999"), ScramError::Challenge),
            (challenge("many"), ScramError::Challenge),
            (format!("r={NONCE},s={SALT},i=4096"), ScramError::Nonce),
            (format!("r=x{JOINED},s={SALT},i=4096"), ScramError::Nonce),
            (format!("r={JOINED},s=*,i=4096"), ScramError::Challenge),
            (format!("s={SALT},r={JOINED},i=4096"), ScramError::Challenge),
            (format!("m=x,r={JOINED},s={SALT},i=4096"), ScramError::Challenge),
            (String::new(), ScramError::Challenge),
        ];
        for (challenge, wanted) in rows {
            let refused = scram(Hash::Sha256, "user").answer(challenge.as_bytes()).unwrap_err();
            assert_eq!(refused, wanted, "{challenge}");
        }
        assert!(scram(Hash::Sha256, "user").answer(b"\xff").is_err());
    }

    #[test]
    fn whoever_does_not_know_the_password_is_not_believed() {
        let (_, proof) = scram(Hash::Sha256, "user").answer(challenge("4096").as_bytes()).unwrap();
        let refused = ScramError::Refused("unknown-user".to_owned());
        assert_eq!(proof.check(b"e=unknown-user"), Err(refused));
        let other = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=";
        for last in ["", "v=", "v=AAAA", other, "v=*", "x"] {
            assert_eq!(proof.check(last.as_bytes()), Err(ScramError::Unproven), "{last}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        let scram = scram(Hash::Sha256, "user");
        assert!(!format!("{scram:?}").contains("pencil"));
    }
}
