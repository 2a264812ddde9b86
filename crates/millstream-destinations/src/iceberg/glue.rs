//! Tables of a catalog that speaks Glue's protocol.
//!
//! Glue keeps where a table's metadata is, as one of the table's parameters. A commit writes new
//! metadata and moves the parameter, on condition that the table is still the version that was
//! loaded (`VersionId`), as Iceberg's own Glue catalog does.

use std::sync::Arc;

use http::StatusCode;
use millstream_core::Clock;
use millstream_iceberg::TableMetadata;
use serde_json::{Map, Value, json};

use super::catalog::{CommitError, Loaded, Name, Token, table_failure};
use super::storage::Storage;
use crate::glue::GlueSettings;
use crate::glue::remote::{Remote, error_kind};
use crate::outbound::{Answer, Outbound};
use crate::{ConfigError, Failure};

const LOCATION: &str = "metadata_location";
const PREVIOUS: &str = "previous_metadata_location";
/// What of a table's description `UpdateTable` takes back.
const INPUT: [&str; 13] = [
    "Name",
    "Description",
    "Owner",
    "LastAccessTime",
    "LastAnalyzedTime",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "ViewOriginalText",
    "ViewExpandedText",
    "TableType",
    "Parameters",
    "TargetTable",
];

#[derive(Debug)]
pub(super) struct Glue {
    remote: Remote,
}

impl Glue {
    pub(super) fn new(
        settings: &GlueSettings,
        outbound: Outbound,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        Ok(Self { remote: Remote::new(settings, outbound, clock)? })
    }

    pub(super) async fn load(
        &self,
        name: &Name,
        catalog: Option<&str>,
        storage: &Storage,
    ) -> Result<Loaded, Failure> {
        let mut input = input(name, catalog);
        input.insert("Name".to_owned(), name.table.as_str().into());
        let answer = self.remote.call("GetTable", input).await;
        let answer = answer.map_err(|error| unavailable(&error.to_string()))?;
        if answer.status != StatusCode::OK {
            return Err(refused(&answer, name));
        }
        let mut body: Value = serde_json::from_slice(&answer.body)
            .map_err(|error| unavailable(&format!("its answer is no JSON: {error}")))?;
        let table = body.get_mut("Table").map(Value::take).unwrap_or_default();
        let location = table["Parameters"][LOCATION].as_str().map(str::to_owned);
        let location = location.ok_or_else(|| {
            Failure::permanent("Iceberg.NoSuchTable", format!("{name} is not an Iceberg table."))
        })?;
        let metadata = TableMetadata::parse(&storage.read_metadata(&location).await?)
            .map_err(|error| table_failure(&error))?;
        Ok(Loaded { metadata, location, token: Token::Glue(Box::new(table)) })
    }

    pub(super) async fn commit(
        &self,
        name: &Name,
        catalog: Option<&str>,
        loaded: &Loaded,
        location: &str,
    ) -> Result<(), CommitError> {
        let Token::Glue(table) = &loaded.token else { unreachable!("Glue loaded it") };
        let mut described = Map::new();
        for name in INPUT {
            if let Some(value) = table.get(name).filter(|value| !value.is_null()) {
                described.insert(name.to_owned(), value.clone());
            }
        }
        let parameters = described.entry("Parameters").or_insert_with(|| json!({}));
        parameters[LOCATION] = location.into();
        parameters[PREVIOUS] = loaded.location.as_str().into();
        let mut input = input(name, catalog);
        input.insert("TableInput".to_owned(), described.into());
        input.insert("SkipArchive".to_owned(), true.into());
        if let Some(version) = table.get("VersionId").filter(|version| version.is_string()) {
            input.insert("VersionId".to_owned(), version.clone());
        }
        let answer = match self.remote.call("UpdateTable", input).await {
            Ok(answer) => answer,
            Err(error) => return Err(CommitError::Unknown(unavailable(&error.to_string()))),
        };
        let (kind, message) = error_kind(&answer);
        match (answer.status, kind.as_str()) {
            (StatusCode::OK, _) => Ok(()),
            (_, "ConcurrentModificationException") => Err(CommitError::Conflict(message)),
            (status, _) if status.is_server_error() => {
                Err(CommitError::Unknown(refused(&answer, name)))
            }
            _ => Err(CommitError::Failed(refused(&answer, name))),
        }
    }
}

fn input(name: &Name, catalog: Option<&str>) -> Map<String, Value> {
    let mut input = Map::new();
    if let Some(catalog) = catalog {
        input.insert("CatalogId".to_owned(), catalog.into());
    }
    input.insert("DatabaseName".to_owned(), name.database.as_str().into());
    input
}

fn unavailable(why: &str) -> Failure {
    Failure::retryable("Glue.Unavailable", format!("The catalog cannot be asked: {why}."))
}

/// The documented codes are `Iceberg.NoSuchTable` and `Glue.AccessDenied`; others are named after
/// Glue's own.
fn refused(answer: &Answer, name: &Name) -> Failure {
    let (kind, message) = error_kind(answer);
    match kind.as_str() {
        "EntityNotFoundException" => name.missing(),
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "MissingAuthenticationTokenException" => Failure::retryable(
            "Glue.AccessDenied",
            format!("Ensure that the role has the permissions that it needs. ({kind}: {message})"),
        ),
        "" => unavailable(&format!("it answered {}", answer.status.as_u16())),
        kind => {
            let kind = kind.trim_end_matches("Exception");
            Failure::retryable(format!("Glue.{kind}"), format!("The catalog refused: {message}"))
        }
    }
}
