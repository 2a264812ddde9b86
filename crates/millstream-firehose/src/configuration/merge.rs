//! An update of a destination.
//!
//! Owns what an update changes, keeps, and may not change. Source: API_UpdateDestination
//! (documented): for the same kind the members given replace those that are there, and all others
//! stay; for another kind the update is the whole configuration. A bucket's configuration and an
//! endpoint's are merged member by member in turn: the one because all members of its update are
//! optional, the other because its key is never shown and so cannot be given back. Unions, such
//! as the encryption or the serializer, are replaced whole, or both sides would stand in them.

use serde_json::{Map, Value};

use super::document::{DestinationKind, Document};
use super::invalid::Invalid;
use super::node::Node;

/// What updates call a member, and what configurations do.
const RENAMED: [(&str, &str); 2] =
    [("S3Update", "S3Configuration"), ("S3BackupUpdate", "S3BackupConfiguration")];
/// Members whose own members are merged.
const MERGED: [&str; 3] = ["S3Configuration", "S3BackupConfiguration", "EndpointConfiguration"];

/// The configuration that results from `update`, an update of the kind `kind` in wire form. It
/// has still to be checked for its shape and read into a plan.
pub(crate) fn updated(
    current: &Document,
    kind: DestinationKind,
    update: Map<String, Value>,
) -> Result<Document, Invalid> {
    let update = renamed(update);
    if current.kind != kind {
        if let Some(fixed) = [current.kind, kind].into_iter().find(|kind| !kind.is_replaceable()) {
            return Err(Invalid::KindFixed { kind: fixed });
        }
        let document = Document { kind, body: update };
        if partitions(&document) {
            return Err(Invalid::PartitioningLate);
        }
        return Ok(document);
    }
    let mut body = current.body.clone();
    for (name, value) in update {
        merge(&mut body, name, value);
    }
    let document = Document { kind, body };
    check_fixed(current, &document)?;
    Ok(document)
}

fn renamed(update: Map<String, Value>) -> Map<String, Value> {
    let rename = |name: String| {
        let renamed = RENAMED.iter().find(|(update, _)| *update == name);
        renamed.map_or(name, |(_, configuration)| (*configuration).to_owned())
    };
    update.into_iter().map(|(name, value)| (rename(name), value)).collect()
}

fn merge(body: &mut Map<String, Value>, name: String, value: Value) {
    match (body.get_mut(&name), value) {
        (Some(Value::Object(present)), Value::Object(given)) if MERGED.contains(&name.as_str()) => {
            present.extend(given);
        }
        (_, value) => {
            body.insert(name, value);
        }
    }
}

/// Refused where something changed that was fixed at creation, or can only be turned on.
fn check_fixed(before: &Document, after: &Document) -> Result<(), Invalid> {
    match (partitions(before), partitions(after)) {
        (false, true) => return Err(Invalid::PartitioningLate),
        (true, false) => return Err(Invalid::PartitioningKept),
        (true, true) | (false, false) => {}
    }
    let backs_up = |document: &Document| {
        let mode = Node(&document.body).text("S3BackupMode");
        mode.is_some_and(|mode| mode == "Enabled" || mode.starts_with("All"))
    };
    if backs_up(before) && !backs_up(after) {
        return Err(Invalid::BackupKept);
    }
    Ok(())
}

fn partitions(document: &Document) -> bool {
    let partitioning = Node(&document.body).child("DynamicPartitioningConfiguration");
    partitioning.is_some_and(|partitioning| partitioning.truth("Enabled") == Some(true))
}
