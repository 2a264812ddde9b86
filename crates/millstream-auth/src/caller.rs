//! Who makes a call, as proved.
//!
//! Owns [`VerifiedCaller`], the value without which no operation can be reached.
//!
//! Invariant: outside this crate nobody can make one. Only the signature verifier does, after
//! a signature fitted, and [`DevMode`], which a server may only use on loopback and says so.
//! Handlers that skip the verifier were the same hole three times in one well-known object
//! store (CVE-2025-31489, CVE-2026-40344, CVE-2026-41145); here such a handler does not compile.

use std::fmt;
use std::sync::Arc;

use millstream_core::{AccountId, Region};

use crate::Policy;

/// The access key id that a caller without credentials is given in dev mode.
const DEV_ACCESS_KEY_ID: &str = "anonymous";
/// The longest access key id that dev mode repeats (documented: API_AccessKey, 128).
const ACCESS_KEY_ID_LENGTH_MAX: usize = 128;

/// A caller whose credentials were verified, cheap to clone.
#[derive(Clone)]
pub struct VerifiedCaller {
    identity: Arc<Identity>,
    secure_transport: bool,
}

/// Who an access key makes its holder.
pub(crate) struct Identity {
    access_key_id: Box<str>,
    account: AccountId,
    principal_arn: Box<str>,
    user_name: Option<Box<str>>,
    region: Region,
    grants: Grants,
}

enum Grants {
    /// Dev mode: no policy is asked.
    Everything,
    Policies(Vec<Policy>),
}

impl Identity {
    /// The holder of `access_key_id`; `user_name` is `None` for the account itself.
    pub(crate) fn new(
        access_key_id: &str,
        account: AccountId,
        user_name: Option<&str>,
        region: Region,
        policies: Vec<Policy>,
    ) -> Self {
        let principal_arn = match user_name {
            Some(name) => format!("arn:aws:iam::{account}:user/{name}"),
            None => format!("arn:aws:iam::{account}:root"),
        };
        Self {
            access_key_id: access_key_id.into(),
            account,
            principal_arn: principal_arn.into(),
            user_name: user_name.map(Into::into),
            region,
            grants: Grants::Policies(policies),
        }
    }

    /// The same principal under another access key: that of a session.
    pub(crate) fn with_access_key_id(&self, access_key_id: &str) -> Self {
        let policies = match &self.grants {
            Grants::Everything => vec![Policy::allow_all()],
            Grants::Policies(policies) => policies.clone(),
        };
        let (account, region) = (self.account.clone(), self.region.clone());
        Self::new(access_key_id, account, self.user_name.as_deref(), region, policies)
    }
}

impl VerifiedCaller {
    /// For the verifier, once the signature fitted.
    pub(crate) fn proved(identity: Arc<Identity>, secure_transport: bool) -> Self {
        Self { identity, secure_transport }
    }

    /// The policies of the identity; `None` where no policy is asked.
    pub(crate) fn policies(&self) -> Option<&[Policy]> {
        match &self.identity.grants {
            Grants::Everything => None,
            Grants::Policies(policies) => Some(policies),
        }
    }

    /// Whether the call came over TLS.
    pub fn secure_transport(&self) -> bool {
        self.secure_transport
    }

    /// The access key that signed the request.
    pub fn access_key_id(&self) -> &str {
        &self.identity.access_key_id
    }

    /// The account the caller belongs to.
    pub fn account(&self) -> &AccountId {
        &self.identity.account
    }

    /// The region that the request was signed for, which is the server's.
    pub fn region(&self) -> &Region {
        &self.identity.region
    }

    /// `arn:aws:iam::ACCOUNT:root` or `arn:aws:iam::ACCOUNT:user/NAME`.
    pub fn principal_arn(&self) -> &str {
        &self.identity.principal_arn
    }

    /// The user's name (`aws:username`); `None` for the account itself.
    pub fn user_name(&self) -> Option<&str> {
        self.identity.user_name.as_deref()
    }

    /// Whether no policy is asked: dev mode only.
    pub fn is_unrestricted(&self) -> bool {
        matches!(self.identity.grants, Grants::Everything)
    }
}

impl fmt::Debug for VerifiedCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedCaller")
            .field("access_key_id", &self.identity.access_key_id)
            .field("principal_arn", &self.identity.principal_arn)
            .field("region", &self.identity.region)
            .field("unrestricted", &self.is_unrestricted())
            .finish()
    }
}

/// Takes any credentials, good, bad or none, and lets their bearer do everything.
///
/// For a developer's own machine: a server uses it on loopback only, unless told twice.
#[derive(Clone, Debug)]
pub struct DevMode {
    account: AccountId,
    region: Region,
}

impl DevMode {
    /// A dev mode in which everyone belongs to `account` and `region`.
    pub fn new(account: AccountId, region: Region) -> Self {
        Self { account, region }
    }

    /// The caller who says to hold `access_key_id`; anything unprintable is not repeated.
    ///
    /// * `secure_transport`: whether the call came over TLS.
    pub fn caller(&self, access_key_id: Option<&str>, secure_transport: bool) -> VerifiedCaller {
        let sane = |id: &&str| {
            let length_fits = (1..=ACCESS_KEY_ID_LENGTH_MAX).contains(&id.len());
            length_fits && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let access_key_id = access_key_id.filter(sane).unwrap_or(DEV_ACCESS_KEY_ID);
        let (account, region) = (self.account.clone(), self.region.clone());
        let mut identity = Identity::new(access_key_id, account, None, region, Vec::new());
        identity.grants = Grants::Everything;
        VerifiedCaller { identity: Arc::new(identity), secure_transport }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dev_mode_repeats_a_sane_access_key_id_and_nothing_else() {
        let dev = DevMode::new("000000000000".parse().unwrap(), "us-east-1".parse().unwrap());
        assert_eq!(dev.caller(Some("test"), false).access_key_id(), "test");
        let long = "A".repeat(129);
        for id in [None, Some(""), Some("a b"), Some("\u{e9}"), Some("a\nb"), Some(&long)] {
            assert_eq!(dev.caller(id, false).access_key_id(), "anonymous", "{id:?}");
        }
        assert!(dev.caller(None, false).is_unrestricted());
        assert_eq!(dev.caller(None, false).principal_arn(), "arn:aws:iam::000000000000:root");
    }
}
