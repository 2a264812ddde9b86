//! Prefixes of object keys, and the names of objects.
//!
//! Owns the expressions `!{namespace:value}` of `Prefix` and `ErrorOutputPrefix`, the rules they
//! are checked by when a delivery stream is made, and their evaluation when an object is.
//! Sentences of [`PrefixError`] are the service's own where they were observed.
//! Source: the guide's "Understand custom prefixes for Amazon S3 objects" and "Configure Amazon S3
//! object name format". Where the guide contradicts itself: the day is `dd` (its examples) and not
//! `DDD` (its rules), the hour is there (its rules) and not missing (its examples), and nothing is
//! put between a prefix and the default timestamp (its rules).

mod expression;
mod pattern;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Zoned;
use millstream_core::Timestamp;

use crate::zone::Zone;
use expression::{Part, parts};
use pattern::Pattern;

/// Characters that an evaluated prefix may have (documented).
pub const EVALUATED_CHARACTERS_MAX: usize = 512;

/// What a prefix without a timestamp ends with (documented).
const DEFAULT_PATTERN: &str = "yyyy/MM/dd/HH/";

/// Characters of a random string (documented).
const RANDOM_CHARACTERS: usize = 11;

/// Why a prefix is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// `!{` that starts no `!{namespace:value}`.
    #[error("Invalid expression usage")]
    Expression,
    /// A namespace that there is not.
    #[error("Namespace to the left of colon ({0}) is an invalid keyword!")]
    Namespace(String),
    /// A value that its namespace does not know, such as a date pattern that is none.
    #[error("Invalid conversion character used in the value of the expression in {field}")]
    Value {
        /// The field: `Prefix` or `ErrorOutputPrefix`.
        field: &'static str,
    },
    /// It is too long even where every expression evaluates to its shortest.
    #[error("Length of evaluated {what} cannot be greater than 512")]
    Length {
        /// `prefix` or `ErrorOutputPrefix`.
        what: &'static str,
    },
    /// The type of an error, in the prefix of what succeeds.
    #[error("Prefix must not contain any occurrence of !{{firehose:error-output-type}}")]
    ErrorOutputType,
    /// No type of the error in an error prefix that has expressions.
    #[error(
        "ErrorOutputPrefix must contain at least one occurrence of !{{firehose:error-output-type}}"
    )]
    ErrorOutputTypeMissing,
    /// No error prefix beside a prefix with expressions.
    #[error("ErrorOutputPrefix cannot be null or empty when Prefix contains expressions")]
    ErrorOutputPrefixMissing,
    /// Partition keys without dynamic partitioning.
    #[error(
        "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic \
         Partitioning is enabled."
    )]
    PartitionKey,
    /// Dynamic partitioning without partition keys.
    #[error(
        "S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic Partitioning is \
         enabled"
    )]
    PartitionKeyMissing,
    /// Partition keys in an error prefix.
    #[error("Dynamic Partitioning Namespaces can't be part of an error prefix expression")]
    PartitionKeyOfError,
    /// Expressions where Redshift copies from.
    #[error("Prefix must not contain expressions when the destination is Amazon Redshift")]
    RedshiftExpression,
    /// An error prefix where Redshift copies from.
    #[error("ErrorOutputPrefix must be null when the destination is Amazon Redshift")]
    RedshiftErrorOutputPrefix,
}

/// Why a prefix has no value for a record or an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The record has no such key, or an empty one.
    #[error("partitionKeys values must not be null or empty")]
    PartitionKey {
        /// The key's name.
        name: String,
    },
    /// The prefix is longer than [`EVALUATED_CHARACTERS_MAX`] characters.
    #[error("Length of evaluated prefix cannot be greater than 512")]
    Length,
}

/// What is checked beyond the form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rules {
    /// Any expression but partition keys.
    #[default]
    Objects,
    /// At least one partition key: dynamic partitioning.
    Partitioned,
    /// No expressions: Redshift copies from there.
    Redshift,
}

/// When the oldest record of an object arrived, and where the clock hangs.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// When.
    pub at: Timestamp,
    /// Where.
    pub zone: &'a Zone,
}

impl Moment<'_> {
    fn zoned(&self) -> Zoned {
        self.zone.at(self.at)
    }
}

/// A record's partition keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionKeys {
    /// What the metadata extraction query gave.
    pub from_query: BTreeMap<String, String>,
    /// What the transformation gave.
    pub from_lambda: BTreeMap<String, String>,
}

