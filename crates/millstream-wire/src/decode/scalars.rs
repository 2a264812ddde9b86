//! Scalars: their types, and the judgement on their values.

use std::borrow::Cow;

use base64_simd::{AsOut, STANDARD};
use bytes::Bytes;
use millstream_core::Timestamp;

use super::{
    DecodeError, Decoder, Format, Kind, LIST_UNEXPECTED, MAP_UNEXPECTED, mismatch, read, size,
};
use crate::cut::cut;
use crate::number::Number;
use crate::rule::Rule;
use crate::violation::{self, Step};

/// Values outside an enum that a list's sentence shows as they came: ours, and ample.
const STRAYS_MAX: usize = 64;

impl<'a> Decoder<'a> {
    fn string(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        match self.kind()? {
            Kind::Text => read!(self, json => json.string(), cbor => cbor.string()),
            other => Err(not_a(other, "an String")),
        }
    }

    fn number(&mut self, wanted: &'static str) -> Result<Number, DecodeError> {
        match self.kind()? {
            Kind::Number => read!(self, json => json.number(), cbor => cbor.number()),
            other => Err(not_a(other, wanted)),
        }
    }

    /// Takes a boolean. Words that mean one are taken as one (observed).
    pub fn boolean(&mut self) -> Result<bool, DecodeError> {
        match self.kind()? {
            Kind::Boolean => read!(self, json => json.boolean(), cbor => cbor.boolean()),
            Kind::Text => {
                let word = self.string()?.to_uppercase();
                match word.as_str() {
                    "TRUE" | "YES" | "1" => Ok(true),
                    "FALSE" | "NO" | "0" => Ok(false),
                    _ => Err(mismatch(format!(
                        "'{}' can not be converted to an Boolean",
                        shortened(&word)
                    ))),
                }
            }
            other => Err(not_a(other, "an Boolean")),
        }
    }

    /// Takes an integer of 32 bits: fractions are cut, what is too large is the largest.
    pub fn integer(&mut self) -> Result<i32, DecodeError> {
        let value = self.number("an Integer")?.to_i32();
        self.check_number(i64::from(value));
        Ok(value)
    }

    /// Takes an integer of 64 bits, as [`Decoder::integer`].
    pub fn long(&mut self) -> Result<i64, DecodeError> {
        let value = self.number("an Long")?.to_i64();
        self.check_number(value);
        Ok(value)
    }

    /// Takes a double.
    pub fn double(&mut self) -> Result<f64, DecodeError> {
        let value = self.number("an Double")?.to_f64();
        if let Some(rule) = self.rule() {
            #[allow(clippy::cast_precision_loss)] // The models' bounds are small.
            let below = rule.min.filter(|min| value < *min as f64);
            #[allow(clippy::cast_precision_loss)]
            let above = rule.max.filter(|max| value > *max as f64);
            self.note_value_bounds(below, above, &value.to_string());
        }
        Ok(value)
    }

    /// Takes a time: in JSON a number of seconds; in CBOR an integer of milliseconds, or a float
    /// of seconds, as RFC 8949 has it.
    pub fn timestamp(&mut self) -> Result<Timestamp, DecodeError> {
        let is_ms = read!(self, _json => false, cbor => !cbor.is_float()?);
        let number = match self.kind()? {
            Kind::Number => read!(self, json => json.number(), cbor => cbor.number())?,
            Kind::List => return Err(LIST_UNEXPECTED),
            Kind::Map => return Err(MAP_UNEXPECTED),
            other => {
                let class = class_of(other);
                return Err(mismatch(format!(
                    "class {class} can not be converted to milliseconds since epoch"
                )));
            }
        };
        Ok(if is_ms { number.ms_to_timestamp() } else { number.seconds_to_timestamp() })
    }

    /// Takes a text and judges it.
    pub fn text(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let text = self.string()?;
        if let Some(rule) = self.rule() {
            let length = rule.text_length(&text);
            if !rule.allows_text(&text) || !rule.allows_size(length) {
                self.note_text(rule, &text, length);
            }
        }
        Ok(text)
    }

