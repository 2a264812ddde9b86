//! A container file's records, by the file's own schema.
//!
//! Others wrote the file, so nothing in it is believed: lengths are compared with what is there,
//! and what a file unpacks to is bounded.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::DeflateDecoder;
use serde_json::Value;

use super::{MAGIC, MARKER_BYTES};
use crate::error::TableError;

/// Records unpacked at most: a manifest list of a million entries.
const UNPACKED_BYTES_MAX: u64 = 512 << 20;
/// Types nested at most.
const DEPTH_MAX: usize = 32;

/// Types of a schema at most: one that is named twice in the one below it, and so on, is many.
const TYPES_MAX: usize = 10_000;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Datum {
    Null,
    Boolean(bool),
    /// An int, a long or an enum's place.
    Long(i64),
    Double(f64),
    /// Bytes, text or a fixed.
    Bytes(Vec<u8>),
    Array(Vec<Datum>),
    Map(BTreeMap<Vec<u8>, Datum>),
    Record(BTreeMap<String, Datum>),
}

impl Datum {
    /// A record's field; null where it is missing.
    pub(crate) fn field(&self, name: &str) -> &Self {
        match self {
            Self::Record(fields) => fields.get(name).unwrap_or(&Self::Null),
            _ => &Self::Null,
        }
    }

    pub(crate) fn long(&self) -> Option<i64> {
        if let Self::Long(value) = self { Some(*value) } else { None }
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        if let Self::Boolean(value) = self { Some(*value) } else { None }
    }

    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(value) = self { Some(value) } else { None }
    }

    pub(crate) fn array(&self) -> Option<&[Self]> {
        if let Self::Array(values) = self { Some(values) } else { None }
    }
}

fn wrong(what: &str) -> TableError {
    TableError::malformed(format!("an Avro file: {what}"))
}

/// A schema as it is walked.
enum Node {
    Null,
    Boolean,
    Long,
    Float,
    Double,
    Bytes,
    Fixed(usize),
    Array(Box<Node>),
    Map(Box<Node>),
    Union(Vec<Node>),
    Record(Vec<(String, Node)>),
}

/// What is known while a schema is read.
#[derive(Default)]
struct Known {
    /// Types that were given names so far.
    named: BTreeMap<String, Value>,
    /// How many types there are, each as often as it is used.
    count: usize,
}

/// Reads a schema.
fn node(schema: &Value, known: &mut Known, depth: usize) -> Result<Node, TableError> {
    known.count += 1;
    if depth > DEPTH_MAX || known.count > TYPES_MAX {
        return Err(wrong("types are nested too deep"));
    }
    let inner = |name: &str, known: &mut Known| {
        let inner = schema.get(name).ok_or_else(|| wrong("a type without its inner one"))?;
        node(inner, known, depth + 1).map(Box::new)
    };
    if let Value::Array(branches) = schema {
        let each = branches.iter().map(|branch| node(branch, known, depth + 1));
        return Ok(Node::Union(each.collect::<Result<_, _>>()?));
    }
    let kind = schema.as_str().or_else(|| schema.get("type").and_then(Value::as_str));
    let Some(kind) = kind else {
        // `{"type": {"type": ...}}`
        let inner = schema.get("type").ok_or_else(|| wrong("a schema without a type"))?;
        return node(inner, known, depth + 1);
    };
    if let Some(name) = schema.get("name").and_then(Value::as_str)
        && matches!(kind, "record" | "fixed" | "enum")
    {
        known.named.insert(name.to_owned(), schema.clone());
    }
    Ok(match kind {
        "null" => Node::Null,
        "boolean" => Node::Boolean,
        "int" | "long" | "enum" => Node::Long,
        "float" => Node::Float,
        "double" => Node::Double,
        "bytes" | "string" => Node::Bytes,
        "fixed" => {
            let size = schema.get("size").and_then(Value::as_u64);
            let size = size.and_then(|size| usize::try_from(size).ok());
            Node::Fixed(size.ok_or_else(|| wrong("a fixed without a size"))?)
        }
        "array" => Node::Array(inner("items", known)?),
        "map" => Node::Map(inner("values", known)?),
        "record" => {
            let fields = schema.get("fields").and_then(Value::as_array);
            let mut read = Vec::new();
            for field in fields.ok_or_else(|| wrong("a record without fields"))? {
                let name = field.get("name").and_then(Value::as_str).unwrap_or_default();
                let kind = field.get("type").ok_or_else(|| wrong("a field without a type"))?;
                read.push((name.to_owned(), node(kind, known, depth + 1)?));
            }
            Node::Record(read)
        }
        name => {
            let simple = name.rsplit('.').next().unwrap_or(name);
            let found = known.named.get(name).or_else(|| known.named.get(simple)).cloned();
            node(&found.ok_or_else(|| wrong("an unknown type"))?, known, depth + 1)?
        }
    })
}

