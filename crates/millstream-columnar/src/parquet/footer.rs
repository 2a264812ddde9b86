//! What stands at a file's end: page indexes, the schema, and where everything is.

use bytes::Bytes;

use super::annotation::{Annotation, Logical};
use super::chunk::ChunkMeta;
use super::leaf::{Leaf, Physical, annotated};
use super::thrift::Struct;
use super::{MAGIC, RowGroup};
use crate::compress::Codec;
use crate::options::ParquetTimestamp;
use crate::schema::{Field, Schema, Type};

/// The format's version; what a reader needs to know is in the pages.
const VERSION: i32 = 1;

const REQUIRED: i32 = 0;
const OPTIONAL: i32 = 1;
const REPEATED: i32 = 2;

/// Everything behind the last row group, which ends at `start` in the file.
pub(super) fn footer(
    (schema, annotations): (&Schema, &[Annotation]),
    leaves: &[Leaf],
    groups: &[RowGroup],
    codec: Codec,
    start: usize,
) -> Bytes {
    let mut out = Vec::new();
    let indexes = page_indexes(groups, start, &mut out);
    let groups_written = groups
        .iter()
        .zip(&indexes)
        .enumerate()
        .map(|(ordinal, (group, indexes))| row_group(ordinal, group, indexes, leaves, codec));
    let rows = groups.iter().map(|group| group.rows).sum();
    let timestamp = if leaves.iter().any(|leaf| leaf.physical == Physical::Micros) {
        ParquetTimestamp::Micros
    } else {
        ParquetTimestamp::Int96
    };
    let mut elements = Elements { out: Vec::new(), timestamp, annotations: annotations.iter() };
    let name = if annotations.is_empty() { &b"hive_schema"[..] } else { b"table" };
    let root = Struct::new().binary(4, name).i32(5, count(schema.fields().len()));
    elements.out.push(root);
    for field in schema.fields() {
        elements.field(&field.name, &field.kind, OPTIONAL);
    }
    let created_by = concat!("millstream version ", env!("CARGO_PKG_VERSION"), " (build 0)");
    let meta = Struct::new()
        .i32(1, VERSION)
        .structs(2, elements.out.into_iter())
        .i64(3, long(rows))
        .structs(4, groups_written)
        .binary(6, created_by.as_bytes())
        // Each column's bounds are in the order of its type.
        .structs(7, leaves.iter().map(|_| Struct::new().nested(1, Struct::new())))
        .finish();
    out.extend_from_slice(&meta);
    let length = u32::try_from(meta.len()).expect("a footer is far below 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(MAGIC);
    Bytes::from(out)
}

/// Where the indexes of a chunk are: offset and length each.
#[derive(Clone, Copy, Default)]
struct Indexes {
    columns: Option<(usize, usize)>,
    offsets: (usize, usize),
}

/// Writes the page indexes, the column indexes of all chunks before the offset indexes.
fn page_indexes(groups: &[RowGroup], start: usize, out: &mut Vec<u8>) -> Vec<Vec<Indexes>> {
    let mut indexes: Vec<Vec<Indexes>> =
        groups.iter().map(|group| vec![Indexes::default(); group.chunks.len()]).collect();
    let mut write = |index: Struct| {
        let at = start + out.len();
        out.extend_from_slice(&index.finish());
        (at, start + out.len() - at)
    };
    for (group, places) in groups.iter().zip(&mut indexes) {
        for (chunk, place) in group.chunks.iter().zip(places) {
            place.columns = column_index(chunk).map(&mut write);
        }
    }
    for (group, places) in groups.iter().zip(&mut indexes) {
        for (chunk, place) in group.chunks.iter().zip(places) {
            place.offsets = write(offset_index(chunk));
        }
    }
    indexes
}

/// The bounds of each page; `None` where they are not known of some page with values.
fn column_index(chunk: &ChunkMeta) -> Option<Struct> {
    let mut bounds = Vec::with_capacity(chunk.pages.len());
    for page in &chunk.pages {
        match page.bounds.encoded() {
            Some(encoded) => bounds.push(Some(encoded)),
            None if page.is_null() => bounds.push(None),
            None => return None,
        }
    }
    let min = |index: usize| bounds[index].as_ref().map_or(&[][..], |bounds| &bounds.min);
    let max = |index: usize| bounds[index].as_ref().map_or(&[][..], |bounds| &bounds.max);
    let all = 0..bounds.len();
    let index = Struct::new()
        .bools(1, bounds.iter().map(Option::is_none))
        .binaries(2, all.clone().map(min))
        .binaries(3, all.map(max))
        // Unordered: a reader may not search, only compare.
        .i32(4, 0)
        .i64s(5, chunk.pages.iter().map(|page| long(page.nulls)));
    Some(index)
}

fn offset_index(chunk: &ChunkMeta) -> Struct {
    let mut at = chunk.start;
    let pages: Vec<Struct> = chunk
        .pages
        .iter()
        .map(|page| {
            let location = Struct::new()
                .i64(1, long(at))
                .i32(2, count(page.bytes))
                .i64(3, long(page.first_row));
            at += page.bytes;
            location
        })
        .collect();
    Struct::new().structs(1, pages.into_iter())
}

fn row_group(
    ordinal: usize,
    group: &RowGroup,
    indexes: &[Indexes],
    leaves: &[Leaf],
    codec: Codec,
) -> Struct {
    let chunks: Vec<Struct> = group
        .chunks
        .iter()
        .zip(leaves)
        .zip(indexes)
        .map(|((chunk, leaf), indexes)| column_chunk(chunk, leaf, *indexes, codec))
        .collect();
    let uncompressed = group.chunks.iter().map(|chunk| chunk.uncompressed).sum();
    let compressed = group.chunks.iter().map(|chunk| chunk.compressed).sum();
    let written = Struct::new()
        .structs(1, chunks.into_iter())
        .i64(2, long(uncompressed))
        .i64(3, long(group.rows))
        .i64(5, long(group.start))
        .i64(6, long(compressed));
    match i16::try_from(ordinal) {
        Ok(ordinal) => written.i16(7, ordinal),
        Err(_) => written,
    }
}

fn column_chunk(chunk: &ChunkMeta, leaf: &Leaf, indexes: Indexes, codec: Codec) -> Struct {
    let path: Vec<&[u8]> = leaf.path.iter().map(String::as_bytes).collect();
    let mut meta = Struct::new()
        .i32(1, physical_code(leaf.physical))
        .i32s(2, chunk.encodings.iter().copied())
        .binaries(3, path.into_iter())
        .i32(4, codec_code(codec))
        .i64(5, long(chunk.entries))
        .i64(6, long(chunk.uncompressed))
        .i64(7, long(chunk.compressed))
        .i64(9, long(chunk.start));
    if let Some(start) = chunk.dictionary_start {
        meta = meta.i64(11, long(start));
    }
    let mut statistics = Struct::new().i64(3, long(chunk.nulls));
    if let Some(bounds) = chunk.bounds.encoded() {
        statistics = statistics
            .binary(5, &bounds.max)
            .binary(6, &bounds.min)
            .bool(7, bounds.max_exact)
            .bool(8, bounds.min_exact);
    }
    let first = chunk.dictionary_start.unwrap_or(chunk.start);
    let written = Struct::new()
        .i64(2, long(first))
        .nested(3, meta.nested(12, statistics))
        .i64(4, long(indexes.offsets.0))
        .i32(5, count(indexes.offsets.1));
    match indexes.columns {
        Some((offset, length)) => written.i64(6, long(offset)).i32(7, count(length)),
        None => written,
    }
}

/// The schema, flattened in depth first order.
struct Elements<'a> {
    out: Vec<Struct>,
    timestamp: ParquetTimestamp,
    annotations: std::slice::Iter<'a, Annotation>,
}

