//! Manifests: the files that one commit adds, with what is in them.

use std::fmt::Write as _;

use millstream_columnar::table::{Cell, ColumnSummary, Type};
use serde_json::{Value, json};

use crate::avro::{Encoder, container};
use crate::manifest_list::{Manifest, PartitionSummary};
use crate::partition::PartitionSpec;
use crate::schema::TableSchema;
use crate::value;

/// A file's entry says that it is new.
const ADDED: i64 = 1;
/// What a file's own entry says of its content.
const DATA: i64 = 0;
const EQUALITY_DELETES: i64 = 2;

/// What the files of a manifest hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestContent {
    /// Rows.
    Data,
    /// Keys of rows that are gone.
    Deletes,
}

/// A file of a table, as it lies in its bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct DataFile {
    /// Its full location.
    pub location: String,
    /// Its size.
    pub bytes: u64,
    /// Rows in it.
    pub rows: u64,
    /// Its partition, in the order of the spec's fields.
    pub partition: Vec<Cell>,
    /// What is in it.
    pub columns: Vec<ColumnSummary>,
    /// Where its row groups begin.
    pub row_groups: Vec<u64>,
    /// The columns that tell which rows are gone, by number, where it is a file of deletes.
    pub equality_ids: Option<Vec<i32>>,
}

/// The manifest of some files, all of one kind and one spec: its bytes, and what a list says of it
/// once its location is known.
pub fn manifest(
    files: &[DataFile],
    content: ManifestContent,
    (schema, spec): (&TableSchema, &PartitionSpec),
    (snapshot_id, sequence_number): (i64, i64),
) -> (Vec<u8>, Manifest) {
    let mut encoder = Encoder::default();
    for file in files {
        encoder.long(ADDED);
        encoder.maybe(Some(snapshot_id), |encoder, id| {
            encoder.long(id);
        });
        // The numbers of what is added are those of its commit, which readers know (inherited).
        encoder.long(0).long(0);
        data_file(&mut encoder, file, spec);
    }
    let word = match content {
        ManifestContent::Data => "data",
        ManifestContent::Deletes => "deletes",
    };
    let fields = spec.document().get("fields").cloned().unwrap_or_else(|| json!([]));
    let metadata = [
        ("schema", schema.document().to_string()),
        ("schema-id", schema.id().to_string()),
        ("partition-spec", fields.to_string()),
        ("partition-spec-id", spec.id().to_string()),
        ("format-version", "2".to_owned()),
        ("content", word.to_owned()),
    ];
    let bytes = container(&entry_schema(spec).to_string(), &metadata, files.len(), &encoder.out);
    let listed = Manifest {
        location: String::new(),
        bytes: bytes.len() as u64,
        spec_id: spec.id(),
        content,
        sequence_number,
        sequence_number_min: sequence_number,
        snapshot_id,
        files_added: files.len() as u64,
        files_existing: 0,
        files_deleted: 0,
        rows_added: files.iter().map(|file| file.rows).sum(),
        rows_existing: 0,
        rows_deleted: 0,
        partitions: summaries(files, spec),
        key_metadata: None,
    };
    (bytes, listed)
}

fn summaries(files: &[DataFile], spec: &PartitionSpec) -> Vec<PartitionSummary> {
    let of_field = |place: usize| {
        let mut summary = PartitionSummary::default();
        let mut bounds: Option<(&Cell, &Cell)> = None;
        summary.contains_nan = Some(false);
        for cell in files.iter().map(|file| &file.partition[place]) {
            if *cell == Cell::Null {
                summary.contains_null = true;
            } else if value::is_nan(cell) {
                summary.contains_nan = Some(true);
            } else {
                let (low, high) = bounds.unwrap_or((cell, cell));
                let below = value::compare(cell, low).is_some_and(std::cmp::Ordering::is_lt);
                let above = value::compare(cell, high).is_some_and(std::cmp::Ordering::is_gt);
                bounds = Some((if below { cell } else { low }, if above { cell } else { high }));
            }
        }
        summary.lower = bounds.and_then(|(low, _)| value::bytes(low));
        summary.upper = bounds.and_then(|(_, high)| value::bytes(high));
        summary
    };
    (0..spec.fields.len()).map(of_field).collect()
}

