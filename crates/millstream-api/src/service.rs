//! Where the server and a service meet.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use millstream_wire::{Codec, Encode, encode_body};

use crate::call::Call;
use crate::error::{OperationError, WireError};
use crate::model::ServiceModel;
use crate::stream::{Event, EventStream, frames};

/// A service as the server sees it.
pub trait Service: Send + Sync + 'static {
    /// What it can be asked.
    fn model(&self) -> &'static ServiceModel;

    /// Answers one call. The future owns all it needs: dropping it abandons the call.
    fn call(&self, call: Call, body: Bytes) -> BoxFuture<'static, Reply>;
}

/// What a service answers.
pub enum Reply {
    /// The output's body, in the request's form; empty for operations without an output.
    Body(Bytes),
    /// An error, to be encoded in the request's form.
    Error(WireError),
    /// Event-stream frames, the initial response first, ready to send as they come.
    Events(BoxStream<'static, Bytes>),
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Body(body) => write!(f, "Body({} bytes)", body.len()),
            Self::Error(error) => write!(f, "Error({error:?})"),
            Self::Events(_) => f.write_str("Events"),
        }
    }
}

impl Reply {
    pub(crate) fn body<O: Encode, E: OperationError>(codec: Codec, answer: Result<O, E>) -> Self {
        match answer {
            Ok(output) => Self::Body(encode_body(codec, &output)),
            Err(error) => Self::Error(error.to_wire()),
        }
    }

    pub(crate) fn empty<E: OperationError>(_codec: Codec, answer: Result<(), E>) -> Self {
        match answer {
            Ok(()) => Self::Body(Bytes::new()),
            Err(error) => Self::Error(error.to_wire()),
        }
    }

    pub(crate) fn events<V: Event, X: OperationError, E: OperationError>(
        codec: Codec,
        answer: Result<EventStream<V, X>, E>,
    ) -> Self {
        match answer {
            Ok(events) => Self::Events(frames(codec, events)),
            Err(error) => Self::Error(error.to_wire()),
        }
    }

    pub(crate) fn unknown_operation() -> Self {
        Self::Error(WireError::unknown_operation("The service has no such operation."))
    }
}
