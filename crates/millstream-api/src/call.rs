//! One call: who, what, when, in which form.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use millstream_auth::VerifiedCaller;
use millstream_core::Timestamp;
use millstream_wire::{Codec, Decode, decode_input};

use crate::error::WireError;
use crate::model::Operation;
use crate::service::Reply;

/// What an operation knows of its caller and request, beside the input.
#[derive(Clone, Debug)]
pub struct Call {
    /// Whose request it is, proved.
    pub caller: VerifiedCaller,
    /// What is asked.
    pub operation: &'static Operation,
    /// The id that the caller sees and the logs carry.
    pub request_id: Arc<str>,
    /// Where the request came from, as far as is known.
    pub source_ip: IpAddr,
    /// Whether it came through TLS.
    pub is_secure: bool,
    /// When it arrived.
    pub received: Timestamp,
    /// The form of its body, and so of the answer.
    pub codec: Codec,
}

impl Call {
    /// The input, or the reply that says what is wrong with it.
    pub(crate) fn decode<T: Decode>(&self, body: &Bytes) -> Result<T, Reply> {
        let input = decode_input(self.codec, body);
        input.map_err(|error| Reply::Error(WireError::from(error)))
    }
}