/// Bytes being read from their front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], TableError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| wrong("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn long(&mut self) -> Result<i64, TableError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(wrong("a number without end"))
    }

    fn bytes(&mut self) -> Result<&'a [u8], TableError> {
        let length = usize::try_from(self.long()?).map_err(|_| wrong("a negative length"))?;
        self.take(length)
    }

    /// The elements of an array or a map, block by block.
    fn blocks(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), TableError>,
    ) -> Result<(), TableError> {
        loop {
            let mut count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                self.long()?;
                count = count.checked_neg().ok_or_else(|| wrong("a block without end"))?;
            }
            // Elements without bytes would let a short file count for ever.
            if !usize::try_from(count).is_ok_and(|count| count <= self.0.len()) {
                return Err(wrong("it ends early"));
            }
            for _ in 0..count {
                each(self)?;
            }
        }
    }

    fn datum(&mut self, node: &Node) -> Result<Datum, TableError> {
        Ok(match node {
            Node::Null => Datum::Null,
            Node::Boolean => Datum::Boolean(self.take(1)?[0] != 0),
            Node::Long => Datum::Long(self.long()?),
            Node::Float => {
                let bytes = self.take(4)?.try_into().expect("four were taken");
                Datum::Double(f32::from_le_bytes(bytes).into())
            }
            Node::Double => {
                let bytes = self.take(8)?.try_into().expect("eight were taken");
                Datum::Double(f64::from_le_bytes(bytes))
            }
            Node::Bytes => Datum::Bytes(self.bytes()?.to_vec()),
            Node::Fixed(size) => Datum::Bytes(self.take(*size)?.to_vec()),
            Node::Array(element) => {
                let mut values = Vec::new();
                self.blocks(|reader| {
                    values.push(reader.datum(element)?);
                    Ok(())
                })?;
                Datum::Array(values)
            }
            Node::Map(value) => {
                let mut entries = BTreeMap::new();
                self.blocks(|reader| {
                    let key = reader.bytes()?.to_vec();
                    entries.insert(key, reader.datum(value)?);
                    Ok(())
                })?;
                Datum::Map(entries)
            }
            Node::Union(branches) => {
                let branch = usize::try_from(self.long()?).ok();
                let branch = branch.and_then(|branch| branches.get(branch));
                self.datum(branch.ok_or_else(|| wrong("an unknown branch"))?)?
            }
            Node::Record(fields) => {
                let mut values = BTreeMap::new();
                for (name, node) in fields {
                    values.insert(name.clone(), self.datum(node)?);
                }
                Datum::Record(values)
            }
        })
    }
}

/// All records of a container file.
pub(crate) fn read(file: &[u8]) -> Result<Vec<Datum>, TableError> {
    let mut reader = Reader(file);
    if reader.take(MAGIC.len())? != MAGIC {
        return Err(wrong("it does not begin as one"));
    }
    let Datum::Map(metadata) = reader.datum(&Node::Map(Box::new(Node::Bytes)))? else {
        return Err(wrong("it has no metadata"));
    };
    let text = |name: &str| metadata.get(name.as_bytes()).and_then(Datum::bytes);
    let schema = text("avro.schema").ok_or_else(|| wrong("it has no schema"))?;
    let schema = serde_json::from_slice(schema).map_err(|error| wrong(&error.to_string()))?;
    let node = node(&schema, &mut Known::default(), 0)?;
    let codec = text("avro.codec").unwrap_or(b"null").to_vec();
    let marker = reader.take(MARKER_BYTES)?;
    let (mut records, mut left) = (Vec::new(), UNPACKED_BYTES_MAX);
    while !reader.0.is_empty() {
        let count = reader.long()?;
        let packed = reader.bytes()?;
        let unpacked = unpack(&codec, packed, left)?;
        left -= unpacked.len() as u64;
        let mut block = Reader(&unpacked);
        if !usize::try_from(count).is_ok_and(|count| count <= unpacked.len()) {
            return Err(wrong("a block ends early"));
        }
        for _ in 0..count {
            records.push(block.datum(&node)?);
        }
        if !block.0.is_empty() || reader.take(MARKER_BYTES)? != marker {
            return Err(wrong("a block does not end where it should"));
        }
    }
    Ok(records)
}

