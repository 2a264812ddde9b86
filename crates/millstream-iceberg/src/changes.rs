//! From a batch of changes to the files of one commit.
//!
//! Owns what a batch means. Changes hold in their order: an insert adds a row; an update takes all
//! rows with its keys away and adds its own; a delete takes them away. Equality deletes of a commit
//! reach only what earlier commits wrote, so what a batch takes away of its own rows is left out of
//! its files, and each key that is updated or deleted is in its deletes once.
//!
//! A record is read twice: to see what is wrong with it and which file it belongs in, and again when
//! that file is written. So what is held of a batch beside its records is a few bytes for each, and
//! one file at a time.

use std::collections::HashMap;

use bytes::Bytes;
use millstream_columnar::table::{Cell, ColumnSummary, Finished, TableFile};
use millstream_columnar::{ParquetCompression, ParquetOptions};

use crate::error::{RowError, TableError};
use crate::keys::Keys;
use crate::manifest::DataFile;
use crate::metadata::TableMetadata;
use crate::partition::PartitionSpec;
use crate::row::{self, Wanted};
use crate::schema::TableSchema;
use crate::value;

/// What is to be done with a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operation {
    /// Add it, whatever is there.
    #[default]
    Insert,
    /// Put it in the place of the rows with its keys, or add it where there is none.
    Update,
    /// Take the rows with its keys away.
    Delete,
}

/// A record, and what is to be done with it.
#[derive(Clone, Debug)]
pub struct Change {
    /// What.
    pub operation: Operation,
    /// A JSON object.
    pub record: Bytes,
}

/// What changes are made to: one version of a table.
#[derive(Clone, Debug)]
pub struct Target {
    schema: TableSchema,
    spec: PartitionSpec,
    keys: Option<Keys>,
    /// What deletes go by, and whether the table knows it.
    deletes: (PartitionSpec, bool),
    options: ParquetOptions,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Rows.
    Data,
    /// Keys of rows that are gone.
    Deletes,
}

/// A file that a batch becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// What is in it.
    pub kind: FileKind,
    /// Its directory below the table's data: empty without partitions.
    pub directory: String,
    partition: Vec<Cell>,
    /// Places of its records in the batch.
    places: Vec<usize>,
}

/// What becomes of a batch.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Records that are no rows of the table, by their places.
    pub refused: Vec<(usize, RowError)>,
    /// The files that the rest becomes.
    pub files: Vec<File>,
}

/// A file's bytes, and what is in it.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The bytes, in order.
    pub chunks: Vec<Bytes>,
    rows: u64,
    columns: Vec<ColumnSummary>,
    row_groups: Vec<u64>,
    partition: Vec<Cell>,
    equality_ids: Option<Vec<i32>>,
}

impl Contents {
    /// The file as its manifest lists it, once it lies at `location`.
    pub fn listed(self, location: String) -> DataFile {
        let bytes = self.chunks.iter().map(|chunk| chunk.len() as u64).sum();
        DataFile {
            location,
            bytes,
            rows: self.rows,
            partition: self.partition,
            columns: self.columns,
            row_groups: self.row_groups,
            equality_ids: self.equality_ids,
        }
    }
}

impl Target {
    /// The table as it is, or with the schema that it had (`schema_id`). `unique_keys` tell rows
    /// apart; where there are none, the table's own do.
    pub fn new(
        table: &TableMetadata,
        schema_id: Option<i64>,
        unique_keys: &[String],
    ) -> Result<Self, TableError> {
        let schema = table.schema(schema_id)?;
        let spec = table.spec(&schema)?;
        let keys = Keys::new(&schema, unique_keys)?;
        // Rows with the same keys are in one partition where the keys decide on it. Elsewhere the
        // old row may be in any, and its delete has to hold in all of them.
        let is_local = keys
            .as_ref()
            .is_some_and(|keys| spec.sources().all(|source| keys.ids.contains(&source)));
        let deletes =
            if is_local { (spec.clone(), true) } else { table.unpartitioned_spec(&schema) };
        let compression = match table.property("write.parquet.compression-codec") {
            Some("gzip") => ParquetCompression::Gzip,
            Some("uncompressed" | "none") => ParquetCompression::Uncompressed,
            // The format's own default is Zstandard, which is not written here.
            _ => ParquetCompression::Snappy,
        };
        let options = ParquetOptions { compression, ..ParquetOptions::default() };
        Ok(Self { schema, spec, keys, deletes, options })
    }

    /// The schema that records are read by.
    pub fn schema(&self) -> &TableSchema {
        &self.schema
    }

    /// What files of a kind go by.
    pub fn spec(&self, kind: FileKind) -> &PartitionSpec {
        match kind {
            FileKind::Data => &self.spec,
            FileKind::Deletes => &self.deletes.0,
        }
    }

    /// The spec that the table has yet to get if there are deletes.
    pub fn missing_spec(&self) -> Option<&PartitionSpec> {
        (!self.deletes.1).then_some(&self.deletes.0)
    }

