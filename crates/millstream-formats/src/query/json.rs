//! JSON in and out, strictly by RFC 8259.
//!
//! Reading is linear, and recursion is bounded by [`meter::DEPTH_MAX`]. [`Scanner`] is shared with
//! the fast path, so that both call the same bytes JSON.

use std::rc::Rc;

use memchr::memchr2;

use super::meter;
use super::number::Number;
use super::object::Object;
use super::text::Text;
use super::value::{Array, Val};

/// Where and why bytes are no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotJson {
    pub(super) at: usize,
}

/// What a value begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

/// Walks over JSON.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn error(&self) -> NotJson {
        NotJson { at: self.at }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    #[inline]
    pub(super) fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes `byte`, where it is next.
    pub(super) fn accept(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.accept(byte) { Ok(()) } else { Err(self.error()) }
    }

    /// What the next value is, by its first byte, which is not taken.
    pub(super) fn start(&self) -> Result<Start, NotJson> {
        match self.peek() {
            Some(b'{') => Ok(Start::Object),
            Some(b'[') => Ok(Start::Array),
            Some(b'"') => Ok(Start::String),
            Some(b'-' | b'0'..=b'9') => Ok(Start::Number),
            Some(b't') => Ok(Start::True),
            Some(b'f') => Ok(Start::False),
            Some(b'n') => Ok(Start::Null),
            _ => Err(self.error()),
        }
    }

    pub(super) fn word(&mut self, word: &str) -> Result<(), NotJson> {
        if self.bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.error())
    }

    /// Takes a number, and returns its text.
    pub(super) fn number(&mut self) -> Result<&'a str, NotJson> {
        let start = self.at;
        self.accept(b'-');
        if !self.accept(b'0') {
            self.digits()?;
        }
        if self.accept(b'.') {
            self.digits()?;
        }
        if self.accept(b'e') || self.accept(b'E') {
            let _signed = self.accept(b'+') || self.accept(b'-');
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.error()) }
    }

    /// Takes a string, and returns what is between its quotes, and whether there are escapes.
    /// Those are not checked yet: [`unescape`] does.
    pub(super) fn string(&mut self) -> Result<(&'a str, bool), NotJson> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = &self.bytes()[self.at..];
            let found = memchr2(b'"', b'\\', rest).ok_or_else(|| self.error())?;
            if rest[..found].iter().any(|byte| *byte < 0x20) {
                return Err(self.error());
            }
            self.at += found;
            if rest[found] == b'"' {
                self.at += 1;
                return Ok((&self.text[start..self.at - 1], escaped));
            }
            escaped = true;
            // The escape's letter, which may be a quote or a backslash itself.
            if rest.get(found + 1).is_none_or(|letter| !letter.is_ascii()) {
                return Err(self.error());
            }
            self.at += 2;
        }
    }

    /// Takes a value without keeping it; `depth` is how deep it stands.
    pub(super) fn skip(&mut self, depth: usize) -> Result<(), NotJson> {
        match self.start()? {
            Start::Null => self.word("null"),
            Start::True => self.word("true"),
            Start::False => self.word("false"),
            Start::Number => self.number().map(drop),
            Start::String => self.checked_string().map(drop),
            Start::Array => self.array(depth, Self::skip),
            Start::Object => self.object(depth, |scanner, _, depth| scanner.skip(depth)),
        }
    }

    /// Takes a string as [`Self::string`] does, and checks its escapes.
    pub(super) fn checked_string(&mut self) -> Result<(&'a str, bool), NotJson> {
        let (text, escaped) = self.string()?;
        if escaped {
            unescape(text).ok_or_else(|| self.error())?;
        }
        Ok((text, escaped))
    }

    /// Takes an array; `item` takes an element, which stands as deep as it is told.
    pub(super) fn array(
        &mut self,
        depth: usize,
        mut item: impl FnMut(&mut Self, usize) -> Result<(), NotJson>,
    ) -> Result<(), NotJson> {
        let depth = self.enter(b'[', depth)?;
        if self.accept(b']') {
            return Ok(());
        }
        loop {
            item(self, depth)?;
            self.skip_white_space();
            if self.accept(b']') {
                return Ok(());
            }
            self.expect(b',')?;
            self.skip_white_space();
        }
    }

    /// Takes an object; `entry` is given each key, checked, between its quotes, and whether it has
    /// escapes, and takes the value, which stands as deep as it is told.
    pub(super) fn object(
        &mut self,
        depth: usize,
        mut entry: impl FnMut(&mut Self, (&'a str, bool), usize) -> Result<(), NotJson>,
    ) -> Result<(), NotJson> {
        let depth = self.enter(b'{', depth)?;
        if self.accept(b'}') {
            return Ok(());
        }
        loop {
            let key = self.checked_string()?;
            self.skip_white_space();
            self.expect(b':')?;
            self.skip_white_space();
            entry(self, key, depth)?;
            self.skip_white_space();
            if self.accept(b'}') {
                return Ok(());
            }
            self.expect(b',')?;
            self.skip_white_space();
        }
    }

    fn enter(&mut self, bracket: u8, depth: usize) -> Result<usize, NotJson> {
        if depth >= meter::DEPTH_MAX {
            return Err(self.error());
        }
        self.expect(bracket)?;
        self.skip_white_space();
        Ok(depth + 1)
    }

    /// Takes white space up to the end of the text.
    pub(super) fn end(&mut self) -> Result<(), NotJson> {
        self.skip_white_space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.error()) }
    }
}

