//! Reads JSON, token by token, borrowing from the body.
//!
//! Owns the grammar and nothing of types: the decoder asks what comes next and takes it.
//! Invariant: each byte is looked at a bounded number of times; nothing is copied but what an
//! escape forces. Source: RFC 8259.

use std::borrow::Cow;

use memchr::memchr2;

use crate::decode::{Kind, Open};
use crate::error::DecodeError;
use crate::number::Number;

/// A place in a JSON text.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte; an empty body reads as `{}`.
    pub(crate) fn new(body: &'a [u8]) -> Self {
        let is_empty = body.trim_ascii_start().is_empty();
        Self { bytes: if is_empty { b"{}" } else { body }, at: 0 }
    }

    fn malformed<T>(&self, what: &'static str) -> Result<T, DecodeError> {
        Err(DecodeError::Malformed { at: self.at, what })
    }

    /// The next byte that is not white space, without taking it; 0 at the end.
    fn peek(&mut self) -> u8 {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return *byte;
            }
            self.at += 1;
        }
        0
    }

    /// What the next value is.
    pub(crate) fn kind(&mut self) -> Result<Kind, DecodeError> {
        match self.peek() {
            b'"' => Ok(Kind::Text),
            b'{' => Ok(Kind::Map),
            b'[' => Ok(Kind::List),
            b'-' | b'0'..=b'9' => Ok(Kind::Number),
            b't' | b'f' => Ok(Kind::Boolean),
            b'n' => Ok(Kind::Null),
            0 => self.malformed("a value is missing"),
            _ => self.malformed("no value starts like this"),
        }
    }

    fn word(&mut self, word: &'static str) -> Result<(), DecodeError> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            self.at += word.len();
            Ok(())
        } else {
            self.malformed("a misspelt word")
        }
    }

    /// Takes `null`.
    pub(crate) fn null(&mut self) -> Result<(), DecodeError> {
        self.word("null")
    }

    /// Takes `true` or `false`.
    pub(crate) fn boolean(&mut self) -> Result<bool, DecodeError> {
        let truth = self.peek() == b't';
        self.word(if truth { "true" } else { "false" })?;
        Ok(truth)
    }

    /// Takes a number; beyond 64 bits it becomes a double, beyond a double infinite.
    pub(crate) fn number(&mut self) -> Result<Number, DecodeError> {
        let bytes = self.bytes;
        let start = self.at;
        let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
        let digits = |at: &mut usize| {
            let first = *at;
            while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
                *at += 1;
            }
            *at - first
        };
        let leading_zero = bytes.get(at) == Some(&b'0');
        let count = digits(&mut at);
        if count == 0 || (leading_zero && count > 1) {
            return self.malformed("not a number");
        }
        let mut is_integer = true;
        if bytes.get(at) == Some(&b'.') {
            is_integer = false;
            at += 1;
            if digits(&mut at) == 0 {
                return self.malformed("not a number");
            }
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            is_integer = false;
            at += 1;
            at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
            if digits(&mut at) == 0 {
                return self.malformed("not a number");
            }
        }
        let text = std::str::from_utf8(&bytes[start..at]).unwrap_or_default();
        self.at = at;
        if is_integer && let Ok(integer) = text.parse() {
            return Ok(Number::Integer(integer));
        }
        match text.parse() {
            Ok(float) => Ok(Number::Float(float)),
            Err(_) => self.malformed("not a number"),
        }
    }

    /// Takes a string, borrowed unless it has an escape.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        match self.raw_string()? {
            Some(plain) => self.plain(plain).map(Cow::Borrowed),
            None => self.unescape().map(Cow::Owned),
        }
    }

    /// Takes a string of which only the bytes matter: base64 is judged by its own reader.
    pub(crate) fn string_bytes(&mut self) -> Result<Cow<'a, [u8]>, DecodeError> {
        match self.raw_string()? {
            Some(plain) => Ok(Cow::Borrowed(plain)),
            None => self.unescape().map(|text| Cow::Owned(text.into_bytes())),
        }
    }

    /// Takes a string without escapes, quotes and all; of one with escapes only the first quote.
    fn raw_string(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        if self.peek() != b'"' {
            return self.malformed("a string is missing");
        }
        self.at += 1;
        let rest = &self.bytes[self.at..];
        match memchr2(b'"', b'\\', rest) {
            None => self.malformed("a string never ends"),
            Some(length) if rest[length] == b'"' => {
                self.at += length + 1;
                Ok(Some(&rest[..length]))
            }
            Some(_) => Ok(None),
        }
    }

    /// Characters as they stand, which control characters may not.
    fn plain(&self, bytes: &'a [u8]) -> Result<&'a str, DecodeError> {
        if bytes.iter().any(|byte| *byte < 0x20) {
            return self.malformed("a control character in a string");
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) => self.malformed("not UTF-8"),
        }
    }

    /// Takes the rest of a string with escapes, and its closing quote.
    fn unescape(&mut self) -> Result<String, DecodeError> {
        let mut out = String::new();
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(length) = memchr2(b'"', b'\\', rest) else {
                return self.malformed("a string never ends");
            };
            out.push_str(self.plain(&rest[..length])?);
            self.at += length + 1;
            if rest[length] == b'"' {
                return Ok(out);
            }
            let escape = self.bytes.get(self.at).copied();
            self.at += 1;
            out.push(match escape {
                Some(plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
                Some(b'b') => '\u{8}',
                Some(b'f') => '\u{c}',
                Some(b'n') => '\n',
                Some(b'r') => '\r',
                Some(b't') => '\t',
                Some(b'u') => self.unicode_escape()?,
                _ => return self.malformed("an unknown escape"),
            });
        }
    }

    /// The character of `\uXXXX`, or of a pair of them; half a pair is no character.
    fn unicode_escape(&mut self) -> Result<char, DecodeError> {
        let high = self.four_digits()?;
        let point = match high {
            0xD800..=0xDBFF => {
                self.word("\\u")?;
                match self.four_digits()? {
                    low @ 0xDC00..=0xDFFF => 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00),
                    _ => return self.malformed("half a surrogate pair"),
                }
            }
            _ => high,
        };
        match char::from_u32(point) {
            Some(character) => Ok(character),
            None => self.malformed("half a surrogate pair"),
        }
    }

    fn four_digits(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0;
        for offset in 0..4 {
            let digit = self.bytes.get(self.at + offset).copied().unwrap_or_default();
            let Some(digit) = char::from(digit).to_digit(16) else {
                return self.malformed("an unknown escape");
            };
            value = value * 16 + digit;
        }
        self.at += 4;
        Ok(value)
    }

    /// Takes the opening `{` or `[`.
    pub(crate) fn open(&mut self) -> Open {
        self.at += 1;
        Open { remaining: None, is_first: true }
    }

    /// Takes the comma or the closing `bracket`; false at the close.
    pub(crate) fn next_item(&mut self, open: &mut Open, bracket: u8) -> Result<bool, DecodeError> {
        let byte = self.peek();
        if byte == bracket {
            self.at += 1;
            return Ok(false);
        }
        if !std::mem::take(&mut open.is_first) {
            if byte != b',' {
                return self.malformed("a comma or the end is missing");
            }
            self.at += 1;
            if self.peek() == bracket {
                return self.malformed("a comma before the end");
            }
        }
        Ok(true)
    }

    /// Takes the next key and its colon; `None` at the closing brace.
    pub(crate) fn next_key(
        &mut self,
        open: &mut Open,
    ) -> Result<Option<Cow<'a, str>>, DecodeError> {
        if !self.next_item(open, b'}')? {
            return Ok(None);
        }
        let key = self.string()?;
        self.colon()?;
        Ok(Some(key))
    }

    /// As [`Reader::next_key`], without looking at what the key is made of.
    pub(crate) fn next_name(
        &mut self,
        open: &mut Open,
    ) -> Result<Option<Cow<'a, [u8]>>, DecodeError> {
        if !self.next_item(open, b'}')? {
            return Ok(None);
        }
        let name = self.string_bytes()?;
        self.colon()?;
        Ok(Some(name))
    }

    fn colon(&mut self) -> Result<(), DecodeError> {
        if self.peek() != b':' {
            return self.malformed("a colon is missing");
        }
        self.at += 1;
        Ok(())
    }

    /// Takes a value of any kind and forgets it. `depth` is what it may still nest.
    pub(crate) fn skip(&mut self, depth: u32) -> Result<(), DecodeError> {
        match self.kind()? {
            Kind::Null => self.null(),
            Kind::Boolean => self.boolean().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::Text | Kind::Bytes => self.string().map(drop),
            kind @ (Kind::List | Kind::Map) => {
                let Some(depth) = depth.checked_sub(1) else { return Err(DecodeError::TooDeep) };
                let mut open = self.open();
                if kind == Kind::List {
                    while self.next_item(&mut open, b']')? {
                        self.skip(depth)?;
                    }
                } else {
                    while self.next_name(&mut open)?.is_some() {
                        self.skip(depth)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Nothing but white space may follow the value.
    pub(crate) fn end(&mut self) -> Result<(), DecodeError> {
        let _ = self.peek();
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            self.malformed("something follows the value")
        }
    }
}
