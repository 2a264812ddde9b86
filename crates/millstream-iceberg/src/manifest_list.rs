//! Manifest lists: all manifests of a snapshot.
//!
//! A commit copies the list of the snapshot before it and adds its own manifests.

use serde_json::{Value, json};

use crate::avro::{self, Datum, Encoder, container};
use crate::error::TableError;
use crate::manifest::{ManifestContent, maybe};

/// A manifest in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its full location.
    pub location: String,
    /// Its size.
    pub bytes: u64,
    /// How its files are parted.
    pub spec_id: i32,
    /// What its files hold.
    pub content: ManifestContent,
    /// Of the commit that added it.
    pub sequence_number: i64,
    /// The lowest of its files.
    pub sequence_number_min: i64,
    /// The snapshot that added it.
    pub snapshot_id: i64,
    /// Files that it added.
    pub files_added: u64,
    /// Files that it took over.
    pub files_existing: u64,
    /// Files that it took away.
    pub files_deleted: u64,
    /// Rows of what it added.
    pub rows_added: u64,
    /// Rows of what it took over.
    pub rows_existing: u64,
    /// Rows of what it took away.
    pub rows_deleted: u64,
    /// What partitions its files have, by the spec's fields.
    pub partitions: Vec<PartitionSummary>,
    /// For those who encrypt.
    pub key_metadata: Option<Vec<u8>>,
}

/// The values that files have in one of a partition's fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionSummary {
    pub(crate) contains_null: bool,
    pub(crate) contains_nan: Option<bool>,
    pub(crate) lower: Option<Vec<u8>>,
    pub(crate) upper: Option<Vec<u8>>,
}

/// A list's bytes.
pub fn manifest_list(
    manifests: &[Manifest],
    (snapshot_id, parent_id): (i64, Option<i64>),
    sequence_number: i64,
) -> Vec<u8> {
    let mut encoder = Encoder::default();
    for manifest in manifests {
        encode(&mut encoder, manifest);
    }
    let metadata = [
        ("snapshot-id", snapshot_id.to_string()),
        ("parent-snapshot-id", parent_id.map_or_else(|| "null".to_owned(), |id| id.to_string())),
        ("sequence-number", sequence_number.to_string()),
        ("format-version", "2".to_owned()),
    ];
    container(&schema().to_string(), &metadata, manifests.len(), &encoder.out)
}

fn encode(encoder: &mut Encoder, manifest: &Manifest) {
    encoder.bytes(manifest.location.as_bytes()).unsigned(manifest.bytes);
    encoder.long(manifest.spec_id.into());
    encoder.long(match manifest.content {
        ManifestContent::Data => 0,
        ManifestContent::Deletes => 1,
    });
    encoder.long(manifest.sequence_number).long(manifest.sequence_number_min);
    encoder.long(manifest.snapshot_id);
    let counts = [
        manifest.files_added,
        manifest.files_existing,
        manifest.files_deleted,
        manifest.rows_added,
        manifest.rows_existing,
        manifest.rows_deleted,
    ];
    for count in counts {
        encoder.unsigned(count);
    }
    encoder.maybe(Some(&manifest.partitions), |encoder, partitions| {
        encoder.array(partitions.iter(), |encoder, summary| {
            encoder.boolean(summary.contains_null);
            encoder.maybe(summary.contains_nan, |encoder, contains| {
                encoder.boolean(contains);
            });
            for bound in [&summary.lower, &summary.upper] {
                encoder.maybe(bound.as_ref(), |encoder, bound| {
                    encoder.bytes(bound);
                });
            }
        });
    });
    encoder.maybe(manifest.key_metadata.as_ref(), |encoder, bytes| {
        encoder.bytes(bytes);
    });
}

fn schema() -> Value {
    let field =
        |name: &str, id: i32, kind: &str| json!({"name": name, "field-id": id, "type": kind});
    let summary = json!({"type": "record", "name": "r508", "fields": [
        field("contains_null", 509, "boolean"),
        maybe("contains_nan", 518, &json!("boolean")),
        maybe("lower_bound", 510, &json!("bytes")),
        maybe("upper_bound", 511, &json!("bytes")),
    ]});
    json!({"type": "record", "name": "manifest_file", "fields": [
        field("manifest_path", 500, "string"),
        field("manifest_length", 501, "long"),
        field("partition_spec_id", 502, "int"),
        field("content", 517, "int"),
        field("sequence_number", 515, "long"),
        field("min_sequence_number", 516, "long"),
        field("added_snapshot_id", 503, "long"),
        field("added_files_count", 504, "int"),
        field("existing_files_count", 505, "int"),
        field("deleted_files_count", 506, "int"),
        field("added_rows_count", 512, "long"),
        field("existing_rows_count", 513, "long"),
        field("deleted_rows_count", 514, "long"),
        maybe("partitions", 507, &json!({"type": "array", "element-id": 508, "items": summary})),
        maybe("key_metadata", 519, &json!("bytes")),
    ]})
}

