//! IAM-style policies: what they say, and what follows for a request.
//!
//! Owns the JSON policy language (version 2012-10-17) and the verdict of one policy.
//! [`authorize`](crate::authorize) joins the verdicts of several.
//!
//! Invariant: what is not understood never allows. An unknown element or operator is refused
//! when the policy is read; a condition on an unknown key, or an unknown variable, makes an
//! `Allow` not apply and a `Deny` apply.
//! Source: IAM User Guide, "IAM JSON policy elements reference" (documented).

mod condition;
mod context;
mod document;
mod pattern;
mod principal;
mod statement;

pub use context::RequestContext;
pub(crate) use context::resource_account;
pub use document::PolicyError;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use document::PolicyDocument;
use statement::Statement;

/// The longest policy that is read, in bytes: that of a stream (documented: API_PutResourcePolicy).
pub const POLICY_BYTES_MAX: usize = 20_480;

/// Whom a policy is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// An identity: its statements name no principal.
    Identity,
    /// A resource: each statement names its principals.
    Resource,
}

/// A policy that was read and understood, cheap to clone.
#[derive(Clone)]
pub struct Policy(Arc<Inner>);

struct Inner {
    kind: PolicyKind,
    text: String,
    statements: Vec<Statement>,
}

/// Answers to one question, whether a statement or a condition applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applies {
    Yes,
    No,
    /// It depends on something that this server does not know.
    Unknown,
}

impl Applies {
    fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }

    /// Both must apply.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }

    /// One is enough.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::No, Self::No) => Self::No,
        }
    }

    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }

    fn any(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::No, Self::or)
    }

    fn all(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::Yes, Self::and)
    }
}

/// What one policy says of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// A `Deny` applies: nothing can outweigh it.
    pub denies: bool,
    /// An `Allow` applies to the caller.
    pub allows: bool,
    /// An `Allow` applies that names the caller, or everyone, and not just the caller's account.
    pub allows_directly: bool,
}

impl Policy {
    /// Reads a policy of `kind` from its JSON text.
    pub fn parse(text: &str, kind: PolicyKind) -> Result<Self, PolicyError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLong { bytes: text.len() });
        }
        let document: PolicyDocument = serde_json::from_str(text)
            .map_err(|error| PolicyError::Syntax { reason: error.to_string() })?;
        let statements = document.into_statements(kind)?;
        Ok(Self(Arc::new(Inner { kind, text: text.to_owned(), statements })))
    }

    /// The policy that allows everything, for an account's own key.
    pub fn allow_all() -> Self {
        const TEXT: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        Self::parse(TEXT, PolicyKind::Identity).expect("a constant that a test reads")
    }

    /// The text it was read from.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Whom it is attached to.
    pub fn kind(&self) -> PolicyKind {
        self.0.kind
    }

    /// What it says of a request.
    pub fn verdict(&self, context: &RequestContext<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for statement in &self.0.statements {
            statement.add_to(&mut verdict, context);
        }
        verdict
    }
}

/// Reads an identity's policy.
impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        Self::parse(text, PolicyKind::Identity)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Policy").field(&self.0.text).finish()
    }
}

/// Two policies are the same if their texts are.
impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.0.kind == other.0.kind && self.0.text == other.0.text
    }
}

impl Eq for Policy {}

#[cfg(test)]
mod tests;
