//! The JSON of a policy, strictly read: no unknown element, no key twice.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::PolicyKind;
use super::condition::{Condition, Operator};
use super::pattern::Pattern;
use super::principal::{Principal, PrincipalKind};
use super::statement::{Effect, Principals, Selected, Statement};

/// Why a text is not a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Longer than any policy may be.
    #[error("a policy has at most {} bytes, this one has {bytes}", super::POLICY_BYTES_MAX)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not JSON, or not of a policy's form.
    #[error("not a policy document: {reason}")]
    Syntax {
        /// What, and where.
        reason: String,
    },
    /// Neither version of the language.
    #[error("the version of a policy is 2012-10-17 or 2008-10-17, not '{got}'")]
    Version {
        /// The version given.
        got: String,
    },
    /// Of two elements that exclude one another, not exactly one is there.
    #[error("a statement has either {one} or {other}")]
    EitherOr {
        /// The one.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// An identity's policy names a principal.
    #[error("the policy of an identity names no Principal")]
    PrincipalInIdentity,
    /// No such kind of principal.
    #[error(
        "a principal is \"*\" or of the kind AWS, Service, Federated or CanonicalUser, not '{got}'"
    )]
    PrincipalKind {
        /// The kind given.
        got: String,
    },
    /// An AWS principal that is neither account, ARN nor `*`.
    #[error("an AWS principal is an account id, an ARN or \"*\", not '{got}'")]
    Principal {
        /// The principal given.
        got: String,
    },
    /// An action without a service.
    #[error("an action is SERVICE:NAME or *, not '{got}'")]
    Action {
        /// The action given.
        got: String,
    },
    /// A resource that is no ARN.
    #[error("a resource is an ARN or *, not '{got}'")]
    Resource {
        /// The resource given.
        got: String,
    },
    /// No such condition operator.
    #[error("no condition operator is called '{got}'")]
    Operator {
        /// The operator given.
        got: String,
    },
    /// A value that its operator cannot compare with.
    #[error("'{got}' is no value for the condition operator {operator}")]
    ConditionValue {
        /// The operator.
        operator: String,
        /// The value given.
        got: String,
    },
    /// A variable that does not end, or whose default is not quoted.
    #[error("not a policy variable: '{text}'")]
    Variable {
        /// Where it starts.
        text: String,
    },
    /// An element that must not be empty.
    #[error("{element} must not be empty")]
    Empty {
        /// The element.
        element: &'static str,
    },
}

/// One value, or an array of them. Not left to serde's untagged enums, which would only say that
/// neither fits, and not what is wrong with the one that was meant.
struct OneOrMany<T>(Vec<T>);

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor(std::marker::PhantomData))
    }
}

struct OneOrManyVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one value or an array of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut many = Vec::new();
        while let Some(one) = sequence.next_element()? {
            many.push(one);
        }
        Ok(OneOrMany(many))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|one| OneOrMany(vec![one]))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        T::deserialize(value.into_deserializer()).map(|one| OneOrMany(vec![one]))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        T::deserialize(value.into_deserializer()).map(|one| OneOrMany(vec![one]))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        T::deserialize(value.into_deserializer()).map(|one| OneOrMany(vec![one]))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        T::deserialize(value.into_deserializer()).map(|one| OneOrMany(vec![one]))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        T::deserialize(value.into_deserializer()).map(|one| OneOrMany(vec![one]))
    }
}

/// An object with its pairs in order, no key twice.
struct Pairs<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for PairsVisitor<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs: Vec<(String, T)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, T>()? {
                    if pairs.iter().any(|(other, _)| *other == key) {
                        return Err(Error::custom(format!("duplicate key `{key}`")));
                    }
                    pairs.push((key, value));
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor(std::marker::PhantomData))
    }
}

