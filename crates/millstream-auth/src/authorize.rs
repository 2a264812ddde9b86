//! Whether a caller may do what it asks.
//!
//! Joins the verdicts of the caller's own policies and of the resource's policy as documented in
//! "Policy evaluation logic": an explicit deny wins; within one account either side's allow is
//! enough; across accounts both sides must allow.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use millstream_core::Timestamp;

use crate::policy::{RequestContext, Verdict, resource_account};
use crate::{Policy, VerifiedCaller};

/// What a caller wants to do.
#[derive(Clone, Copy, Debug)]
pub struct AuthorizationRequest<'a> {
    /// `kinesis:PutRecord`: comes with the operation, never from the request.
    pub action: &'a str,
    /// The resource's ARN, or `*` for an action on none.
    pub resource_arn: &'a str,
    /// The resource's tags.
    pub resource_tags: &'a BTreeMap<String, String>,
    /// The tags that the request wants to set.
    pub request_tags: &'a BTreeMap<String, String>,
    /// Tag keys named without values, as UntagResource does.
    pub request_tag_keys: &'a [String],
    /// The policy of the resource.
    pub resource_policy: Option<&'a Policy>,
    /// The socket's other end.
    pub source_ip: IpAddr,
    /// What time it is.
    pub now: Timestamp,
}

static NO_TAGS: BTreeMap<String, String> = BTreeMap::new();

impl<'a> AuthorizationRequest<'a> {
    /// An action on a resource without tags and policy; set the other members as needed.
    pub fn new(action: &'a str, resource_arn: &'a str, source_ip: IpAddr, now: Timestamp) -> Self {
        Self {
            action,
            resource_arn,
            resource_tags: &NO_TAGS,
            request_tags: &NO_TAGS,
            request_tag_keys: &[],
            resource_policy: None,
            source_ip,
            now,
        }
    }
}

/// Whether a caller may.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// It may.
    Allowed,
    /// It may not.
    Denied(Denial),
}

impl Decision {
    /// `Ok` if allowed.
    pub fn into_result(self) -> Result<(), Denial> {
        match self {
            Self::Allowed => Ok(()),
            Self::Denied(denial) => Err(denial),
        }
    }

    /// Whether it may.
    pub fn is_allowed(&self) -> bool {
        *self == Self::Allowed
    }
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// The caller's own policies deny.
    ExplicitIdentity,
    /// The resource's policy denies.
    ExplicitResource,
    /// The caller's own policies do not allow.
    ImplicitIdentity,
    /// The resource is another account's, whose policy does not allow.
    ImplicitResource,
}

/// A refusal; printed as the service words its `AccessDeniedException`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    principal_arn: String,
    action: String,
    resource_arn: String,
    /// What stands in the way.
    pub reason: DenialReason,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { principal_arn, action, resource_arn, reason } = self;
        write!(
            f,
            "User: {principal_arn} is not authorized to perform: {action} on resource: \
             {resource_arn} "
        )?;
        match reason {
            DenialReason::ExplicitIdentity => {
                f.write_str("with an explicit deny in an identity-based policy")
            }
            DenialReason::ExplicitResource => {
                f.write_str("with an explicit deny in a resource-based policy")
            }
            DenialReason::ImplicitIdentity => {
                write!(f, "because no identity-based policy allows the {action} action")
            }
            DenialReason::ImplicitResource => {
                write!(f, "because no resource-based policy allows the {action} action")
            }
        }
    }
}

impl std::error::Error for Denial {}

/// Whether `caller` may do what `request` says.
pub fn authorize(caller: &VerifiedCaller, request: &AuthorizationRequest<'_>) -> Decision {
    let Some(policies) = caller.policies() else { return Decision::Allowed };
    let context = RequestContext {
        caller,
        action: request.action,
        resource_arn: request.resource_arn,
        resource_tags: request.resource_tags,
        request_tags: request.request_tags,
        request_tag_keys: request.request_tag_keys,
        source_ip: request.source_ip,
        now: request.now,
    };
    let mut own = Verdict::default();
    for policy in policies {
        let verdict = policy.verdict(&context);
        own.denies |= verdict.denies;
        own.allows |= verdict.allows;
    }
    let resource =
        request.resource_policy.map(|policy| policy.verdict(&context)).unwrap_or_default();
    let account = resource_account(request.resource_arn);
    let same_account = account.is_empty() || account == caller.account().as_str();

    let reason = if own.denies {
        DenialReason::ExplicitIdentity
    } else if resource.denies {
        DenialReason::ExplicitResource
    } else if same_account && (own.allows || resource.allows_directly) {
        return Decision::Allowed;
    } else if !own.allows {
        DenialReason::ImplicitIdentity
    } else if resource.allows {
        return Decision::Allowed;
    } else {
        DenialReason::ImplicitResource
    };
    Decision::Denied(Denial {
        principal_arn: caller.principal_arn().to_owned(),
        action: request.action.to_owned(),
        resource_arn: request.resource_arn.to_owned(),
        reason,
    })
}
