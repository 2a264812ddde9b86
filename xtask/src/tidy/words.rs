//! Words that must not stand in the tree, numbers that must say where they come from.

use std::path::Path;

use super::{SourceFile, read};

/// Type names that hide what a thing is.
const VAGUE: &[&str] = &["Manager", "Helper", "Utils"];

/// Says what is named vaguely, and which limit has no source.
pub(crate) fn check(file: &SourceFile, found: &mut Vec<String>) {
    for (number, line) in file.text.lines().enumerate() {
        let code = line.trim_start();
        let defines = ["struct ", "enum ", "trait ", "mod ", "type "].iter().any(|word| {
            code.trim_start_matches("pub ").trim_start_matches("pub(crate) ").starts_with(word)
        });
        if defines && VAGUE.iter().any(|word| code.contains(word)) {
            found.push(format!("{}:{}: say what it is", file.path, number + 1));
        }
        if code.contains("TODO") && !code.contains("TODO(#") && !file.path.starts_with("xtask/") {
            found.push(format!("{}:{}: a TODO needs an issue number", file.path, number + 1));
        }
    }
    if file.path == "crates/millstream-core/src/limits.rs" {
        sourced(file, found);
    }
}

/// Every limit's doc says where the number comes from.
fn sourced(file: &SourceFile, found: &mut Vec<String>) {
    let mut doc = String::new();
    for (number, line) in file.text.lines().enumerate() {
        if let Some(text) = line.strip_prefix("///") {
            doc.push_str(text);
        } else if line.starts_with("pub const") {
            let named = ["documented", "observed", "ours"].iter().any(|word| doc.contains(word));
            if !named {
                found.push(format!("{}:{}: a limit without a source", file.path, number + 1));
            }
            doc.clear();
        } else {
            doc.clear();
        }
    }
}

/// Documents that the project promises, and paths that would name somebody's machine.
pub(crate) fn check_documents(root: &Path, found: &mut Vec<String>) -> Result<(), String> {
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "STYLE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "docs/compatibility.md",
        "docs/benchmarks.md",
        "docs/threat-model.md",
    ] {
        let path = root.join(name);
        if !path.is_file() {
            found.push(format!("{name}: missing"));
            continue;
        }
        let text = read(&path)?;
        if ["/root/", "/work/", "/home/"].iter().any(|place| text.contains(place)) {
            found.push(format!("{name}: names a path of one machine"));
        }
    }
    Ok(())
}
