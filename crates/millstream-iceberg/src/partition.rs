//! Partition specs: which files rows belong together in.

use millstream_columnar::table::{Cell, Type};
use serde_json::{Value, json};

use crate::error::TableError;
use crate::schema::{Path, TableSchema, number};
use crate::transform::Transform;

/// How a table's rows are parted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionSpec {
    pub(crate) id: i32,
    pub(crate) fields: Vec<PartitionField>,
    document: Value,
}

/// One of a partition's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionField {
    pub(crate) id: i32,
    pub(crate) source_id: i32,
    pub(crate) name: String,
    pub(crate) result: Type,
    transform: Transform,
    source: Type,
    path: Path,
}

impl PartitionSpec {
    /// Reads a spec of the table's metadata, for rows of `schema`.
    pub fn parse(document: &Value, schema: &TableSchema) -> Result<Self, TableError> {
        let id = number(document.get("spec-id"), "spec-id")?;
        let given = document.get("fields").and_then(Value::as_array);
        let given =
            given.ok_or_else(|| TableError::malformed("a partition spec without fields"))?;
        let mut fields = Vec::with_capacity(given.len());
        for field in given {
            let text = |name: &str| field.get(name).and_then(Value::as_str).unwrap_or_default();
            let source_id = number(field.get("source-id"), "source-id")?;
            let transform = Transform::parse(text("transform"))?;
            let found = schema.find(source_id);
            let (path, source) = match (found, transform) {
                (Some((path, source)), _) => (path, source.kind.clone()),
                // A column that is gone: nothing is read of it.
                (None, Transform::Void) => (Vec::new(), Type::Int),
                (None, _) => {
                    let what = format!("a partition of column {source_id}, which is not there");
                    return Err(TableError::malformed(what));
                }
            };
            let result = transform.result(&source)?;
            let (id, name) = (number(field.get("field-id"), "field-id")?, text("name").to_owned());
            fields.push(PartitionField { id, source_id, name, result, transform, source, path });
        }
        Ok(Self { id, fields, document: document.clone() })
    }

    /// The spec that does not part at all, with this number.
    pub fn unpartitioned(id: i32) -> Self {
        Self { id, fields: Vec::new(), document: json!({"spec-id": id, "fields": []}) }
    }

    /// Its number.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// As the metadata has it.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Whether all rows are in one partition.
    pub fn is_unpartitioned(&self) -> bool {
        self.fields.iter().all(|field| field.transform == Transform::Void)
    }

    /// The columns that decide on a row's partition.
    pub(crate) fn sources(&self) -> impl Iterator<Item = i32> {
        let counted = self.fields.iter().filter(|field| field.transform != Transform::Void);
        counted.map(|field| field.source_id)
    }

    /// The partition of a row.
    pub(crate) fn partition(&self, row: &[Cell]) -> Vec<Cell> {
        let value = |field: &PartitionField| {
            if field.transform == Transform::Void {
                return Cell::Null;
            }
            field.transform.apply(at(row, &field.path), &field.source)
        };
        self.fields.iter().map(value).collect()
    }

    /// The directory of a partition's files, as most writers have it: `name=value/...`.
    pub(crate) fn directory(&self, partition: &[Cell]) -> String {
        let mut directory = String::new();
        for (field, value) in self.fields.iter().zip(partition) {
            if !directory.is_empty() {
                directory.push('/');
            }
            escape(&field.name, &mut directory);
            directory.push('=');
            escape(&field.transform.spelled(value, &field.result), &mut directory);
        }
        directory
    }
}

/// The value at a path into a row.
pub(crate) fn at<'a>(row: &'a [Cell], path: &[usize]) -> &'a Cell {
    let Some((first, below)) = path.split_first() else { return &Cell::Null };
    let mut found = &row[*first];
    for place in below {
        found = match found {
            Cell::Struct(members) => &members[*place],
            // Below a struct that is null all is.
            _ => return &Cell::Null,
        };
    }
    found
}

/// Longer values would make names that no file system takes; what is in a name has no meaning.
const SEGMENT_BYTES_MAX: usize = 96;

/// What is not plain becomes `_`, rather than an escape that some would undo in a location: two
/// partitions may share a directory, since readers go by the manifests.
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes().take(SEGMENT_BYTES_MAX) {
        let is_plain = byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        out.push(if is_plain { char::from(byte) } else { '_' });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_parted_by_their_own_values() {
        let document = json!({"fields": [
            {"id": 1, "name": "day", "type": "date"},
            {"id": 2, "name": "s", "type": {"type": "struct", "fields": [
                {"id": 3, "name": "who", "type": "string"}]}}]});
        let schema = TableSchema::parse(&document).unwrap();
        let spec = json!({"spec-id": 4, "fields": [
            {"source-id": 1, "field-id": 1000, "name": "day_month", "transform": "month"},
            {"source-id": 3, "field-id": 1001, "name": "s.who", "transform": "identity"},
            {"source-id": 9, "field-id": 1002, "name": "gone", "transform": "void"}]});
        let spec = PartitionSpec::parse(&spec, &schema).unwrap();
        let who = Cell::Struct(vec![Cell::Bytes("a/b é".as_bytes().to_vec())]);
        let partition = spec.partition(&[Cell::Int(17_486), who]);
        assert_eq!(partition[0], Cell::Int(574));
        assert_eq!(partition[2], Cell::Null);
        let directory = "day_month=2017-11/s.who=a_b___/gone=null";
        assert_eq!(spec.directory(&partition), directory);
        let partition = spec.partition(&[Cell::Null, Cell::Null]);
        assert_eq!(partition, [Cell::Null, Cell::Null, Cell::Null]);
        assert_eq!(spec.sources().collect::<Vec<_>>(), [1, 3]);
        assert!(!spec.is_unpartitioned() && PartitionSpec::unpartitioned(0).is_unpartitioned());
        let missing = json!({"spec-id": 4, "fields": [
            {"source-id": 9, "field-id": 1000, "name": "x", "transform": "identity"}]});
        assert!(PartitionSpec::parse(&missing, &schema).is_err());
    }
}
