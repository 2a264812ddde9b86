//! Not written yet.

/// Runs the task; the error is what to tell the person.
pub(crate) fn run(_arguments: &[String]) -> Result<(), String> {
    Err("not written yet".to_owned())
}
