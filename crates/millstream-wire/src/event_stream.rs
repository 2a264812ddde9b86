//! Event-stream frames: what `application/vnd.amazon.eventstream` is made of.
//!
//! Owns the framing, both ways: lengths, typed headers, and the two checksums (CRC-32 as in
//! ISO 3309, not CRC-32C). What an event means is its service's business.
//! Source: the public event-stream encoding specification of Smithy.

mod frame;
mod reader;

pub use frame::{Frame, FrameError, HeaderValue};
pub use reader::FrameReader;

use bytes::Bytes;

use crate::Codec;

/// The media type of a body of frames.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// The event type of the first frame of every answer.
pub const INITIAL_RESPONSE: &str = "initial-response";

impl Frame {
    /// An event called `event_type` (or [`INITIAL_RESPONSE`]) whose payload is in `codec`.
    pub fn event(codec: Codec, event_type: &str, payload: Bytes) -> Self {
        Self::message("event", ":event-type", event_type, codec, payload)
    }

    /// A modelled error, after which nothing follows.
    pub fn exception(codec: Codec, exception_type: &str, payload: Bytes) -> Self {
        Self::message("exception", ":exception-type", exception_type, codec, payload)
    }

    fn message(kind: &str, name: &str, value: &str, codec: Codec, payload: Bytes) -> Self {
        let text = |text: &str| HeaderValue::Text(text.to_owned());
        Self {
            headers: vec![
                (name.to_owned(), text(value)),
                (":content-type".to_owned(), text(codec.content_type())),
                (":message-type".to_owned(), text(kind)),
            ],
            payload,
        }
    }

    /// The event's type, where this is an event.
    pub fn event_type(&self) -> Option<&str> {
        self.text_header(":event-type")
    }

    /// The error's type, where this is an exception.
    pub fn exception_type(&self) -> Option<&str> {
        self.text_header(":exception-type")
    }

    /// The form of the payload, where a header names one.
    pub fn codec(&self) -> Option<Codec> {
        self.text_header(":content-type").and_then(Codec::of_content_type)
    }
}
