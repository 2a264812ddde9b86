//! Iceberg tables: one commit for a delivery, whatever comes between; and a Glue that was faster.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use millstream_auth::sigv4::PathForm;
use millstream_core::SeededRand;
use millstream_destinations::glue::GlueSettings;
use millstream_destinations::iceberg::{Ground, Iceberg, IcebergConfig, KeyedTable, Tables};
use millstream_destinations::objects::Buckets;
use millstream_destinations::{Delivery, Destination, Operation};
use serde_json::{Value, json};

use super::directory::Scratch;
use super::fake::{Fake, Reply, Seen, assert_signed, clock, credentials, delivery, outbound};

/// A table's first version, at `location`.
fn metadata(location: &str) -> Value {
    json!({"format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1",
        "location": location, "last-sequence-number": 0, "last-updated-ms": 1, "last-column-id": 2,
        "current-schema-id": 0, "schemas": [{"type": "struct", "schema-id": 0, "fields": [
            {"id": 1, "name": "id", "required": true, "type": "long"},
            {"id": 2, "name": "note", "required": false, "type": "string"}]}],
        "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}],
        "last-partition-id": 999, "default-sort-order-id": 0,
        "sort-orders": [{"order-id": 0, "fields": []}], "properties": {},
        "current-snapshot-id": -1, "snapshots": [], "snapshot-log": [], "metadata-log": []})
}

#[allow(clippy::disallowed_methods)] // A test's own files.
fn write(root: &Path, key: &str, document: &Value) {
    let path = root.join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, document.to_string()).unwrap();
}

#[allow(clippy::disallowed_methods)] // A test's own files.
fn read(root: &Path, key: &str) -> Value {
    serde_json::from_slice(&std::fs::read(root.join(key)).unwrap()).unwrap()
}

fn ground(root: &Path, seed: u64) -> Ground {
    let buckets = Buckets::directory(root.to_owned());
    Ground { buckets, clock: clock(), rand: Arc::new(SeededRand::new(seed)) }
}

fn config() -> IcebergConfig {
    let keyed = KeyedTable {
        database: "db".to_owned(),
        table: "t".to_owned(),
        unique_keys: vec!["id".to_owned()],
    };
    let (catalog, stream_id) = (Some("1234".to_owned()), "stream".to_owned());
    IcebergConfig { catalog, warehouse: None, tables: vec![keyed], stream_id }
}

fn rows(data: &[&str]) -> Delivery {
    Delivery { partition: "db\nt".to_owned(), ..delivery(data) }
}

