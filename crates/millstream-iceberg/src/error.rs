//! Why a table cannot be written to, and why a record is no row of it.

use thiserror::Error;

/// Why a table cannot be written to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TableError {
    /// Its metadata, or a file of it, is not as the specification has it.
    #[error("the table's metadata cannot be read: {0}")]
    Malformed(String),
    /// It needs something that is not done here.
    #[error("the table needs {0}, which is not supported")]
    Unsupported(String),
    /// The format's version is not the second.
    #[error("the table is in version {0} of the format; only version 2 is supported")]
    Version(u64),
    /// Columns that were to tell rows apart cannot.
    #[error(
        "The configured unique keys for the table do not match with the fields present in the schema. ({0})"
    )]
    UniqueKeys(String),
}

impl TableError {
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed(what.into())
    }

    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported(what.into())
    }
}

/// Why a record is no row of the table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RowError {
    /// It is not one JSON object.
    #[error("The record is not a JSON object. ({0})")]
    Malformed(String),
    /// It has no value where the table wants one, or no column at all.
    #[error("One or more columns are missing in the record. ({0})")]
    Missing(String),
    /// A value is not of its column's type.
    #[error("The value of {column} is not of the column's type: {what}.")]
    Value {
        /// Which column, with the members' names.
        column: String,
        /// What was wanted, and what was found.
        what: String,
    },
    /// The table has no keys, so that a row to change cannot be found.
    #[error("The operation needs unique keys, and the table has none.")]
    NoKeys,
}
