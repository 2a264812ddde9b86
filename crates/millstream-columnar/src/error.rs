//! What can be wrong with a schema, with a reader's options, and with a record.
//!
//! A schema's errors are the configuration's; a record's error is one line of a delivery stream's
//! error output, so it carries Firehose's own code and words.

use thiserror::Error;

/// Why columns cannot be read as a schema, or a reader or a writer cannot be made for them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SchemaError {
    /// A table without columns has no file.
    #[error("the table has no columns")]
    NoColumns,
    /// A column or a member without a name.
    #[error("column {position} has no name")]
    NoName {
        /// Counted from 0.
        position: usize,
    },
    /// Two columns, or two members of one struct, whose names differ at most in case.
    #[error("column {column}: {name} appears twice")]
    Duplicate {
        /// The column it was found in.
        column: String,
        /// The name that is there twice.
        name: String,
    },
    /// The type is not written as Hive writes types.
    #[error("column {column}: type {text:?} is not valid at {at}: {what}")]
    Syntax {
        /// The column's name.
        column: String,
        /// The type as it was given.
        text: String,
        /// Bytes from the start of the type.
        at: usize,
        /// What was expected.
        what: &'static str,
    },
    /// A type that Hive knows, and conversion does not.
    #[error("column {column}: type {kind} is not supported")]
    Unsupported {
        /// The column's name.
        column: String,
        /// The type.
        kind: String,
    },
    /// A length, precision or scale that the type cannot have.
    #[error("column {column}: {kind} must be {range}")]
    Size {
        /// The column's name.
        column: String,
        /// The type and what of it is wrong.
        kind: &'static str,
        /// What is allowed.
        range: &'static str,
    },
    /// Types nested too deep.
    #[error("column {column}: types are nested more than {depth_max} deep")]
    Depth {
        /// The column's name.
        column: String,
        /// How deep they may be.
        depth_max: usize,
    },
    /// A pattern for timestamps that cannot be used.
    #[error("timestamp format {pattern:?}: {what}")]
    TimestampFormat {
        /// The pattern as it was given.
        pattern: String,
        /// What is wrong with it.
        what: String,
    },
    /// An option names a column that is not there, or cannot do this for that column.
    #[error("{option} names {name}, which {what}")]
    Column {
        /// The option.
        option: &'static str,
        /// The column it names.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Why a record cannot be converted: `lastErrorCode` and `lastErrorMessage` of the error output.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{code}: {message}")]
pub struct ConversionError {
    /// `DataFormatConversion.ParseError` or `DataFormatConversion.MalformedData`.
    pub code: &'static str,
    /// Firehose's words, followed by what was found.
    pub message: String,
}

impl ConversionError {
    /// The bytes are not JSON.
    pub(crate) fn parse(what: &str) -> Self {
        Self {
            code: "DataFormatConversion.ParseError",
            message: format!("Encountered malformed JSON. {what}"),
        }
    }

    /// The JSON is not this table's.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self { code: "DataFormatConversion.MalformedData", message: message.into() }
    }
}
