//! A record's JSON as a row: each value as its column's type has it.
//!
//! Keys are columns' names, letter for letter (observed on the service); those of no column are
//! passed over. Numbers are read from their own digits, never by way of a floating number.
//! Documented by Firehose: moments are microseconds since 1970, bytes are text in base64 or hex.
//! Beyond it, moments may also be texts of ISO 8601, and numbers texts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use millstream_columnar::table::{Cell, Field, Type};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::RowError;
use crate::moment;
use crate::schema::TableSchema;

/// Members of an object as they stand, in order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// A name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// What a reader wants of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All columns that may not be null have to be there.
    Row,
    /// Only some columns matter: those that are missing are null.
    Keys,
}

/// Reads a record.
pub(crate) fn read(
    record: &[u8],
    schema: &TableSchema,
    wanted: Wanted,
) -> Result<Vec<Cell>, RowError> {
    let text =
        std::str::from_utf8(record).map_err(|error| RowError::Malformed(error.to_string()))?;
    let members: Members<'_> =
        serde_json::from_str(text).map_err(|error| RowError::Malformed(error.to_string()))?;
    let mut reader = Reader { schema, wanted, path: Vec::new() };
    let (cells, found) = reader.members(&schema.fields, &members)?;
    if found == 0 {
        return Err(RowError::Missing("it has none of the table's columns".to_owned()));
    }
    Ok(cells)
}

struct Reader<'a> {
    schema: &'a TableSchema,
    wanted: Wanted,
    path: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    /// A cell for each field, and how many of them were given.
    fn members(
        &mut self,
        fields: &'a [Field],
        members: &Members<'_>,
    ) -> Result<(Vec<Cell>, usize), RowError> {
        let mut by_name: BTreeMap<&str, &RawValue> = BTreeMap::new();
        // Of those that are there twice the last one counts.
        by_name.extend(members.0.iter().map(|(name, value)| (&**name, *value)));
        let mut cells = Vec::with_capacity(fields.len());
        let mut found = 0;
        for field in fields {
            self.path.push(&field.name);
            let given = by_name.get(field.name.as_str());
            found += usize::from(given.is_some());
            let cell = match given {
                Some(raw) => self.value(&field.kind, raw.get())?,
                None => Cell::Null,
            };
            self.check(field.id, &cell)?;
            cells.push(cell);
            self.path.pop();
        }
        Ok((cells, found))
    }

    fn check(&self, id: i32, cell: &Cell) -> Result<(), RowError> {
        let is_missing = *cell == Cell::Null && self.schema.required.contains(&id);
        if is_missing && self.wanted == Wanted::Row {
            return Err(RowError::Missing(format!("{} may not be null", self.path.join("."))));
        }
        Ok(())
    }

    fn wrong(&self, wanted: &str, raw: &str) -> RowError {
        let excerpt: String = raw.chars().take(64).collect();
        let what = format!("{wanted} is wanted, not {excerpt}");
        RowError::Value { column: self.path.join("."), what }
    }

    fn value(&mut self, kind: &'a Type, raw: &str) -> Result<Cell, RowError> {
        if raw == "null" {
            return Ok(Cell::Null);
        }
        match kind {
            Type::Struct(fields) => {
                let members =
                    serde_json::from_str(raw).map_err(|_| self.wrong("an object", raw))?;
                Ok(Cell::Struct(self.members(fields, &members)?.0))
            }
            Type::List(id, element) => {
                let raws: Vec<&RawValue> =
                    serde_json::from_str(raw).map_err(|_| self.wrong("an array", raw))?;
                let mut cells = Vec::with_capacity(raws.len());
                for raw in raws {
                    let cell = self.value(element, raw.get())?;
                    self.check(*id, &cell)?;
                    cells.push(cell);
                }
                Ok(Cell::List(cells))
            }
            Type::Map((_, key), (id, value)) => {
                let members: Members<'_> =
                    serde_json::from_str(raw).map_err(|_| self.wrong("an object", raw))?;
                self.map(&members, key, (*id, value))
            }
            kind => {
                let text = if raw.starts_with('"') {
                    let name: Name<'_> =
                        serde_json::from_str(raw).map_err(|_| self.wrong("text", raw))?;
                    Scalar::Text(name.0)
                } else {
                    Scalar::Plain(raw)
                };
                scalar(kind, &text).ok_or_else(|| self.wrong(&name_of(kind), raw))
            }
        }
    }

    fn map(
        &mut self,
        members: &Members<'_>,
        key: &'a Type,
        (id, value): (i32, &'a Type),
    ) -> Result<Cell, RowError> {
        let mut by_name: BTreeMap<&str, &RawValue> = BTreeMap::new();
        by_name.extend(members.0.iter().map(|(name, value)| (&**name, *value)));
        let mut pairs = Vec::with_capacity(by_name.len());
        for (name, raw) in by_name {
            let key = scalar(key, &Scalar::Text(Cow::Borrowed(name)))
                .ok_or_else(|| self.wrong(&name_of(key), name))?;
            let cell = self.value(value, raw.get())?;
            self.check(id, &cell)?;
            pairs.push((key, cell));
        }
        Ok(Cell::Map(pairs))
    }
}