impl Elements<'_> {
    fn field(&mut self, name: &str, kind: &Type, repetition: i32) {
        let annotation = self.annotations.next().copied();
        match kind {
            Type::Array(element) => {
                self.group(name, repetition, (1, Some((converted::LIST, 3))), annotation);
                self.group("list", REPEATED, (1, None), None);
                self.field("element", element, OPTIONAL);
            }
            Type::Map(key, value) => {
                self.group(name, repetition, (1, Some((converted::MAP, 2))), annotation);
                self.group("key_value", REPEATED, (2, None), None);
                self.field("key", key, REQUIRED);
                self.field("value", value, OPTIONAL);
            }
            Type::Struct(fields) => {
                self.group(name, repetition, (fields.len(), None), annotation);
                for Field { name, kind } in fields {
                    self.field(name, kind, OPTIONAL);
                }
            }
            _ => self.leaf(name, kind, repetition, annotation),
        }
    }

    /// `form` is how many children there are, and a converted type with the logical type's place
    /// in its union.
    fn group(
        &mut self,
        name: &str,
        repetition: i32,
        (children, form): (usize, Option<(i32, u8)>),
        annotation: Option<Annotation>,
    ) {
        let mut element =
            Struct::new().i32(3, repetition).binary(4, name.as_bytes()).i32(5, count(children));
        if let Some((converted, _)) = form {
            element = element.i32(6, converted);
        }
        if let Some(annotation) = annotation {
            element = element.i32(9, annotation.id);
        }
        if let Some((_, logical)) = form {
            element = element.nested(10, Struct::new().nested(logical, Struct::new()));
        }
        self.out.push(element);
    }

    fn leaf(&mut self, name: &str, kind: &Type, repetition: i32, annotation: Option<Annotation>) {
        let physical = annotated(kind, self.timestamp, annotation.as_ref());
        let mut element = Struct::new().i32(1, physical_code(physical));
        if let Physical::Fixed(bytes) | Physical::FixedBytes(bytes) = physical {
            element = element.i32(2, count(bytes));
        }
        element = element.i32(3, repetition).binary(4, name.as_bytes());
        if let Some(annotation) = annotation {
            self.out.push(annotated_leaf(element, kind, annotation));
            return;
        }
        let empty = Struct::new;
        element = match kind {
            Type::String | Type::Char(_) | Type::Varchar(_) => {
                element.i32(6, converted::UTF8).nested(10, empty().nested(1, empty()))
            }
            Type::Date => element.i32(6, converted::DATE).nested(10, empty().nested(6, empty())),
            Type::TinyInt => element.i32(6, converted::INT_8).nested(10, integer(8)),
            Type::SmallInt => element.i32(6, converted::INT_16).nested(10, integer(16)),
            Type::Decimal { precision, scale } => {
                let (precision, scale) = (i32::from(*precision), i32::from(*scale));
                let logical = empty().nested(5, empty().i32(1, scale).i32(2, precision));
                element
                    .i32(6, converted::DECIMAL)
                    .i32(7, scale)
                    .i32(8, precision)
                    .nested(10, logical)
            }
            Type::Timestamp if physical == Physical::Micros => {
                let unit = empty().nested(2, empty());
                let logical = empty().nested(8, empty().bool(1, true).nested(2, unit));
                element.i32(6, converted::TIMESTAMP_MICROS).nested(10, logical)
            }
            _ => element,
        };
        self.out.push(element);
    }
}

