//! Logging in to a broker, by SASL.
//!
//! Owns the order of what is said: which mechanism, then what the mechanism has to say, each in a
//! request of its own. A login that is refused is an error of the connection, and is tried again
//! with the next: passwords are changed at both ends, at different times.
//!
//! Invariant: no password is in an error, in a log or in what `Debug` shows.
//! Source: KIP-43, KIP-152 (SaslAuthenticate), RFC 4616 (PLAIN).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use millstream_core::Rand;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::Connection;
use super::message::{Request, Said, read_handshake};
use super::scram::{Hash, Scram, ScramError};
use super::{KafkaError, code_name};
use crate::settings::{KafkaLogin, SaslMechanism};

/// Bytes of a nonce: what others take too, and more than can be guessed.
const NONCE_BYTES: usize = 24;
/// Characters of a broker's own words that are repeated.
const REASON_CHARACTERS_MAX: usize = 200;

/// As whom to log in.
pub(super) struct Login {
    login: KafkaLogin,
    rand: Arc<dyn Rand>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("mechanism", &self.login.mechanism).finish_non_exhaustive()
    }
}

impl Login {
    pub(super) fn new(login: KafkaLogin, rand: Arc<dyn Rand>) -> Self {
        Self { login, rand }
    }

    /// Logs in over a connection that nobody is logged in on.
    pub(super) async fn over<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        connection: &mut Connection<S>,
    ) -> Result<(), KafkaError> {
        let mechanism = self.login.mechanism.name();
        let (reader, _) = connection.call(&Request::SaslHandshake { mechanism }).await?;
        read_handshake(reader).map_err(|(error, known)| match error {
            KafkaError::Refused { .. } if !known.is_empty() => {
                self.refused(connection, &format!("it has {}", known.join(", ")))
            }
            error => error,
        })?;
        match self.login.mechanism {
            SaslMechanism::Plain => self.plain(connection).await,
            SaslMechanism::ScramSha256 => self.scram(connection, Hash::Sha256).await,
            SaslMechanism::ScramSha512 => self.scram(connection, Hash::Sha512).await,
        }
    }

    async fn plain<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        connection: &mut Connection<S>,
    ) -> Result<(), KafkaError> {
        let (user, password) = (&*self.login.username, self.login.password.expose());
        let message = zeroize::Zeroizing::new(format!("\0{user}\0{password}"));
        self.say(connection, message.as_bytes()).await.map(drop)
    }

    async fn scram<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        connection: &mut Connection<S>,
        hash: Hash,
    ) -> Result<(), KafkaError> {
        let mut nonce = [0; NONCE_BYTES];
        self.rand.fill(&mut nonce);
        let nonce = base64_simd::STANDARD.encode_to_string(nonce);
        let scram = Scram::new(hash, &self.login.username, self.login.password.clone(), nonce);
        let challenge = self.say(connection, scram.first().as_bytes()).await?;
        // Some milliseconds of hashing, by design.
        let answering = tokio::task::spawn_blocking(move || scram.answer(&challenge));
        let answer = answering.await.expect("hashing does not panic");
        let (answer, proof) = answer.map_err(|error| self.unbelieved(connection, &error))?;
        let last = self.say(connection, answer.as_bytes()).await?;
        proof.check(&last).map_err(|error| self.unbelieved(connection, &error))
    }

    /// Says something, and gives what is said to it.
    async fn say<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        connection: &mut Connection<S>,
        message: &[u8],
    ) -> Result<Bytes, KafkaError> {
        let (reader, _) = connection.call(&Request::SaslAuthenticate { message }).await?;
        let Said { code, reason, message } = Said::read(reader)?;
        match code {
            0 => Ok(message),
            code if reason.is_empty() => Err(self.refused(connection, code_name(code))),
            _ => Err(self.refused(connection, &reason)),
        }
    }

    fn unbelieved<S>(&self, connection: &Connection<S>, error: &ScramError) -> KafkaError
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.refused(connection, &error.to_string())
    }

    fn refused<S>(&self, connection: &Connection<S>, reason: &str) -> KafkaError
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let printable = reason.chars().filter(|letter| !letter.is_control());
        KafkaError::LoginRefused {
            address: connection.address().to_owned(),
            mechanism: self.login.mechanism.name(),
            reason: printable.take(REASON_CHARACTERS_MAX).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