/// Where bytes of random strings come from.
pub type Random<'a> = dyn FnMut() -> [u8; 8] + 'a;

/// A `Prefix`, parsed and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    text: String,
    has_expressions: bool,
    /// With the default timestamp, where the text has none.
    parts: Vec<Part>,
}

impl Default for Prefix {
    /// What objects are named by where no prefix is given: date and hour.
    fn default() -> Self {
        Self::parse("", Rules::Objects).expect("an empty prefix has nothing to refuse")
    }
}

impl Prefix {
    /// Parses the field's text; empty where it is not given.
    pub fn parse(text: &str, rules: Rules) -> Result<Self, PrefixError> {
        let mut parts = parts(text, "Prefix")?;
        let has_expressions = parts.iter().any(|part| !matches!(part, Part::Literal(_)));
        let has_keys = parts.iter().any(Part::is_key);
        match rules {
            Rules::Redshift if has_expressions => return Err(PrefixError::RedshiftExpression),
            Rules::Partitioned if !has_keys => return Err(PrefixError::PartitionKeyMissing),
            Rules::Objects if has_keys => return Err(PrefixError::PartitionKey),
            Rules::Objects | Rules::Partitioned | Rules::Redshift => {}
        }
        if parts.contains(&Part::ErrorOutputType) {
            return Err(PrefixError::ErrorOutputType);
        }
        if !parts.iter().any(|part| matches!(part, Part::Time(_))) {
            parts.push(default_time());
        }
        check_length(&parts, "prefix")?;
        Ok(Self { text: text.to_owned(), has_expressions, parts })
    }

