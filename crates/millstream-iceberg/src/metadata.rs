//! A table's metadata: what is read of it, and its next version.
//!
//! The document is kept as it is, and a commit only adds to it and moves what points to the
//! present: whatever else other writers keep in there stays.

use serde_json::{Map, Value, json};

use crate::error::TableError;
use crate::partition::PartitionSpec;
use crate::schema::TableSchema;

/// The one version of the format that is written.
const FORMAT_VERSION: u64 = 2;
/// The branch that is the table.
const MAIN: &str = "main";
/// In a snapshot's summary: which delivery it holds.
const DELIVERY: &str = "millstream.delivery-id";
/// Versions that are remembered where the table does not say (documented by Iceberg).
const PREVIOUS_VERSIONS: u64 = 100;

/// A version of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableMetadata {
    document: Map<String, Value>,
    location: String,
    uuid: String,
}

/// The state of a table at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Its number.
    pub id: i64,
    /// Where its manifest list is.
    pub manifest_list: String,
    /// What it holds and how it came about.
    summary: Map<String, Value>,
}

/// What a commit adds.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSnapshot {
    /// Its number, drawn at random.
    pub id: i64,
    /// Of [`TableMetadata::next_sequence_number`].
    pub sequence_number: i64,
    /// When, in milliseconds since 1970; brought forward where the table was changed later.
    pub at_ms: u64,
    /// Where its manifest list is.
    pub manifest_list: String,
    /// The schema that its rows were read by.
    pub schema_id: i64,
    /// Which delivery it holds.
    pub delivery: String,
    /// Files of rows, the rows, and the bytes of these files.
    pub data: [u64; 3],
    /// Files of deletes, the keys in them, and the bytes of these files.
    pub deletes: [u64; 3],
    /// Partitions that have new files.
    pub partitions: usize,
    /// A spec that the table has not got, and that some of the files go by.
    pub spec: Option<PartitionSpec>,
}

fn lacks(name: &str) -> TableError {
    TableError::malformed(format!("it has no {name}"))
}

impl TableMetadata {
    /// Reads a metadata file.
    pub fn parse(file: &[u8]) -> Result<Self, TableError> {
        let document = serde_json::from_slice(file);
        Self::new(document.map_err(|error| TableError::malformed(error.to_string()))?)
    }

    /// Takes metadata as a catalog gives it.
    pub fn new(document: Map<String, Value>) -> Result<Self, TableError> {
        let version = document.get("format-version").and_then(Value::as_u64);
        match version {
            Some(FORMAT_VERSION) => {}
            Some(other) => return Err(TableError::Version(other)),
            None => return Err(lacks("format-version")),
        }
        let text = |name: &str| {
            let text = document.get(name).and_then(Value::as_str);
            text.map(str::to_owned).ok_or_else(|| lacks(name))
        };
        let location = text("location")?.trim_end_matches('/').to_owned();
        let uuid = text("table-uuid")?;
        Ok(Self { document, location, uuid })
    }

