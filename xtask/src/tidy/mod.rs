//! The rules of the house that a machine can hold: run by `cargo xtask tidy` and by the tests.
//!
//! Owns the list of rules; each rule reads files and returns sentences saying what is wrong and
//! where. Finding nothing is the only success.

mod layers;
mod sizes;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

/// A source file, read once and handed to each rule.
pub(crate) struct SourceFile {
    /// Path from the root of the workspace, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

impl SourceFile {
    /// Whether a person wrote it.
    fn is_by_hand(&self) -> bool {
        !self.path.contains("/generated/")
    }
}

/// Runs the task; the error lists everything found.
pub(crate) fn run(_arguments: &[String]) -> Result<(), String> {
    let root = workspace_root();
    let found = findings(&root)?;
    if found.is_empty() {
        println!("tidy: nothing to say");
        return Ok(());
    }
    Err(format!("tidy: {} to mend\n{}", found.len(), found.join("\n")))
}

/// The root of the workspace this task was built in.
pub(crate) fn workspace_root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask lies in the workspace").to_path_buf()
}

fn findings(root: &Path) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    for top in ["crates", "xtask", "fuzz", "conformance/rust"] {
        collect(root, &root.join(top), &mut files)?;
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_by_hand()) {
        sizes::check(file, &mut found);
        words::check(file, &mut found);
    }
    layers::check_imports(&files, &mut found);
    layers::check_manifests(root, &mut found)?;
    words::check_documents(root, &mut found)?;
    Ok(found)
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) -> Result<(), String> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && name != "node_modules" && !name.starts_with('.') {
                collect(root, &path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = read(&path)?;
            let relative = path.strip_prefix(root).expect("found under the root");
            files.push(SourceFile { path: relative.to_string_lossy().replace('\\', "/"), text });
        }
    }
    Ok(())
}

/// Reads a whole text file; the error names it.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    #[allow(clippy::disallowed_methods)] // A task, not the product.
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let found = findings(&workspace_root()).expect("the workspace can be read");
        assert!(found.is_empty(), "\n{}", found.join("\n"));
    }
}