/// The manifests of a list that anybody wrote.
pub fn read_manifest_list(file: &[u8]) -> Result<Vec<Manifest>, TableError> {
    avro::read(file)?.iter().map(decode).collect()
}

fn decode(record: &Datum) -> Result<Manifest, TableError> {
    let lacks = |name: &str| TableError::malformed(format!("a manifest list without {name}"));
    let number = |name: &str| record.field(name).long();
    let needed = |name: &str| number(name).ok_or_else(|| lacks(name));
    // Counts go by two names. The first version's lists may lack them, which is not to say that
    // there are none: a reader would pass over a manifest whose counts are zero.
    let count = |names: [&str; 2]| {
        let found = names.iter().find_map(|name| number(name));
        let found = found.and_then(|count| u64::try_from(count).ok());
        found.ok_or_else(|| TableError::unsupported("manifest lists without counts"))
    };
    let location = record.field("manifest_path").bytes().ok_or_else(|| lacks("manifest_path"))?;
    let content = match number("content").unwrap_or(0) {
        0 => ManifestContent::Data,
        1 => ManifestContent::Deletes,
        other => return Err(TableError::unsupported(format!("manifests of content {other}"))),
    };
    let summary = |record: &Datum| PartitionSummary {
        contains_null: record.field("contains_null").boolean().unwrap_or(true),
        contains_nan: record.field("contains_nan").boolean(),
        lower: record.field("lower_bound").bytes().map(<[u8]>::to_vec),
        upper: record.field("upper_bound").bytes().map(<[u8]>::to_vec),
    };
    let partitions = record.field("partitions").array().unwrap_or_default();
    let small =
        |name: &str| needed(name).and_then(|value| i32::try_from(value).map_err(|_| lacks(name)));
    Ok(Manifest {
        location: String::from_utf8_lossy(location).into_owned(),
        bytes: u64::try_from(needed("manifest_length")?).unwrap_or(0),
        spec_id: small("partition_spec_id")?,
        content,
        sequence_number: number("sequence_number").unwrap_or(0),
        sequence_number_min: number("min_sequence_number").unwrap_or(0),
        snapshot_id: needed("added_snapshot_id")?,
        files_added: count(["added_files_count", "added_data_files_count"])?,
        files_existing: count(["existing_files_count", "existing_data_files_count"])?,
        files_deleted: count(["deleted_files_count", "deleted_data_files_count"])?,
        rows_added: count(["added_rows_count"; 2])?,
        rows_existing: count(["existing_rows_count"; 2])?,
        rows_deleted: count(["deleted_rows_count"; 2])?,
        partitions: partitions.iter().map(summary).collect(),
        key_metadata: record.field("key_metadata").bytes().map(<[u8]>::to_vec),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let manifest = |content, lower| Manifest {
            location: "s3://b/m.avro".to_owned(),
            bytes: 7_001,
            spec_id: 2,
            content,
            sequence_number: 5,
            sequence_number_min: 4,
            snapshot_id: i64::MAX,
            files_added: 1,
            files_existing: 2,
            files_deleted: 3,
            rows_added: 4,
            rows_existing: 5,
            rows_deleted: 6,
            partitions: vec![PartitionSummary {
                contains_null: true,
                contains_nan: None,
                lower,
                upper: Some(vec![9]),
            }],
            key_metadata: None,
        };
        let all = [
            manifest(ManifestContent::Data, None),
            manifest(ManifestContent::Deletes, Some(vec![1, 2])),
        ];
        let bytes = manifest_list(&all, (8, Some(7)), 6);
        assert_eq!(read_manifest_list(&bytes).unwrap(), all);
        assert_eq!(read_manifest_list(&manifest_list(&[], (8, None), 1)).unwrap(), []);
        assert!(read_manifest_list(b"Obj\x01").is_err());
    }
}
