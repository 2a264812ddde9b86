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
use crate::encode::{self, Encode, Encoder};

/// The media type of a body of frames.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// The event type of the first frame of every answer.
pub const INITIAL_RESPONSE: &str = "initial-response";

/// The frame of an event called `event_type` (or [`INITIAL_RESPONSE`]): its payload is encoded
/// in place.
pub fn event_frame<T: Encode + ?Sized>(codec: Codec, event_type: &str, payload: &T) -> Bytes {
    frame_of(codec, payload, [(":event-type", event_type), (":message-type", "event")])
}

/// The frame of a modelled error, after which nothing follows.
pub fn exception_frame(codec: Codec, exception_type: &str, body: &[u8]) -> Bytes {
    let headers = [(":exception-type", exception_type), (":message-type", "exception")];
    let mut out = frame::begin(body.len(), &headers_of(codec, headers));
    out.bytes.extend_from_slice(body);
    frame::seal(out)
}

fn frame_of<T: Encode + ?Sized>(codec: Codec, payload: &T, headers: [(&str, &str); 2]) -> Bytes {
    let begun = frame::begin(encode::capacity_for(codec, payload), &headers_of(codec, headers));
    let frame::Begun { bytes, headers_bytes } = begun;
    let mut encoder = Encoder::append_to(codec, bytes);
    payload.encode(&mut encoder);
    frame::seal(frame::Begun { bytes: encoder.into_vec(), headers_bytes })
}

fn headers_of(codec: Codec, [kind, message]: [(&str, &str); 2]) -> [(String, HeaderValue); 3] {
    [kind, (":content-type", codec.content_type()), message]
        .map(|(name, value)| (name.to_owned(), HeaderValue::Text(value.to_owned())))
}

impl Frame {
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