/// A value as the record has it.
enum Scalar<'a> {
    /// A string's text.
    Text(Cow<'a, str>),
    /// Anything else, as it stands.
    Plain(&'a str),
}

fn name_of(kind: &Type) -> String {
    let name = match kind {
        Type::Boolean => "a boolean",
        Type::Int => "an integer of 32 bits",
        Type::Long => "an integer of 64 bits",
        Type::Float | Type::Double => "a number",
        Type::Decimal { precision, scale } => return format!("a decimal({precision}, {scale})"),
        Type::Date => "a date",
        Type::Time => "microseconds since midnight",
        Type::Timestamp { .. } => "microseconds since 1970",
        Type::String => "text",
        Type::Uuid => "a UUID",
        Type::Fixed(bytes) => return format!("base64 or hex of {bytes} bytes"),
        Type::Binary => "base64 or hex",
        Type::List(..) | Type::Map(..) | Type::Struct(_) => "a plain value",
    };
    name.to_owned()
}

fn scalar(kind: &Type, value: &Scalar<'_>) -> Option<Cell> {
    let (Scalar::Plain(text), is_text) = (match value {
        Scalar::Text(text) => (Scalar::Plain(text), true),
        Scalar::Plain(text) => (Scalar::Plain(text), false),
    }) else {
        return None;
    };
    // What is neither text nor a number nor a boolean is nested, and fits text only.
    let is_nested = !is_text && text.starts_with(['{', '[']);
    if is_nested && *kind != Type::String {
        return None;
    }
    match kind {
        Type::Boolean if text.eq_ignore_ascii_case("true") => Some(Cell::Boolean(true)),
        Type::Boolean if text.eq_ignore_ascii_case("false") => Some(Cell::Boolean(false)),
        Type::Int => i32::try_from(integer(text)?).ok().map(Cell::Int),
        Type::Long => integer(text).map(Cell::Long),
        Type::Float => text.parse().ok().filter(|_| is_number(text)).map(Cell::Float),
        Type::Double => text.parse().ok().filter(|_| is_number(text)).map(Cell::Double),
        Type::Decimal { precision, scale } => decimal(text, *precision, *scale).map(Cell::Decimal),
        Type::Date => {
            let days = if is_text { moment::date(text) } else { None };
            i32::try_from(days.or_else(|| integer(text))?).ok().map(Cell::Int)
        }
        Type::Time => {
            let micros = if is_text { moment::time(text) } else { None };
            let micros = micros.or_else(|| integer(text))?;
            (0..moment::DAY_MICROS).contains(&micros).then_some(Cell::Long(micros))
        }
        Type::Timestamp { .. } => {
            let micros = if is_text { moment::timestamp(text) } else { None };
            micros.or_else(|| integer(text)).map(Cell::Long)
        }
        Type::String => Some(Cell::Bytes(text.as_bytes().to_vec())),
        Type::Uuid if is_text => uuid(text).map(Cell::Bytes),
        Type::Fixed(bytes) if is_text => {
            let mut forms = [base64(text), hex(text)].into_iter().flatten();
            forms.find(|found| found.len() == *bytes).map(Cell::Bytes)
        }
        Type::Binary if is_text => base64(text).or_else(|| hex(text)).map(Cell::Bytes),
        _ => None,
    }
}

/// Whether text that Rust reads as a floating number is one that JSON, or Java, would write.
fn is_number(text: &str) -> bool {
    let first = text.strip_prefix('-').unwrap_or(text).bytes().next();
    first.is_some_and(|first| first.is_ascii_digit())
        || ["NaN", "Infinity", "-Infinity"].contains(&text)
}

/// An integer; a fraction of zeros is none.
fn integer(text: &str) -> Option<i64> {
    match text.split_once('.') {
        None => text.parse().ok().filter(|_| !text.starts_with('+')),
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => {
            integer(whole)
        }
        Some(_) => None,
    }
}

/// A decimal times ten to its scale; `None` where digits would be lost.
fn decimal(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (is_negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || digits.ends_with('.') {
        return None;
    }
    let all = || whole.bytes().chain(fraction.bytes());
    if !all().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // The place of each digit, counted in tens above the last one that the column keeps.
    let first = i64::try_from(whole.len()).ok()?.checked_add(exponent)? + i64::from(scale) - 1;
    let mut value = 0_i128;
    for (index, digit) in (0..).zip(all()) {
        let place = first - index;
        let digit = i128::from(digit - b'0');
        if digit == 0 {
            continue;
        }
        if place < 0 || place >= i64::from(precision) {
            return None;
        }
        value += digit * 10_i128.pow(u32::try_from(place).ok()?);
    }
    Some(if is_negative { -value } else { value })
}

fn uuid(text: &str) -> Option<Vec<u8>> {
    let hyphens: Vec<usize> = text.match_indices('-').map(|(at, _)| at).collect();
    if !(hyphens.is_empty() || hyphens == [8, 13, 18, 23]) {
        return None;
    }
    hex(&text.replace('-', "")).filter(|bytes| bytes.len() == 16)
}

/// Basic, MIME or URL-safe, with or without what fills the last group.
fn base64(text: &str) -> Option<Vec<u8>> {
    let kept: Vec<u8> = text.bytes().filter(|byte| !b"\r\n".contains(byte)).collect();
    let bare = kept.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let (bare, fill) = kept.split_at(bare);
    if fill.len() > 2 || (!fill.is_empty() && !(bare.len() + fill.len()).is_multiple_of(4)) {
        return None;
    }
    // Without filling, a text of hex digits is rather hex.
    if fill.is_empty() && !bare.len().is_multiple_of(4) && bare.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let url_safe = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(bare).ok();
    url_safe.or_else(|| base64_simd::STANDARD_NO_PAD.decode_to_vec(bare).ok())
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("\\x")).unwrap_or(text);
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pair = |pair: &[u8]| {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let value = digit(pair[0])? * 16 + digit(pair[1])?;
        u8::try_from(value).ok()
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(kind: &Type, raw: &str) -> Option<Cell> {
        let field = Field { id: 1, name: "c".to_owned(), kind: kind.clone() };
        let document = json!({"fields": [{"id": 1, "name": "c", "type": "int"}]});
        let mut schema = TableSchema::parse(&document).unwrap();
        schema.fields = vec![field];
        let record = format!("{{\"c\":{raw}}}");
        read(record.as_bytes(), &schema, Wanted::Row).ok().map(|mut cells| cells.remove(0))
    }

    #[test]
    fn values_are_as_their_columns_have_them() {
        let bytes = |bytes: &[u8]| Some(Cell::Bytes(bytes.to_vec()));
        let decimal = Type::Decimal { precision: 6, scale: 2 };
        let stamp = Type::Timestamp { utc: true };
        let rows: Vec<(Type, &str, Option<Cell>)> = vec![
            (Type::Boolean, "true", Some(Cell::Boolean(true))),
            (Type::Boolean, "\"FALSE\"", Some(Cell::Boolean(false))),
            (Type::Boolean, "1", None),
            (Type::Int, "2147483647", Some(Cell::Int(i32::MAX))),
            (Type::Int, "2147483648", None),
            (Type::Int, "\"12\"", Some(Cell::Int(12))),
            (Type::Int, "7.0", Some(Cell::Int(7))),
            (Type::Int, "7.5", None),
            (Type::Int, "{}", None),
            (Type::Long, "-9223372036854775808", Some(Cell::Long(i64::MIN))),
            (Type::Double, "1e3", Some(Cell::Double(1000.0))),
            (Type::Double, "\"Infinity\"", Some(Cell::Double(f64::INFINITY))),
            (Type::Double, "\"infinity\"", None),
            (decimal.clone(), "1234.56", Some(Cell::Decimal(123_456))),
            (decimal.clone(), "-0.010", Some(Cell::Decimal(-1))),
            (decimal.clone(), "1.2e3", Some(Cell::Decimal(120_000))),
            (decimal.clone(), "\"9999.99\"", Some(Cell::Decimal(999_999))),
            (decimal.clone(), "10000", None),
            (decimal.clone(), "0.001", None),
            (decimal, "\"1.\"", None),
            (Type::Date, "\"2017-11-16\"", Some(Cell::Int(17_486))),
            (Type::Date, "17486", Some(Cell::Int(17_486))),
            (Type::Time, "\"22:31:08\"", Some(Cell::Long(81_068_000_000))),
            (Type::Time, "86400000000", None),
            (stamp.clone(), "1510871468000000", Some(Cell::Long(1_510_871_468_000_000))),
            (stamp.clone(), "\"2017-11-16T22:31:08Z\"", Some(Cell::Long(1_510_871_468_000_000))),
            (stamp, "\"yesterday\"", None),
            (Type::String, "\"a\\u00e9\"", bytes("a\u{e9}".as_bytes())),
            (Type::String, "12.50", bytes(b"12.50")),
            (Type::String, "{\"a\":[1]}", bytes(b"{\"a\":[1]}")),
            (
                Type::Uuid,
                "\"f79c3e09-677c-4bbd-a479-3f349cb785e7\"",
                bytes(&0xf79c_3e09_677c_4bbd_a479_3f34_9cb7_85e7_u128.to_be_bytes()),
            ),
            (Type::Uuid, "\"f79c3e09\"", None),
            (Type::Binary, "\"AP+/\"", bytes(&[0, 0xFF, 0xBF])),
            (Type::Binary, "\"AP-_\"", bytes(&[0, 0xFF, 0xBF])),
            (Type::Binary, "\"AP\\r\\n+/\"", bytes(&[0, 0xFF, 0xBF])),
            (Type::Binary, "\"/w==\"", bytes(&[0xFF])),
            (Type::Binary, "\"0a0b0c\"", bytes(&[10, 11, 12])),
            (Type::Binary, "\"0x00ff\"", bytes(&[0, 255])),
            (Type::Binary, "\"!\"", None),
            (Type::Binary, "5", None),
            (Type::Fixed(4), "\"deadbeef\"", bytes(&[0xDE, 0xAD, 0xBE, 0xEF])),
            (Type::Fixed(6), "\"deadbeef\"", bytes(&[0x75, 0xE6, 0x9D, 0x6D, 0xE7, 0x9F])),
            (Type::Fixed(5), "\"deadbeef\"", None),
            (
                Type::List(2, Box::new(Type::Int)),
                "[1,null]",
                Some(Cell::List(vec![Cell::Int(1), Cell::Null])),
            ),
            (Type::List(2, Box::new(Type::Int)), "1", None),
            (
                Type::Map((2, Box::new(Type::Int)), (3, Box::new(Type::String))),
                "{\"5\":\"x\"}",
                Some(Cell::Map(vec![(Cell::Int(5), Cell::Bytes(b"x".to_vec()))])),
            ),
            (
                Type::Map((2, Box::new(Type::Int)), (3, Box::new(Type::String))),
                "{\"a\":\"x\"}",
                None,
            ),
        ];
        for (kind, raw, expected) in rows {
            assert_eq!(one(&kind, raw), expected, "{raw} as {kind:?}");
        }
    }

    #[test]
    fn columns_are_found_by_their_very_names_and_the_required_ones_must_be_there() {
        let document = json!({"fields": [
            {"id": 1, "name": "id", "required": true, "type": "int"},
            {"id": 2, "name": "note", "type": "string"}]});
        let schema = TableSchema::parse(&document).unwrap();
        let read = |record: &str, wanted| read(record.as_bytes(), &schema, wanted);
        let row = read("{\"x\":[{}],\"id\":1,\"id\":2}\n", Wanted::Row).unwrap();
        assert_eq!(row, [Cell::Int(2), Cell::Null]);
        for missing in ["{\"ID\":1}", "{\"note\":\"a\"}", "{\"id\":null,\"note\":\"a\"}", "{}"] {
            assert!(matches!(read(missing, Wanted::Row), Err(RowError::Missing(_))), "{missing}");
        }
        assert!(read("{\"note\":\"a\"}", Wanted::Keys).is_ok());
        for malformed in ["", "[]", "{\"id\":1}{\"id\":2}", "{\"id\":}", "\u{0}"] {
            let found = read(malformed, Wanted::Row);
            assert!(matches!(found, Err(RowError::Malformed(_))), "{malformed}: {found:?}");
        }
    }
}