/// The one value that `text` is.
pub(super) fn parse(text: &Text) -> Result<Val, NotJson> {
    meter::spend_text(text.len());
    let mut scanner = Scanner::new(text.as_str());
    scanner.skip_white_space();
    let value = value(&mut scanner, text, 0)?;
    scanner.end()?;
    Ok(value)
}

fn value(scanner: &mut Scanner<'_>, text: &Text, depth: usize) -> Result<Val, NotJson> {
    Ok(match scanner.start()? {
        Start::Null => scanner.word("null").map(|()| Val::Null)?,
        Start::True => scanner.word("true").map(|()| Val::Bool(true))?,
        Start::False => scanner.word("false").map(|()| Val::Bool(false))?,
        Start::Number => Val::Num(Number::from_json(scanner.number()?)),
        Start::String => Val::Str(string(scanner.string()?, text, scanner)?),
        Start::Array => {
            let mut array = Array::default();
            scanner.array(depth, |scanner, depth| {
                array.push(value(scanner, text, depth)?);
                Ok(())
            })?;
            Val::Arr(Rc::new(array))
        }
        Start::Object => {
            let mut object = Object::default();
            scanner.object(depth, |scanner, key, depth| {
                let key = string(key, text, scanner)?;
                object.put(key, value(scanner, text, depth)?);
                Ok(())
            })?;
            Val::Obj(Rc::new(object))
        }
    })
}

fn string(
    (part, escaped): (&str, bool),
    text: &Text,
    scanner: &Scanner<'_>,
) -> Result<Text, NotJson> {
    if escaped {
        return unescape(part).map(Text::new).ok_or_else(|| scanner.error());
    }
    Ok(text.slice_of(part))
}

/// What the string between quotes stands for; `None` where an escape is none.
pub(super) fn unescape(text: &str) -> Option<String> {
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('\\') {
        output.push_str(before);
        let letter = tail.chars().next()?;
        rest = &tail[letter.len_utf8()..];
        output.push(match letter {
            '"' | '\\' | '/' => letter,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => code_point(&mut rest)?,
            _ => return None,
        });
    }
    output.push_str(rest);
    Some(output)
}

/// The character of `\u` and four digits, or of two such as a surrogate pair; half a pair is no
/// character, and is replaced.
fn code_point(rest: &mut &str) -> Option<char> {
    let unit = code_unit(rest)?;
    if !(0xd800..0xdc00).contains(&unit) {
        return Some(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    let mut after = *rest;
    if let Some(tail) = after.strip_prefix("\\u") {
        after = tail;
        let low = code_unit(&mut after)?;
        if (0xdc00..0xe000).contains(&low) {
            *rest = after;
            return char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
        }
    }
    Some(char::REPLACEMENT_CHARACTER)
}

fn code_unit(rest: &mut &str) -> Option<u32> {
    let digits = rest.get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    *rest = &rest[4..];
    u32::from_str_radix(digits, 16).ok()
}

/// The value as JSON without white space, as `jq -c` writes it.
pub(super) fn write(value: &Val, output: &mut String) {
    // Cut only where the run's own limits stop it.
    write_up_to(value, output, usize::MAX);
}

/// How the value begins as JSON: at most `bytes` of it, and dots where there is more.
pub(super) fn shown(value: &Val, bytes: usize) -> String {
    const DOTS: &str = "...";
    let mut output = String::new();
    write_up_to(value, &mut output, bytes + DOTS.len());
    if output.len() > bytes + DOTS.len() {
        let end = (0..=bytes).rev().find(|at| output.is_char_boundary(*at)).unwrap_or(0);
        output.truncate(end);
        output.push_str(DOTS);
    }
    output
}

/// Writes until the output is longer than `bytes`, and somewhat further.
fn write_up_to(value: &Val, output: &mut String, bytes: usize) {
    if output.len() > bytes {
        return;
    }
    meter::spend(1);
    match value {
        Val::Null => output.push_str("null"),
        Val::Bool(true) => output.push_str("true"),
        Val::Bool(false) => output.push_str("false"),
        Val::Num(number) => number.write(output),
        Val::Str(text) => write_string(text.as_str(), output, bytes),
        Val::Arr(array) => {
            output.push('[');
            for (index, item) in array.items().iter().enumerate() {
                if index > 0 {
                    output.push(',');
                }
                write_up_to(item, output, bytes);
                if output.len() > bytes {
                    return;
                }
            }
            output.push(']');
        }
        Val::Obj(object) => {
            output.push('{');
            for (index, (key, item)) in object.entries().iter().enumerate() {
                if index > 0 {
                    output.push(',');
                }
                write_string(key.as_str(), output, bytes);
                output.push(':');
                write_up_to(item, output, bytes);
                if output.len() > bytes {
                    return;
                }
            }
            output.push('}');
        }
    }
}

fn write_string(text: &str, output: &mut String, bytes: usize) {
    use std::fmt::Write as _;
    output.push('"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if !matches!(byte, 0..0x20 | b'"' | b'\\' | 0x7f) {
            continue;
        }
        output.push_str(&text[from..at]);
        from = at + 1;
        match byte {
            b'"' => output.push_str("\\\""),
            b'\\' => output.push_str("\\\\"),
            0x8 => output.push_str("\\b"),
            0xc => output.push_str("\\f"),
            b'\n' => output.push_str("\\n"),
            b'\r' => output.push_str("\\r"),
            b'\t' => output.push_str("\\t"),
            _ => write!(output, "\\u{byte:04x}").expect("writing to a string does not fail"),
        }
        if output.len() > bytes {
            return;
        }
    }
    output.push_str(&text[from..]);
    meter::spend_text(text.len());
    output.push('"');
}
