//! Which table a record goes to, and what is to be done with it there.
//!
//! Documented by Firehose: the query of metadata extraction, or the function (`otfMetadata`), names
//! the database, the table and the operation; where neither does, records go to the one table that
//! is configured, as new rows.

use bytes::Bytes;
use millstream_destinations::Failure;
use millstream_formats::prefix::PartitionKeys;
use millstream_formats::query::QueryError;

use super::super::lane::Lane;
use crate::plan::IcebergTarget;

/// The names of a table, where all records go to one.
#[derive(Debug)]
pub(super) struct Tables {
    only: Option<(String, String)>,
}

/// Names that say where a record goes.
const DATABASE: &str = "destinationDatabaseName";
const TABLE: &str = "destinationTableName";
const OPERATION: &str = "operation";

impl Tables {
    pub(super) fn new(target: &IcebergTarget) -> Self {
        let only = match &target.tables[..] {
            [only] => Some((only.database.clone(), only.table.clone())),
            _ => None,
        };
        Self { only }
    }

    /// The lane of a record with these keys, and the operation where it is not to be inserted.
    pub(super) fn route(&self, keys: &PartitionKeys) -> Result<(Lane, Option<Bytes>), Failure> {
        let said = |name: &str| {
            let found = keys.from_query.get(name).or_else(|| keys.from_lambda.get(name));
            found.map(|text| text.trim()).filter(|text| !text.is_empty() && *text != "null")
        };
        let only = self.only.as_ref();
        let database = said(DATABASE).or_else(|| only.map(|(database, _)| database.as_str()));
        let table = said(TABLE).or_else(|| only.map(|(_, table)| table.as_str()));
        let (Some(database), Some(table)) = (database, table) else { return Err(no_name()) };
        if database.contains('\n') || table.contains('\n') {
            let message = "A table name is passed that is not one line.";
            return Err(Failure::permanent("Iceberg.InvalidTableName", message));
        }
        let operation = match said(OPERATION) {
            None => None,
            Some(text) if text.eq_ignore_ascii_case("insert") => None,
            Some(text) if text.eq_ignore_ascii_case("update") => Some(UPDATE),
            Some(text) if text.eq_ignore_ascii_case("delete") => Some(DELETE),
            Some(other) => {
                let excerpt: String = other.chars().take(64).collect();
                let message = format!("The operation {excerpt:?} is not insert, update or delete.");
                // The code is ours.
                return Err(Failure::permanent("Iceberg.InvalidOperation", message));
            }
        };
        let lane = Lane::Main(crate::plan::table_partition(database, table).into());
        Ok((lane, operation.map(Bytes::from_static)))
    }
}

/// What is said of a record whose table is not named (documented: the code and the sentence).
fn no_name() -> Failure {
    let message = "A null or empty table name is passed.";
    Failure::permanent("Iceberg.InvalidTableName", message)
}

/// The failure of a query that gave no name where a table's belongs.
pub(super) fn nameless(error: &QueryError) -> Option<Failure> {
    match error {
        QueryError::EmptyKey { name } if name == DATABASE || name == TABLE => Some(no_name()),
        _ => None,
    }
}

/// Operations as records have them on their way.
pub(in super::super) const UPDATE: &[u8] = b"update";
pub(in super::super) const DELETE: &[u8] = b"delete";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::plan::IcebergTable;

    fn tables(names: &[&str]) -> Tables {
        let table = |name: &&str| IcebergTable {
            database: "db".to_owned(),
            table: (*name).to_owned(),
            unique_keys: Vec::new(),
            error_prefix: None,
        };
        Tables::new(&IcebergTarget {
            catalog_arn: None,
            warehouse: None,
            tables: names.iter().map(table).collect(),
            retry: Duration::ZERO,
        })
    }

    fn keys(query: &[(&str, &str)], lambda: &[(&str, &str)]) -> PartitionKeys {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        PartitionKeys { from_query: map(query), from_lambda: map(lambda) }
    }

    #[test]
    fn the_query_comes_before_the_function_and_both_before_the_one_table() {
        let lane = |name: &str| Lane::Main(name.into());
        let one = tables(&["t"]);
        assert_eq!(one.route(&keys(&[], &[])).unwrap(), (lane("db\nt"), None));
        let by_query = [(DATABASE, "q"), (TABLE, "x"), (OPERATION, "Delete")];
        let by_function = [(TABLE, "y"), (OPERATION, "update")];
        let found = one.route(&keys(&by_query, &by_function)).unwrap();
        assert_eq!(found, (lane("q\nx"), Some(Bytes::from_static(DELETE))));
        let found = one.route(&keys(&[], &by_function)).unwrap();
        assert_eq!(found, (lane("db\ny"), Some(Bytes::from_static(UPDATE))));
        let code = |tables: &Tables, keys: &PartitionKeys| tables.route(keys).unwrap_err().code;
        assert_eq!(code(&tables(&["t", "u"]), &keys(&[], &[])), "Iceberg.InvalidTableName");
        assert_eq!(code(&tables(&[]), &keys(&by_function, &[])), "Iceberg.InvalidTableName");
        assert_eq!(code(&one, &keys(&[(OPERATION, "upsert")], &[])), "Iceberg.InvalidOperation");
    }
}