fn data_file(encoder: &mut Encoder, file: &DataFile, spec: &PartitionSpec) {
    let is_delete = file.equality_ids.is_some();
    encoder.long(if is_delete { EQUALITY_DELETES } else { DATA });
    encoder.bytes(file.location.as_bytes()).bytes(b"PARQUET");
    for (field, cell) in spec.fields.iter().zip(&file.partition) {
        let cell = (*cell != Cell::Null).then_some(cell);
        encoder.maybe(cell, |encoder, cell| partition_value(encoder, cell, &field.result));
    }
    encoder.unsigned(file.rows).unsigned(file.bytes);
    let counted = |pick: fn(&ColumnSummary) -> Option<u64>| {
        file.columns
            .iter()
            .filter_map(|column| Some((column.id, pick(column)?)))
            .collect::<Vec<_>>()
    };
    let maps = [
        counted(|column| Some(column.bytes)),
        counted(|column| column.counts.map(|counts| counts.values)),
        counted(|column| column.counts.map(|counts| counts.nulls)),
    ];
    for map in maps {
        encoder.maybe(Some(map), |encoder, map| {
            encoder.array(map.into_iter(), |encoder, (id, count)| {
                encoder.long(id.into()).unsigned(count);
            });
        });
    }
    // Numbers that are none are not counted.
    encoder.long(0);
    let bounds: Vec<_> = file
        .columns
        .iter()
        .filter_map(|column| column.bounds.as_ref().map(|bounds| (column.id, bounds)))
        .collect();
    let lower = bounds.iter().map(|(id, (low, _))| (*id, low)).collect::<Vec<_>>();
    let upper = bounds.iter().map(|(id, (_, high))| (*id, high)).collect::<Vec<_>>();
    for map in [lower, upper] {
        encoder.maybe(Some(map), |encoder, map| {
            encoder.array(map.into_iter(), |encoder, (id, bytes)| {
                encoder.long(id.into()).bytes(bytes);
            });
        });
    }
    encoder.long(0);
    encoder.maybe(Some(&file.row_groups), |encoder, groups| {
        encoder.array(groups.iter(), |encoder, start| {
            encoder.unsigned(*start);
        });
    });
    encoder.maybe(file.equality_ids.as_ref(), |encoder, ids| {
        encoder.array(ids.iter(), |encoder, id| {
            encoder.long((*id).into());
        });
    });
    // In no order; deletes have none at all.
    encoder.maybe((!is_delete).then_some(0), |encoder, order| {
        encoder.long(order);
    });
}

fn partition_value(encoder: &mut Encoder, cell: &Cell, kind: &Type) {
    match (cell, kind) {
        (Cell::Boolean(value), _) => encoder.boolean(*value),
        (Cell::Int(value), _) => encoder.long(i64::from(*value)),
        (Cell::Long(value), _) => encoder.long(*value),
        (Cell::Float(value), _) => encoder.raw(&value.to_le_bytes()),
        (Cell::Double(value), _) => encoder.raw(&value.to_le_bytes()),
        (Cell::Decimal(value), Type::Decimal { precision, .. }) => {
            encoder.raw(&value.to_be_bytes()[16 - fixed_bytes(*precision)..])
        }
        (Cell::Bytes(value), Type::Uuid | Type::Fixed(_)) => encoder.raw(value),
        (Cell::Bytes(value), _) => encoder.bytes(value),
        (cell, kind) => unreachable!("{cell:?} is no partition of type {kind:?}"),
    };
}

/// The fewest bytes that hold every number of so many digits, with its sign.
fn fixed_bytes(precision: u8) -> usize {
    let largest = 10_u128.pow(precision.into()) - 1;
    ((u128::BITS - largest.leading_zeros() + 1).div_ceil(8)) as usize
}

/// A name as Avro allows it, made as other writers make it.
fn avro_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (index, character) in name.chars().enumerate() {
        match character {
            'a'..='z' | 'A'..='Z' | '_' => out.push(character),
            '0'..='9' => {
                if index == 0 {
                    out.push('_');
                }
                out.push(character);
            }
            other => {
                let _ = write!(out, "_x{:X}", u32::from(other));
            }
        }
    }
    out
}

fn partition_type(kind: &Type, field_id: i32) -> Value {
    match kind {
        Type::Boolean => json!("boolean"),
        Type::Int => json!("int"),
        Type::Long => json!("long"),
        Type::Float => json!("float"),
        Type::Double => json!("double"),
        Type::Date => json!({"type": "int", "logicalType": "date"}),
        Type::Time => json!({"type": "long", "logicalType": "time-micros"}),
        Type::Timestamp { utc } => {
            json!({"type": "long", "logicalType": "timestamp-micros", "adjust-to-utc": utc})
        }
        Type::String => json!("string"),
        Type::Decimal { precision, scale } => json!({"type": "fixed",
            "size": fixed_bytes(*precision), "name": format!("decimal_{field_id}"),
            "logicalType": "decimal", "precision": precision, "scale": scale}),
        Type::Uuid => json!({"type": "fixed", "size": 16, "name": format!("uuid_{field_id}"),
            "logicalType": "uuid"}),
        Type::Fixed(bytes) => {
            json!({"type": "fixed", "size": bytes, "name": format!("fixed_{field_id}")})
        }
        Type::Binary | Type::List(..) | Type::Map(..) | Type::Struct(_) => json!("bytes"),
    }
}

/// A field of a record that may be null.
pub(crate) fn maybe(name: &str, id: i32, kind: &Value) -> Value {
    json!({"name": name, "field-id": id, "type": ["null", kind], "default": null})
}