/// A leaf whose type and number a table's metadata gives.
fn annotated_leaf(element: Struct, kind: &Type, annotation: Annotation) -> Struct {
    let empty = Struct::new;
    let (id, micros) = (annotation.id, || empty().nested(2, empty()));
    let decimal = match (annotation.logical, kind) {
        (Logical::Decimal { precision, scale }, _) => Some((precision, scale)),
        (Logical::Own, Type::Decimal { precision, scale }) => Some((*precision, *scale)),
        _ => None,
    };
    if let Some((precision, scale)) = decimal {
        let (precision, scale) = (i32::from(precision), i32::from(scale));
        let logical = empty().nested(5, empty().i32(1, scale).i32(2, precision));
        let element = element.i32(6, converted::DECIMAL).i32(7, scale).i32(8, precision);
        return element.i32(9, id).nested(10, logical);
    }
    let (converted, logical) = match (annotation.logical, kind) {
        (Logical::Own, Type::String) => (Some(converted::UTF8), Some(empty().nested(1, empty()))),
        (Logical::Own, Type::Date) => (Some(converted::DATE), Some(empty().nested(6, empty()))),
        (Logical::Time, _) => {
            let time = empty().bool(1, false).nested(2, micros());
            (None, Some(empty().nested(7, time)))
        }
        (Logical::Timestamp { utc }, _) => {
            let converted = utc.then_some(converted::TIMESTAMP_MICROS);
            (converted, Some(empty().nested(8, empty().bool(1, utc).nested(2, micros()))))
        }
        (Logical::Uuid, _) => (None, Some(empty().nested(14, empty()))),
        (Logical::Fixed(_) | Logical::Decimal { .. } | Logical::Own, _) => (None, None),
    };
    let element = match converted {
        Some(converted) => element.i32(6, converted),
        None => element,
    };
    let element = element.i32(9, id);
    match logical {
        Some(logical) => element.nested(10, logical),
        None => element,
    }
}

/// The logical type of a signed integer.
fn integer(bits: u8) -> Struct {
    Struct::new().nested(10, Struct::new().i8(1, bits).bool(2, true))
}

/// Codes of converted types.
mod converted {
    pub(super) const UTF8: i32 = 0;
    pub(super) const MAP: i32 = 1;
    pub(super) const LIST: i32 = 3;
    pub(super) const DECIMAL: i32 = 5;
    pub(super) const DATE: i32 = 6;
    pub(super) const TIMESTAMP_MICROS: i32 = 10;
    pub(super) const INT_8: i32 = 15;
    pub(super) const INT_16: i32 = 16;
}

fn physical_code(physical: Physical) -> i32 {
    match physical {
        Physical::Boolean => 0,
        Physical::Int32 => 1,
        Physical::Int64 | Physical::Micros => 2,
        Physical::Int96 => 3,
        Physical::Float => 4,
        Physical::Double => 5,
        Physical::Bytes => 6,
        Physical::Fixed(_) | Physical::FixedBytes(_) => 7,
    }
}

fn codec_code(codec: Codec) -> i32 {
    match codec {
        Codec::None => 0,
        Codec::Snappy => 1,
        Codec::Gzip => 2,
        Codec::Deflate => unreachable!("Parquet has no codec without a header"),
    }
}

fn long(count: usize) -> i64 {
    i64::try_from(count).expect("files are below 8 EiB")
}

fn count(count: usize) -> i32 {
    i32::try_from(count).expect("pages, names and lists are below 2 GiB")
}
