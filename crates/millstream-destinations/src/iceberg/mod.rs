//! Tables of Apache Iceberg: a delivery is one commit to one table.
//!
//! Owns a single attempt: the delivery's rows are put as files, and then the table gets a snapshot
//! that has them, all of them or none. Where somebody else committed first the table is loaded
//! anew, and the same files are committed on top; as often as Iceberg does it by default.
//!
//! A snapshot's summary says which delivery it holds. So an attempt that follows one whose outcome
//! is not known, or a crash, finds what was committed and does not commit it again, as long as the
//! snapshot is not expired. Files of attempts that failed stay behind, as orphans, which every
//! table's maintenance removes.

mod catalog;
mod commit;
mod folder;
mod glue;
mod rest;
mod storage;
mod token;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use millstream_iceberg::{self as format, Change, Plan, RowError, Target};

pub use catalog::{Ground, Tables};
pub use rest::{RestAuth, RestSettings};
pub use token::TokenSettings;

use catalog::{At, CommitError, Loaded, Name, table_failure};
use commit::Written;

use crate::{Delivery, Destination, Failure, Operation, Outcome};

/// Commits that are tried one after another where others commit too (Iceberg's default).
const COMMITS_MAX: u32 = 5;
/// The wait after the first conflict, which doubles with each (Iceberg's default).
const CONFLICT_WAIT: Duration = Duration::from_millis(100);

/// Which tables, and how their rows are told apart.
#[derive(Clone, Debug)]
pub struct IcebergConfig {
    /// Which of Glue's catalogs; the account's own where none is given.
    pub catalog: Option<String>,
    /// Where tables are that are folders.
    pub warehouse: Option<String>,
    /// Tables with keys of their own. Others are told apart by the tables' own identifier fields.
    pub tables: Vec<KeyedTable>,
    /// Tells the delivery stream from all others.
    pub stream_id: String,
}

/// The columns that tell a table's rows apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedTable {
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
    /// Columns' names.
    pub unique_keys: Vec<String>,
}

/// Tables of Apache Iceberg. The partition of a delivery is its table: the names of the database
/// and of the table, with a line feed between them.
#[derive(Debug)]
pub struct Iceberg {
    tables: Tables,
    config: IcebergConfig,
    at: At,
    /// What names of files have that this process writes: the same delivery is the same file in
    /// all of its attempts, and never that of another process, which may have been of another build.
    session: String,
}

impl Iceberg {
    /// A destination for the tables of a catalog.
    pub fn new(config: IcebergConfig, tables: Tables) -> Self {
        let session = tables.unique()[..8].to_owned();
        let at = At { catalog: config.catalog.clone(), warehouse: config.warehouse.clone() };
        Self { tables, config, at, session }
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let (database, table) = delivery.partition.split_once('\n').unwrap_or_default();
        let name = Name { database: database.to_owned(), table: table.to_owned() };
        if name.database.is_empty() || name.table.is_empty() {
            let message = "A null or empty table name is passed.";
            return Err(Failure::permanent("Iceberg.InvalidTableName", message));
        }
        let is_it = |keyed: &&KeyedTable| keyed.database == database && keyed.table == table;
        let keyed = self.config.tables.iter().find(is_it);
        let keys = keyed.map_or(&[][..], |keyed| &keyed.unique_keys);
        let identity = format!("{}/{}", self.config.stream_id, delivery.id);
        let changes: Arc<[Change]> = delivery
            .documents
            .iter()
            .map(|document| Change {
                operation: operation(document.operation),
                record: document.data.clone(),
            })
            .collect();
        let mut written: Option<Written> = None;
        let mut wait = CONFLICT_WAIT;
        let mut last = None;
        for round in 0..COMMITS_MAX {
            if round > 0 {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            let loaded = self.tables.load(&name, &self.at).await?;
            if let Some(schema_id) = loaded.metadata.find_delivery(&identity) {
                // What was refused then is refused now: the rows are read by the same schema.
                let plan = self.plan(&loaded, schema_id, keys, &changes).await?.1;
                return Ok(refused(plan));
            }
            let (target, plan) = self.plan(&loaded, None, keys, &changes).await?;
            if plan.files.is_empty() {
                return Ok(refused(plan));
            }
            let reusable = written.take().filter(|written| written.fits(&loaded, &target));
            let files = match reusable {
                Some(files) => files,
                None => self.write(&loaded, &target, &plan, &changes, delivery).await?,
            };
            let new = self.prepare(&loaded, &target, &files, &identity).await?;
            match self.tables.commit(&name, &self.at, &loaded, &new).await {
                Ok(()) => return Ok(refused(plan)),
                Err(CommitError::Failed(failure)) => return Err(failure),
                Err(CommitError::Conflict(why)) => {
                    let message = format!("The table {name} was changed by others: {why}");
                    last = Some(Failure::retryable("Iceberg.CommitConflict", message));
                }
                // The next round sees whether it was made.
                Err(CommitError::Unknown(failure)) => last = Some(failure),
            }
            written = Some(files);
        }
        Err(last.expect("a round that ends without a result leaves its reason"))
    }

    async fn plan(
        &self,
        loaded: &Loaded,
        schema_id: Option<i64>,
        keys: &[String],
        changes: &Arc<[Change]>,
    ) -> Result<(Target, Plan), Failure> {
        let target = Target::new(&loaded.metadata, schema_id, keys);
        let target = target.map_err(|error| table_failure(&error))?;
        let changes = Arc::clone(changes);
        blocking(move || {
            let plan = format::plan(&changes, &target);
            (target, plan)
        })
        .await
    }
}

impl Destination for Iceberg {
    fn attempt<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Outcome> {
        Box::pin(self.deliver(delivery))
    }
}

fn operation(operation: Operation) -> format::Operation {
    match operation {
        Operation::Insert => format::Operation::Insert,
        Operation::Update => format::Operation::Update,
        Operation::Delete => format::Operation::Delete,
    }
}

/// Runs work that takes a while, where it holds up nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::retryable("InternalError", error.to_string()))
}

/// What is said of records that are no rows. The second code was observed on the service, with its
/// sentence; the others are ours.
fn refused(plan: Plan) -> Vec<(usize, Failure)> {
    let failure = |error: &RowError| {
        let code = match error {
            RowError::Malformed(_) => "Iceberg.InvalidRecord",
            RowError::Missing(_) => "Iceberg.MissingColumnWithinRecord",
            RowError::Value { .. } => "Iceberg.InvalidColumnValue",
            RowError::NoKeys => "Iceberg.InvalidUniqueKeys",
        };
        Failure::permanent(code, error.to_string())
    };
    plan.refused.into_iter().map(|(place, error)| (place, failure(&error))).collect()
}