    fn read(&self, change: &Change) -> Result<Vec<Cell>, RowError> {
        let wanted = match change.operation {
            Operation::Insert | Operation::Update => Wanted::Row,
            Operation::Delete => Wanted::Keys,
        };
        row::read(&change.record, &self.schema, wanted)
    }

    /// A record's row, with what tells it from others where that matters.
    fn understand(
        &self,
        change: &Change,
        is_keyed: bool,
    ) -> Result<(Vec<Cell>, Option<Vec<u8>>), RowError> {
        let row = self.read(change)?;
        if !is_keyed {
            return Ok((row, None));
        }
        let keys = self.keys.as_ref();
        if change.operation == Operation::Insert {
            return Ok((row.clone(), keys.map(|keys| keys.identify(&row).0)));
        }
        let (key, has_null) = keys.ok_or(RowError::NoKeys)?.identify(&row);
        if has_null {
            return Err(RowError::Missing("a unique key is missing or null".to_owned()));
        }
        Ok((row, Some(key)))
    }
}

/// Reads all changes once: what is wrong with some, and which files the others become.
pub fn plan(changes: &[Change], target: &Target) -> Plan {
    let is_keyed = changes.iter().any(|change| change.operation != Operation::Insert);
    let mut plan = Plan::default();
    // The last change that took rows of a key away.
    let mut taken: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut rows: Vec<(usize, Option<Vec<u8>>, usize)> = Vec::new();
    let mut partitions = Partitions::default();
    for (place, change) in changes.iter().enumerate() {
        match target.understand(change, is_keyed) {
            Err(error) => plan.refused.push((place, error)),
            Ok((row, key)) => {
                if let Some(key) = key.clone().filter(|_| change.operation != Operation::Insert) {
                    taken.insert(key, place);
                }
                let partition = partitions.number(target.spec.partition(&row));
                if is_keyed {
                    rows.push((place, key, partition));
                } else {
                    partitions.add(partition, place);
                }
            }
        }
    }
    for (place, key, partition) in rows {
        let last = key.as_ref().and_then(|key| taken.get(key));
        let stays = last.is_none_or(|last| place >= *last);
        if stays && changes[place].operation != Operation::Delete {
            partitions.add(partition, place);
        }
    }
    plan.files = partitions.into_files(FileKind::Data, &target.spec);
    plan.files.extend(delete_files(changes, target, taken.into_values().collect()));
    plan
}

/// The files of deletes: each key once, by the record that took its rows away last.
fn delete_files(changes: &[Change], target: &Target, mut places: Vec<usize>) -> Vec<File> {
    places.sort_unstable();
    let spec = &target.deletes.0;
    let mut partitions = Partitions::default();
    for place in places {
        let row = target.read(&changes[place]).expect("it was read before");
        let number = partitions.number(spec.partition(&row));
        partitions.add(number, place);
    }
    partitions.into_files(FileKind::Deletes, spec)
}

/// Partitions in the order in which they came, with the places of their records.
#[derive(Default)]
struct Partitions {
    numbers: HashMap<Vec<u8>, usize>,
    found: Vec<(Vec<Cell>, Vec<usize>)>,
}

impl Partitions {
    fn number(&mut self, partition: Vec<Cell>) -> usize {
        let mut identity = Vec::new();
        for cell in &partition {
            value::identify(cell, &mut identity);
        }
        let next = self.found.len();
        *self.numbers.entry(identity).or_insert_with(|| {
            self.found.push((partition, Vec::new()));
            next
        })
    }

    fn add(&mut self, number: usize, place: usize) {
        self.found[number].1.push(place);
    }

    fn into_files(self, kind: FileKind, spec: &PartitionSpec) -> Vec<File> {
        let filled = self.found.into_iter().filter(|(_, places)| !places.is_empty());
        filled
            .map(|(partition, places)| File {
                kind,
                directory: spec.directory(&partition),
                partition,
                places,
            })
            .collect()
    }
}

