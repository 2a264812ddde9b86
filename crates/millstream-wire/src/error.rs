//! What is wrong with a body, and how an error travels.
//!
//! Owns the difference between the two faults a caller can make: a body that cannot be read as
//! the type it should be (`SerializationException`, whose text travels in `Message`), and one
//! that reads well and violates constraints (`ValidationException`, in `message` like all
//! others). Observed: the capital letter, by tests recorded against the service.

use std::borrow::Cow;

use bytes::Bytes;

use crate::decode::{Decode, Decoder, StructureCursor};
use crate::encode::{Encode, Encoder};
use crate::rule::{Member, Rule, Structure};
use crate::{Codec, DEPTH_MAX, ITEMS_MAX};

/// Why a body cannot be read. What it displays is what the caller is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A value of another type than the member's; the sentence is the service's.
    #[error("{0}")]
    Mismatch(Cow<'static, str>),
    /// Not the format at all.
    #[error("the body is not well formed at byte {at}: {what}")]
    Malformed {
        /// Offset in the body.
        at: usize,
        /// What stands wrong there.
        what: &'static str,
    },
    /// One member twice: a proxy that takes the first and a server that takes the last would
    /// disagree on what was asked.
    #[error("the member '{0}' occurs more than once")]
    Duplicate(String),
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("the body nests deeper than {DEPTH_MAX}")]
    TooDeep,
    /// More than [`ITEMS_MAX`] items where the model sets no maximum.
    #[error("a list or map holds more than {ITEMS_MAX} items")]
    TooMany,
    /// An enum's value in an answer that this build does not know, where one is required.
    #[error("an unknown value for '{0}'")]
    UnknownValue(&'static str),
}

/// Why an input is refused before its operation sees it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Becomes `SerializationException`.
    #[error("{0}")]
    Serialization(String),
    /// Becomes `ValidationException`; the text names every violated constraint.
    #[error("{0}")]
    Validation(String),
}

impl From<DecodeError> for InputError {
    fn from(error: DecodeError) -> Self {
        Self::Serialization(error.to_string())
    }
}

/// Writes an error's body: `__type`, the text, and the members that the error adds.
///
/// The text travels in `message`, or in `Message` for `SerializationException` (observed).
pub fn encode_error(
    codec: Codec,
    code: &str,
    message: &str,
    members: &[(&'static str, &dyn Encode)],
) -> Bytes {
    let mut encoder = Encoder::new(codec);
    encoder.begin_structure();
    encoder.member("__type", code);
    let name = if code == "SerializationException" { "Message" } else { "message" };
    encoder.member(name, message);
    for (name, value) in members {
        encoder.member(name, *value);
    }
    encoder.end_structure();
    encoder.finish()
}

/// An error's body as a client reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// The code without what may stand before `#` or after `:`; empty where none was given.
    pub code: String,
    /// The text, empty where none was given.
    pub message: String,
}

const TEXT: Rule = Rule::any();
static ERROR_BODY: Structure = Structure {
    name: "ErrorBody",
    members: &[
        Member { name: "__type", required: false, order: 0, rule: &TEXT },
        Member { name: "message", required: false, order: 1, rule: &TEXT },
        Member { name: "Message", required: false, order: 2, rule: &TEXT },
    ],
};

impl Decode for ErrorBody {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let mut body = Self::default();
        let mut cursor: StructureCursor = decoder.begin_structure(&ERROR_BODY)?;
        while let Some(member) = decoder.next_member(&mut cursor)? {
            let text = String::decode(decoder)?;
            match member {
                0 => body.code = text,
                _ => body.message = text,
            }
        }
        if let Some((_, bare)) = body.code.split_once('#') {
            body.code = bare.to_owned();
        }
        if let Some((bare, _)) = body.code.split_once(':') {
            body.code = bare.to_owned();
        }
        Ok(body)
    }

    fn describe(&self, out: &mut String) {
        out.extend([&self.code, ": ", &self.message]);
    }
}
