//! From a record's JSON to rows.
//!
//! One pass, guided by the schema: a value is converted where it stands and appended to its column;
//! no tree is built. A record that fails half way is cut off the columns again. What the readers do
//! with each pair of a value and a type follows the SerDes that Firehose uses (rcongiu's
//! Hive-JSON-Serde, Hive's HCatalog JsonSerDe) and what was observed on the service
//! (floci-io/floci, issue 3235 and pull request 3521); where they would lose data without a word,
//! as `maybe` for a boolean, the record fails here.

mod joda;
mod keys;
mod node;
mod number;
mod record;
mod scan;
mod text;
mod time;

pub(crate) use record::Reader;

/// Why a record is not a row. Boxed, so that results stay as small as what they carry.
#[derive(Debug)]
struct Fault(Box<Cause>);

#[derive(Debug)]
enum Cause {
    /// It is not JSON.
    Syntax {
        /// Bytes from the start of the record.
        at: usize,
        /// What was expected, or what is wrong.
        what: &'static str,
    },
    /// It is JSON, but not of this table: a sentence.
    Data(String),
}

impl Fault {
    #[cold]
    fn syntax(at: usize, what: &'static str) -> Self {
        Self(Box::new(Cause::Syntax { at, what }))
    }

    #[cold]
    fn data(what: impl Into<String>) -> Self {
        Self(Box::new(Cause::Data(what.into())))
    }
}

/// The record's data is not what the column is.
#[cold]
fn mismatch(what: impl Into<String>) -> Fault {
    Fault::data(format!("Data does not match the schema. {}", what.into()))
}

/// As Java's NumberFormatException says it.
#[cold]
fn for_input(text: &str) -> Fault {
    mismatch(format!("For input string: \"{text}\""))
}
