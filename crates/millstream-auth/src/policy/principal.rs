//! Whom a resource's policy speaks of.

use super::PolicyError;
use crate::VerifiedCaller;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PrincipalKind {
    Aws,
    /// A service, a federated user, a canonical user: none of them ever calls here.
    Other,
}

impl PrincipalKind {
    pub(super) fn parse(text: &str) -> Result<Self, PolicyError> {
        match text {
            "AWS" => Ok(Self::Aws),
            "Service" | "Federated" | "CanonicalUser" => Ok(Self::Other),
            got => Err(PolicyError::PrincipalKind { got: got.to_owned() }),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Principal {
    Everyone,
    /// An account, which may pass the right on to its users by policies of its own.
    Account(String),
    /// A user, by ARN.
    Arn(String),
    /// Someone who never calls here.
    Nobody,
}

/// How a principal names a caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Naming {
    #[default]
    NotAtAll,
    /// By account: in its own account the caller still needs a policy of its own.
    ByAccount,
    Directly,
}

impl Principal {
    pub(super) fn parse(kind: PrincipalKind, text: &str) -> Result<Self, PolicyError> {
        if kind == PrincipalKind::Other {
            return Ok(Self::Nobody);
        }
        if text == "*" {
            return Ok(Self::Everyone);
        }
        let is_account = |text: &str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        if is_account(text) {
            return Ok(Self::Account(text.to_owned()));
        }
        let malformed = || PolicyError::Principal { got: text.to_owned() };
        let mut parts = text.splitn(6, ':');
        let head = [(); 5].map(|()| parts.next().unwrap_or_default());
        let name = parts.next().ok_or_else(malformed)?;
        // No part of a principal may be a wildcard (documented).
        let is_arn = head[0] == "arn"
            && head[1].starts_with("aws")
            && ["iam", "sts"].contains(&head[2])
            && is_account(head[4])
            && !text.contains(['*', '?']);
        match name {
            _ if !is_arn => Err(malformed()),
            "root" => Ok(Self::Account(head[4].to_owned())),
            _ => Ok(Self::Arn(text.to_owned())),
        }
    }

    pub(super) fn names(&self, caller: &VerifiedCaller) -> Naming {
        match self {
            Self::Everyone => Naming::Directly,
            Self::Arn(arn) if arn == caller.principal_arn() => Naming::Directly,
            // The account itself has no one above it to ask.
            Self::Account(account) if account == caller.account().as_str() => {
                if caller.user_name().is_none() { Naming::Directly } else { Naming::ByAccount }
            }
            Self::Account(_) | Self::Arn(_) | Self::Nobody => Naming::NotAtAll,
        }
    }
}