/// A condition's value: text, number or truth, all of which are compared as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Truth(bool),
    Number(serde_json::Number),
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Truth(truth) => truth.to_string(),
            Self::Number(number) => number.to_string(),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PrincipalElement {
    Everyone(String),
    ByKind(Pairs<OneOrMany<String>>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct PolicyDocument {
    version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<StatementElement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct StatementElement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    principal: Option<PrincipalElement>,
    not_principal: Option<PrincipalElement>,
    action: Option<OneOrMany<String>>,
    not_action: Option<OneOrMany<String>>,
    resource: Option<OneOrMany<String>>,
    not_resource: Option<OneOrMany<String>>,
    condition: Option<Pairs<Pairs<OneOrMany<Scalar>>>>,
}

impl PolicyDocument {
    pub(super) fn into_statements(self, kind: PolicyKind) -> Result<Vec<Statement>, PolicyError> {
        let has_variables = match self.version.as_deref() {
            Some("2012-10-17") => true,
            // The older version, also meant where none is named, has no variables.
            Some("2008-10-17") | None => false,
            Some(other) => return Err(PolicyError::Version { got: other.to_owned() }),
        };
        let elements = self.statement.into_vec();
        if elements.is_empty() {
            return Err(PolicyError::Empty { element: "Statement" });
        }
        elements.into_iter().map(|element| element.into_statement(kind, has_variables)).collect()
    }
}

impl StatementElement {
    fn into_statement(
        self,
        kind: PolicyKind,
        has_variables: bool,
    ) -> Result<Statement, PolicyError> {
        let actions = either(self.action, self.not_action, "Action", "NotAction")?;
        let actions = actions.try_map(|text| action(&text))?;
        let resources = either(self.resource, self.not_resource, "Resource", "NotResource")?;
        let resources = resources.try_map(|text| resource(&text, has_variables))?;
        let principals = match kind {
            PolicyKind::Identity if self.principal.is_some() || self.not_principal.is_some() => {
                return Err(PolicyError::PrincipalInIdentity);
            }
            PolicyKind::Identity => Principals::TheIdentity,
            PolicyKind::Resource => match (self.principal, self.not_principal) {
                (Some(element), None) => Principals::These(principals(element)?),
                (None, Some(element)) => Principals::AllBut(principals(element)?),
                _ => {
                    let (one, other) = ("Principal", "NotPrincipal");
                    return Err(PolicyError::EitherOr { one, other });
                }
            },
        };
        let mut conditions = Vec::new();
        for (operator, keys) in self.condition.map(|pairs| pairs.0).unwrap_or_default() {
            let operator = Operator::parse(&operator)?;
            for (key, values) in keys.0 {
                let values = values.into_vec().into_iter().map(Scalar::into_text).collect();
                conditions.push(Condition::new(operator, key, values, has_variables)?);
            }
        }
        Ok(Statement { effect: self.effect, principals, actions, resources, conditions })
    }
}

fn either(
    these: Option<OneOrMany<String>>,
    all_but: Option<OneOrMany<String>>,
    one: &'static str,
    other: &'static str,
) -> Result<Selected<String>, PolicyError> {
    let (selected, element) = match (these, all_but) {
        (Some(these), None) => (Selected::These(these.into_vec()), one),
        (None, Some(all_but)) => (Selected::AllBut(all_but.into_vec()), other),
        _ => return Err(PolicyError::EitherOr { one, other }),
    };
    if selected.listed().is_empty() {
        return Err(PolicyError::Empty { element });
    }
    Ok(selected)
}

fn action(text: &str) -> Result<Pattern, PolicyError> {
    let is_sane = text == "*"
        || text.split_once(':').is_some_and(|(service, name)| {
            !service.is_empty() && !service.contains(['*', '?']) && !name.is_empty()
        });
    if !is_sane {
        return Err(PolicyError::Action { got: text.to_owned() });
    }
    // Actions know no variables, in either version.
    Pattern::parse(text, false)
}

fn resource(text: &str, has_variables: bool) -> Result<Pattern, PolicyError> {
    if text != "*" && !(text.starts_with("arn:") && text.splitn(6, ':').count() == 6) {
        return Err(PolicyError::Resource { got: text.to_owned() });
    }
    Pattern::parse(text, has_variables)
}

fn principals(element: PrincipalElement) -> Result<Vec<Principal>, PolicyError> {
    let by_kind = match element {
        PrincipalElement::Everyone(text) if text == "*" => return Ok(vec![Principal::Everyone]),
        PrincipalElement::Everyone(got) => return Err(PolicyError::Principal { got }),
        PrincipalElement::ByKind(pairs) => pairs.0,
    };
    let mut principals = Vec::new();
    for (kind, names) in by_kind {
        let kind = PrincipalKind::parse(&kind)?;
        for name in names.into_vec() {
            principals.push(Principal::parse(kind, &name)?);
        }
    }
    if principals.is_empty() {
        return Err(PolicyError::Empty { element: "Principal" });
    }
    Ok(principals)
}
