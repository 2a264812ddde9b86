//! The wire: bytes in, values out, and back; nothing else.
//!
//! Owns JSON 1.0 and 1.1, the Kinesis dialect of CBOR, event-stream frames, error bodies, and
//! the checker that turns violated constraints into the sentence the service gives. Knows no
//! operation, does no IO, asks no clock: everything is an argument.
//!
//! Invariant: no input makes it panic, recurse deeper than [`DEPTH_MAX`], or allocate more than
//! in proportion to the input; time is linear in the input.

mod cbor;
mod codec;
mod cut;
mod decode;
mod encode;
mod error;
pub mod event_stream;
mod json;
mod number;
mod rule;
mod violation;

pub use codec::Codec;
pub use decode::{
    Decode, Decoder, ListCursor, MapCursor, StructureCursor, decode_input, decode_output,
};
pub use encode::{Encode, Encoder, encode_body};
pub use error::{DecodeError, ErrorBody, InputError, encode_error};
pub use rule::{Member, Pattern, Rule, Structure};

/// How deep lists, maps and structures may nest (ours; other parsers of the service's formats
/// settled on the same number).
pub const DEPTH_MAX: u32 = 128;

/// How many items a list or map of an input may hold where the model sets no maximum (ours, so
/// that an input of one-byte items cannot grow a hundredfold in memory).
pub const ITEMS_MAX: usize = 10_000;
