//! How JSON is read and how files are written: the SerDe options of Firehose, with its defaults.
//!
//! Sources: the API reference of OpenXJsonSerDe, HiveJsonSerDe, ParquetSerDe and OrcSerDe. Ranges
//! are checked where the configuration is read; what is used here is used as it stands.

use std::collections::BTreeMap;

/// How a record's JSON becomes columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonReader {
    /// The OpenX JSON SerDe: lenient about types.
    OpenX {
        /// Keys are lowered before they are compared with columns, at any depth.
        case_insensitive: bool,
        /// A key with dots also stands for the column with underscores in their place.
        dots_to_underscores: bool,
        /// From a column's name to the key that holds its value.
        mappings: BTreeMap<String, String>,
    },
    /// The Hive (HCatalog) JSON SerDe: strict about types.
    Hive {
        /// Joda patterns, or `millis`; tried in order, and after them `yyyy-M-d H:m:s[.f]`.
        timestamp_formats: Vec<String>,
    },
}

impl Default for JsonReader {
    fn default() -> Self {
        Self::OpenX {
            case_insensitive: true,
            dots_to_underscores: false,
            mappings: BTreeMap::new(),
        }
    }
}

/// What is written.
#[derive(Clone, Debug, PartialEq)]
pub enum FileFormat {
    /// Apache Parquet.
    Parquet(ParquetOptions),
    /// Apache ORC.
    Orc(OrcOptions),
}

impl FileFormat {
    /// What an object's name ends with, with its dot.
    pub fn extension(&self) -> &'static str {
        match self {
            Self::Parquet(_) => ".parquet",
            Self::Orc(_) => ".orc",
        }
    }
}

/// Options of ParquetSerDe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParquetOptions {
    /// How pages are compressed.
    pub compression: ParquetCompression,
    /// About how many bytes a page holds before compression.
    pub page_bytes: usize,
    /// About how many bytes a row group holds, as it is written.
    pub block_bytes: usize,
    /// Whether values that repeat are written once, where that saves space.
    pub dictionary: bool,
    /// Which pages are written.
    pub version: ParquetVersion,
    /// How a timestamp is written.
    pub timestamp: ParquetTimestamp,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        Self {
            compression: ParquetCompression::Snappy,
            page_bytes: 1 << 20,
            block_bytes: 256 << 20,
            dictionary: false,
            version: ParquetVersion::V1,
            timestamp: ParquetTimestamp::Int96,
        }
    }
}

/// How Parquet's pages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParquetCompression {
    /// Not at all.
    Uncompressed,
    /// Gzip, level 6 as parquet-mr.
    Gzip,
    /// Snappy's block format.
    Snappy,
}

/// Which pages Parquet has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParquetVersion {
    /// Data pages of the first version.
    V1,
    /// Data pages of the second version: levels outside of the compression, delta encodings.
    V2,
}

/// How Parquet holds a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParquetTimestamp {
    /// Julian day and nanoseconds, as Hive and Firehose write them. Readers that hold
    /// nanoseconds in 64 bits see years outside of 1677 to 2262 wrapped.
    Int96,
    /// Microseconds since the epoch: beyond Firehose, for readers without INT96.
    Micros,
}

/// Options of OrcSerDe.
#[derive(Clone, Debug, PartialEq)]
pub struct OrcOptions {
    /// How chunks of streams are compressed.
    pub compression: OrcCompression,
    /// About how many bytes a stripe holds, as it is written.
    pub stripe_bytes: usize,
    /// Blocks of the file system that stripes are padded to; matters only with `padding`.
    pub block_bytes: usize,
    /// Whether stripes are padded so that they do not cross blocks.
    pub padding: bool,
    /// The share of a stripe that may be spent on padding.
    pub padding_tolerance: f64,
    /// Rows between entries of the row index.
    pub row_index_stride: usize,
    /// Columns that get a bloom filter, by name.
    pub bloom_filter_columns: Vec<String>,
    /// The share of lookups that a bloom filter may answer wrongly with yes.
    pub bloom_filter_false_positives: f64,
    /// Strings are written once each where distinct ones are at most this share of all.
    pub dictionary_key_threshold: f64,
    /// Which integers are written.
    pub version: OrcVersion,
}

impl Default for OrcOptions {
    fn default() -> Self {
        Self {
            compression: OrcCompression::Snappy,
            stripe_bytes: 64 << 20,
            block_bytes: 256 << 20,
            padding: false,
            padding_tolerance: 0.05,
            row_index_stride: 10_000,
            bloom_filter_columns: Vec::new(),
            bloom_filter_false_positives: 0.05,
            dictionary_key_threshold: 0.0,
            version: OrcVersion::V0_12,
        }
    }
}

/// How ORC's chunks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrcCompression {
    /// Not at all.
    None,
    /// Deflate without a header.
    Zlib,
    /// Snappy's block format.
    Snappy,
}

/// Which encodings ORC uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrcVersion {
    /// Hive 0.11: the first run length encoding.
    V0_11,
    /// Hive 0.12: the second.
    V0_12,
}
