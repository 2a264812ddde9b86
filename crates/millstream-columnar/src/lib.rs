//! JSON records as columns: schemas, the two JSON readers of Firehose, Parquet and ORC files.
//!
//! Pure: a schema and JSON bytes in, file bytes out; no IO, no clock. Apart from the other formats
//! because nothing else needs it. Both file formats are written here rather than by a library: the
//! `parquet` crate's Arrow writer has no INT96, which is what Firehose writes for a timestamp, and
//! no ORC library in Rust writes nested types. It also keeps Arrow out of the tree.
//!
//! A record is parsed straight into columns, guided by the schema, and a record that fails half
//! way is taken off their ends again, so that it leaves no trace in the file.

mod batch;
mod compress;
mod dictionary;
mod error;
mod json;
mod options;
mod orc;
mod parquet;
mod schema;
pub mod table;
mod varint;
mod writer;

pub use error::{ConversionError, SchemaError};
pub use options::{
    FileFormat, JsonReader, OrcCompression, OrcOptions, OrcVersion, ParquetCompression,
    ParquetOptions, ParquetTimestamp, ParquetVersion,
};
pub use schema::{Field, Schema, Type};
pub use writer::Writer;
