//! Queries: jq programs over one record.
//!
//! Owns metadata extraction (partition keys) and the in-process transformation. The language is
//! jq's, by jaq, with jq 1.6's builtins that neither ask the outside world for something nor tell
//! it something: no files, environment, input or output; `now` is what the caller says it is, so a
//! query is a pure function of a record and its time, and a replay gives the same answer.
//!
//! Invariant: no query and no record can hang, exhaust or end the process. Steps, memory, nesting
//! and stack are counted (`meter`), and what goes beyond its limits is an error of that record.
//! So is a defect of the interpreter.
//!
//! Where it differs from jq 1.6: integers are exact to 64 bits; `(1,2) + (10,20)` and objects of
//! several outputs vary the right side first; expressions have no look-around; strings' indices
//! count characters, not bytes; `?//`, `$__loc__`, `$ENV`, `input` and `halt` are not there.
//! Source: the jq 1.6 manual; the guide's "Understand partitioning keys" names that version.

mod access;
mod arrays;
mod engine;
mod fields;
mod formats;
mod json;
mod math;
mod meter;
mod natives;
mod number;
mod object;
mod patterns;
mod program;
mod strings;
mod text;
mod times;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use millstream_core::Timestamp;

use fields::Fields;
use meter::{Failure, Limits, Stop};
use patterns::Regexes;
use program::Program;
use text::Text;
use value::Val;

/// Steps of any run, and more per byte of its record. The worst attacks that the tests know take a
/// second on a small record, unoptimized.
const STEPS_BASE: u64 = 250_000;
const STEPS_PER_BYTE: u64 = 4;
/// Memory of any run, and more per byte of its record, which alone takes up to 24.
const MEMORY_BASE: u64 = 8 * 1024 * 1024;
const MEMORY_PER_BYTE: u64 = 32;
/// Outputs of one transformation.
const OUTPUTS_MAX: usize = 10_000;
/// Bytes of all outputs of one transformation: what a Lambda function may answer.
const OUTPUT_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Why a query is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It is longer than we take.
    #[error("the query is longer than {bytes_max} bytes")]
    TooLong {
        /// What we take.
        bytes_max: usize,
    },
    /// It is no program of the language, or of what we support of it.
    #[error("invalid query: {reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
}

/// Why a query has no result for a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The record is not one JSON value (the service's words, observed).
    #[error("Non JSON record provided")]
    NotJson,
    /// The query says so, or asks for something that the record's values cannot do.
    #[error("{message}")]
    Failed {
        /// jq's message.
        message: String,
    },
    /// The query does not give exactly one object.
    #[error("the query gave {what} where one object of partition keys is expected")]
    NotOneObject {
        /// What it gave.
        what: &'static str,
    },
    /// A key is null or empty (the service's words, observed).
    #[error("partitionKeys values must not be null or empty")]
    EmptyKey {
        /// The key's name.
        name: String,
    },
    /// A key is an array or an object.
    #[error("the value of the partition key {name} must be a string, a number or a boolean")]
    CompositeKey {
        /// The key's name.
        name: String,
    },
    /// The query goes beyond what one record may cost.
    #[error("the query needs too much {what} for this record")]
    Limit {
        /// What it is short of.
        what: &'static str,
    },
    /// The interpreter failed: our fault.
    #[error("the query's interpreter failed")]
    Internal,
}

/// A query, compiled once and run many times; cloning shares it.
///
/// Run it on a thread with 2 MiB of stack, as Rust's and tokio's have.
#[derive(Clone)]
pub struct Query {
    inner: Arc<Compiled>,
}

struct Compiled {
    text: String,
    program: Program,
    fields: Option<Fields>,
    regexes: Regexes,
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Query").field(&self.inner.text).finish()
    }
}

impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.inner.text == other.inner.text
    }
}

impl Eq for Query {}

