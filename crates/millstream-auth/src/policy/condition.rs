//! Conditions: an operator, a key, and values.
//!
//! The operators' semantics are those documented in "IAM JSON policy elements: Condition
//! operators" and "Set operators for multi-valued context keys". A negated operator holds for a
//! value that equals *none* of those listed, also inside `ForAllValues` and `ForAnyValue`
//! (mixing those up was a hole elsewhere: RustFS GHSA-v9cp).

use std::borrow::Cow;
use std::net::IpAddr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::context::Values;
use super::pattern::Pattern;
use super::{Applies, PolicyError, RequestContext};

/// What two values are compared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Text,
    TextAnyCase,
    TextLike,
    Arn,
    Number(Order),
    Date(Order),
    Truth,
    Binary,
    Address,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            #[allow(clippy::float_cmp)] // Numbers of a policy: equal is equal.
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

/// How the values of a key with several are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    /// No set operator.
    Plain,
    ForAll,
    ForAny,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Compare {
        comparison: Comparison,
        negated: bool,
    },
    /// `Null`: whether the key is absent.
    Null,
}

/// A condition operator, with its prefix and suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    quantifier: Quantifier,
    test: Test,
    if_exists: bool,
}

impl Operator {
    pub(super) fn parse(text: &str) -> Result<Self, PolicyError> {
        let unknown = || PolicyError::Operator { got: text.to_owned() };
        let (quantifier, name) = match text.split_once(':') {
            None => (Quantifier::Plain, text),
            Some(("ForAllValues", name)) => (Quantifier::ForAll, name),
            Some(("ForAnyValue", name)) => (Quantifier::ForAny, name),
            Some(_) => return Err(unknown()),
        };
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let test = if name == "Null" {
            // `NullIfExists` would contradict itself.
            if if_exists {
                return Err(unknown());
            }
            Test::Null
        } else {
            let (comparison, negated) = comparison(name).ok_or_else(unknown)?;
            Test::Compare { comparison, negated }
        };
        Ok(Self { quantifier, test, if_exists })
    }
}

fn comparison(name: &str) -> Option<(Comparison, bool)> {
    use Comparison::{Address, Arn, Binary, Date, Number, Text, TextAnyCase, TextLike, Truth};
    use Order::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    Some(match name {
        "StringEquals" => (Text, false),
        "StringNotEquals" => (Text, true),
        "StringEqualsIgnoreCase" => (TextAnyCase, false),
        "StringNotEqualsIgnoreCase" => (TextAnyCase, true),
        "StringLike" => (TextLike, false),
        "StringNotLike" => (TextLike, true),
        "ArnEquals" | "ArnLike" => (Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Arn, true),
        "NumericEquals" => (Number(Equal), false),
        "NumericNotEquals" => (Number(Equal), true),
        "NumericLessThan" => (Number(Less), false),
        "NumericLessThanEquals" => (Number(LessOrEqual), false),
        "NumericGreaterThan" => (Number(Greater), false),
        "NumericGreaterThanEquals" => (Number(GreaterOrEqual), false),
        "DateEquals" => (Date(Equal), false),
        "DateNotEquals" => (Date(Equal), true),
        "DateLessThan" => (Date(Less), false),
        "DateLessThanEquals" => (Date(LessOrEqual), false),
        "DateGreaterThan" => (Date(Greater), false),
        "DateGreaterThanEquals" => (Date(GreaterOrEqual), false),
        "Bool" => (Truth, false),
        "BinaryEquals" => (Binary, false),
        "IpAddress" => (Address, false),
        "NotIpAddress" => (Address, true),
        _ => return None,
    })
}

/// A condition of a statement.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    operator: Operator,
    key: String,
    values: Vec<Value>,
}

/// A value of a policy, read as its operator needs it.
#[derive(Clone, Debug)]
enum Value {
    Text(Pattern),
    Number(f64),
    Truth(bool),
    Network(Network),
}

impl Condition {
    pub(super) fn new(
        operator: Operator,
        key: String,
        values: Vec<String>,
        has_variables: bool,
    ) -> Result<Self, PolicyError> {
        let values = values
            .into_iter()
            .map(|text| read_value(operator.test, &text, has_variables))
            .collect::<Result<Vec<_>, _>>()?;
        if values.is_empty() {
            return Err(PolicyError::Empty { element: "a condition's list of values" });
        }
        Ok(Self { operator, key, values })
    }