    /// Where the table is.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// What tells the table from others of its name.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// As it would be written.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.document).expect("JSON becomes text")
    }

    /// One of the table's properties.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.document.get("properties")?.get(name)?.as_str()
    }

    /// Where data files go.
    pub fn data_location(&self) -> String {
        self.folder("write.data.path", "data")
    }

    /// Where manifests, their lists and metadata go.
    pub fn metadata_location(&self) -> String {
        self.folder("write.metadata.path", "metadata")
    }

    fn folder(&self, property: &str, name: &str) -> String {
        match self.property(property) {
            Some(path) => path.trim_end_matches('/').to_owned(),
            None => format!("{}/{name}", self.location),
        }
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.document.get(name).and_then(Value::as_i64)
    }

    fn list(&self, name: &str) -> &[Value] {
        self.document.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The schema of a number, or the present one.
    pub fn schema(&self, id: Option<i64>) -> Result<TableSchema, TableError> {
        let id = id.or_else(|| self.number("current-schema-id"));
        let id = id.ok_or_else(|| lacks("current-schema-id"))?;
        let is_it = |schema: &&Value| schema.get("schema-id").and_then(Value::as_i64) == Some(id);
        let found = self.list("schemas").iter().find(is_it);
        TableSchema::parse(found.ok_or_else(|| lacks(&format!("schema {id}")))?)
    }

    /// How new rows are parted.
    pub fn spec(&self, schema: &TableSchema) -> Result<PartitionSpec, TableError> {
        let id = self.number("default-spec-id").ok_or_else(|| lacks("default-spec-id"))?;
        let found = self.list("partition-specs").iter().find(|spec| spec_id(spec) == Some(id));
        PartitionSpec::parse(found.ok_or_else(|| lacks(&format!("spec {id}")))?, schema)
    }

    /// The spec that does not part: deletes that go by it hold for the whole table. False with it
    /// where the table has yet to get it.
    pub fn unpartitioned_spec(&self, schema: &TableSchema) -> (PartitionSpec, bool) {
        let specs = self.list("partition-specs");
        let parsed = specs.iter().filter_map(|spec| PartitionSpec::parse(spec, schema).ok());
        if let Some(found) = parsed.into_iter().find(|spec| spec.fields.is_empty()) {
            return (found, true);
        }
        let last = specs.iter().filter_map(spec_id).max().unwrap_or(-1);
        let id = i32::try_from(last + 1).unwrap_or(i32::MAX);
        (PartitionSpec::unpartitioned(id), false)
    }

    /// The table as it is.
    pub fn snapshot(&self) -> Result<Option<Snapshot>, TableError> {
        let Some(id) = self.snapshot_id() else { return Ok(None) };
        let is_it =
            |snapshot: &&Value| snapshot.get("snapshot-id").and_then(Value::as_i64) == Some(id);
        let found = self.list("snapshots").iter().find(is_it);
        let found = found.ok_or_else(|| lacks(&format!("snapshot {id}")))?;
        let list = found.get("manifest-list").and_then(Value::as_str);
        let list =
            list.ok_or_else(|| TableError::unsupported("snapshots without manifest lists"))?;
        let summary = found.get("summary").and_then(Value::as_object).cloned();
        let summary = summary.unwrap_or_default();
        Ok(Some(Snapshot { id, manifest_list: list.to_owned(), summary }))
    }

    fn snapshot_id(&self) -> Option<i64> {
        // Some writers have -1 for none.
        self.number("current-snapshot-id").filter(|id| *id != -1)
    }

    /// Whether some snapshot holds a delivery; with it the schema that its rows were read by.
    pub fn find_delivery(&self, delivery: &str) -> Option<Option<i64>> {
        let is_it = |snapshot: &&Value| {
            let summary = snapshot.get("summary").and_then(|summary| summary.get(DELIVERY));
            summary.and_then(Value::as_str) == Some(delivery)
        };
        let found = self.list("snapshots").iter().rev().find(is_it)?;
        Some(found.get("schema-id").and_then(Value::as_i64))
    }

    /// The number of the next commit.
    pub fn next_sequence_number(&self) -> i64 {
        self.number("last-sequence-number").unwrap_or(0) + 1
    }

    /// What a catalog is told of a commit: what it must find, and what it is to do (the REST
    /// catalog's `requirements` and `updates`).
    pub fn changes(&self, new: &NewSnapshot) -> Result<(Value, Value), TableError> {
        let snapshot = self.snapshot_document(new)?;
        let mut reference = self.reference(new.id);
        reference.insert("action".to_owned(), "set-snapshot-ref".into());
        reference.insert("ref-name".to_owned(), MAIN.into());
        let mut updates = Vec::new();
        let mut requirements = vec![
            json!({"type": "assert-table-uuid", "uuid": self.uuid}),
            json!({"type": "assert-ref-snapshot-id", "ref": MAIN, "snapshot-id": self.snapshot_id()}),
        ];
        if let Some(spec) = &new.spec {
            updates.push(json!({"action": "add-spec", "spec": spec.document()}));
            let last = self.number("last-partition-id").unwrap_or(999);
            requirements
                .push(json!({"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": last}));
        }
        updates.push(json!({"action": "add-snapshot", "snapshot": snapshot}));
        updates.push(Value::Object(reference));
        Ok((requirements.into(), updates.into()))
    }

    /// The version after this one, which is at `location`.
    pub fn next(&self, new: &NewSnapshot, location: &str) -> Result<Self, TableError> {
        let snapshot = self.snapshot_document(new)?;
        let at_ms = snapshot["timestamp-ms"].clone();
        let mut next = self.clone();
        if let Some(spec) = &new.spec {
            next.push("partition-specs", spec.document().clone());
        }
        let previous_ms = self.document.get("last-updated-ms").cloned().unwrap_or_default();
        next.push("metadata-log", json!({"metadata-file": location, "timestamp-ms": previous_ms}));
        next.trim_log();
        next.push("snapshots", snapshot);
        next.push("snapshot-log", json!({"snapshot-id": new.id, "timestamp-ms": at_ms}));
        let set = &mut next.document;
        set.insert("last-updated-ms".to_owned(), at_ms);
        set.insert("last-sequence-number".to_owned(), new.sequence_number.into());
        set.insert("current-snapshot-id".to_owned(), new.id.into());
        let refs = set.entry("refs").or_insert_with(|| json!({}));
        if let Value::Object(refs) = refs {
            refs.insert(MAIN.to_owned(), self.reference(new.id).into());
        }
        Ok(next)
    }

    fn push(&mut self, name: &str, value: Value) {
        let list = self.document.entry(name).or_insert_with(|| json!([]));
        match list {
            Value::Array(values) => values.push(value),
            other => *other = json!([value]),
        }
    }

    fn trim_log(&mut self) {
        let kept = self.property("write.metadata.previous-versions-max");
        let kept = kept.and_then(|text| text.parse().ok()).unwrap_or(PREVIOUS_VERSIONS).max(1);
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        if let Some(Value::Array(log)) = self.document.get_mut("metadata-log") {
            log.drain(..log.len().saturating_sub(kept));
        }
    }

    /// What points to the present: as it was, but for where it points.
    fn reference(&self, snapshot_id: i64) -> Map<String, Value> {
        let old = self.document.get("refs").and_then(|refs| refs.get(MAIN));
        let mut reference = old.and_then(Value::as_object).cloned().unwrap_or_default();
        reference.insert("snapshot-id".to_owned(), snapshot_id.into());
        reference.insert("type".to_owned(), "branch".into());
        reference
    }

    fn snapshot_document(&self, new: &NewSnapshot) -> Result<Value, TableError> {
        let parent = self.snapshot()?;
        let latest = self.number("last-updated-ms").unwrap_or(0);
        let at_ms = i64::try_from(new.at_ms).unwrap_or(i64::MAX).max(latest);
        let mut document = json!({
            "snapshot-id": new.id,
            "sequence-number": new.sequence_number,
            "timestamp-ms": at_ms,
            "manifest-list": new.manifest_list,
            "schema-id": new.schema_id,
            "summary": summary(new, parent.as_ref()),
        });
        if let Some(parent) = parent {
            document["parent-snapshot-id"] = parent.id.into();
        }
        Ok(document)
    }
}

