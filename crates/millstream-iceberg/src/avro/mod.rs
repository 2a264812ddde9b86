//! Avro's object container files, as far as manifests and their lists need.
//!
//! Writing is by hand, record by record, since the schemas are known; reading goes by the schema
//! that the file itself has, since others wrote it. Source: Apache Avro's specification, 1.11.

mod read;
mod write;

pub(crate) use read::{Datum, read};
pub(crate) use write::{Encoder, container};

/// First bytes of a file.
const MAGIC: &[u8] = b"Obj\x01";
/// Bytes of the marker behind each block.
const MARKER_BYTES: usize = 16;