impl Query {
    /// Compiles `text`: milliseconds, on a thread of its own.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.len() > program::TEXT_BYTES_MAX {
            return Err(ParseError::TooLong { bytes_max: program::TEXT_BYTES_MAX });
        }
        let program = program::compile(text).map_err(|reason| ParseError::Invalid { reason })?;
        let fields = program.fields.as_ref().and_then(Fields::new);
        let text = text.to_owned();
        let regexes = Regexes::default();
        Ok(Self { inner: Arc::new(Compiled { text, program, fields, regexes }) })
    }

    /// The text it was compiled from.
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// The names of the keys that it gives, where the text says them (`{a: .b, "c": .d}`), for the
    /// check against the prefix's; `None` for queries of another form.
    pub fn keys(&self) -> Option<&[String]> {
        self.inner.program.keys.as_deref()
    }

    /// The partition keys of a record that arrived at `arrival`: strings, numbers and booleans as
    /// text.
    pub fn partition_keys(
        &self,
        record: &[u8],
        arrival: Timestamp,
    ) -> Result<BTreeMap<String, String>, QueryError> {
        let record = std::str::from_utf8(record).map_err(|_| QueryError::NotJson)?;
        if let Some(keys) = self.inner.fields.as_ref().and_then(|fields| fields.read(record)) {
            return Ok(keys);
        }
        run(record, |input| {
            let mut keys = Err(QueryError::NotOneObject { what: "nothing" });
            self.apply(arrival, input, |output| {
                let first = matches!(keys, Err(QueryError::NotOneObject { what: "nothing" }));
                keys = match output {
                    Err(message) => Err(QueryError::Failed { message }),
                    Ok(value) if first => keys_of(&value),
                    Ok(_) => Err(QueryError::NotOneObject { what: "more than one value" }),
                };
                keys.is_ok()
            });
            keys
        })
    }

    /// What the query gives for a record that arrived at `arrival`, in order: JSON without white
    /// space, but strings as they are (as `jq -cr` writes). None is a record that is dropped.
    pub fn transform(&self, record: &[u8], arrival: Timestamp) -> Result<Vec<Bytes>, QueryError> {
        let record = std::str::from_utf8(record).map_err(|_| QueryError::NotJson)?;
        run(record, |input| {
            let mut outputs = Vec::new();
            let mut bytes = 0;
            let mut fault = None;
            self.apply(arrival, input, |output| {
                match output {
                    Err(message) => fault = Some(QueryError::Failed { message }),
                    Ok(value) => {
                        let text = output_text(&value);
                        bytes += text.len();
                        outputs.push(Bytes::from(text));
                        if bytes > OUTPUT_BYTES_MAX || outputs.len() > OUTPUTS_MAX {
                            fault = Some(QueryError::Limit { what: "output" });
                        }
                    }
                }
                fault.is_none()
            });
            fault.map_or(Ok(outputs), Err)
        })
    }

    fn apply(&self, now: Timestamp, input: Val, output: impl FnMut(Result<Val, String>) -> bool) {
        engine::apply(&self.inner.program.filter, &self.inner.regexes, now, input, output);
    }
}

/// Reads the record and does `work` with it, within the limits of its size.
fn run<T>(record: &str, work: impl FnOnce(Val) -> Result<T, QueryError>) -> Result<T, QueryError> {
    let bytes = record.len() as u64;
    let limits = Limits {
        steps: STEPS_BASE + STEPS_PER_BYTE * bytes,
        bytes: MEMORY_BASE + MEMORY_PER_BYTE * bytes,
    };
    let result = meter::run(limits, || {
        let text = Text::new(record.to_owned());
        let input = json::parse(&text).map_err(|_| QueryError::NotJson)?;
        drop(text);
        work(input)
    });
    result.unwrap_or_else(|failure| {
        Err(match failure {
            Failure::Stopped(Stop::Steps) => QueryError::Limit { what: "time" },
            Failure::Stopped(Stop::Memory) => QueryError::Limit { what: "memory" },
            Failure::Stopped(Stop::Depth | Stop::Stack | Stop::Path) => {
                QueryError::Limit { what: "nesting" }
            }
            Failure::Panicked => QueryError::Internal,
        })
    })
}

fn output_text(value: &Val) -> String {
    match value {
        Val::Str(text) => text.as_str().to_owned(),
        other => {
            let mut output = String::new();
            json::write(other, &mut output);
            output
        }
    }
}

fn keys_of(value: &Val) -> Result<BTreeMap<String, String>, QueryError> {
    let Val::Obj(object) = value else {
        return Err(QueryError::NotOneObject { what: value.kind() });
    };
    let mut keys = BTreeMap::new();
    for (name, value) in object.entries() {
        let name = name.as_str().to_owned();
        let text = match value {
            Val::Null => String::new(),
            Val::Str(_) | Val::Num(_) | Val::Bool(_) => output_text(value),
            Val::Arr(_) | Val::Obj(_) => return Err(QueryError::CompositeKey { name }),
        };
        if text.is_empty() {
            return Err(QueryError::EmptyKey { name });
        }
        keys.insert(name, text);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
