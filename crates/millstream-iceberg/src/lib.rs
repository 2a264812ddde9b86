//! Apache Iceberg tables, as far as delivering rows into them needs: pure.
//!
//! Owns the format's second version: schemas and partition specs, JSON records as rows, data files
//! and equality deletes, manifests and manifest lists (Avro), and the next version of a table's
//! metadata. Bytes in, bytes out; no IO, no clock. Where tables are and how a commit is made are
//! the destination's business.
//!
//! Written here, and not taken from the `iceberg` crate, for the reasons in ADR 8. Metadata is kept
//! as the JSON that it is and only added to, so that what other writers keep in it survives.
//!
//! Source: Iceberg's table specification (<https://iceberg.apache.org/spec/>).

mod avro;
mod changes;
mod error;
mod keys;
mod manifest;
mod manifest_list;
mod metadata;
mod moment;
mod murmur;
mod partition;
mod row;
mod schema;
mod transform;
mod value;

pub use changes::{Change, Contents, File, FileKind, Operation, Plan, Target, plan, write_file};
pub use error::{RowError, TableError};
pub use manifest::{DataFile, ManifestContent, manifest};
pub use manifest_list::{Manifest, manifest_list, read_manifest_list};
pub use metadata::{NewSnapshot, Snapshot, TableMetadata};
pub use partition::{PartitionField, PartitionSpec};
pub use schema::TableSchema;
