//! From bytes to values: a pull decoder that generated code drives.
//!
//! Owns the order of things: a type asks for its members, the decoder finds them in either
//! format, judges each value against its member's rule and remembers what was violated. A value
//! of the wrong type ends decoding at once; a violation does not, so that all are told together.
//!
//! Invariants: record data is copied at most once (base64 into one arena a body; CBOR not at
//! all); nothing is allocated ahead of the bytes that justify it.

mod containers;
mod scalars;
mod values;

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use crate::error::{DecodeError, InputError};
use crate::rule::{Rule, Structure};
use crate::violation::{Step, Violations};
use crate::{Codec, DEPTH_MAX, cbor, json};

/// A value that can be read off the wire.
pub trait Decode: Sized {
    /// Takes the next value, which is not null.
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError>;

    /// Appends the value as it stands in a sentence about a violation.
    fn describe(&self, out: &mut String);
}

/// Decodes a request: types must fit, and every violated constraint is told.
///
/// Cost: linear in the body; one allocation for all blobs of a JSON body, none for CBOR's.
pub fn decode_input<T: Decode>(codec: Codec, body: &Bytes) -> Result<T, InputError> {
    let mut decoder = Decoder::new(codec, body, true);
    let value = T::decode(&mut decoder)?;
    decoder.end()?;
    match decoder.violations.into_sentence() {
        None => Ok(value),
        Some(sentence) => Err(InputError::Validation(sentence)),
    }
}

/// Decodes an answer or an event: types must fit, constraints are not looked at (models misstate
/// outputs), what is missing has its default.
pub fn decode_output<T: Decode>(codec: Codec, body: &Bytes) -> Result<T, DecodeError> {
    let mut decoder = Decoder::new(codec, body, false);
    let value = T::decode(&mut decoder)?;
    decoder.end()?;
    Ok(value)
}

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Number,
    Text,
    Bytes,
    List,
    Map,
}

/// A list or map being read.
#[derive(Debug)]
pub(crate) struct Open {
    /// Items still to come, where the format says.
    pub(crate) remaining: Option<u64>,
    pub(crate) is_first: bool,
}

#[derive(Debug)]
enum Format<'a> {
    Json(json::Reader<'a>),
    Cbor(cbor::Reader<'a>),
}

/// Calls the same method of whichever reader there is.
macro_rules! read {
    ($decoder:expr, $json:ident => $json_do:expr, $cbor:ident => $cbor_do:expr) => {
        match &mut $decoder.format {
            $crate::decode::Format::Json($json) => $json_do,
            $crate::decode::Format::Cbor($cbor) => $cbor_do,
        }
    };
}

use read;

/// A structure being read.
#[derive(Debug)]
pub struct StructureCursor {
    open: Open,
    structure: &'static Structure,
    /// Bits of the members that were named, and of those that had a value.
    named: u64,
    valued: u64,
    /// The member most likely to come next.
    expected: usize,
    is_inside: bool,
}

/// A list being read.
#[derive(Debug)]
pub struct ListCursor {
    open: Open,
    count: usize,
    keep_max: usize,
    rule: Option<&'static Rule>,
}

/// A map being read.
#[derive(Debug)]
pub struct MapCursor {
    open: Open,
    count: usize,
    keep_max: usize,
    rule: Option<&'static Rule>,
    key_violated: bool,
}

/// Reads one body.
#[derive(Debug)]
pub struct Decoder<'a> {
    format: Format<'a>,
    /// Whether rules are looked at.
    is_strict: bool,
    /// How much deeper the body may still nest.
    depth_left: u32,
    path: Vec<Step>,
    violations: Violations,
    /// Where base64 is decoded to; its capacity covers all that the body can hold.
    arena: BytesMut,
    body_bytes: usize,
    /// The enum whose value was not known, until an `Option` forgives it.
    unknown: Option<&'static str>,
}

impl<'a> Decoder<'a> {
    fn new(codec: Codec, body: &'a Bytes, is_strict: bool) -> Self {
        let format = match codec {
            Codec::Json11 | Codec::Json10 => Format::Json(json::Reader::new(body)),
            Codec::Cbor11 => Format::Cbor(cbor::Reader::new(body)),
        };
        Self {
            format,
            is_strict,
            depth_left: DEPTH_MAX,
            path: Vec::new(),
            violations: Violations::default(),
            arena: BytesMut::new(),
            body_bytes: body.len(),
            unknown: None,
        }
    }

    fn end(&mut self) -> Result<(), DecodeError> {
        self.refuse_unknown()?;
        read!(self, json => json.end(), cbor => cbor.end())
    }