    /// The text it was parsed from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of the keys that the metadata extraction query must give.
    pub fn query_keys(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::QueryKey(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The names of the keys that the transformation must give.
    pub fn lambda_keys(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::LambdaKey(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// What tells this record's partition from others, of the same length order and time: the
    /// values of its keys in the prefix's order, each behind its length. Without keys all records
    /// have the same. Fails as [`Self::evaluate`] would for want of a key, and where the values
    /// alone are longer than a prefix may be: so what tells partitions apart is always short.
    pub fn partition(&self, keys: &PartitionKeys) -> Result<String, EvaluationError> {
        let mut partition = String::new();
        let mut characters = 0;
        for part in &self.parts {
            let Some(value) = key_value(part, keys)? else { continue };
            characters += value.chars().take(EVALUATED_CHARACTERS_MAX + 1).count();
            if characters > EVALUATED_CHARACTERS_MAX {
                return Err(EvaluationError::Length);
            }
            write!(partition, "{}:{value}", value.len()).expect(INFALLIBLE);
        }
        Ok(partition)
    }

    /// Takes away the keys that have no place in it.
    pub fn keep_own(&self, keys: &mut PartitionKeys) {
        keys.from_query.retain(|name, _| self.query_keys().any(|own| own == name));
        keys.from_lambda.retain(|name, _| self.lambda_keys().any(|own| own == name));
    }

    /// The prefix of an object whose oldest record arrived at `moment` and has `keys`. `random`
    /// is asked once for each random string.
    pub fn evaluate(
        &self,
        moment: &Moment<'_>,
        keys: &PartitionKeys,
        random: &mut Random<'_>,
    ) -> Result<String, EvaluationError> {
        let at = moment.zoned();
        let mut output = String::with_capacity(self.text.len());
        for part in &self.parts {
            match key_value(part, keys)? {
                Some(value) => output.push_str(value),
                None => write_part(part, &at, "", random, &mut output),
            }
        }
        within_length(output)
    }
}

/// An `ErrorOutputPrefix`, parsed and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPrefix {
    parts: Vec<Part>,
}

impl ErrorPrefix {
    /// Parses the field's text, where it is given; without, errors lie beside what succeeds.
    pub fn parse(text: Option<&str>, prefix: &Prefix) -> Result<Self, PrefixError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Self::beside(prefix);
        };
        let parts = parts(text, "ErrorOutputPrefix")?;
        if parts.iter().any(Part::is_key) {
            return Err(PrefixError::PartitionKeyOfError);
        }
        let has_expressions = parts.iter().any(|part| !matches!(part, Part::Literal(_)));
        if has_expressions && !parts.contains(&Part::ErrorOutputType) {
            return Err(PrefixError::ErrorOutputTypeMissing);
        }
        check_length(&parts, "ErrorOutputPrefix")?;
        Ok(Self { parts })
    }

    /// As [`Self::parse`] where `rules` are of Redshift too.
    pub fn parse_by(
        text: Option<&str>,
        prefix: &Prefix,
        rules: Rules,
    ) -> Result<Self, PrefixError> {
        if rules == Rules::Redshift && text.is_some_and(|text| !text.is_empty()) {
            return Err(PrefixError::RedshiftErrorOutputPrefix);
        }
        Self::parse(text, prefix)
    }

    /// `<prefix><error-output-type>/yyyy/MM/dd/HH/`.
    fn beside(prefix: &Prefix) -> Result<Self, PrefixError> {
        if prefix.has_expressions {
            return Err(PrefixError::ErrorOutputPrefixMissing);
        }
        let parts = vec![
            Part::Literal(prefix.text.clone()),
            Part::ErrorOutputType,
            Part::Literal("/".to_owned()),
            default_time(),
        ];
        Ok(Self { parts })
    }

    /// The prefix of an object of records that failed, such as `processing-failed`; the oldest of
    /// them arrived at `moment`.
    pub fn evaluate(
        &self,
        moment: &Moment<'_>,
        error_output_type: &str,
        random: &mut Random<'_>,
    ) -> Result<String, EvaluationError> {
        let at = moment.zoned();
        let mut output = String::new();
        for part in &self.parts {
            write_part(part, &at, error_output_type, random, &mut output);
        }
        within_length(output)
    }
}

/// The rest of an object's key: `stream-version-yyyy-MM-dd-HH-mm-ss-uuid` and the extension with
/// its dot. `uuid` is 16 bytes of entropy, or of a hash where the same object is to have the same
/// name; they are made into a version 4 UUID.
pub fn object_name(
    stream: &str,
    version: u64,
    moment: &Moment<'_>,
    uuid: [u8; 16],
    extension: &str,
) -> String {
    let at = moment.zoned();
    let mut bits = u128::from_be_bytes(uuid);
    bits = bits & !(0xf << 76) | (0x4 << 76); // The version.
    bits = bits & !(0x3 << 62) | (0x2 << 62); // The variant.
    let hex = format!("{bits:032x}");
    format!(
        "{stream}-{version}-{:04}-{:02}-{:02}-{:02}-{:02}-{:02}-{}-{}-{}-{}-{}{extension}",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    )
}

const INFALLIBLE: &str = "writing to a string does not fail";

fn default_time() -> Part {
    Part::Time(Pattern::parse(DEFAULT_PATTERN).expect("the default pattern is one"))
}

/// The value of `part`, where it is a key; an error where the record has none.
fn key_value<'a>(part: &Part, keys: &'a PartitionKeys) -> Result<Option<&'a str>, EvaluationError> {
    let (name, keys) = match part {
        Part::QueryKey(name) => (name, &keys.from_query),
        Part::LambdaKey(name) => (name, &keys.from_lambda),
        Part::Literal(_) | Part::Time(_) | Part::RandomString | Part::ErrorOutputType => {
            return Ok(None);
        }
    };
    match keys.get(name) {
        Some(value) if !value.is_empty() => Ok(Some(value)),
        _ => Err(EvaluationError::PartitionKey { name: name.clone() }),
    }
}

/// Writes a part that is no key.
fn write_part(
    part: &Part,
    at: &Zoned,
    error_output_type: &str,
    random: &mut Random<'_>,
    output: &mut String,
) {
    match part {
        Part::Literal(text) => output.push_str(text),
        Part::Time(pattern) => pattern.write(at, output),
        Part::ErrorOutputType => output.push_str(error_output_type),
        Part::RandomString => {
            let hex = format!("{:016x}", u64::from_be_bytes(random()));
            output.push_str(&hex[..RANDOM_CHARACTERS]);
        }
        Part::QueryKey(_) | Part::LambdaKey(_) => {}
    }
}

/// Refuses what cannot be short enough whatever the values are. `what` is the word for it.
fn check_length(parts: &[Part], what: &'static str) -> Result<(), PrefixError> {
    let at = Zone::UTC.at(Timestamp::default());
    let mut shortest = String::new();
    for part in parts {
        write_part(part, &at, "-", &mut || [0; 8], &mut shortest);
        if part.is_key() {
            shortest.push('-');
        }
    }
    within_length(shortest).map(drop).map_err(|_| PrefixError::Length { what })
}

fn within_length(output: String) -> Result<String, EvaluationError> {
    if output.len() > EVALUATED_CHARACTERS_MAX && output.chars().count() > EVALUATED_CHARACTERS_MAX
    {
        return Err(EvaluationError::Length);
    }
    Ok(output)
}

#[cfg(test)]
mod tests;
