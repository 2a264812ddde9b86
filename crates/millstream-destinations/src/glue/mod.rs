//! Tables' columns, from a Glue-compatible catalog or from files.
//!
//! Owns one question: which columns a version of a table has. Partition keys are not columns of
//! the files that are written, and are left out.
//!
//! Source: the AWS Glue API's `GetTable` and `GetTableVersion` (JSON 1.1).

mod directory;
pub(crate) mod remote;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use millstream_auth::sigv4::SigningCredentials;
use millstream_core::Clock;
use serde::Deserialize;

use crate::ConfigError;
use crate::outbound::Outbound;
use remote::Remote;

/// The version that is whichever is newest.
pub const LATEST: &str = "LATEST";

/// A version of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableVersion {
    /// The catalog; the account's own where none is given.
    pub catalog: Option<String>,
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
    /// A number, or [`LATEST`].
    pub version: String,
}

/// A table's columns, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Names and Hive types.
    pub columns: Vec<(String, String)>,
    /// Which version they are of, where the catalog says.
    pub version: Option<String>,
}

/// Why a table's columns cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// There is no such table, database or version.
    #[error("{0} is not in the catalog")]
    NotFound(String),
    /// The catalog does not let us.
    #[error("the catalog denies access: {0}")]
    AccessDenied(String),
    /// The catalog has the table, and its description cannot be used.
    #[error("the catalog's answer cannot be used: {0}")]
    Unusable(String),
    /// The catalog does not answer, or cannot just now.
    #[error("the catalog cannot be asked: {0}")]
    Unavailable(String),
}

/// Where a catalog is asked.
#[derive(Clone, Debug)]
pub struct GlueSettings {
    /// Where to; AWS's own endpoint for the region where none is given.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// In whose name; unsigned where none are given.
    pub credentials: Option<SigningCredentials>,
}

/// A catalog of tables.
#[derive(Clone)]
pub struct Catalog(Arc<Place>);

enum Place {
    Directory(PathBuf),
    Remote(Box<Remote>),
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Place::Directory(root) => write!(f, "Catalog({})", root.display()),
            Place::Remote(remote) => write!(f, "Catalog({remote:?})"),
        }
    }
}

impl Catalog {
    /// A catalog of files: `DATABASE.TABLE.json` in `root`, each the table as Glue describes it
    /// (an answer of `GetTable`, or the table inside of it). Files have one version.
    pub fn directory(root: PathBuf) -> Self {
        Self(Arc::new(Place::Directory(root)))
    }

    /// A catalog that speaks Glue's protocol.
    pub fn remote(
        settings: &GlueSettings,
        outbound: Outbound,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        Ok(Self(Arc::new(Place::Remote(Box::new(Remote::new(settings, outbound, clock)?)))))
    }

    /// The columns of a version of a table.
    pub async fn columns(&self, of: &TableVersion) -> Result<Columns, CatalogError> {
        match &*self.0 {
            Place::Directory(root) => directory::columns(root, of).await,
            Place::Remote(remote) => remote.columns(of).await,
        }
    }
}

/// A table as Glue describes it, as far as it matters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Table {
    storage_descriptor: Option<StorageDescriptor>,
    version_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StorageDescriptor {
    #[serde(default)]
    columns: Vec<Column>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Column {
    name: String,
    /// Glue lets it be left out; without it nothing can be written.
    r#type: Option<String>,
}

impl Table {
    fn into_columns(self, version: Option<String>) -> Result<Columns, CatalogError> {
        let unusable = |reason: String| CatalogError::Unusable(reason);
        let descriptor = self
            .storage_descriptor
            .ok_or_else(|| unusable("the table has no storage descriptor".to_owned()))?;
        let mut columns = Vec::with_capacity(descriptor.columns.len());
        for column in descriptor.columns {
            let Some(hive_type) = column.r#type.filter(|text| !text.is_empty()) else {
                return Err(unusable(format!("the column {} has no type", column.name)));
            };
            columns.push((column.name, hive_type));
        }
        if columns.is_empty() {
            return Err(unusable("the table has no columns".to_owned()));
        }
        Ok(Columns { columns, version: version.or(self.version_id) })
    }
}
