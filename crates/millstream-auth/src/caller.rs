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

/// The access key id that a caller without credentials is given in dev mode.
const DEV_ACCESS_KEY_ID: &str = "anonymous";
/// The longest access key id that dev mode repeats (documented: API_AccessKey, 128).
const ACCESS_KEY_ID_LENGTH_MAX: usize = 128;

/// A caller whose credentials were verified, cheap to clone.
#[derive(Clone)]
pub struct VerifiedCaller(Arc<Caller>);

struct Caller {
    access_key_id: Box<str>,
    account: AccountId,
    principal_arn: Box<str>,
    user_name: Option<Box<str>>,
    region: Region,
    unrestricted: bool,
}

impl VerifiedCaller {
    /// The access key that signed the request.
    pub fn access_key_id(&self) -> &str {
        &self.0.access_key_id
    }

    /// The account the caller belongs to.
    pub fn account(&self) -> &AccountId {
        &self.0.account
    }

    /// The region that the request was signed for, which is the server's.
    pub fn region(&self) -> &Region {
        &self.0.region
    }

    /// `arn:aws:iam::ACCOUNT:root` or `arn:aws:iam::ACCOUNT:user/NAME`.
    pub fn principal_arn(&self) -> &str {
        &self.0.principal_arn
    }

    /// The user's name (`aws:username`); `None` for the account itself.
    pub fn user_name(&self) -> Option<&str> {
        self.0.user_name.as_deref()
    }

    /// Whether no policy is asked: dev mode only.
    pub fn is_unrestricted(&self) -> bool {
        self.0.unrestricted
    }
}

impl fmt::Debug for VerifiedCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedCaller")
            .field("access_key_id", &self.0.access_key_id)
            .field("principal_arn", &self.0.principal_arn)
            .field("region", &self.0.region)
            .field("unrestricted", &self.0.unrestricted)
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
    pub fn caller(&self, access_key_id: Option<&str>) -> VerifiedCaller {
        let sane = |id: &&str| {
            let length_fits = (1..=ACCESS_KEY_ID_LENGTH_MAX).contains(&id.len());
            length_fits && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let access_key_id = access_key_id.filter(sane).unwrap_or(DEV_ACCESS_KEY_ID);
        VerifiedCaller(Arc::new(Caller {
            access_key_id: access_key_id.into(),
            principal_arn: format!("arn:aws:iam::{}:root", self.account).into(),
            account: self.account.clone(),
            user_name: None,
            region: self.region.clone(),
            unrestricted: true,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dev_mode_repeats_a_sane_access_key_id_and_nothing_else() {
        let dev = DevMode::new("000000000000".parse().unwrap(), "us-east-1".parse().unwrap());
        assert_eq!(dev.caller(Some("test")).access_key_id(), "test");
        let long = "A".repeat(129);
        for id in [None, Some(""), Some("a b"), Some("\u{e9}"), Some("a\nb"), Some(&long)] {
            assert_eq!(dev.caller(id).access_key_id(), "anonymous", "{id:?}");
        }
        assert!(dev.caller(None).is_unrestricted());
        assert_eq!(dev.caller(None).principal_arn(), "arn:aws:iam::000000000000:root");
    }
}