    fn kind(&mut self) -> Result<Kind, DecodeError> {
        read!(self, json => json.kind(), cbor => cbor.kind())
    }

    fn skip(&mut self) -> Result<(), DecodeError> {
        let depth = self.depth_left;
        read!(self, json => json.skip(depth), cbor => cbor.skip(depth))
    }

    /// Takes a null where one comes next.
    fn take_null(&mut self) -> Result<bool, DecodeError> {
        if self.kind()? != Kind::Null {
            return Ok(false);
        }
        read!(self, json => json.null()?, cbor => cbor.null());
        Ok(true)
    }

    fn descend(&mut self) -> Result<(), DecodeError> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(DecodeError::TooDeep)?;
        Ok(())
    }

    fn next_key(&mut self, open: &mut Open) -> Result<Option<Cow<'a, str>>, DecodeError> {
        read!(self, json => json.next_key(open), cbor => cbor.next_key(open))
    }

    /// As [`Decoder::next_key`], where the key is only compared with names, which are ASCII.
    fn next_name(&mut self, open: &mut Open) -> Result<Option<Cow<'a, [u8]>>, DecodeError> {
        read!(self, json => json.next_name(open), cbor => cbor.next_name(open))
    }

    fn rule(&self) -> Option<&'static Rule> {
        if self.is_strict { self.path.last().and_then(Step::rule) } else { None }
    }

    // Structures.

    /// Starts a structure whose members are `structure`'s.
    pub fn begin_structure(
        &mut self,
        structure: &'static Structure,
    ) -> Result<StructureCursor, DecodeError> {
        match self.kind()? {
            Kind::Map => {}
            Kind::List => return Err(LIST_UNEXPECTED),
            Kind::Null | Kind::Boolean | Kind::Number | Kind::Text | Kind::Bytes => {
                return Err(mismatch("Expected null"));
            }
        }
        self.descend()?;
        let open = read!(self, json => json.open(), cbor => cbor.open()?);
        Ok(StructureCursor { open, structure, named: 0, valued: 0, expected: 0, is_inside: false })
    }

    /// The index of the next member that has a value, which must be decoded before the next
    /// call; `None` at the end. Members that the model does not know are passed over.
    pub fn next_member(
        &mut self,
        cursor: &mut StructureCursor,
    ) -> Result<Option<usize>, DecodeError> {
        if std::mem::take(&mut cursor.is_inside) {
            self.path.pop();
            self.refuse_unknown()?;
        }
        while let Some(key) = self.next_name(&mut cursor.open)? {
            let Some(index) = find(cursor.structure, &key, cursor.expected) else {
                self.skip()?;
                continue;
            };
            cursor.expected = index + 1;
            let bit = 1 << index;
            if cursor.named & bit != 0 {
                let name = cursor.structure.members[index].name;
                return Err(DecodeError::Duplicate(name.to_owned()));
            }
            cursor.named |= bit;
            if self.take_null()? {
                continue;
            }
            cursor.valued |= bit;
            cursor.is_inside = true;
            self.path.push(Step::Member(&cursor.structure.members[index]));
            return Ok(Some(index));
        }
        self.note_missing(cursor);
        self.depth_left += 1;
        Ok(None)
    }

    fn note_missing(&mut self, cursor: &StructureCursor) {
        if !self.is_strict {
            return;
        }
        for (index, member) in cursor.structure.members.iter().enumerate() {
            if member.required && cursor.valued & (1 << index) == 0 {
                self.path.push(Step::Member(member));
                self.violations.note(&self.path, None, "Member must not be null");
                self.path.pop();
            }
        }
    }

    fn refuse_unknown(&self) -> Result<(), DecodeError> {
        self.unknown.map_or(Ok(()), |name| Err(DecodeError::UnknownValue(name)))
    }
}

/// The member called `key`, looked for first where it is expected.
fn find(structure: &'static Structure, key: &[u8], expected: usize) -> Option<usize> {
    if structure.members.get(expected).is_some_and(|member| member.name.as_bytes() == key) {
        return Some(expected);
    }
    structure.members.iter().position(|member| member.name.as_bytes() == key)
}

fn size(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

const LIST_UNEXPECTED: DecodeError =
    DecodeError::Mismatch(Cow::Borrowed("Start of list found where not expected"));
const MAP_UNEXPECTED: DecodeError =
    DecodeError::Mismatch(Cow::Borrowed("Start of structure or map found where not expected."));

fn mismatch(text: impl Into<Cow<'static, str>>) -> DecodeError {
    DecodeError::Mismatch(text.into())
}
