//! A catalog that answers as Glue does, and one of files.

use millstream_auth::sigv4::PathForm;
use millstream_destinations::glue::{Catalog, CatalogError, GlueSettings, LATEST, TableVersion};
use serde_json::json;

use super::directory::Scratch;
use super::fake::{Fake, Reply, Seen, assert_signed, clock, credentials, nobody, outbound};

fn table(version: &str) -> TableVersion {
    TableVersion {
        catalog: Some("123456789012".to_owned()),
        database: "db".to_owned(),
        table: "events".to_owned(),
        version: version.to_owned(),
    }
}

fn remote(endpoint: String) -> Catalog {
    let settings = GlueSettings {
        endpoint: Some(endpoint),
        region: "eu-west-1".to_owned(),
        credentials: Some(credentials()),
    };
    Catalog::remote(&settings, outbound(), clock()).unwrap()
}

fn described(column: &str) -> serde_json::Value {
    json!({
        "Name": "events", "DatabaseName": "db",
        "StorageDescriptor": {"Columns": [{"Name": column, "Type": "int"}]},
        "PartitionKeys": [{"Name": "day", "Type": "string"}], "VersionId": "7",
    })
}

fn glue(seen: &Seen) -> Reply {
    assert_signed(seen, "glue", PathForm::Service);
    assert_eq!(seen.header("content-type"), Some("application/x-amz-json-1.1"));
    let answer = match seen.header("x-amz-target").unwrap() {
        "AWSGlue.GetTable" => {
            let input =
                json!({"CatalogId": "123456789012", "DatabaseName": "db", "Name": "events"});
            assert_eq!(seen.json(), input);
            json!({ "Table": described("newest") })
        }
        "AWSGlue.GetTableVersion" => {
            let input = json!({
                "CatalogId": "123456789012", "DatabaseName": "db", "TableName": "events",
                "VersionId": "3",
            });
            assert_eq!(seen.json(), input);
            json!({"TableVersion": {"Table": described("third"), "VersionId": "3"}})
        }
        other => panic!("{other}"),
    };
    Reply::json(200, answer.to_string())
}

#[tokio::test]
async fn a_table_s_columns_are_those_of_the_version_asked_for() {
    let fake = Fake::start(glue).await;
    let catalog = remote(fake.url("/"));
    let newest = catalog.columns(&table(LATEST)).await.unwrap();
    assert_eq!(newest.columns, [("newest".to_owned(), "int".to_owned())]);
    assert_eq!(newest.version.as_deref(), Some("7"));
    let third = catalog.columns(&table("3")).await.unwrap();
    assert_eq!(third.columns, [("third".to_owned(), "int".to_owned())]);
    assert_eq!(third.version.as_deref(), Some("3"));
}

#[tokio::test]
async fn each_refusal_is_told_apart() {
    let error = async |reply: fn() -> Reply| {
        let fake = Fake::start(move |_| reply()).await;
        remote(fake.url("/")).columns(&table(LATEST)).await.unwrap_err()
    };
    let found = error(|| {
        Reply::json(
            400,
            r#"{"__type":"com.amazonaws.glue#EntityNotFoundException","Message":"no"}"#,
        )
    });
    assert!(matches!(found.await, CatalogError::NotFound(_)));
    let found = error(|| Reply::json(400, r#"{"__type":"AccessDeniedException","Message":"no"}"#));
    assert!(matches!(found.await, CatalogError::AccessDenied(_)));
    let found = error(|| Reply::json(500, r#"{"__type":"InternalServiceException"}"#));
    assert!(matches!(found.await, CatalogError::Unavailable(_)));
    assert!(matches!(error(|| Reply::Break).await, CatalogError::Unavailable(_)));
    for body in ["", "{}", r#"{"Table":{}}"#] {
        let fake = Fake::start(move |_| Reply::json(200, body)).await;
        let error = remote(fake.url("/")).columns(&table(LATEST)).await.unwrap_err();
        assert!(matches!(error, CatalogError::Unusable(_)), "{body}");
    }
    let gone = remote(format!("http://{}/", nobody().await));
    assert!(matches!(gone.columns(&table(LATEST)).await, Err(CatalogError::Unavailable(_))));
}

#[tokio::test]
async fn files_are_a_catalog_too_and_names_do_not_leave_it() {
    let scratch = Scratch::new();
    let catalog = Catalog::directory(scratch.path().to_owned());
    assert!(matches!(catalog.columns(&table(LATEST)).await, Err(CatalogError::NotFound(_))));
    scratch.write("db.events.json", described("from_file").to_string().as_bytes());
    let columns = catalog.columns(&table("3")).await.unwrap();
    assert_eq!(columns.columns, [("from_file".to_owned(), "int".to_owned())]);
    scratch.write("db.events.json", b"not JSON");
    assert!(matches!(catalog.columns(&table(LATEST)).await, Err(CatalogError::Unusable(_))));
    for (database, name) in
        [("../x", "y"), ("..", "/etc"), ("db", "../../y"), ("", "y"), ("db", "")]
    {
        let of =
            TableVersion { database: database.to_owned(), table: name.to_owned(), ..table("1") };
        assert!(matches!(catalog.columns(&of).await, Err(CatalogError::NotFound(_))), "{of:?}");
    }
}
