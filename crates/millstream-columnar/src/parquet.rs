//! Apache Parquet files.
//!
//! Laid out as parquet-mr and Hive lay them out, as far as readers can see: every column optional,
//! lists and maps of three levels, decimals as fixed-length bytes, timestamps as INT96, with page
//! checksums and page indexes. Source: parquet.thrift, LogicalTypes.md, Encodings.md and PageIndex.md
//! of Apache Parquet.
//!
//! Pages are encoded and compressed as they fill, so what is held for a row group is its pages, not
//! its values; a row group ends when its pages reach the block's size.

mod annotation;
mod bounds;
mod chunk;
mod delta;
mod footer;
mod leaf;
mod levels;
mod plain;
mod rle;
mod thrift;

use bytes::Bytes;

use crate::batch::Batch;
use crate::compress::Codec;
use crate::options::{ParquetCompression, ParquetOptions};
use crate::schema::Schema;
pub(crate) use annotation::{Annotation, Logical};
pub(crate) use bounds::Bounds;
use chunk::{Chunk, ChunkMeta};
use leaf::Leaf;

/// First and last bytes of a file.
const MAGIC: &[u8] = b"PAR1";

/// A file being written.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    options: ParquetOptions,
    schema: Schema,
    /// One a node of the schema, depth first, for tables that have metadata; else none.
    annotations: Vec<Annotation>,
    leaves: Vec<Leaf>,
    /// One a leaf: the row group being written.
    chunks: Vec<Chunk>,
    rows: usize,
    groups: Vec<RowGroup>,
    /// Bytes of the file so far, and of them those that were not taken yet.
    bytes: usize,
    ready: Vec<Bytes>,
}

/// What the footer says of a row group that was written.
#[derive(Debug)]
struct RowGroup {
    rows: usize,
    /// Where it starts in the file.
    start: usize,
    chunks: Vec<ChunkMeta>,
}

impl ParquetFile {
    pub(crate) fn new(schema: &Schema, options: &ParquetOptions) -> Self {
        Self::annotated(schema, Vec::new(), options)
    }

    /// A file whose schema says which field of a table each node is.
    pub(crate) fn annotated(
        schema: &Schema,
        annotations: Vec<Annotation>,
        options: &ParquetOptions,
    ) -> Self {
        let leaves = leaf::leaves(schema, options.timestamp, &annotations);
        let chunks = leaves.iter().map(|leaf| Chunk::new(leaf, options)).collect();
        Self {
            options: options.clone(),
            schema: schema.clone(),
            annotations,
            leaves,
            chunks,
            rows: 0,
            groups: Vec::new(),
            bytes: MAGIC.len(),
            ready: vec![Bytes::from_static(MAGIC)],
        }
    }

    /// Writes the rows of a batch.
    pub(crate) fn append(&mut self, batch: &Batch) {
        let mut chunks = self.chunks.iter_mut();
        for column in &batch.columns {
            levels::shred(column, &mut chunks);
        }
        self.rows += batch.rows;
        if self.chunks.iter().map(Chunk::bytes).sum::<usize>() >= self.options.block_bytes {
            self.end_group();
        }
    }

    fn end_group(&mut self) {
        if self.rows == 0 {
            return;
        }
        let start = self.bytes;
        let mut chunks = Vec::with_capacity(self.chunks.len());
        for chunk in &mut self.chunks {
            let (meta, pages) = chunk.finish(self.bytes);
            self.bytes += pages.iter().map(Bytes::len).sum::<usize>();
            self.ready.extend(pages);
            chunks.push(meta);
        }
        self.groups.push(RowGroup { rows: self.rows, start, chunks });
        self.rows = 0;
    }

    /// Bytes of the file that are ready, and will not change.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.ready)
    }

    /// Bytes that are held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let ready: usize = self.ready.iter().map(Bytes::len).sum();
        ready + self.chunks.iter().map(Chunk::memory_bytes).sum::<usize>()
    }

    /// The rest of the file.
    pub(crate) fn finish(mut self) -> Vec<Bytes> {
        self.end_group();
        let codec = codec(self.options.compression);
        let schema = (&self.schema, self.annotations.as_slice());
        let footer = footer::footer(schema, &self.leaves, &self.groups, codec, self.bytes);
        self.ready.push(footer);
        self.ready
    }

    /// What is in each leaf, once all rows are in row groups, and where these begin.
    pub(crate) fn summary(&mut self) -> (Vec<LeafSummary>, Vec<u64>) {
        self.end_group();
        let mut leaves: Vec<LeafSummary> = self.leaves.iter().map(LeafSummary::new).collect();
        for group in &self.groups {
            for (leaf, chunk) in leaves.iter_mut().zip(&group.chunks) {
                leaf.bytes += chunk.compressed as u64;
                leaf.entries += chunk.entries as u64;
                leaf.nulls += chunk.nulls as u64;
                leaf.bounds.merge(&chunk.bounds);
            }
        }
        (leaves, self.groups.iter().map(|group| group.start as u64).collect())
    }
}

/// What is in one leaf of a file.
#[derive(Debug)]
pub(crate) struct LeafSummary {
    pub(crate) id: i32,
    /// Whether an ancestor repeats, so that entries are not rows.
    pub(crate) repeats: bool,
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    pub(crate) nulls: u64,
    pub(crate) bounds: Bounds,
}

impl LeafSummary {
    fn new(leaf: &Leaf) -> Self {
        let (id, repeats) = (leaf.id, leaf.repetition_max > 0);
        Self { id, repeats, bytes: 0, entries: 0, nulls: 0, bounds: leaf.bounds.empty() }
    }
}

fn codec(compression: ParquetCompression) -> Codec {
    match compression {
        ParquetCompression::Uncompressed => Codec::None,
        ParquetCompression::Gzip => Codec::Gzip,
        ParquetCompression::Snappy => Codec::Snappy,
    }
}
