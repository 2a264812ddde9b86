//! One value into one column: the table of which JSON becomes which type.

use super::super::number::{self, NoDecimal};
use super::super::scan::Number;
use super::super::{Fault, for_input, mismatch, node::Node, text, time};
use super::Cursor;
use crate::batch::{ByteValues, Column, Lengths, Stamp, Values};

/// What Jackson says of text where Hive's SerDe asks for a number.
const NOT_NUMERIC: &str =
    "Current token (VALUE_STRING) not numeric, can not use numeric value accessors";
/// What Firehose says of a nested value where Hive's SerDe asks for text (observed).
const INCORRECT_FORMAT: &str =
    "One or more fields have incorrect format. Exception when validating field (root)";
/// Maps with more entries than this are checked for keys that appear twice in another way.
const ENTRIES_COMPARED_MAX: usize = 16;

impl Cursor<'_> {
    /// Appends the value that comes next.
    #[inline]
    pub(super) fn value(&mut self, node: &mut Node, column: &mut Column) -> Result<(), Fault> {
        if self.scanner.peek() == b'n' {
            self.scanner.literal("null")?;
            column.push_null();
            return Ok(());
        }
        match (node, &mut column.values) {
            (Node::Text { characters_max, trimmed }, Values::Bytes(values)) => {
                self.text(values, *characters_max, *trimmed)?;
            }
            (Node::Int { low, high }, Values::Int(values)) => {
                let value = self.integer(*low, *high)?;
                values.push(i32::try_from(value).expect("within the bounds of the type"));
            }
            (Node::BigInt, Values::BigInt(values)) => {
                values.push(self.integer(i64::MIN, i64::MAX)?);
            }
            (Node::Double, Values::Double(values)) => {
                values.push(self.floating(number::double, number::double_text)?);
            }
            (Node::Float, Values::Float(values)) => {
                values.push(self.floating(number::float, number::float_text)?);
            }
            (Node::Boolean, Values::Boolean(values)) => values.push(self.boolean()?),
            (Node::Timestamp, Values::Timestamp(values)) => values.push(self.timestamp()?),
            (Node::Date, Values::Int(values)) => values.push(self.date()?),
            (Node::Decimal { precision, scale }, Values::Decimal(values)) => {
                values.push(self.decimal(*precision, *scale)?);
            }
            (Node::Binary, Values::Bytes(values)) => {
                if self.scanner.peek() != b'"' {
                    return Err(self.cannot_cast("byte[]"));
                }
                self.scanner.string()?.unescape(&mut values.data);
                values.close();
            }
            (node, _) => return self.nested(node, column),
        }
        column.valid.push(true);
        Ok(())
    }

    #[inline]
    fn text(
        &mut self,
        values: &mut ByteValues,
        characters_max: Option<u32>,
        trimmed: bool,
    ) -> Result<(), Fault> {
        let start = values.data.len();
        match self.scanner.peek() {
            b'"' => self.scanner.string()?.unescape(&mut values.data),
            b'{' | b'[' if !self.rules.lenient => {
                self.scanner.skip()?;
                return Err(Fault::data(INCORRECT_FORMAT));
            }
            _ => text::compact(&mut self.scanner, self.rules.lower_keys, &mut values.data)?,
        }
        if characters_max.is_some() {
            text::limit(&mut values.data, start, characters_max, trimmed);
        }
        values.close();
        Ok(())
    }

    #[inline]
    fn integer(&mut self, low: i64, high: i64) -> Result<i64, Fault> {
        let (found, text) = match self.scanner.peek() {
            b'-' | b'0'..=b'9' => {
                let number = self.scanner.number()?;
                let value = if self.rules.lenient {
                    number::integer(&number)
                } else {
                    number::truncated(&number)
                };
                (value, number.text)
            }
            b'"' if !self.rules.lenient => return Err(mismatch(NOT_NUMERIC)),
            b'"' => return self.integer_text(low, high),
            _ => return Err(self.cannot_cast("java.lang.Number")),
        };
        match found {
            Some(value) if (low..=high).contains(&value) => Ok(value),
            _ => Err(for_input(&String::from_utf8_lossy(text))),
        }
    }

    #[cold]
    fn integer_text(&mut self, low: i64, high: i64) -> Result<i64, Fault> {
        let text = self.string()?;
        number::integer_text(&text)
            .filter(|value| (low..=high).contains(value))
            .ok_or_else(|| for_input(&text))
    }

    #[inline]
    fn floating<F>(
        &mut self,
        of_number: impl Fn(&Number<'_>) -> Option<F>,
        of_text: impl Fn(&str) -> Option<F>,
    ) -> Result<F, Fault> {
        match self.scanner.peek() {
            b'-' | b'0'..=b'9' => {
                let number = self.scanner.number()?;
                of_number(&number).ok_or_else(|| for_input(&String::from_utf8_lossy(number.text)))
            }
            b'"' if !self.rules.lenient => Err(mismatch(NOT_NUMERIC)),
            b'"' => {
                let text = self.string()?;
                of_text(&text).ok_or_else(|| for_input(&text))
            }
            _ => Err(self.cannot_cast("java.lang.Number")),
        }
    }

    fn decimal(&mut self, precision: u8, scale: u8) -> Result<i128, Fault> {
        let (found, text) = match self.scanner.peek() {
            b'-' | b'0'..=b'9' => {
                let number = self.scanner.number()?;
                let text = String::from_utf8_lossy(number.text).into_owned();
                (number::decimal(&number, precision, scale), text)
            }
            // Hive's SerDe reads a decimal from its text, so here both readers take text.
            b'"' => {
                let text = self.string()?;
                (number::decimal_text(&text, precision, scale), text)
            }
            _ => return Err(self.cannot_cast("java.math.BigDecimal")),
        };
        found.map_err(|none| match none {
            NoDecimal::NotANumber => for_input(&text),
            NoDecimal::TooLarge => {
                mismatch(format!("Value {text} does not fit decimal({precision},{scale})"))
            }
        })
    }

    #[inline]
    fn boolean(&mut self) -> Result<bool, Fault> {
        match self.scanner.peek() {
            b't' => self.scanner.literal("true").map(|()| true),
            b'f' => self.scanner.literal("false").map(|()| false),
            b'"' => {
                let text = self.string()?;
                match text.to_ascii_lowercase().as_str() {
                    "true" => Ok(true),
                    "false" => Ok(false),
                    _ => Err(for_input(&text)),
                }
            }
            _ => Err(self.cannot_cast("java.lang.Boolean")),
        }
    }

    fn date(&mut self) -> Result<i32, Fault> {
        if self.scanner.peek() != b'"' {
            return Err(self.cannot_cast("java.sql.Date"));
        }
        let quoted = self.scanner.string()?;
        let found = if quoted.escaped { None } else { time::date(quoted.raw) };
        found.ok_or_else(|| for_input(&String::from_utf8_lossy(quoted.raw)))
    }

    fn timestamp(&mut self) -> Result<Stamp, Fault> {
        match self.scanner.peek() {
            b'"' => {
                let quoted = self.scanner.string()?;
                let mut unescaped = Vec::new();
                let raw = if quoted.escaped {
                    quoted.unescape(&mut unescaped);
                    &unescaped[..]
                } else {
                    quoted.raw
                };
                let text = std::str::from_utf8(raw).unwrap_or("");
                self.stamp(text).ok_or_else(|| for_input(text))
            }
            b'-' | b'0'..=b'9' => {
                let number = self.scanner.number()?;
                let text = std::str::from_utf8(number.text).unwrap_or("");
                let found =
                    if self.rules.lenient { time::epoch(&number) } else { self.stamp(text) };
                found.ok_or_else(|| for_input(text))
            }
            _ => Err(self.cannot_cast("java.sql.Timestamp")),
        }
    }

    fn stamp(&self, text: &str) -> Option<Stamp> {
        if self.rules.lenient {
            return time::openx(text);
        }
        let by_pattern = self.rules.timestamps.iter().find_map(|pattern| pattern.read(text));
        by_pattern.or_else(|| time::spaced(text.as_bytes()))
    }

    /// A string, unescaped.
    fn string(&mut self) -> Result<String, Fault> {
        let mut text = Vec::new();
        self.scanner.string()?.unescape(&mut text);
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn nested(&mut self, node: &mut Node, column: &mut Column) -> Result<(), Fault> {
        if self.rules.lenient && self.is_blank(matches!(node, Node::Array(_)))? {
            column.push_null();
            return Ok(());
        }
        match (node, &mut column.values) {
            (Node::Array(node), Values::Array(lengths, elements)) => {
                self.array(node, lengths, elements)?;
                column.valid.push(true);
            }
            (Node::Map(nodes), Values::Map(lengths, entries)) => {
                self.map(nodes, lengths, entries)?;
                column.valid.push(true);
            }
            (Node::Struct(members), Values::Struct(columns)) => {
                // The slot comes first: it says how many slots the members are to have.
                column.valid.push(true);
                let slots = column.valid.ones();
                match self.scanner.peek() {
                    b'{' => {
                        self.scanner.at += 1;
                        self.members(members, columns, slots)?;
                    }
                    b'[' if self.rules.lenient => self.by_position(members, columns, slots)?,
                    _ => return Err(self.no_struct()),
                }
            }
            _ => unreachable!("nodes and columns are made from one schema"),
        }
        Ok(())
    }

    /// Whether text without anything in it comes next, which OpenX reads as null where a nested
    /// value should be; it is stepped over.
    fn is_blank(&mut self, empty_only: bool) -> Result<bool, Fault> {
        if self.scanner.peek() != b'"' {
            return Ok(false);
        }
        let before = self.scanner.at;
        let raw = self.scanner.string()?.raw;
        let blank = raw.is_empty() || !empty_only && raw.trim_ascii().is_empty();
        if !blank {
            self.scanner.at = before;
        }
        Ok(blank)
    }

    fn array(
        &mut self,
        node: &mut Node,
        lengths: &mut Lengths,
        elements: &mut Column,
    ) -> Result<(), Fault> {
        if self.scanner.peek() == b'[' {
            self.scanner.at += 1;
            self.scanner.blanks();
            if self.scanner.peek() == b']' {
                self.scanner.at += 1;
            } else {
                loop {
                    self.value(node, elements)?;
                    if !self.scanner.more(b']')? {
                        break;
                    }
                }
            }
        } else if self.rules.lenient {
            // Observed: a value that is no array becomes an array of one.
            self.value(node, elements)?;
        } else {
            self.scanner.skip()?;
            return Err(mismatch("java.io.IOException: Start of Array expected"));
        }
        lengths.close(elements.len());
        Ok(())
    }

    /// Fills a struct from an array, in the order of its members; what is more is dropped.
    fn by_position(
        &mut self,
        members: &mut super::Members,
        columns: &mut [Column],
        slots: usize,
    ) -> Result<(), Fault> {
        self.scanner.at += 1;
        self.scanner.blanks();
        let mut index = 0;
        if self.scanner.peek() == b']' {
            self.scanner.at += 1;
        } else {
            loop {
                match columns.get_mut(index) {
                    Some(column) => self.value(&mut members.nodes[index], column)?,
                    None => self.scanner.skip()?,
                }
                index += 1;
                if !self.scanner.more(b']')? {
                    break;
                }
            }
        }
        for column in columns.iter_mut().skip(index) {
            column.push_null();
        }
        debug_assert!(columns.iter().all(|column| column.len() == slots));
        Ok(())
    }

    /// Reads an object as entries. A key that appears twice counts where it appears last, so the
    /// others are found before anything is appended.
    fn map(
        &mut self,
        nodes: &mut (Node, Node),
        lengths: &mut Lengths,
        entries: &mut (Column, Column),
    ) -> Result<(), Fault> {
        if self.scanner.peek() != b'{' {
            return Err(self.no_map());
        }
        let superseded = self.superseded()?;
        self.scanner.at += 1;
        self.scanner.blanks();
        if self.scanner.peek() == b'}' {
            self.scanner.at += 1;
        } else {
            loop {
                let at = self.scanner.at;
                let key = self.map_key()?;
                self.scanner.colon()?;
                if superseded.binary_search(&at).is_ok() {
                    self.scanner.skip()?;
                } else {
                    append_key(&key, &mut nodes.0, &mut entries.0)?;
                    self.value(&mut nodes.1, &mut entries.1)?;
                }
                if !self.scanner.more(b'}')? {
                    break;
                }
            }
        }
        lengths.close(entries.0.len());
        Ok(())
    }

    fn map_key(&mut self) -> Result<Vec<u8>, Fault> {
        let mut key = Vec::new();
        self.scanner.string()?.unescape(&mut key);
        if self.rules.lower_keys {
            super::super::keys::fold(&mut key);
        }
        Ok(key)
    }

    /// Where the keys of the object that comes next stand that appear again further on, in order.
    fn superseded(&self) -> Result<Vec<usize>, Fault> {
        let mut ahead = Cursor { scanner: self.scanner, rules: self.rules };
        let mut keys = Vec::new();
        ahead.scanner.at += 1;
        let rules = self.rules;
        ahead.scanner.each(b'}', |scanner| {
            let mut entry = Cursor { scanner: *scanner, rules };
            let at = entry.scanner.at;
            keys.push((entry.map_key()?, at));
            *scanner = entry.scanner;
            scanner.colon()?;
            scanner.skip()
        })?;
        if keys.len() <= ENTRIES_COMPARED_MAX {
            let again =
                |index: usize| keys[index + 1..].iter().any(|(key, _)| *key == keys[index].0);
            let places = (0..keys.len()).filter(|index| again(*index)).map(|index| keys[index].1);
            return Ok(places.collect());
        }
        keys.sort_unstable();
        let pairs = keys.windows(2).filter(|pair| pair[0].0 == pair[1].0);
        let mut places: Vec<usize> = pairs.map(|pair| pair[0].1).collect();
        places.sort_unstable();
        Ok(places)
    }

    #[cold]
    fn no_struct(&mut self) -> Fault {
        if !self.rules.lenient {
            return mismatch("java.io.IOException: Start of Object expected");
        }
        // The words of OpenX, two blanks included (observed).
        match self.class_and_value() {
            Ok((class, value)) => {
                mismatch(format!("Data is not JSONObject  but {class} with value {value}"))
            }
            Err(fault) => fault,
        }
    }

    #[cold]
    fn no_map(&mut self) -> Fault {
        if self.rules.lenient {
            self.cannot_cast("org.openx.data.jsonserde.json.JSONObject")
        } else {
            mismatch("java.io.IOException: Start of Object expected")
        }
    }

    /// The value that comes next has a class that cannot be the column's.
    #[cold]
    fn cannot_cast(&mut self, wanted: &str) -> Fault {
        match self.class_and_value() {
            Ok((class, _)) => mismatch(format!("{class} cannot be cast to {wanted}")),
            Err(fault) => fault,
        }
    }

    /// What Java would call the value that comes next.
    fn class_and_value(&mut self) -> Result<(&'static str, String), Fault> {
        let start = self.scanner.at;
        let first = self.scanner.peek();
        self.scanner.skip()?;
        let value = &self.scanner.text[start..self.scanner.at];
        let class = match first {
            b'{' => "org.openx.data.jsonserde.json.JSONObject",
            b'[' => "org.openx.data.jsonserde.json.JSONArray",
            b'"' => "java.lang.String",
            b't' | b'f' => "java.lang.Boolean",
            _ if value.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) => "java.lang.Double",
            _ => "java.lang.Long",
        };
        let text = String::from_utf8_lossy(value);
        Ok((class, text.trim_matches('"').to_owned()))
    }
}

