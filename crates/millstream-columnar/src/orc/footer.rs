//! The metadata of stripes and of the file.

use bytes::Bytes;

use super::body::Encoding;
use super::node::Written;
use super::proto::Message;
use super::stream::{CHUNK_BYTES, section};
use super::{MAGIC, OrcFile};
use crate::compress::Codec;
use crate::options::OrcVersion;
use crate::schema::{Schema, Type};

/// Which of ORC's writers' faults readers need not expect: statistics of timestamps are in UTC
/// (ORC-135), bloom filters are of UTF-8.
const WRITER_VERSION: u64 = 6;

/// All types, in depth first order, the root first.
pub(super) fn types(schema: &Schema) -> Vec<Message> {
    let mut types = Vec::new();
    let root = Type::Struct(schema.fields().to_vec());
    add(&root, &mut types);
    types
}

/// Adds a type and those below it, and returns its number.
fn add(kind: &Type, types: &mut Vec<Message>) -> u64 {
    let id = types.len();
    types.push(Message::new());
    let kind_of = |code| Message::new().uint(1, code);
    types[id] = match kind {
        Type::Boolean => kind_of(0),
        Type::TinyInt => kind_of(1),
        Type::SmallInt => kind_of(2),
        Type::Int => kind_of(3),
        Type::BigInt => kind_of(4),
        Type::Float => kind_of(5),
        Type::Double => kind_of(6),
        Type::String => kind_of(7),
        Type::Binary => kind_of(8),
        Type::Timestamp => kind_of(9),
        Type::Date => kind_of(15),
        Type::Varchar(length) => kind_of(16).uint(4, (*length).into()),
        Type::Char(length) => kind_of(17).uint(4, (*length).into()),
        Type::Decimal { precision, scale } => {
            kind_of(14).uint(5, (*precision).into()).uint(6, (*scale).into())
        }
        Type::Array(element) => kind_of(10).packed(2, [add(element, types)]),
        Type::Map(key, value) => {
            let key = add(key, types);
            kind_of(11).packed(2, [key, add(value, types)])
        }
        Type::Struct(fields) => {
            let below: Vec<u64> = fields.iter().map(|field| add(&field.kind, types)).collect();
            let names = fields.iter().map(|field| field.name.as_bytes());
            names.fold(kind_of(12).packed(2, below), |message, name| message.bytes(3, name))
        }
    };
    id as u64
}

/// The footer of a stripe.
pub(super) fn stripe(streams: &[Written], encodings: &[Encoding]) -> Vec<u8> {
    let has_bloom = |column| {
        streams
            .iter()
            .any(|stream| stream.column == column && stream.kind == super::body::BLOOM_FILTER_UTF8)
    };
    let streams_written = streams.iter().map(|stream| {
        Message::new().uint(1, stream.kind).count(2, stream.column).count(3, stream.bytes.len())
    });
    let columns = encodings.iter().enumerate().map(|(column, encoding)| {
        let message = Message::new().uint(1, encoding.kind);
        let message = match encoding.dictionary_size {
            Some(size) => message.count(2, size),
            None => message,
        };
        // Filters of timestamps are in UTC.
        if has_bloom(column) { message.uint(3, 1) } else { message }
    });
    Message::new().messages(1, streams_written).messages(2, columns).bytes(3, b"UTC").finish()
}

/// What stands behind the last stripe: statistics of stripes, the footer and the postscript.
pub(super) fn tail(file: &OrcFile, statistics: Vec<Message>) -> Bytes {
    let codec = file.settings.codec;
    let metadata = section(codec, &Message::new().messages(1, file.statistics.clone()).finish());
    let rows = file.stripes.iter().map(|stripe| stripe.rows).sum();
    let stripes = file.stripes.iter().map(|stripe| {
        Message::new()
            .count(1, stripe.start)
            .count(2, stripe.index)
            .count(3, stripe.data)
            .count(4, stripe.footer)
            .count(5, stripe.rows)
    });
    let software = concat!("millstream ", env!("CARGO_PKG_VERSION"));
    let footer = Message::new()
        .count(1, MAGIC.len())
        .count(2, file.bytes)
        .messages(3, stripes)
        .messages(4, file.types.clone())
        .count(6, rows)
        .messages(7, statistics)
        .count(8, file.settings.options.row_index_stride)
        .bytes(12, software.as_bytes());
    let footer = section(codec, &footer.finish());
    let version = match file.settings.options.version {
        OrcVersion::V0_11 => [0, 11],
        OrcVersion::V0_12 => [0, 12],
    };
    let kind = match codec {
        Codec::None => 0,
        Codec::Deflate => 1,
        Codec::Snappy => 2,
        Codec::Gzip => unreachable!("ORC has no codec with gzip's header"),
    };
    let postscript = Message::new()
        .count(1, footer.len())
        .uint(2, kind)
        .count(3, CHUNK_BYTES)
        .packed(4, version)
        .count(5, metadata.len())
        .uint(6, WRITER_VERSION)
        .bytes(8_000, MAGIC)
        .finish();
    let length = u8::try_from(postscript.len()).expect("a postscript is a few dozen bytes");
    Bytes::from([metadata, footer, postscript, vec![length]].concat())
}
