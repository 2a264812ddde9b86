//! Reads CBOR, item by item, borrowing from the body.
//!
//! Owns the encoding and nothing of types. Definite and indefinite lengths are both taken; the
//! service itself writes indefinite ones. Tags are passed over, except that the decoder may ask
//! for a time's. Invariant: a length is believed only as far as there are bytes.
//! Source: RFC 8949.

use std::borrow::Cow;

use bytes::Bytes;

use crate::decode::{Kind, Open};
use crate::error::DecodeError;
use crate::number::Number;

/// A place in a CBOR item.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    body: &'a Bytes,
    at: usize,
}

const BREAK: u8 = 0xff;

/// The first byte of an item and its argument.
struct Head {
    major: u8,
    /// The low five bits.
    info: u8,
    /// `None` where the length is indefinite.
    argument: Option<u64>,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte; an empty body reads as an empty map.
    pub(crate) fn new(body: &'a Bytes) -> Self {
        static EMPTY_MAP: Bytes = Bytes::from_static(&[0xa0]);
        Self { body: if body.is_empty() { &EMPTY_MAP } else { body }, at: 0 }
    }

    fn malformed<T>(&self, what: &'static str) -> Result<T, DecodeError> {
        Err(DecodeError::Malformed { at: self.at, what })
    }

