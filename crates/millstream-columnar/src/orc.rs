//! Apache ORC files.
//!
//! Source: the ORC specification, version 1, and orc_proto.proto of Apache ORC. No library in Rust
//! writes what Firehose does: nested types, decimals, compression, a row index, bloom filters.
//!
//! A column's values go straight to its streams, which are compressed in chunks as they fill; a
//! stripe ends when its streams reach the stripe's size. The row index has an entry every so many
//! rows, wherever batches begin or end.

mod bloom;
mod body;
mod footer;
mod integers;
mod node;
mod proto;
mod runs;
mod statistics;
mod stream;
mod text;

use bytes::Bytes;

use crate::batch::Batch;
use crate::compress::Codec;
use crate::error::SchemaError;
use crate::options::{OrcCompression, OrcOptions};
use crate::schema::{Schema, Type};
use node::{Node, Settings, Written};
use proto::Message;

/// The first bytes of a file, and a part of its last ones.
const MAGIC: &[u8] = b"ORC";

/// A file being written.
#[derive(Debug)]
pub(crate) struct OrcFile {
    settings: Settings,
    types: Vec<Message>,
    root: Node,
    /// Rows of the stripe, and of them those since the last entry of the row index.
    stripe_rows: usize,
    group_rows: usize,
    stripes: Vec<Stripe>,
    statistics: Vec<Message>,
    bytes: usize,
    ready: Vec<Bytes>,
}

/// What the footer says of a stripe.
#[derive(Clone, Copy, Debug)]
struct Stripe {
    start: usize,
    index: usize,
    data: usize,
    footer: usize,
    rows: usize,
}

impl OrcFile {
    /// Fails where a bloom filter is asked for on a column that is not there, or is nested.
    pub(crate) fn new(schema: &Schema, options: &OrcOptions) -> Result<Self, SchemaError> {
        for name in &options.bloom_filter_columns {
            let field = schema.fields().iter().find(|field| field.name.eq_ignore_ascii_case(name));
            let what = match field.map(|field| &field.kind) {
                None => "is not a column of the table",
                Some(Type::Array(_) | Type::Map(..) | Type::Struct(_)) => "is a nested column",
                Some(_) => continue,
            };
            let name = name.clone();
            return Err(SchemaError::Column { option: "BloomFilterColumns", name, what });
        }
        let codec = match options.compression {
            OrcCompression::None => Codec::None,
            OrcCompression::Zlib => Codec::Deflate,
            OrcCompression::Snappy => Codec::Snappy,
        };
        let settings = Settings { codec, options: options.clone() };
        Ok(Self {
            types: footer::types(schema),
            root: Node::root(schema, &settings),
            settings,
            stripe_rows: 0,
            group_rows: 0,
            stripes: Vec::new(),
            statistics: Vec::new(),
            bytes: MAGIC.len(),
            ready: vec![Bytes::from_static(MAGIC)],
        })
    }

    /// Writes the rows of a batch.
    pub(crate) fn append(&mut self, batch: &Batch) {
        self.root.rewind();
        let mut left = batch.rows;
        while left > 0 {
            let rows = left.min(self.settings.options.row_index_stride - self.group_rows);
            self.root.append_rows(&batch.columns, rows);
            self.group_rows += rows;
            self.stripe_rows += rows;
            left -= rows;
            if self.group_rows == self.settings.options.row_index_stride {
                self.end_group();
            }
        }
        if self.root.bytes() >= self.settings.options.stripe_bytes {
            self.end_stripe();
        }
    }

    fn end_group(&mut self) {
        self.root.mark(&self.settings);
        self.group_rows = 0;
    }

    fn end_stripe(&mut self) {
        if self.stripe_rows == 0 {
            return;
        }
        if self.group_rows > 0 {
            self.end_group();
        }
        let codec = self.settings.codec;
        let (mut streams, mut encodings) = (Vec::new(), Vec::new());
        self.root.take_index(codec, &mut streams);
        let indexes = streams.len();
        self.root.take_data(&self.settings, &mut streams, &mut encodings);
        let length = |streams: &[Written]| streams.iter().map(|stream| stream.bytes.len()).sum();
        let (index, data) = (length(&streams[..indexes]), length(&streams[indexes..]));
        let footer = stream::section(codec, &footer::stripe(&streams, &encodings));
        self.pad(index + data + footer.len());
        let (start, footer_bytes) = (self.bytes, footer.len());
        for piece in streams.into_iter().map(|stream| stream.bytes).chain([footer]) {
            self.bytes += piece.len();
            self.ready.push(Bytes::from(piece));
        }
        let rows = std::mem::take(&mut self.stripe_rows);
        self.stripes.push(Stripe { start, index, data, footer: footer_bytes, rows });
        let mut statistics = Vec::new();
        self.root.take_statistics(&mut statistics);
        self.statistics.push(Message::new().messages(1, statistics));
    }

    /// Fills the file system's block up where a stripe would cross its end and little is lost.
    fn pad(&mut self, stripe_bytes: usize) {
        let options = &self.settings.options;
        let room = options.block_bytes - self.bytes % options.block_bytes;
        #[expect(clippy::cast_precision_loss, reason = "a share of a size")]
        let tolerated = room as f64 <= options.stripe_bytes as f64 * options.padding_tolerance;
        if options.padding && stripe_bytes > room && tolerated {
            self.ready.push(Bytes::from(vec![0; room]));
            self.bytes += room;
        }
    }

    /// Bytes of the file that are ready, and will not change.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.ready)
    }

    /// Bytes that are held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let ready: usize = self.ready.iter().map(Bytes::len).sum();
        ready + self.root.memory_bytes()
    }

    /// The rest of the file.
    pub(crate) fn finish(mut self) -> Vec<Bytes> {
        self.end_stripe();
        let mut statistics = Vec::new();
        self.root.file_statistics(&mut statistics);
        let tail = footer::tail(&self, statistics);
        self.ready.push(tail);
        self.ready
    }
}

/// A decimal as Hive prints it: zeros at the end of its fraction left off.
fn text_of_decimal(unscaled: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    let sign = if unscaled < 0 { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_printed_as_hive_prints_them() {
        let rows = [
            (0, 2, "0"),
            (5, 2, "0.05"),
            (-150, 2, "-1.5"),
            (100, 2, "1"),
            (100, 0, "100"),
            (12_345, 5, "0.12345"),
            (-1, 1, "-0.1"),
        ];
        for (unscaled, scale, expected) in rows {
            assert_eq!(text_of_decimal(unscaled, scale), expected);
        }
    }
}