/// Appends a map's key, whose text may be any type that is not nested.
fn append_key(key: &[u8], node: &mut Node, column: &mut Column) -> Result<(), Fault> {
    let text = std::str::from_utf8(key).unwrap_or("");
    let none = || for_input(text);
    match (node, &mut column.values) {
        (Node::Text { characters_max, trimmed }, Values::Bytes(values)) => {
            let start = values.data.len();
            values.data.extend_from_slice(key);
            text::limit(&mut values.data, start, *characters_max, *trimmed);
            values.close();
        }
        (Node::Binary, Values::Bytes(values)) => {
            values.data.extend_from_slice(key);
            values.close();
        }
        (Node::Int { low, high }, Values::Int(values)) => {
            let value = number::integer_text(text).filter(|value| (*low..=*high).contains(value));
            values.push(value.and_then(|value| i32::try_from(value).ok()).ok_or_else(none)?);
        }
        (Node::BigInt, Values::BigInt(values)) => {
            values.push(number::integer_text(text).ok_or_else(none)?);
        }
        (Node::Float, Values::Float(values)) => {
            values.push(number::float_text(text).ok_or_else(none)?);
        }
        (Node::Double, Values::Double(values)) => {
            values.push(number::double_text(text).ok_or_else(none)?);
        }
        (Node::Decimal { precision, scale }, Values::Decimal(values)) => {
            values.push(number::decimal_text(text, *precision, *scale).map_err(|_| none())?);
        }
        (Node::Boolean, Values::Boolean(values)) => {
            values.push(text.to_ascii_lowercase().parse().map_err(|_| none())?);
        }
        (Node::Date, Values::Int(values)) => values.push(time::date(key).ok_or_else(none)?),
        (Node::Timestamp, Values::Timestamp(values)) => {
            values.push(time::openx(text).ok_or_else(none)?);
        }
        _ => unreachable!("nodes and columns are made from one schema, which has no nested keys"),
    }
    column.valid.push(true);
    Ok(())
}