    fn peek_byte(&self) -> Result<u8, DecodeError> {
        match self.body.get(self.at) {
            Some(byte) => Ok(*byte),
            None => self.malformed("the body ends within an item"),
        }
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], DecodeError> {
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count));
        match end.and_then(|end| self.body.get(self.at..end)) {
            Some(bytes) => {
                self.at += bytes.len();
                Ok(bytes)
            }
            None => self.malformed("the body ends within an item"),
        }
    }

    /// Passes over tags, however many.
    fn skip_tags(&mut self) -> Result<(), DecodeError> {
        while self.peek_byte()? >> 5 == 6 {
            self.head()?;
        }
        Ok(())
    }

    fn head(&mut self) -> Result<Head, DecodeError> {
        let first = self.peek_byte()?;
        self.at += 1;
        let (major, info) = (first >> 5, first & 0x1f);
        let argument = match info {
            0..=23 => Some(u64::from(info)),
            24..=27 => {
                let mut value = 0;
                for byte in self.take(1 << (info - 24))? {
                    value = (value << 8) | u64::from(*byte);
                }
                Some(value)
            }
            31 if matches!(major, 2..=5 | 7) => None,
            _ => return self.malformed("a reserved length"),
        };
        Ok(Head { major, info, argument })
    }

    /// What the next item is.
    pub(crate) fn kind(&mut self) -> Result<Kind, DecodeError> {
        self.skip_tags()?;
        let first = self.peek_byte()?;
        match first >> 5 {
            0 | 1 => Ok(Kind::Number),
            2 => Ok(Kind::Bytes),
            3 => Ok(Kind::Text),
            4 => Ok(Kind::List),
            5 => Ok(Kind::Map),
            _ => match first {
                0xf4 | 0xf5 => Ok(Kind::Boolean),
                0xf6 | 0xf7 => Ok(Kind::Null),
                0xf9..=0xfb => Ok(Kind::Number),
                _ => self.malformed("no item starts like this"),
            },
        }
    }

    /// Takes null or undefined.
    pub(crate) fn null(&mut self) {
        self.at += 1;
    }

    /// Takes a boolean.
    pub(crate) fn boolean(&mut self) -> Result<bool, DecodeError> {
        Ok(self.take(1)? == [0xf5])
    }

    /// Takes an integer or float of any width.
    pub(crate) fn number(&mut self) -> Result<Number, DecodeError> {
        let Head { major, info, argument } = self.head()?;
        let Some(argument) = argument else { return self.malformed("not a number") };
        Ok(match (major, info) {
            (0, _) => integer(i128::from(argument)),
            (1, _) => integer(-1 - i128::from(argument)),
            (_, 25) => Number::Float(half(argument)),
            (_, 26) => Number::Float(f64::from(f32::from_bits(
                u32::try_from(argument).unwrap_or_default(),
            ))),
            _ => Number::Float(f64::from_bits(argument)),
        })
    }

    /// Takes a text, borrowed unless it comes in chunks.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let utf8 = |reader: &Self, bytes: &'a [u8]| match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) => reader.malformed("not UTF-8"),
        };
        match self.head()? {
            Head { major: 3, argument: Some(length), .. } => {
                let bytes = self.take(length)?;
                Ok(Cow::Borrowed(utf8(self, bytes)?))
            }
            Head { major: 3, argument: None, .. } => {
                let mut text = String::new();
                while let Some(chunk) = self.chunk(3)? {
                    text.push_str(utf8(self, chunk)?);
                }
                Ok(Cow::Owned(text))
            }
            _ => self.malformed("a text is missing"),
        }
    }

    /// Takes a byte string: a slice of the body, unless it comes in chunks.
    pub(crate) fn blob(&mut self) -> Result<Bytes, DecodeError> {
        if let Some(length) = self.head()?.argument {
            let start = self.at;
            self.take(length)?;
            return Ok(self.body.slice(start..self.at));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk(2)? {
            bytes.extend_from_slice(chunk);
        }
        Ok(bytes.into())
    }

    /// The next chunk of an indefinite string; `None` at its break.
    fn chunk(&mut self, major: u8) -> Result<Option<&'a [u8]>, DecodeError> {
        if self.peek_byte()? == BREAK {
            self.at += 1;
            return Ok(None);
        }
        match self.head()? {
            Head { major: found, argument: Some(length), .. } if found == major => {
                self.take(length).map(Some)
            }
            _ => self.malformed("a chunk of another kind than its string"),
        }
    }

    /// Takes the head of a list or map.
    pub(crate) fn open(&mut self) -> Result<Open, DecodeError> {
        Ok(Open { remaining: self.head()?.argument, is_first: true })
    }

    /// Whether one more item (or pair) follows; takes the break where there is one.
    pub(crate) fn next_item(&mut self, open: &mut Open) -> Result<bool, DecodeError> {
        match &mut open.remaining {
            Some(0) => Ok(false),
            Some(remaining) => {
                *remaining -= 1;
                Ok(true)
            }
            None if self.peek_byte()? == BREAK => {
                self.at += 1;
                Ok(false)
            }
            None => Ok(true),
        }
    }

    /// Takes the next key, which must be a text; `None` at the end of the map.
    pub(crate) fn next_key(
        &mut self,
        open: &mut Open,
    ) -> Result<Option<Cow<'a, str>>, DecodeError> {
        if !self.next_item(open)? {
            return Ok(None);
        }
        match self.kind()? {
            Kind::Text => self.string().map(Some),
            Kind::Null | Kind::Boolean | Kind::Number | Kind::Bytes | Kind::List | Kind::Map => {
                self.malformed("a key that is no text")
            }
        }
    }

    /// As [`Reader::next_key`], where a short key, which is all that is known, is only bytes.
    pub(crate) fn next_name(
        &mut self,
        open: &mut Open,
    ) -> Result<Option<Cow<'a, [u8]>>, DecodeError> {
        if let Some(first @ 0x60..=0x77) = self.body.get(self.at).copied()
            && self.next_item(open)?
        {
            self.at += 1;
            return self.take(u64::from(first & 0x1f)).map(|name| Some(Cow::Borrowed(name)));
        }
        Ok(self.next_key(open)?.map(|key| match key {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }))
    }

    /// Takes an item of any kind and forgets it. `depth` is what it may still nest.
    pub(crate) fn skip(&mut self, depth: u32) -> Result<(), DecodeError> {
        match self.kind()? {
            Kind::Null => self.null(),
            Kind::Boolean => drop(self.boolean()?),
            Kind::Number => drop(self.number()?),
            Kind::Text => drop(self.string()?),
            Kind::Bytes => drop(self.blob()?),
            kind @ (Kind::List | Kind::Map) => {
                let Some(depth) = depth.checked_sub(1) else { return Err(DecodeError::TooDeep) };
                let mut open = self.open()?;
                while self.next_item(&mut open)? {
                    self.skip(depth)?;
                    if kind == Kind::Map {
                        self.skip(depth)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Nothing may follow the item.
    pub(crate) fn end(&mut self) -> Result<(), DecodeError> {
        if self.at == self.body.len() {
            Ok(())
        } else {
            self.malformed("something follows the value")
        }
    }

    /// Whether the next item is a float, once its tags are passed over.
    pub(crate) fn is_float(&mut self) -> Result<bool, DecodeError> {
        self.skip_tags()?;
        Ok(self.peek_byte()? >> 5 == 7)
    }
}

#[allow(clippy::cast_precision_loss)] // What lies beyond 64 bits is only ever clamped.
fn integer(value: i128) -> Number {
    i64::try_from(value).map_or(Number::Float(value as f64), Number::Integer)
}

/// A half-precision float. Source: RFC 8949, appendix D.
fn half(bits: u64) -> f64 {
    let exponent = (bits >> 10) & 0x1f;
    let mantissa = f64::from(u32::try_from(bits & 0x3ff).unwrap_or_default());
    let scale = |power: i32| 2_f64.powi(power);
    let value = match exponent {
        0 => mantissa * scale(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (mantissa + 1024.0) * scale(i32::try_from(exponent).unwrap_or_default() - 25),
    };
    if bits & 0x8000 == 0 { value } else { -value }
}
