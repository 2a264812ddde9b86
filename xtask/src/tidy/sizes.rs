//! Length of files and functions, and the head that each module owes its reader.

use super::SourceFile;

const FILE_LINES_MAX: usize = 1_000;
const FUNCTION_LINES_MAX: usize = 70;

/// Says what is too long, and which module has no head.
pub(crate) fn check(file: &SourceFile, found: &mut Vec<String>) {
    let lines: Vec<&str> = file.text.lines().collect();
    if lines.len() > FILE_LINES_MAX {
        found.push(format!("{}: {} lines, look for the seam", file.path, lines.len()));
    }
    if !file.text.starts_with("//!") && !file.text.starts_with("#![") {
        found.push(format!("{}: no module head (//!)", file.path));
    }
    let in_tests = file.path.contains("/tests") || file.path.contains("/examples/");
    if !in_tests {
        long_functions(file, &lines, found);
    }
}

/// Finds functions by their layout, which rustfmt guarantees: a function that starts at some
/// indent ends at the first `}` of the same indent. Tests may be long: they read like stories.
fn long_functions(file: &SourceFile, lines: &[&str], found: &mut Vec<String>) {
    let tests_start = lines.iter().position(|line| line.trim() == "#[cfg(test)]");
    for (start, line) in lines.iter().enumerate().take(tests_start.unwrap_or(lines.len())) {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        let starts = ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn ", "async fn "]
            .iter()
            .chain(&["pub async fn ", "pub(crate) async fn ", "pub(super) async fn "])
            .any(|prefix| code.starts_with(prefix));
        if !starts {
            continue;
        }
        let closing = format!("{}}}", " ".repeat(indent));
        let body = lines[start..].iter().position(|line| **line == closing || line.ends_with(';'));
        let end = lines[start..].iter().position(|line| **line == closing);
        // A `;` on the first lines is a declaration without a body.
        if body.is_some_and(|at| at < 1) {
            continue;
        }
        let length = end.map_or(0, |end| end + 1);
        if length > FUNCTION_LINES_MAX {
            found.push(format!("{}:{}: a function of {length} lines", file.path, start + 1));
        }
    }
}