fn unpack(codec: &[u8], packed: &[u8], bytes_max: u64) -> Result<Vec<u8>, TableError> {
    let broken = |error: &dyn std::fmt::Display| wrong(&format!("a block is broken: {error}"));
    let mut out = Vec::new();
    let read = match codec {
        b"null" => (&mut &*packed).take(bytes_max + 1).read_to_end(&mut out),
        b"deflate" => DeflateDecoder::new(packed).take(bytes_max + 1).read_to_end(&mut out),
        b"zstandard" => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(packed);
            let decoder = decoder.map_err(|error| broken(&error))?;
            decoder.take(bytes_max + 1).read_to_end(&mut out)
        }
        b"snappy" => {
            // The last four bytes are a checksum of what it unpacks to.
            let body = &packed[..packed.len().saturating_sub(4)];
            let length = snap::raw::decompress_len(body).map_err(|error| broken(&error))?;
            if length as u64 > bytes_max {
                return Err(wrong("it unpacks to more than is read"));
            }
            out = snap::raw::Decoder::new().decompress_vec(body).map_err(|error| broken(&error))?;
            Ok(0)
        }
        other => {
            let name = String::from_utf8_lossy(other);
            return Err(TableError::unsupported(format!("Avro files compressed with {name}")));
        }
    };
    read.map_err(|error| broken(&error))?;
    if out.len() as u64 > bytes_max {
        return Err(wrong("it unpacks to more than is read"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Encoder, container};
    use super::*;

    const SCHEMA: &str = r#"{"type":"record","name":"r","fields":[
        {"name":"n","type":"long"},{"name":"maybe","type":["null","string"]},
        {"name":"each","type":{"type":"array","items":"bytes"}},
        {"name":"f","type":{"type":"fixed","name":"pair","size":2}},{"name":"g","type":"pair"}]}"#;

    #[test]
    fn a_schema_that_doubles_with_each_name_is_refused() {
        let mut fields = r#"{"name":"f","type":"null"}"#.to_owned();
        for level in 0..30 {
            let name = format!("r{level}");
            fields = format!(
                r#"{{"name":"a","type":{{"type":"record","name":"{name}","fields":[{fields}]}}}},
                {{"name":"b","type":"{name}"}}"#
            );
        }
        let schema = format!(r#"{{"type":"record","name":"r","fields":[{fields}]}}"#);
        let file = container(&schema, &[], 1, b"");
        assert!(matches!(read(&file), Err(TableError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn a_broken_file_is_refused_or_read(at in 0_usize..400, with in any::<u8>()) {
            let mut encoder = Encoder::default();
            encoder.long(7).long(0).long(0).raw(b"xyzw");
            let mut file = container(SCHEMA, &[], 1, &encoder.out);
            let at = at % file.len();
            file[at] = with;
            let _ = read(&file);
        }

        #[test]
        fn what_is_written_is_read(
            rows in proptest::collection::vec((any::<i64>(), proptest::option::of("[a-z]{0,9}"),
                proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5), 0..4)), 0..20)
        ) {
            let mut encoder = Encoder::default();
            for (number, text, each) in &rows {
                encoder.long(*number).maybe(text.as_ref(), |encoder, text| {
                    encoder.bytes(text.as_bytes());
                });
                encoder.array(each.iter(), |encoder, bytes| { encoder.bytes(bytes); });
                encoder.raw(b"xyzw");
            }
            let file = container(SCHEMA, &[("k", "v".to_owned())], rows.len(), &encoder.out);
            let records = read(&file).unwrap();
            prop_assert_eq!(records.len(), rows.len());
            for (record, (number, text, each)) in records.iter().zip(&rows) {
                prop_assert_eq!(record.field("n").long(), Some(*number));
                let found = record.field("maybe").bytes();
                prop_assert_eq!(found, text.as_ref().map(String::as_bytes));
                let found = record.field("each").array().unwrap();
                let found: Vec<_> = found.iter().map(|one| one.bytes().unwrap().to_vec()).collect();
                prop_assert_eq!(&found, each);
                prop_assert_eq!(record.field("g").bytes(), Some(&b"zw"[..]));
            }
            // A file that was cut is never read as a whole one.
            for end in 0..file.len() {
                prop_assert!(rows.is_empty() || read(&file[..end]).map_or(true, |r| r.is_empty()));
            }
        }
    }
}
