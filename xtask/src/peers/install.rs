//! Brings peers from the package registries into a cache folder, once.
//!
//! Owns the cache's layout: `NAME-VERSION/` for each source, complete if and only if its
//! `installed` mark exists, so that an interrupted installation is begun again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::{is_installed, run_to_success};
use super::roster::{Peer, Source};

const DOWNLOAD_LIMIT: Duration = Duration::from_secs(400);
/// A cold release build of the heaviest peer, or of this workspace, on two cores.
const BUILD_LIMIT: Duration = Duration::from_secs(2_400);

/// Where installed things, data and logs of a run lie: under the target folder, never in the tree.
pub(super) struct Cache {
    /// The workspace.
    pub(super) root: PathBuf,
    /// Cargo's target folder.
    pub(super) target: PathBuf,
}

impl Cache {
    /// The cache beside this build's other products.
    pub(super) fn of(root: &Path) -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| PathBuf::from("target"));
        Self { root: root.to_path_buf(), target: root.join(target) }
    }

    /// The folder of everything about peers.
    pub(super) fn peers(&self) -> PathBuf {
        self.target.join("peers")
    }

    /// Where `peer` keeps its data and log while it runs.
    pub(super) fn run_folder(&self, peer: &Peer) -> PathBuf {
        self.peers().join("run").join(peer.name)
    }

    /// Our own binary.
    pub(super) fn binary(&self) -> PathBuf {
        self.target.join("release").join("millstream")
    }

    /// Where `source` is installed.
    pub(super) fn install_folder(&self, source: Source) -> PathBuf {
        let name = match source {
            Source::Workspace => "workspace".to_owned(),
            Source::Npm { package, version } | Source::Cargo { package, version } => {
                format!("{package}-{version}")
            }
            Source::Pip { requirement, version } => {
                let package = requirement.split('[').next().unwrap_or(requirement);
                format!("{package}-{version}")
            }
            Source::Kafka { version } => format!("kafka-{version}"),
        };
        self.peers().join("installed").join(name)
    }
}

/// Installs what `source` names, unless that has been done; the error is for the table.
pub(super) fn install(cache: &Cache, source: Source) -> Result<PathBuf, String> {
    let folder = cache.install_folder(source);
    let mark = folder.join("installed");
    // Our own sources change between runs; cargo knows whether there is anything to do.
    if mark.is_file() && source != Source::Workspace {
        return Ok(folder);
    }
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    match source {
        Source::Workspace => build_ours(cache, &folder)?,
        Source::Npm { package, version } => npm(&folder, package, version)?,
        Source::Pip { requirement, version } => pip(&folder, requirement, version)?,
        Source::Cargo { package, version } => cargo(cache, &folder, package, version)?,
        Source::Kafka { version } => kafka(&folder, version)?,
    }
    fs::write(&mark, "").map_err(|error| error.to_string())?;
    Ok(folder)
}

fn build_ours(cache: &Cache, folder: &Path) -> Result<(), String> {
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--package", "millstream"]).current_dir(&cache.root);
    run_to_success(&mut command, folder, BUILD_LIMIT).map(drop)
}

fn npm(folder: &Path, package: &str, version: &str) -> Result<(), String> {
    require("npm", "Node.js with npm")?;
    let mut command = Command::new("npm");
    command
        .args(["install", "--no-audit", "--no-fund", "--no-update-notifier", "--prefix"])
        .arg(folder)
        .arg(format!("{package}@{version}"))
        .current_dir(folder);
    run_to_success(&mut command, folder, DOWNLOAD_LIMIT).map(drop)
}

fn pip(folder: &Path, requirement: &str, version: &str) -> Result<(), String> {
    require("python3", "Python 3 with venv")?;
    let venv = folder.join("venv");
    let mut command = Command::new("python3");
    command.args(["-m", "venv"]).arg(&venv);
    run_to_success(&mut command, folder, DOWNLOAD_LIMIT)?;
    let mut command = Command::new(venv.join("bin/pip"));
    command
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .arg(format!("{requirement}=={version}"));
    run_to_success(&mut command, folder, DOWNLOAD_LIMIT).map(drop)
}

fn cargo(cache: &Cache, folder: &Path, package: &str, version: &str) -> Result<(), String> {
    let mut command = Command::new("cargo");
    command
        .args(["install", package, "--locked", "--version", version, "--root"])
        .arg(folder)
        .arg("--target-dir")
        .arg(cache.peers().join("build"))
        .current_dir(folder);
    run_to_success(&mut command, folder, BUILD_LIMIT).map(drop)
}

/// The broker and its tools, by a project file that names only them.
fn kafka(folder: &Path, version: &str) -> Result<(), String> {
    require("java", "a Java 17 runtime")?;
    require("mvn", "Maven")?;
    let artifacts = ["kafka_2.13", "kafka-tools"].map(|artifact| {
        format!(
            "<dependency><groupId>org.apache.kafka</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>"
        )
    });
    let project = format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>peers</groupId><artifactId>kafka</artifactId><version>1</version>\
         <packaging>pom</packaging><dependencies>{}</dependencies></project>",
        artifacts.concat()
    );
    fs::write(folder.join("pom.xml"), project).map_err(|error| error.to_string())?;
    let mut command = Command::new("mvn");
    command
        .args(["--batch-mode", "--quiet", "dependency:copy-dependencies"])
        .args(["-DoutputDirectory=jars", "-DincludeScope=runtime"])
        .current_dir(folder);
    run_to_success(&mut command, folder, DOWNLOAD_LIMIT).map(drop)
}

fn require(program: &str, what: &str) -> Result<(), String> {
    if is_installed(program) { Ok(()) } else { Err(format!("needs {what}: `{program}` not found")) }
}
