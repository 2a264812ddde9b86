//! From a plan's tables to the destination that they are.

use std::sync::Arc;

use millstream_destinations::Destination;
use millstream_destinations::iceberg::{Iceberg, IcebergConfig, KeyedTable, Tables};

use crate::plan::IcebergTarget;

/// The destination of `target`, among the tables of this server.
pub(super) fn destination(
    target: &IcebergTarget,
    tables: &Tables,
    stream_id: String,
) -> Arc<dyn Destination> {
    let keyed = target.tables.iter().map(|table| KeyedTable {
        database: table.database.clone(),
        table: table.table.clone(),
        unique_keys: table.unique_keys.clone(),
    });
    let config = IcebergConfig {
        catalog: target.catalog_arn.as_deref().and_then(catalog_id),
        warehouse: target.warehouse.clone(),
        tables: keyed.collect(),
        stream_id,
    };
    Arc::new(Iceberg::new(config, tables.clone()))
}

/// What Glue calls the catalog of an ARN: the account, and where the ARN names more than that, as
/// for the table buckets of S3, the names below it (documented: `ACCOUNT:s3tablescatalog/BUCKET`).
fn catalog_id(arn: &str) -> Option<String> {
    let mut parts = arn.splitn(6, ':');
    let account = parts.nth(4).filter(|account| !account.is_empty())?;
    let below = parts.next()?.strip_prefix("catalog")?.trim_start_matches('/');
    Some(if below.is_empty() { account.to_owned() } else { format!("{account}:{below}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalogs_are_called_by_their_account_and_what_is_below() {
        let id = |resource: &str| catalog_id(&format!("arn:aws:glue:eu-west-1:1234:{resource}"));
        assert_eq!(id("catalog").as_deref(), Some("1234"));
        assert_eq!(id("catalog/s3tablescatalog/b").as_deref(), Some("1234:s3tablescatalog/b"));
        assert_eq!(id("table/x"), None);
        assert_eq!(catalog_id("arn:aws:glue:eu-west-1::catalog"), None);
    }
}
