//! What a person sees: colours only where they are wanted, tables that line up, one progress bar.

mod progress;
mod table;

use std::io::IsTerminal;

pub(crate) use progress::{Progress, bytes_text, count_text, duration_text, records_text};
pub(crate) use table::{Align, Table};

/// Colours for one output; plain where it is no terminal or `NO_COLOR` is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    coloured: bool,
}

impl Style {
    /// For standard output.
    pub(crate) fn of_stdout() -> Self {
        Self { coloured: std::io::stdout().is_terminal() && !refused() }
    }

    /// For standard error.
    pub(crate) fn of_stderr() -> Self {
        Self { coloured: std::io::stderr().is_terminal() && !refused() }
    }

    /// No colours at all.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { coloured: false }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// <https://no-color.org>: set and not empty.
fn refused() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
