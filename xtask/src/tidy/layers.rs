//! The staircase: imports run one way only, and only a service's `ops/` names the wire's types.

use std::path::Path;

use super::{SourceFile, read};

/// The floors, from the ground. A crate may use crates of lower floors, and those of its own
/// floor that are listed before it.
const FLOORS: &[&[&str]] = &[
    &["millstream-core"],
    &[
        "millstream-wire",
        "millstream-log",
        "millstream-formats",
        "millstream-columnar",
        "millstream-wasm",
    ],
    &["millstream-auth", "millstream-iceberg"],
    &["millstream-api", "millstream-catalog", "millstream-destinations"],
    &["millstream-streams", "millstream-firehose"],
    &["millstream-server", "millstream-client"],
    &["millstream-sim"],
    &["millstream"],
];

/// Services: crates in which only `ops/` may name `millstream_api`.
const SERVICES: &[&str] = &["millstream-streams", "millstream-firehose"];

/// Pairs that the floors would allow and the design does not.
const FORBIDDEN: &[(&str, &str)] = &[
    // The server knows no service's meaning; the services meet it in the binary.
    ("millstream-server", "millstream-streams"),
    ("millstream-server", "millstream-firehose"),
    ("millstream-server", "millstream-destinations"),
    ("millstream-server", "millstream-log"),
    ("millstream-server", "millstream-catalog"),
    // A client must work against the real service: it knows the wire only.
    ("millstream-client", "millstream-streams"),
    ("millstream-client", "millstream-log"),
    ("millstream-client", "millstream-catalog"),
];

fn floor(name: &str) -> Option<usize> {
    FLOORS.iter().position(|crates| crates.contains(&name))
}

/// Reads each manifest's dependencies and says which arrow points up.
pub(crate) fn check_manifests(root: &Path, found: &mut Vec<String>) -> Result<(), String> {
    let crates = root.join("crates");
    let entries = std::fs::read_dir(&crates).map_err(|error| error.to_string())?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let manifest = entry.path().join("Cargo.toml");
        if !manifest.is_file() {
            continue;
        }
        let Some(own) = floor(&name) else {
            found.push(format!("crates/{name}: not on a floor; a new crate needs an ADR"));
            continue;
        };
        for used in dependencies(&read(&manifest)?) {
            let below = floor(&used).is_some_and(|other| other < own);
            if !below || FORBIDDEN.contains(&(name.as_str(), used.as_str())) {
                found.push(format!("crates/{name}: must not depend on {used}"));
            }
        }
    }
    Ok(())
}

/// The workspace's crates under `[dependencies]`; tests may use what they like.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut in_dependencies = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.trim() == "[dependencies]";
        } else if in_dependencies && line.starts_with("millstream-") {
            let end = line.find(['.', ' ', '=']).unwrap_or(line.len());
            names.push(line[..end].to_owned());
        }
    }
    names
}

/// Says which file of a service names the wire's types outside `ops/`.
pub(crate) fn check_imports(files: &[SourceFile], found: &mut Vec<String>) {
    for service in SERVICES {
        let source = format!("crates/{service}/src/");
        for file in files.iter().filter(|file| file.path.starts_with(&source)) {
            let inner = &file.path[source.len()..];
            let at_the_edge = inner.starts_with("ops") || inner.starts_with("tests");
            if !at_the_edge && file.text.contains("millstream_api") {
                found.push(format!("{}: only ops/ may name millstream_api", file.path));
            }
        }
    }
}