    /// Takes a text that `parse` knows; where it does not, an input has a violation (if its rule
    /// lists the values) and an answer may have a value newer than this build.
    pub fn one_of<T: Default>(
        &mut self,
        name: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<T, DecodeError> {
        let text = self.text()?;
        if let Some(value) = parse(&text) {
            return Ok(value);
        }
        if !self.is_strict {
            self.unknown = Some(name);
        } else if let Some(Step::Item { index, strays, .. }) = self.path.last_mut()
            && strays.len() < STRAYS_MAX
        {
            strays.push((*index, text.into_owned()));
        }
        Ok(T::default())
    }

    /// Takes a blob: a slice of a CBOR body, or base64 decoded into the body's arena.
    pub fn blob(&mut self) -> Result<Bytes, DecodeError> {
        let bytes = match (self.kind()?, &mut self.format) {
            (Kind::Text, Format::Json(json)) => {
                let text = json.string_bytes()?;
                self.base64(&text)?
            }
            (Kind::Bytes, Format::Cbor(cbor)) => cbor.blob()?,
            (other, _) => return Err(not_a(other, "a Blob")),
        };
        if let Some(rule) = self.rule() {
            let length = size(bytes.len());
            if !rule.allows_size(length) {
                let shown = format!("java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]");
                self.note_item_violated();
                if !self.is_item() {
                    self.note_length(rule, length, &shown);
                }
            }
        }
        Ok(bytes)
    }

    fn base64(&mut self, text: &[u8]) -> Result<Bytes, DecodeError> {
        let Ok(length) = STANDARD.decoded_length(text) else { return Err(not_base64(text)) };
        if self.arena.capacity() < length {
            // All blobs of the body together cannot be longer than this.
            self.arena.reserve((self.body_bytes / 4 * 3).max(length));
        }
        self.arena.resize(length, 0);
        match STANDARD.decode(text, self.arena[..].as_out()) {
            Ok(_) => Ok(self.arena.split().freeze()),
            Err(_) => Err(not_base64(text)),
        }
    }

    // What is violated.

    fn check_number(&mut self, value: i64) {
        if let Some(rule) = self.rule() {
            let below = rule.min.filter(|min| value < *min);
            let above = rule.max.filter(|max| value > *max);
            if below.is_some() || above.is_some() {
                self.note_value_bounds(below, above, &value.to_string());
            }
        }
    }

    fn note_value_bounds(&mut self, below: Option<i64>, above: Option<i64>, shown: &str) {
        if let Some(min) = below {
            self.note(shown, &violation::value_min(min));
        }
        if let Some(max) = above {
            self.note(shown, &violation::value_max(max));
        }
    }

    #[cold]
    fn note_text(&mut self, rule: &'static Rule, text: &str, length: i64) {
        self.note_item_violated();
        if self.is_item() {
            return;
        }
        if let Some(pattern) = rule.pattern.filter(|pattern| !pattern.matches(text)) {
            self.note(text, &violation::pattern_text(pattern.text()));
        }
        if !rule.one_of.is_empty() && !rule.one_of.contains(&text) {
            self.note(text, &violation::one_of(rule.one_of));
        }
        self.note_length(rule, length, text);
    }

    pub(super) fn note_length(&mut self, rule: &'static Rule, length: i64, shown: &str) {
        if let Some(min) = rule.min.filter(|min| length < *min) {
            self.note(shown, &violation::length_min(min));
        }
        if let Some(max) = rule.max.filter(|max| length > *max) {
            self.note(shown, &violation::length_max(max));
        }
    }

    pub(super) fn note(&mut self, shown: &str, constraint: &str) {
        self.violations.note(&self.path, Some(shown), constraint);
    }

    /// Whether the value stands in a list or map, whose own sentence tells of its items.
    fn is_item(&self) -> bool {
        matches!(self.path.last(), Some(Step::Item { .. } | Step::Entry { .. }))
    }

    fn note_item_violated(&mut self) {
        if let Some(Step::Item { violated, .. } | Step::Entry { violated, .. }) =
            self.path.last_mut()
        {
            *violated = true;
        }
    }
}

/// The sentence about a scalar of the wrong kind (observed, for JSON).
#[cold]
fn not_a(found: Kind, wanted: &'static str) -> DecodeError {
    match found {
        Kind::List => LIST_UNEXPECTED,
        Kind::Map => MAP_UNEXPECTED,
        other => mismatch(format!("class {} can not be converted to {wanted}", class_of(other))),
    }
}

fn class_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "java.lang.Boolean",
        Kind::Number => "com.amazon.coral.value.json.numbers.TruncatingBigNumber",
        Kind::Bytes => "java.nio.HeapByteBuffer",
        Kind::Null | Kind::Text | Kind::List | Kind::Map => "java.lang.String",
    }
}

/// The sentence about a text that is not base64 (observed).
#[cold]
fn not_base64(bytes: &[u8]) -> DecodeError {
    let text = String::from_utf8_lossy(bytes);
    let why = if bytes.len().is_multiple_of(4) {
        let padding = bytes.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
        let is_wrong = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/'));
        match cut(&text, text.len() - padding).chars().find(is_wrong) {
            Some(wrong) => format!("Invalid Base64 character: '{wrong}'"),
            None => "Invalid last non-pad Base64 character dectected".to_owned(),
        }
    } else {
        format!(
            "Base64 encoded length is expected a multiple of 4 bytes but found: {}",
            bytes.len()
        )
    };
    mismatch(format!("'{}' can not be converted to a Blob: {why}", shortened(&text)))
}

/// A value as it may stand in a sentence: ours, so that an answer stays small.
fn shortened(text: &str) -> &str {
    cut(text, 4_096)
}
