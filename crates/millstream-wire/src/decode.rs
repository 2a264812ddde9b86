//! From bytes to values: a pull decoder that generated code drives.
//!
//! Owns the order of things: a type asks for its members, the decoder finds them in either
//! format, judges each value against its member's rule and remembers what was violated. A value
//! of the wrong type ends decoding at once; a violation does not, so that all are told together.
//!
//! Invariants: record data is copied at most once (base64 into one arena a body; CBOR not at
//! all); nothing is allocated ahead of the bytes that justify it.

mod values;

use std::borrow::Cow;

use base64_simd::{AsOut, STANDARD};
use bytes::{Bytes, BytesMut};
use millstream_core::Timestamp;

use crate::error::{DecodeError, InputError};
use crate::number::Number;
use crate::rule::{Rule, Structure};
use crate::violation::{self, Step, Violations};
use crate::{Codec, DEPTH_MAX, ITEMS_MAX, cbor, json};

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
    let mut decoder = Decoder::new(codec, body, true)?;
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
    let mut decoder = Decoder::new(codec, body, false)?;
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
            Format::Json($json) => $json_do,
            Format::Cbor($cbor) => $cbor_do,
        }
    };
}

/// A structure being read.
#[derive(Debug)]
pub struct StructureCursor {
    open: Open,
    structure: &'static Structure,
    /// Bits of the members that were named, and of those that had a value.
    named: u128,
    valued: u128,
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
    fn new(codec: Codec, body: &'a Bytes, is_strict: bool) -> Result<Self, DecodeError> {
        let format = match codec {
            Codec::Json11 | Codec::Json10 => Format::Json(json::Reader::new(body)?),
            Codec::Cbor11 => Format::Cbor(cbor::Reader::new(body)),
        };
        Ok(Self {
            format,
            is_strict,
            depth_left: DEPTH_MAX,
            path: Vec::new(),
            violations: Violations::default(),
            arena: BytesMut::new(),
            body_bytes: body.len(),
            unknown: None,
        })
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
        Ok(StructureCursor {
            open,
            structure,
            named: 0,
            valued: 0,
            expected: 0,
            is_inside: false,
        })
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
        while let Some(key) = self.next_key(&mut cursor.open)? {
            let Some(index) = find(cursor.structure, &key, cursor.expected) else {
                self.skip()?;
                continue;
            };
            cursor.expected = index + 1;
            let bit = 1 << index;
            if cursor.named & bit != 0 {
                return Err(DecodeError::Duplicate(key.into_owned()));
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

    // Lists and maps.

    fn keep_max(&self, rule: Option<&'static Rule>) -> usize {
        match rule.and_then(|rule| rule.max) {
            // One more than allowed, so that the sentence can show what was too many.
            Some(max) => usize::try_from(max).unwrap_or(ITEMS_MAX).saturating_add(1),
            None if self.is_strict => ITEMS_MAX,
            None => usize::MAX,
        }
    }

    fn begin_list(&mut self) -> Result<ListCursor, DecodeError> {
        match self.kind()? {
            Kind::List => {}
            Kind::Map => return Err(MAP_UNEXPECTED),
            Kind::Null | Kind::Boolean | Kind::Number | Kind::Text | Kind::Bytes => {
                return Err(mismatch("Expected list or null"));
            }
        }
        self.descend()?;
        let rule = self.rule();
        let open = read!(self, json => json.open(), cbor => cbor.open()?);
        let element = rule.and_then(|rule| rule.element);
        self.path.push(Step::Item { rule: element, index: 0, violated: false });
        Ok(ListCursor { open, count: 0, keep_max: self.keep_max(rule), rule })
    }

    fn next_item(&mut self, cursor: &mut ListCursor) -> Result<bool, DecodeError> {
        loop {
            let more = read!(self,
                json => json.next_item(&mut cursor.open, b']')?,
                cbor => cbor.next_item(&mut cursor.open)?);
            if !more {
                return Ok(false);
            }
            if let Some(Step::Item { index, .. }) = self.path.last_mut() {
                *index = u32::try_from(cursor.count).unwrap_or(u32::MAX);
            }
            cursor.count += 1;
            too_many(cursor.count, cursor.rule, cursor.keep_max)?;
            if !self.take_null()? {
                return Ok(true);
            }
            if self.is_strict {
                self.violations.note(&self.path, None, "Member must not be null");
            }
        }
    }

    fn end_list<T: Decode>(&mut self, cursor: &ListCursor, items: &[T]) {
        self.depth_left += 1;
        let step = self.path.pop();
        let Some(rule) = cursor.rule else { return };
        let item_violated = matches!(step, Some(Step::Item { violated: true, .. }));
        if !item_violated && rule.allows_size(size(cursor.count)) {
            return;
        }
        let mut text = String::from("[");
        for (index, item) in items.iter().enumerate() {
            text.push_str(if index > 0 { ", " } else { "" });
            item.describe(&mut text);
        }
        text.push(']');
        self.note_length(rule, size(cursor.count), &text);
        if let (true, Some(element)) = (item_violated, rule.element) {
            let asked = violation::bracket(element);
            self.note(&text, &format!("Member must satisfy constraint: {asked}"));
        }
    }

    fn begin_map(&mut self) -> Result<MapCursor, DecodeError> {
        match self.kind()? {
            Kind::Map => {}
            Kind::List => return Err(LIST_UNEXPECTED),
            Kind::Null | Kind::Boolean | Kind::Number | Kind::Text | Kind::Bytes => {
                return Err(mismatch("Expected map or null"));
            }
        }
        self.descend()?;
        let rule = self.rule();
        let open = read!(self, json => json.open(), cbor => cbor.open()?);
        let element = rule.and_then(|rule| rule.element);
        let step = Step::Entry { rule: element, key: String::new(), index: 0, violated: false };
        self.path.push(step);
        Ok(MapCursor { open, count: 0, keep_max: self.keep_max(rule), rule, key_violated: false })
    }

    fn next_entry(&mut self, cursor: &mut MapCursor) -> Result<Option<String>, DecodeError> {
        while let Some(key) = self.next_key(&mut cursor.open)? {
            let text = key.into_owned();
            if let Some(Step::Entry { key, index, .. }) = self.path.last_mut() {
                key.clone_from(&text);
                *index = u32::try_from(cursor.count).unwrap_or(u32::MAX);
            }
            cursor.count += 1;
            too_many(cursor.count, cursor.rule, cursor.keep_max)?;
            if let Some(rule) = cursor.rule.and_then(|rule| rule.key) {
                let fits = rule.allows_text(&text) && rule.allows_size(rule.text_length(&text));
                cursor.key_violated |= !fits;
            }
            if !self.take_null()? {
                return Ok(Some(text));
            }
            if self.is_strict {
                self.violations.note(&self.path, None, "Member must not be null");
            }
        }
        Ok(None)
    }

    fn end_map<'t, T: Decode + 't>(
        &mut self,
        cursor: &MapCursor,
        entries: impl Iterator<Item = (&'t String, &'t T)>,
    ) {
        self.depth_left += 1;
        let step = self.path.pop();
        let Some(rule) = cursor.rule else { return };
        let value_violated = matches!(step, Some(Step::Entry { violated: true, .. }));
        let fits = rule.allows_size(size(cursor.count));
        if fits && !value_violated && !cursor.key_violated {
            return;
        }
        let mut text = String::from("{");
        for (index, (key, value)) in entries.enumerate() {
            text.push_str(if index > 0 { ", " } else { "" });
            text.extend([key, "="]);
            value.describe(&mut text);
        }
        text.push('}');
        self.note_length(rule, size(cursor.count), &text);
        if let (true, Some(key)) = (cursor.key_violated, rule.key) {
            let asked = violation::bracket(key);
            self.note(&text, &format!("Map keys must satisfy constraint: {asked}"));
        }
        if let (true, Some(element)) = (value_violated, rule.element) {
            let asked = violation::bracket(element);
            self.note(&text, &format!("Map value must satisfy constraint: {asked}"));
        }
    }

    // Scalars.

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
        Ok(parse(&text).unwrap_or_else(|| {
            if !self.is_strict {
                self.unknown = Some(name);
            }
            T::default()
        }))
    }

    /// Takes a blob: a slice of a CBOR body, or base64 decoded into the body's arena.
    pub fn blob(&mut self) -> Result<Bytes, DecodeError> {
        let bytes = match (self.kind()?, &mut self.format) {
            (Kind::Text, Format::Json(json)) => {
                let text = json.string()?;
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

    fn base64(&mut self, text: &str) -> Result<Bytes, DecodeError> {
        let Ok(length) = STANDARD.decoded_length(text.as_bytes()) else {
            return Err(not_base64(text));
        };
        if self.arena.capacity() < length {
            // All blobs of the body together cannot be longer than this.
            self.arena.reserve((self.body_bytes / 4 * 3).max(length));
        }
        self.arena.resize(length, 0);
        match STANDARD.decode(text.as_bytes(), self.arena[..].as_out()) {
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

    fn note_length(&mut self, rule: &'static Rule, length: i64, shown: &str) {
        if let Some(min) = rule.min.filter(|min| length < *min) {
            self.note(shown, &violation::length_min(min));
        }
        if let Some(max) = rule.max.filter(|max| length > *max) {
            self.note(shown, &violation::length_max(max));
        }
    }

    fn note(&mut self, shown: &str, constraint: &str) {
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

/// The member called `key`, looked for first where it is expected.
fn find(structure: &'static Structure, key: &str, expected: usize) -> Option<usize> {
    if structure.members.get(expected).is_some_and(|member| member.name == key) {
        return Some(expected);
    }
    structure.members.iter().position(|member| member.name == key)
}

fn too_many(
    count: usize,
    rule: Option<&'static Rule>,
    keep_max: usize,
) -> Result<(), DecodeError> {
    let has_max = rule.is_some_and(|rule| rule.max.is_some());
    if !has_max && count > keep_max { Err(DecodeError::TooMany) } else { Ok(()) }
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
fn not_base64(text: &str) -> DecodeError {
    let shown = shortened(text);
    let bytes = text.as_bytes();
    let why = if bytes.len() % 4 != 0 {
        format!("Base64 encoded length is expected a multiple of 4 bytes but found: {}", bytes.len())
    } else {
        let padding = bytes.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
        let body = &text[..text.floor_char_boundary(bytes.len() - padding)];
        let wrong = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/'));
        match body.chars().find(wrong) {
            Some(wrong) => format!("Invalid Base64 character: '{wrong}'"),
            None => "Invalid last non-pad Base64 character dectected".to_owned(),
        }
    };
    mismatch(format!("'{shown}' can not be converted to a Blob: {why}"))
}

/// A value as it may stand in a sentence: ours, so that an answer stays small.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(4_096)]
}