    pub(super) fn holds(&self, context: &RequestContext<'_>) -> Applies {
        let values = context.values(&self.key);
        if values == Values::Unknown {
            return Applies::Unknown;
        }
        let (comparison, negated) = match self.operator.test {
            Test::Null => return self.is_null(values == Values::Absent),
            Test::Compare { comparison, negated } => (comparison, negated),
        };
        let given: Vec<Cow<'_, str>> = match values {
            Values::One(value) => vec![value],
            Values::Many(values) => values.into_iter().map(Cow::Borrowed).collect(),
            Values::Absent | Values::Unknown => {
                return Applies::of(self.holds_without_value(negated));
            }
        };
        let equals_listed = |value: &Cow<'_, str>| {
            let listed = self.values.iter();
            Applies::any(listed.map(|listed| compare(comparison, value, listed, context)))
        };
        let passes = |value: &Cow<'_, str>| {
            if negated { equals_listed(value).not() } else { equals_listed(value) }
        };
        // One value is the rule for a plain operator; of several it asks for any, its negation
        // for none.
        let asks_all = match self.operator.quantifier {
            Quantifier::ForAll => true,
            Quantifier::ForAny => false,
            Quantifier::Plain => negated,
        };
        let passed = given.iter().map(passes);
        if asks_all { Applies::all(passed) } else { Applies::any(passed) }
    }

    fn is_null(&self, absent: bool) -> Applies {
        let wanted =
            self.values.iter().any(|value| matches!(value, Value::Truth(t) if *t == absent));
        Applies::of(wanted)
    }

    fn holds_without_value(&self, negated: bool) -> bool {
        match self.operator.quantifier {
            _ if self.operator.if_exists => true,
            // "All of none" holds: the documented trap, which pairs with a `Null` condition.
            Quantifier::ForAll => true,
            Quantifier::ForAny => false,
            Quantifier::Plain => negated,
        }
    }
}

fn read_value(test: Test, text: &str, has_variables: bool) -> Result<Value, PolicyError> {
    let bad = |operator: &str| PolicyError::ConditionValue {
        operator: operator.to_owned(),
        got: text.to_owned(),
    };
    let truth = || text.to_ascii_lowercase().parse().map(Value::Truth);
    match test {
        Test::Null => truth().map_err(|_| bad("Null")),
        Test::Compare { comparison, .. } => match comparison {
            Comparison::Text
            | Comparison::TextAnyCase
            | Comparison::TextLike
            | Comparison::Arn
            | Comparison::Binary => Pattern::parse(text, has_variables).map(Value::Text),
            Comparison::Number(_) => number(text).map(Value::Number).ok_or_else(|| bad("Numeric")),
            Comparison::Date(_) => date(text).map(Value::Number).ok_or_else(|| bad("Date")),
            Comparison::Truth => truth().map_err(|_| bad("Bool")),
            Comparison::Address => {
                Network::parse(text).map(Value::Network).ok_or_else(|| bad("IpAddress"))
            }
        },
    }
}

/// Compares a request's value with one of a policy. A request's value that is not of the
/// operator's type equals nothing.
fn compare(
    comparison: Comparison,
    given: &str,
    listed: &Value,
    context: &RequestContext<'_>,
) -> Applies {
    let literal = |pattern: &Pattern, same: fn(&str, &str) -> bool| match pattern.literal(context) {
        Ok(text) => Applies::of(same(&text, given)),
        Err(unresolved) => unresolved,
    };
    match (comparison, listed) {
        (Comparison::Text | Comparison::Binary, Value::Text(pattern)) => {
            literal(pattern, |left, right| left == right)
        }
        (Comparison::TextAnyCase, Value::Text(pattern)) => {
            literal(pattern, |left, right| left.to_lowercase() == right.to_lowercase())
        }
        (Comparison::TextLike, Value::Text(pattern)) => pattern.matches(given, context),
        (Comparison::Arn, Value::Text(pattern)) => pattern.matches_arn(given, context),
        (Comparison::Number(order), Value::Number(listed)) => {
            Applies::of(number(given).is_some_and(|given| order.holds(given, *listed)))
        }
        (Comparison::Date(order), Value::Number(listed)) => {
            Applies::of(date(given).is_some_and(|given| order.holds(given, *listed)))
        }
        (Comparison::Truth, Value::Truth(listed)) => {
            Applies::of(given.parse::<bool>().is_ok_and(|given| given == *listed))
        }
        (Comparison::Address, Value::Network(network)) => {
            Applies::of(given.parse().is_ok_and(|address| network.contains(address)))
        }
        // `read_value` pairs each comparison with its kind of value.
        _ => Applies::Unknown,
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Seconds since the epoch of an ISO 8601 date, with or without a time, or of such a number.
fn date(text: &str) -> Option<f64> {
    let with_time = if text.len() == 10 && text.contains('-') {
        Cow::Owned(format!("{text}T00:00:00Z"))
    } else {
        Cow::Borrowed(text)
    };
    match OffsetDateTime::parse(&with_time, &Rfc3339) {
        #[allow(clippy::cast_precision_loss)] // Seconds of this era fit 52 bits.
        Ok(date) => Some(date.unix_timestamp() as f64),
        Err(_) => number(text),
    }
}

/// A network in the form `203.0.113.0/24`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|bits| *bits <= width)?,
            None => width,
        };
        Some(Self { address, prefix_bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let ((own, own_width), (other, other_width)) = (bits(self.address), bits(address));
        let differing = own ^ other;
        // Shifting by all 128 bits is no shift: an empty prefix contains everything.
        let differs = differing.checked_shr(128 - self.prefix_bits).unwrap_or(0) != 0;
        own_width == other_width && !differs
    }
}