#[tokio::test]
async fn a_delivery_is_committed_once_whoever_tries_it_again() {
    let scratch = Scratch::new();
    let root = scratch.path();
    write(root, "iceberg/db/t/metadata/v1.metadata.json", &metadata("s3://iceberg/db/t"));
    let mut delivery = rows(&[r#"{"id":1}"#, r#"{"note":"no id"}"#, r#"{"id":1,"note":"b"}"#]);
    delivery.documents[2].operation = Operation::Update;
    // Each is another process: what it knows is in the table.
    for seed in [1, 2, 3] {
        let iceberg = Iceberg::new(config(), Tables::folders(ground(root, seed)));
        let refused = iceberg.attempt(&delivery).await.unwrap();
        let codes: Vec<_> =
            refused.iter().map(|(place, why)| (*place, why.code.as_str())).collect();
        assert_eq!(codes, [(1, "Iceberg.MissingColumnWithinRecord")]);
    }
    assert!(!root.join("iceberg/db/t/metadata/v3.metadata.json").exists());
    let next = read(root, "iceberg/db/t/metadata/v2.metadata.json");
    let snapshots = next["snapshots"].as_array().unwrap();
    assert_eq!(snapshots.len(), 1);
    assert_eq!(snapshots[0]["summary"]["added-records"], "1");
    assert_eq!(snapshots[0]["summary"]["added-equality-deletes"], "1");
    // Another delivery is another commit, on top.
    let other = Delivery { id: "another".to_owned(), ..rows(&[r#"{"id":2}"#]) };
    let iceberg = Iceberg::new(config(), Tables::folders(ground(root, 4)));
    assert_eq!(iceberg.attempt(&other).await, Ok(Vec::new()));
    let next = read(root, "iceberg/db/t/metadata/v3.metadata.json");
    assert_eq!(next["snapshots"][1]["summary"]["total-records"], "2");
    assert_eq!(next["snapshots"][1]["parent-snapshot-id"], snapshots[0]["snapshot-id"]);
}

#[tokio::test]
async fn a_table_that_is_not_there_or_of_another_version_takes_nothing() {
    let scratch = Scratch::new();
    let root = scratch.path();
    let iceberg = Iceberg::new(config(), Tables::folders(ground(root, 1)));
    let failure = iceberg.attempt(&rows(&["{}"])).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.is_retryable), ("Iceberg.NoSuchTable", false));
    let mut first = metadata("s3://iceberg/db/t");
    first["format-version"] = 1.into();
    write(root, "iceberg/db/t/metadata/v1.metadata.json", &first);
    let failure = iceberg.attempt(&rows(&["{}"])).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.is_retryable), ("Iceberg.NoSuchTable", false));
    let nameless = Delivery { partition: "db\n".to_owned(), ..rows(&["{}"]) };
    let failure = iceberg.attempt(&nameless).await.unwrap_err();
    assert_eq!(failure.code, "Iceberg.InvalidTableName");
    let outside = metadata("/etc/t");
    write(root, "iceberg/db/t/metadata/v1.metadata.json", &outside);
    let failure = iceberg.attempt(&rows(&[r#"{"id":1}"#])).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.is_retryable), ("Iceberg.InvalidLocation", false));
}

/// A Glue whose table somebody else changes before the first commit, and whose answer to the
/// second is lost.
#[tokio::test]
async fn a_commit_is_made_on_top_of_what_glue_has_and_only_once() {
    let scratch = Scratch::new();
    let root = scratch.path().to_owned();
    write(&root, "lake/t/metadata/00000-a.metadata.json", &metadata("s3://lake/t"));
    let mut second = metadata("s3://lake/t");
    second["properties"]["changed-by"] = "others".into();
    write(&root, "lake/t/metadata/00001-b.metadata.json", &second);
    let table = json!({"Name": "t", "DatabaseName": "db", "TableType": "EXTERNAL_TABLE",
        "CreateTime": 1.0, "VersionId": "1", "StorageDescriptor": {"Columns": []},
        "Parameters": {"table_type": "ICEBERG", "kept": "yes",
            "metadata_location": "s3://lake/t/metadata/00000-a.metadata.json"}});
    let state = Arc::new(Mutex::new(table));
    let (commits, in_glue) = (AtomicU32::new(0), Arc::clone(&state));
    let answer = move |seen: &Seen| {
        assert_signed(seen, "glue", PathForm::Service);
        let (input, mut table) = (seen.json(), in_glue.lock().unwrap());
        assert_eq!((&input["CatalogId"], &input["DatabaseName"]), (&json!("1234"), &json!("db")));
        if seen.header("x-amz-target") == Some("AWSGlue.GetTable") {
            return Reply::json(200, json!({"Table": *table}).to_string());
        }
        assert_eq!(input["SkipArchive"], true);
        let given = &input["TableInput"];
        assert_eq!((given.get("CreateTime"), given.get("DatabaseName")), (None, None));
        if commits.fetch_add(1, Ordering::Relaxed) == 0 {
            assert_eq!(input["VersionId"], "1");
            table["Parameters"]["metadata_location"] =
                "s3://lake/t/metadata/00001-b.metadata.json".into();
            table["VersionId"] = "2".into();
            let error = json!({"__type": "ConcurrentModificationException", "Message": "changed"});
            return Reply::json(400, error.to_string());
        }
        assert_eq!(input["VersionId"], "2");
        table["Parameters"] = given["Parameters"].clone();
        table["VersionId"] = "3".into();
        Reply::status(502)
    };
    let fake = Fake::start(answer).await;
    let settings = GlueSettings {
        endpoint: Some(fake.url("/")),
        region: "eu-west-1".to_owned(),
        credentials: Some(credentials()),
    };
    let tables = Tables::glue(&settings, outbound(), ground(&root, 1)).unwrap();
    let refused = Iceberg::new(config(), tables).attempt(&rows(&[r#"{"id":1}"#])).await;
    assert_eq!(refused, Ok(Vec::new()));
    let parameters = state.lock().unwrap()["Parameters"].clone();
    assert_eq!(parameters["kept"], "yes");
    let previous = "s3://lake/t/metadata/00001-b.metadata.json";
    assert_eq!(parameters["previous_metadata_location"], previous);
    let location = parameters["metadata_location"].as_str().unwrap();
    assert!(location.starts_with("s3://lake/t/metadata/00002-"), "{location}");
    let now = read(&root, location.strip_prefix("s3://").unwrap());
    assert_eq!(now["properties"]["changed-by"], "others");
    assert_eq!(now["snapshots"].as_array().unwrap().len(), 1);
    assert_eq!(now["metadata-log"][0]["metadata-file"], previous);
    let updates = fake
        .seen()
        .iter()
        .filter(|seen| seen.header("x-amz-target") == Some("AWSGlue.UpdateTable"))
        .count();
    assert_eq!(updates, 2);
}