/// A map from columns' numbers, which Avro has as an array of pairs.
fn map(name: &str, id: i32, (key_id, value_id): (i32, i32), value: &str) -> Value {
    let record = format!("k{key_id}_v{value_id}");
    maybe(
        name,
        id,
        &json!({"type": "array", "logicalType": "map", "items": {"type": "record", "name": record,
            "fields": [{"name": "key", "type": "int", "field-id": key_id},
                {"name": "value", "type": value, "field-id": value_id}]}}),
    )
}

fn entry_schema(spec: &PartitionSpec) -> Value {
    let field =
        |name: &str, id: i32, kind: Value| json!({"name": name, "field-id": id, "type": kind});
    let partition: Vec<Value> = spec
        .fields
        .iter()
        .map(|field| {
            maybe(&avro_name(&field.name), field.id, &partition_type(&field.result, field.id))
        })
        .collect();
    let list = |element_id: i32, kind: &str| json!({"type": "array", "items": kind, "element-id": element_id});
    let data_file = json!({"type": "record", "name": "r2", "fields": [
        field("content", 134, json!("int")),
        field("file_path", 100, json!("string")),
        field("file_format", 101, json!("string")),
        field("partition", 102, json!({"type": "record", "name": "r102", "fields": partition})),
        field("record_count", 103, json!("long")),
        field("file_size_in_bytes", 104, json!("long")),
        map("column_sizes", 108, (117, 118), "long"),
        map("value_counts", 109, (119, 120), "long"),
        map("null_value_counts", 110, (121, 122), "long"),
        map("nan_value_counts", 137, (138, 139), "long"),
        map("lower_bounds", 125, (126, 127), "bytes"),
        map("upper_bounds", 128, (129, 130), "bytes"),
        maybe("key_metadata", 131, &json!("bytes")),
        maybe("split_offsets", 132, &list(133, "long")),
        maybe("equality_ids", 135, &list(136, "int")),
        maybe("sort_order_id", 140, &json!("int")),
    ]});
    json!({"type": "record", "name": "manifest_entry", "fields": [
        field("status", 0, json!("int")),
        maybe("snapshot_id", 1, &json!("long")),
        maybe("sequence_number", 3, &json!("long")),
        maybe("file_sequence_number", 4, &json!("long")),
        field("data_file", 2, data_file),
    ]})
}

#[cfg(test)]
mod tests {
    use millstream_columnar::table::Counts;

    use super::*;
    use crate::avro;

    #[test]
    fn a_manifest_says_what_is_in_each_file() {
        let document = json!({"schema-id": 1, "fields": [
            {"id": 1, "name": "id", "type": "long"},
            {"id": 2, "name": "amount of", "type": "decimal(9,2)"}]});
        let schema = TableSchema::parse(&document).unwrap();
        let spec = json!({"spec-id": 7, "fields": [
            {"source-id": 2, "field-id": 1000, "name": "amount of", "transform": "identity"}]});
        let spec = PartitionSpec::parse(&spec, &schema).unwrap();
        let columns = vec![ColumnSummary {
            id: 1,
            bytes: 30,
            counts: Some(Counts { values: 5, nulls: 2 }),
            bounds: Some((vec![1], vec![9])),
        }];
        let file = |partition: Cell, equality_ids| DataFile {
            location: "s3://b/f.parquet".to_owned(),
            bytes: 99,
            rows: 5,
            partition: vec![partition],
            columns: columns.clone(),
            row_groups: vec![4],
            equality_ids,
        };
        let files = [file(Cell::Decimal(-5), Some(vec![1])), file(Cell::Null, Some(vec![1]))];
        let (bytes, listed) = manifest(&files, ManifestContent::Deletes, (&schema, &spec), (11, 3));
        assert_eq!((listed.files_added, listed.rows_added, listed.spec_id), (2, 10, 7));
        let summary = &listed.partitions[0];
        assert!(summary.contains_null && summary.lower == Some(vec![0xFB]));
        let records = avro::read(&bytes).unwrap();
        let first = &records[0];
        assert_eq!(first.field("status").long(), Some(1));
        assert_eq!(first.field("snapshot_id").long(), Some(11));
        assert_eq!(first.field("sequence_number").long(), None);
        let data = first.field("data_file");
        assert_eq!(data.field("content").long(), Some(2));
        assert_eq!(data.field("file_path").bytes(), Some(&b"s3://b/f.parquet"[..]));
        let partition = data.field("partition").field("amount_x20of");
        assert_eq!(partition.bytes(), Some(&[0xFF, 0xFF, 0xFF, 0xFB][..]));
        let counts = data.field("null_value_counts").array().unwrap();
        assert_eq!(counts[0].field("value").long(), Some(2));
        assert_eq!(data.field("equality_ids").array().unwrap().len(), 1);
        assert_eq!(
            *records[1].field("data_file").field("partition").field("amount_x20of"),
            avro::Datum::Null
        );
    }
}
