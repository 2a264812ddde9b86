//! A prefix cut into text and expressions.

use super::PrefixError;
use super::pattern::Pattern;

const OPEN: &str = "!{";

/// A piece of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    Time(Pattern),
    RandomString,
    ErrorOutputType,
    QueryKey(String),
    LambdaKey(String),
}

impl Part {
    /// Whether its value is a record's partition key.
    pub(super) fn is_key(&self) -> bool {
        matches!(self, Self::QueryKey(_) | Self::LambdaKey(_))
    }
}

/// The pieces of `text`, in order; `field` is its name in the API.
pub(super) fn parts(text: &str, field: &'static str) -> Result<Vec<Part>, PrefixError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((literal, tail)) = rest.split_once(OPEN) {
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.to_owned()));
        }
        let (expression, tail) = tail.split_once('}').ok_or(PrefixError::Expression)?;
        parts.push(part(expression, field)?);
        rest = tail;
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.to_owned()));
    }
    Ok(parts)
}

/// What `namespace:value` stands for.
fn part(expression: &str, field: &'static str) -> Result<Part, PrefixError> {
    let (namespace, value) = expression.split_once(':').ok_or(PrefixError::Expression)?;
    let letters = namespace.bytes().all(|byte| byte.is_ascii_alphabetic());
    if namespace.is_empty() || !letters || value.contains('{') {
        return Err(PrefixError::Expression);
    }
    let unknown = PrefixError::Value { field };
    match namespace {
        "timestamp" => Pattern::parse(value).map(Part::Time).ok_or(unknown),
        "firehose" => match value {
            "random-string" => Ok(Part::RandomString),
            "error-output-type" => Ok(Part::ErrorOutputType),
            _ => Err(unknown),
        },
        "partitionKeyFromQuery" | "partitionKeyFromLambda" if value.is_empty() => {
            Err(PrefixError::Expression)
        }
        "partitionKeyFromQuery" => Ok(Part::QueryKey(value.to_owned())),
        "partitionKeyFromLambda" => Ok(Part::LambdaKey(value.to_owned())),
        _ => Err(PrefixError::Namespace(namespace.to_owned())),
    }
}
