//! Errors on their way out, and on their way in.
//!
//! Owns the one form in which any error reaches the server: a code, a text, a status and what
//! members it adds. Operations' own enums are generated and become this in one place.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use millstream_wire::{Codec, Encode, InputError, encode_error};

/// An error as the wire knows it.
#[derive(Clone)]
pub struct WireError {
    /// `ResourceNotFoundException`.
    pub code: Cow<'static, str>,
    /// What the caller is told.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
    members: Vec<(&'static str, Arc<dyn Encode + Send + Sync>)>,
}

impl WireError {
    /// An error of `code` that carries `message` and nothing else.
    pub fn new(
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
        status: u16,
    ) -> Self {
        Self { code: code.into(), message: message.into(), status, members: Vec::new() }
    }

    /// The same error with one more member in its body.
    pub fn with(mut self, name: &'static str, value: impl Encode + Send + Sync + 'static) -> Self {
        self.members.push((name, Arc::new(value)));
        self
    }

    /// `SerializationException`: the body cannot be read.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::new("SerializationException", message, 400)
    }

    /// `ValidationException`: the body violates constraints.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message, 400)
    }

    /// `InternalFailure`: our fault, not the caller's.
    pub fn internal_failure() -> Self {
        Self::new("InternalFailure", "The request failed for an internal reason.", 500)
    }

    /// `UnknownOperationException`: no such operation, or one of a service that is not built.
    pub fn unknown_operation(message: impl Into<String>) -> Self {
        Self::new("UnknownOperationException", message, 400)
    }

    /// The error's body in `codec`.
    pub fn encode(&self, codec: Codec) -> Bytes {
        let members: Vec<(&'static str, &dyn Encode)> = self
            .members
            .iter()
            .map(|(name, value)| (*name, value.as_ref() as &dyn Encode))
            .collect();
        encode_error(codec, &self.code, &self.message, &members)
    }
}

impl std::fmt::Debug for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.code, self.status, self.message)
    }
}

impl From<InputError> for WireError {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Serialization(message) => Self::serialization(message),
            InputError::Validation(message) => Self::validation(message),
        }
    }
}

/// What every operation's error enum can say of itself.
pub trait OperationError: std::error::Error + Send + Sync + Sized + 'static {
    /// The code on the wire.
    fn code(&self) -> &'static str;

    /// What the caller is told.
    fn message(&self) -> &str;

    /// The HTTP status.
    fn status(&self) -> u16;

    /// The error that travelled as `code`, for clients; `None` where the operation has none such.
    fn from_code(code: &str, message: String) -> Option<Self>;

    /// As the wire knows it.
    fn to_wire(&self) -> WireError {
        WireError::new(self.code(), self.message(), self.status())
    }
}
