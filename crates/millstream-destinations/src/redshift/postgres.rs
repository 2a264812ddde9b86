//! A load into PostgreSQL: one transaction that writes the load's id into a ledger and streams
//! the objects' rows into the table.
//!
//! Invariant: the id and the rows are committed together or not at all. Whoever loads the same
//! id while that is under way waits for the outcome.

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::types::Type;

use super::Load;
use super::connect::Session;
use super::error::{connection_failed, data_load_failed, failure};
use super::identifiers::{quoted, quoted_path};
use super::rows::{Column, Reader};
use super::rules::Rules;
use crate::Failure;

/// The ledger's name; it lies in the table's schema.
const LEDGER: &str = "millstream_deliveries";
/// How long the ledger remembers: far beyond any retry, and a bound for its size.
const LEDGER_DAYS: u32 = 90;
/// How long to wait for another load of the same id, or whatever else holds the table.
const LOCK_SECONDS_MAX: u32 = 60;
/// Bytes of an object read at a time.
const READ_BYTES: usize = 256 * 1024;

pub(super) async fn load(
    session: &mut Session,
    table: &[String],
    columns: &[String],
    rules: &Rules,
    load: &Load<'_>,
) -> Result<(), Failure> {
    let ledger = ledger(table);
    prepare_ledger(session, &ledger).await?;
    let columns = find_columns(session, table, columns).await?;
    session.execute("BEGIN").await?;
    session.execute(&format!("SET LOCAL lock_timeout = '{LOCK_SECONDS_MAX}s'")).await?;
    let note = format!("INSERT INTO {ledger} (delivery_id) VALUES ($1) ON CONFLICT DO NOTHING");
    let noted = session.client.execute(&note, &[&load.id]).await;
    if noted.map_err(|error| failure(&error))? == 0 {
        tracing::info!(load.id, "a load was there already");
        return session.execute("ROLLBACK").await;
    }
    copy(session, table, &columns, rules, load).await?;
    // Where the answer to this is lost, the next attempt finds the id, or does not.
    session.execute("COMMIT").await
}

fn ledger(table: &[String]) -> String {
    let mut path = table.to_vec();
    path.pop();
    path.push(LEDGER.to_owned());
    quoted_path(&path)
}

async fn prepare_ledger(session: &Session, ledger: &str) -> Result<(), Failure> {
    // Looked for first: a user who may not create tables can be given one.
    let found = session.client.query_one("SELECT to_regclass($1) IS NULL", &[&ledger]).await;
    let is_missing: bool = found.map_err(|error| failure(&error))?.get(0);
    if is_missing {
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {ledger} (delivery_id text PRIMARY KEY, \
             at timestamptz NOT NULL DEFAULT now())"
        );
        if let Err(error) = session.client.batch_execute(&create).await {
            // Two may make it at once; the one that is late is refused, and has it all the same.
            let is_there =
                error.code().is_some_and(|code| ["42P07", "23505", "42710"].contains(&code.code()));
            if !is_there {
                return Err(failure(&error));
            }
        }
    }
    let forget = format!("DELETE FROM {ledger} WHERE at < now() - interval '{LEDGER_DAYS} days'");
    session.execute(&forget).await
}

/// The table's columns, or those of them that are named, in the order of the names.
async fn find_columns(
    session: &Session,
    table: &[String],
    names: &[String],
) -> Result<Vec<Column>, Failure> {
    let question = "SELECT attname::text, atttypid, attidentity <> '' FROM pg_attribute \
                    WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped \
                    AND attgenerated = '' ORDER BY attnum";
    let found = session.client.query(question, &[&quoted_path(table)]).await;
    let found = found.map_err(|error| failure(&error))?;
    let column =
        |row: &tokio_postgres::Row| Column { name: row.get(0), is_text: is_text(row.get(1)) };
    if names.is_empty() {
        // The database numbers rows itself, unless a column list says otherwise.
        return Ok(found.iter().filter(|row| !row.get::<_, bool>(2)).map(column).collect());
    }
    let all: Vec<Column> = found.iter().map(column).collect();
    let find = |name: &String| {
        let column = all.iter().find(|column| column.name == *name).cloned();
        column.ok_or_else(|| {
            Failure::retryable(
                "Redshift.ColumnNotFound",
                format!(
                    "A column in the COPY command does not exist in the table. Specify a valid \
                     column name. ({name})"
                ),
            )
        })
    };
    names.iter().map(find).collect()
}

fn is_text(oid: u32) -> bool {
    [Type::TEXT, Type::VARCHAR, Type::BPCHAR, Type::NAME].iter().any(|text| text.oid() == oid)
}

async fn copy(
    session: &Session,
    table: &[String],
    columns: &[Column],
    rules: &Rules,
    load: &Load<'_>,
) -> Result<(), Failure> {
    let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
    let statement = format!("COPY {} ({}) FROM STDIN", quoted_path(table), names.join(", "));
    let sink = session.client.copy_in::<_, Bytes>(&statement).await;
    let mut sink = Box::pin(sink.map_err(|error| failure(&error))?);
    for object in load.objects {
        let mut reader = Reader::new(&object.key, rules, columns);
        let mut offset = 0;
        while offset < object.bytes {
            let bytes = load.bucket.read(&object.key, offset, READ_BYTES).await?;
            if bytes.is_empty() {
                let (key, size) = (&object.key, object.bytes);
                let reason = format!("the object {key} ends at {offset} of its {size} bytes");
                return Err(missing_object(&reason));
            }
            offset += u64::try_from(bytes.len()).expect("a part's size fits");
            let rows = reader.push(&bytes).map_err(|error| data_load_failed(&error.to_string()))?;
            send(&mut sink, rows).await?;
        }
        let rows = reader.finish().map_err(|error| data_load_failed(&error.to_string()))?;
        send(&mut sink, rows).await?;
    }
    sink.as_mut().finish().await.map(drop).map_err(|error| failure(&error))
}

type Rows = std::pin::Pin<Box<tokio_postgres::CopyInSink<Bytes>>>;

async fn send(sink: &mut Rows, rows: Vec<u8>) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    sink.send(Bytes::from(rows)).await.map_err(|error| match error.as_db_error() {
        Some(_) => failure(&error),
        None => connection_failed(&error.to_string()),
    })
}

fn missing_object(reason: &str) -> Failure {
    let sentence =
        "One or more S3 files required by Amazon Redshift have been removed from the S3 bucket.";
    Failure::retryable("Redshift.MissingS3File", format!("{sentence} ({reason})"))
}