/// Writes one file of a plan.
pub fn write_file(file: &File, changes: &[Change], target: &Target) -> Contents {
    let keys = target.keys.as_ref().filter(|_| file.kind == FileKind::Deletes);
    let fields = keys.map_or(&target.schema.fields, |keys| &keys.fields);
    let mut out = TableFile::new(fields, &target.options);
    for place in &file.places {
        let row = target.read(&changes[*place]).expect("it was read before");
        match keys {
            None => out.push(&row),
            Some(keys) => out.push(&keys.project(&row)),
        }
    }
    let Finished { chunks, rows, columns, row_groups } = out.finish();
    let (partition, equality_ids) = (file.partition.clone(), keys.map(|keys| keys.ids.clone()));
    Contents { chunks, rows, columns, row_groups, partition, equality_ids }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(partition: &serde_json::Value) -> TableMetadata {
        let document = json!({"format-version": 2, "table-uuid": "u", "location": "s3://b/t",
            "current-schema-id": 0, "schemas": [{"schema-id": 0, "fields": [
                {"id": 1, "name": "id", "required": true, "type": "long"},
                {"id": 2, "name": "day", "type": "date"},
                {"id": 3, "name": "note", "type": "string"}]}],
            "default-spec-id": 1, "partition-specs": [{"spec-id": 1, "fields": partition}]});
        TableMetadata::parse(document.to_string().as_bytes()).unwrap()
    }

    fn changes(rows: &[(Operation, &str)]) -> Vec<Change> {
        let change = |(operation, record): &(Operation, &str)| Change {
            operation: *operation,
            record: Bytes::copy_from_slice(record.as_bytes()),
        };
        rows.iter().map(change).collect()
    }

    fn by_day() -> serde_json::Value {
        json!([{"source-id": 2, "field-id": 1000, "name": "day", "transform": "identity"}])
    }

    use Operation::{Delete, Insert, Update};

    #[test]
    fn a_batch_leaves_what_its_changes_leave_in_their_order() {
        let target = Target::new(&table(&json!([])), None, &["id".to_owned()]).unwrap();
        let changes = changes(&[
            (Insert, r#"{"id":1,"note":"a"}"#),
            (Insert, r#"{"id":1,"note":"b"}"#),
            (Update, r#"{"id":1,"note":"c"}"#),
            (Insert, r#"{"id":1,"note":"d"}"#),
            (Update, r#"{"id":2,"note":"e"}"#),
            (Delete, r#"{"id":2}"#),
            (Delete, r#"{"id":3}"#),
            (Insert, r#"{"id":3}"#),
            (Insert, r#"{"id":4}"#),
            (Delete, r#"{"note":"x"}"#),
            (Update, r#"{"id":"five"}"#),
        ]);
        let plan = plan(&changes, &target);
        let refused: Vec<usize> = plan.refused.iter().map(|(place, _)| *place).collect();
        assert_eq!(refused, [9, 10]);
        let [data, deletes] = &plan.files[..] else { panic!("{:?}", plan.files) };
        assert_eq!((data.kind, data.places.as_slice()), (FileKind::Data, &[2, 3, 7, 8][..]));
        assert_eq!((deletes.kind, deletes.places.as_slice()), (FileKind::Deletes, &[2, 5, 6][..]));
        let contents = write_file(deletes, &changes, &target);
        assert_eq!((contents.rows, contents.equality_ids.as_deref()), (3, Some(&[1][..])));
        assert_eq!(contents.columns.len(), 1);
        assert_eq!(write_file(data, &changes, &target).rows, 4);
    }

    #[test]
    fn inserts_alone_need_no_keys_and_keep_duplicates() {
        let target = Target::new(&table(&json!([])), None, &[]).unwrap();
        let same = (Insert, r#"{"id":1}"#);
        let inserts = changes(&[same, same]);
        assert_eq!(plan(&inserts, &target).files[0].places, [0, 1]);
        let keyed = changes(&[same, (Delete, r#"{"id":1}"#), same]);
        let plan = plan(&keyed, &target);
        assert_eq!(plan.refused, [(1, RowError::NoKeys)]);
        assert_eq!(plan.files[0].places, [0, 2]);
    }

    #[test]
    fn deletes_hold_in_all_partitions_unless_the_keys_decide_on_one() {
        let table = table(&by_day());
        let batch = changes(&[
            (Update, r#"{"id":1,"day":"2024-01-01"}"#),
            (Update, r#"{"id":2,"day":"2024-01-02"}"#),
        ]);
        let global = Target::new(&table, None, &["id".to_owned()]).unwrap();
        assert_eq!(global.missing_spec().map(PartitionSpec::id), Some(2));
        let files = plan(&batch, &global).files;
        let directories: Vec<&str> = files.iter().map(|file| file.directory.as_str()).collect();
        assert_eq!(directories, ["day=2024-01-01", "day=2024-01-02", ""]);
        let local = Target::new(&table, None, &["id".to_owned(), "day".to_owned()]).unwrap();
        assert_eq!(local.missing_spec(), None);
        let files = plan(&batch, &local).files;
        let directories: Vec<&str> = files.iter().map(|file| file.directory.as_str()).collect();
        let (one, two) = ("day=2024-01-01", "day=2024-01-02");
        assert_eq!(directories, [one, two, one, two]);
    }

    #[test]
    fn the_same_batch_gives_the_same_bytes() {
        let target = Target::new(&table(&by_day()), None, &["id".to_owned()]).unwrap();
        let batch = changes(&[
            (Insert, r#"{"id":1,"day":"2024-01-01","note":"a"}"#),
            (Update, r#"{"id":2,"day":"2024-01-02","note":"b"}"#),
            (Insert, r#"{"id":3,"day":"2024-01-01","note":"a"}"#),
        ]);
        let bytes = || -> Vec<Vec<u8>> {
            let plan = plan(&batch, &target);
            plan.files
                .iter()
                .map(|file| write_file(file, &batch, &target).chunks.concat())
                .collect()
        };
        assert_eq!(bytes(), bytes());
    }
}