fn spec_id(spec: &Value) -> Option<i64> {
    spec.get("spec-id").and_then(Value::as_i64)
}

/// What a snapshot says of itself: what was added, and what there is in all.
fn summary(new: &NewSnapshot, parent: Option<&Snapshot>) -> Value {
    let [data_files, rows, data_bytes] = new.data;
    let [delete_files, deletes, delete_bytes] = new.deletes;
    let operation = match (data_files, delete_files) {
        (_, 0) => "append",
        (0, _) => "delete",
        _ => "overwrite",
    };
    let mut summary = json!({"operation": operation, DELIVERY: new.delivery});
    let mut add = |name: &str, count: u64| {
        if count > 0 {
            summary[name] = count.to_string().into();
        }
    };
    add("added-data-files", data_files);
    add("added-records", rows);
    add("added-delete-files", delete_files);
    add("added-equality-delete-files", delete_files);
    add("added-equality-deletes", deletes);
    add("added-files-size", data_bytes + delete_bytes);
    add("changed-partition-count", new.partitions as u64);
    let totals = [
        ("total-data-files", data_files),
        ("total-delete-files", delete_files),
        ("total-records", rows),
        ("total-files-size", data_bytes + delete_bytes),
        ("total-equality-deletes", deletes),
        ("total-position-deletes", 0),
    ];
    for (name, added) in totals {
        // A total that the table does not keep stays unknown.
        let before = match parent {
            None => Some(0),
            Some(parent) => {
                let text = parent.summary.get(name).and_then(Value::as_str);
                text.and_then(|text| text.parse::<u64>().ok())
            }
        };
        if let Some(before) = before {
            summary[name] = (before + added).to_string().into();
        }
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TableMetadata {
        let document = json!({"format-version": 2, "table-uuid": "u", "location": "s3://b/t/",
            "last-sequence-number": 4, "last-updated-ms": 5_000, "last-column-id": 1,
            "current-schema-id": 0, "schemas": [{"type": "struct", "schema-id": 0, "fields":
                [{"id": 1, "name": "id", "required": true, "type": "long"}]}],
            "default-spec-id": 2, "partition-specs": [{"spec-id": 2, "fields":
                [{"source-id": 1, "field-id": 1000, "name": "id", "transform": "identity"}]}],
            "last-partition-id": 1000, "properties": {"write.metadata.previous-versions-max": "2"},
            "current-snapshot-id": 9, "refs": {"main": {"snapshot-id": 9, "type": "branch",
                "max-ref-age-ms": 7}, "other": {"snapshot-id": 9, "type": "tag"}},
            "snapshots": [{"snapshot-id": 9, "sequence-number": 4, "timestamp-ms": 5_000,
                "manifest-list": "s3://b/t/l.avro", "summary": {"operation": "append",
                "total-records": "10"}}], "x-unknown": [1], "statistics": []});
        TableMetadata::parse(document.to_string().as_bytes()).unwrap()
    }

    fn snapshot(id: i64) -> NewSnapshot {
        NewSnapshot {
            id,
            sequence_number: 5,
            at_ms: 4_000,
            manifest_list: "s3://b/t/new.avro".to_owned(),
            schema_id: 0,
            delivery: "d1".to_owned(),
            data: [1, 5, 100],
            deletes: [1, 2, 30],
            partitions: 1,
            spec: Some(PartitionSpec::unpartitioned(3)),
        }
    }

    #[test]
    fn the_next_version_keeps_what_it_does_not_know_and_points_to_the_new_snapshot() {
        let table = table();
        assert_eq!(table.data_location(), "s3://b/t/data");
        assert_eq!((table.next_sequence_number(), table.find_delivery("d1")), (5, None));
        let (spec, is_known) = table.unpartitioned_spec(&table.schema(None).unwrap());
        assert_eq!((spec.id, is_known), (3, false));
        let mut next = table.next(&snapshot(11), "s3://b/t/m1.json").unwrap();
        assert_eq!(next.find_delivery("d1"), Some(Some(0)));
        assert!(next.unpartitioned_spec(&next.schema(None).unwrap()).1);
        for version in 2..4 {
            next = next.next(&snapshot(11 + version), &format!("m{version}.json")).unwrap();
        }
        let read = TableMetadata::parse(&next.to_bytes()).unwrap();
        assert_eq!(read, next);
        let document = Value::Object(next.document);
        assert_eq!(document["x-unknown"], json!([1]));
        assert_eq!(document["metadata-log"].as_array().unwrap().len(), 2);
        assert_eq!(document["refs"]["main"]["max-ref-age-ms"], 7);
        assert_eq!(document["refs"]["other"]["snapshot-id"], 9);
        assert_eq!(document["current-snapshot-id"], 14);
        let first = &document["snapshots"][1];
        assert_eq!(first["parent-snapshot-id"], 9);
        // Time does not run backwards, whatever this clock says.
        assert_eq!(first["timestamp-ms"], 5_000);
        assert_eq!(first["summary"]["operation"], "overwrite");
        assert_eq!(first["summary"]["total-records"], "15");
        assert_eq!(first["summary"].get("total-data-files"), None);
    }

    #[test]
    fn a_catalog_is_told_what_it_must_find() {
        let (requirements, updates) = table().changes(&snapshot(11)).unwrap();
        assert_eq!(requirements[1]["snapshot-id"], 9);
        let actions: Vec<_> =
            updates.as_array().unwrap().iter().map(|update| &update["action"]).collect();
        assert_eq!(actions, ["add-spec", "add-snapshot", "set-snapshot-ref"]);
        assert_eq!(updates[2]["snapshot-id"], 11);
    }

    #[test]
    fn other_versions_of_the_format_are_refused() {
        for version in [1, 3] {
            let document = json!({"format-version": version, "location": "l", "table-uuid": "u"});
            let found = TableMetadata::parse(document.to_string().as_bytes());
            assert_eq!(found, Err(TableError::Version(version)));
        }
        assert!(TableMetadata::parse(b"{}").is_err());
    }
}
