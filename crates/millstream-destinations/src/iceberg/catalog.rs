//! Where tables are: the catalogs that know which metadata is a table's present one.
//!
//! Owns what all of them have in common: a table is loaded, and a commit is made on top of what
//! was loaded, or not at all.

use std::fmt;
use std::sync::Arc;

use millstream_core::{Clock, Rand};
use millstream_iceberg::{NewSnapshot, TableError, TableMetadata};

use super::folder::Folder;
use super::glue::Glue;
use super::rest::{Rest, RestSettings};
use super::storage::Storage;
use crate::glue::GlueSettings;
use crate::objects::Buckets;
use crate::outbound::Outbound;
use crate::{ConfigError, Failure};

/// A table's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) database: String,
    pub(super) table: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.table)
    }
}

impl Name {
    /// What is said of a table that there is not.
    pub(super) fn missing(&self) -> Failure {
        Failure::permanent("Iceberg.NoSuchTable", format!("The table {self} does not exist."))
    }
}

/// A table as it was found.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) metadata: TableMetadata,
    /// Where the metadata is.
    pub(super) location: String,
    /// What the catalog wants back with a commit.
    pub(super) token: Token,
}

/// What a catalog knows a table's state by.
#[derive(Debug)]
pub(super) enum Token {
    /// Glue's own description of the table.
    Glue(Box<serde_json::Value>),
    /// The number of the version.
    Version(u64),
    /// The metadata says it all.
    None,
}

/// Why a commit is not known to have been made.
#[derive(Debug)]
pub(super) enum CommitError {
    /// Somebody else was first: load the table anew, and commit on top of that.
    Conflict(String),
    /// It may have been made, or not: only the table can tell.
    Unknown(Failure),
    /// It was not made.
    Failed(Failure),
}

impl From<Failure> for CommitError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The tables of a server.
#[derive(Clone, Debug)]
pub struct Tables {
    pub(super) place: Arc<Place>,
    pub(super) storage: Storage,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rand: Arc<dyn Rand>,
}

#[derive(Debug)]
pub(super) enum Place {
    Glue(Box<Glue>),
    Rest(Box<Rest>),
    Folder(Folder),
}

/// What tables need beside their catalog.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Where their files are.
    pub buckets: Buckets,
    /// For signatures and snapshots.
    pub clock: Arc<dyn Clock>,
    /// For the numbers of snapshots and the names of files.
    pub rand: Arc<dyn Rand>,
}

impl Tables {
    fn new(place: Place, ground: Ground) -> Self {
        let Ground { buckets, clock, rand } = ground;
        Self { place: Arc::new(place), storage: Storage::new(buckets), clock, rand }
    }

    /// Tables of a catalog that speaks Glue's protocol.
    pub fn glue(
        settings: &GlueSettings,
        outbound: Outbound,
        ground: Ground,
    ) -> Result<Self, ConfigError> {
        let glue = Glue::new(settings, outbound, Arc::clone(&ground.clock))?;
        Ok(Self::new(Place::Glue(Box::new(glue)), ground))
    }

    /// Tables of a catalog that speaks Iceberg's REST protocol.
    pub fn rest(
        settings: &RestSettings,
        outbound: Outbound,
        ground: Ground,
    ) -> Result<Self, ConfigError> {
        let rest = Rest::new(settings, outbound, Arc::clone(&ground.clock))?;
        Ok(Self::new(Place::Rest(Box::new(rest)), ground))
    }

    /// Tables that are folders of a bucket, `DATABASE/TABLE`, as Iceberg's Hadoop catalog has them.
    /// Buckets must be directories.
    pub fn folders(ground: Ground) -> Self {
        Self::new(Place::Folder(Folder::new(ground.buckets.clone())), ground)
    }

    /// Loads a table; `catalog` is which of Glue's, `warehouse` where folders are.
    pub(super) async fn load(&self, name: &Name, at: &At) -> Result<Loaded, Failure> {
        match &*self.place {
            Place::Glue(glue) => glue.load(name, at.catalog.as_deref(), &self.storage).await,
            Place::Rest(rest) => rest.load(name).await,
            Place::Folder(folder) => folder.load(name, at.warehouse.as_deref()).await,
        }
    }

    /// Commits on top of what was loaded.
    pub(super) async fn commit(
        &self,
        name: &Name,
        at: &At,
        loaded: &Loaded,
        new: &NewSnapshot,
    ) -> Result<(), CommitError> {
        let broken = |error: TableError| CommitError::Failed(table_failure(&error));
        match &*self.place {
            Place::Rest(rest) => {
                let (requirements, updates) = loaded.metadata.changes(new).map_err(broken)?;
                rest.commit(name, requirements, updates).await
            }
            Place::Glue(glue) => {
                let next = loaded.metadata.next(new, &loaded.location).map_err(broken)?;
                let location = next_location(loaded, &self.unique());
                self.storage.write(&location, vec![next.to_bytes().into()]).await?;
                glue.commit(name, at.catalog.as_deref(), loaded, &location).await
            }
            Place::Folder(folder) => {
                let next = loaded.metadata.next(new, &loaded.location).map_err(broken)?;
                folder.commit(name, at.warehouse.as_deref(), loaded, next.to_bytes()).await
            }
        }
    }

    /// What no other file's name has, in the form of a UUID.
    pub(super) fn unique(&self) -> String {
        let (high, low) = (self.rand.next_u64(), self.rand.next_u64());
        let (time, version) = (high >> 16, 0x4000 | high & 0x0FFF);
        let (variant, node) = (0x8000 | low >> 48 & 0x3FFF, low & 0xFFFF_FFFF_FFFF);
        format!("{:08x}-{:04x}-{version:04x}-{variant:04x}-{node:012x}", time >> 16, time & 0xFFFF)
    }
}

/// Which of several places a table is to be looked for in.
#[derive(Clone, Debug, Default)]
pub(super) struct At {
    pub(super) catalog: Option<String>,
    pub(super) warehouse: Option<String>,
}

/// `NNNNN-UUID.metadata.json`, as most catalogs have it, one above the present one.
fn next_location(loaded: &Loaded, unique: &str) -> String {
    let name = loaded.location.rsplit('/').next().unwrap_or_default();
    let version = name.split('-').next().and_then(|number| number.parse::<u64>().ok());
    let version = version.map_or(0, |version| version + 1);
    format!("{}/{version:05}-{unique}.metadata.json", loaded.metadata.metadata_location())
}

/// What a table that cannot be written to means for a delivery.
pub(super) fn table_failure(error: &TableError) -> Failure {
    let code = match error {
        // Documented: also for tables that are not of the second version.
        TableError::Version(_) => "Iceberg.NoSuchTable",
        // Observed on the service, with this sentence.
        TableError::UniqueKeys(_) => "Iceberg.InvalidUniqueKeys",
        // Ours.
        TableError::Malformed(_) => "Iceberg.InvalidMetadata",
        TableError::Unsupported(_) => "Iceberg.UnsupportedTable",
    };
    Failure::permanent(code, error.to_string())
}
