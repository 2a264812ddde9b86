//! Key expressions: where in a JSON record its partition key stands, written as in `jq`.
//!
//! `.user.id`, `.items[0].sku`, `.["odd name"]`. Only a path: no filters, no functions.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// A path into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expression {
    text: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Element(usize),
}

/// Why a text is no key expression, or a record has no key there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExpressionError {
    /// It is not a path.
    #[error(
        "`{text}` is not a key expression at character {at}: write .user.id, .items[0].sku or .[\"odd name\"]"
    )]
    Malformed { text: String, at: usize },
    /// The line is no JSON.
    #[error("not JSON: {reason}")]
    NotJson { reason: String },
    /// The path leads nowhere, or to something that cannot be a key.
    #[error(
        "nothing at {expression} that could be a key: it must be a text, a number or a boolean"
    )]
    NoKey { expression: String },
}

impl Expression {
    /// The key of the record in `line`.
    pub(crate) fn key_of(&self, line: &[u8]) -> Result<String, ExpressionError> {
        let value: Value = serde_json::from_slice(line)
            .map_err(|error| ExpressionError::NotJson { reason: error.to_string() })?;
        let found = self.steps.iter().try_fold(&value, |value, step| match step {
            Step::Member(name) => value.get(name),
            Step::Element(index) => value.get(index),
        });
        match found {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(Value::Bool(truth)) => Ok(truth.to_string()),
            _ => Err(ExpressionError::NoKey { expression: self.text.clone() }),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let malformed = |rest: &str| ExpressionError::Malformed {
            text: text.to_owned(),
            at: text.chars().count() - rest.chars().count() + 1,
        };
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (step, after) = step(rest, steps.is_empty()).ok_or_else(|| malformed(rest))?;
            steps.push(step);
            rest = after;
        }
        if steps.is_empty() { Err(malformed("")) } else { Ok(Self { text: text.into(), steps }) }
    }
}

/// Takes one step off `text`; the first must begin with a dot.
fn step(text: &str, is_first: bool) -> Option<(Step, &str)> {
    let (text, dotted) = text.strip_prefix('.').map_or((text, false), |rest| (rest, true));
    if is_first && !dotted {
        return None;
    }
    if let Some(inner) = text.strip_prefix("[\"") {
        let (name, rest) = inner.split_once("\"]")?;
        return Some((Step::Member(name.to_owned()), rest));
    }
    if let Some(inner) = text.strip_prefix('[') {
        let (index, rest) = inner.split_once(']')?;
        return Some((Step::Element(index.parse().ok()?), rest));
    }
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || c == '@' || c == '$';
    let name = &text[..end];
    let good = dotted && !name.is_empty() && name.chars().all(plain);
    good.then(|| (Step::Member(name.to_owned()), &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(expression: &str, line: &str) -> Result<String, ExpressionError> {
        expression.parse::<Expression>()?.key_of(line.as_bytes())
    }

    #[test]
    fn a_path_finds_texts_numbers_and_booleans() {
        let line = r#"{"user":{"id":"u1","n":7,"on":true},"items":[{"sku":"s0"}],"a b":{"c":"d"}}"#;
        assert_eq!(key(".user.id", line).as_deref(), Ok("u1"));
        assert_eq!(key(".user.n", line).as_deref(), Ok("7"));
        assert_eq!(key(".user.on", line).as_deref(), Ok("true"));
        assert_eq!(key(".items[0].sku", line).as_deref(), Ok("s0"));
        assert_eq!(key(".[\"a b\"].c", line).as_deref(), Ok("d"));
        assert_eq!(key(".[0]", "[\"first\"]").as_deref(), Ok("first"));
    }

    #[test]
    fn a_record_without_the_key_says_so() {
        for line in [r#"{"user":{}}"#, r#"{"user":{"id":null}}"#, r#"{"user":{"id":""}}"#, "[]"] {
            let error = key(".user.id", line).unwrap_err();
            assert_eq!(error, ExpressionError::NoKey { expression: ".user.id".to_owned() });
        }
        assert!(matches!(key(".a", "{"), Err(ExpressionError::NotJson { .. })));
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_place() {
        for text in ["", ".", "user", ".a..b", ".a[", ".a[x]", ".a b", "[0]", ".a[\"b]"] {
            let error = text.parse::<Expression>().unwrap_err();
            assert!(matches!(error, ExpressionError::Malformed { .. }), "{text:?}");
        }
        let error = ".user..id".parse::<Expression>().unwrap_err();
        assert!(error.to_string().contains("character 6"), "{error}");
    }
}
