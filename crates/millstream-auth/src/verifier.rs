//! From a signed request to a [`VerifiedCaller`]: the only way there but dev mode.
//!
//! Owns the access keys in force and the signing keys derived from them. Works in two steps, so
//! that nobody unknown makes the server hold a body: [`Verifier::begin`] needs the head alone,
//! [`Pending::finish`] the body's hash.
//!
//! Invariant: a caller comes out of [`Pending::finish`] alone, after the signature fitted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use millstream_core::{Rand, Region, Timestamp};
use serde::{Deserialize, Serialize};

use crate::caller::Identity;
use crate::keys::{AccessKey, new_access_key_id, new_secret};
use crate::sigv4::{Claim, Payload, Scope, SignatureError, SignedRequest, SigningKey};
use crate::{AccessKeys, Keyring, Sealer, Secret, VerifiedCaller};

/// Signing keys remembered for one access key: two days by a few services.
const SIGNING_KEYS_MAX: usize = 8;
/// The longest a session lives, in seconds: 36 hours (documented: API_GetSessionToken).
const SESSION_SECONDS_MAX: u64 = 129_600;

/// An access key at work.
struct ActiveKey {
    secret: Secret,
    identity: Arc<Identity>,
    signing_keys: RwLock<Vec<DatedKey>>,
}

struct DatedKey {
    date: String,
    service: String,
    key: SigningKey,
}

impl ActiveKey {
    fn of(key: &AccessKey, region: &Region) -> Self {
        let about = &key.summary;
        let identity = Identity::new(
            &about.access_key_id,
            about.account.clone(),
            about.user_name.as_deref(),
            region.clone(),
            about.policies.clone(),
        );
        Self {
            secret: key.secret.clone(),
            identity: Arc::new(identity),
            signing_keys: RwLock::new(Vec::new()),
        }
    }

    /// The signing key of `scope`, whose region is ours and whose date and service are checked.
    fn signing_key(&self, scope: &Scope<'_>) -> SigningKey {
        let known = self.signing_keys.read().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|it| it.date == scope.date && it.service == scope.service);
        if let Some(found) = found {
            return found.key.clone();
        }
        drop(known);
        let key = SigningKey::derive(&self.secret, scope);
        let mut known = self.signing_keys.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() == SIGNING_KEYS_MAX {
            known.remove(0);
        }
        known.push(DatedKey {
            date: scope.date.to_owned(),
            service: scope.service.to_owned(),
            key: key.clone(),
        });
        key
    }
}

/// Verifies signatures for one region.
pub struct Verifier {
    region: Region,
    keys: RwLock<Arc<BTreeMap<String, Arc<ActiveKey>>>>,
    sessions: Sealer,
}

/// A session's credentials: like an access key, for a while.
#[derive(Clone, Debug)]
pub struct SessionCredentials {
    /// Starts with `ASIA`.
    pub access_key_id: String,
    /// The secret, to be shown once.
    pub secret_access_key: Secret,
    /// To be sent along with each request.
    pub session_token: Secret,
    /// When it ends.
    pub expires: Timestamp,
}

/// What a session token says, sealed.
#[derive(Serialize, Deserialize)]
struct Session {
    secret: String,
    parent: String,
    expires: Timestamp,
}

impl Verifier {
    /// A verifier that knows the enabled ones of `keys`.
    pub fn new(region: Region, keys: &AccessKeys, keyring: &Keyring) -> Self {
        let verifier = Self {
            region,
            keys: RwLock::new(Arc::new(BTreeMap::new())),
            sessions: keyring.sealer("session token"),
        };
        verifier.replace_keys(keys);
        verifier
    }

    /// Knows `keys` from now on and no others, as after `keys create` or `keys delete`.
    pub fn replace_keys(&self, keys: &AccessKeys) {
        let enabled = keys.iter().filter(|key| key.summary.enabled);
        let active = enabled.map(|key| {
            (key.summary.access_key_id.clone(), Arc::new(ActiveKey::of(key, &self.region)))
        });
        let active = Arc::new(active.collect());
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = active;
    }

    /// The region that requests must be signed for.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Credentials that act as `access_key_id` for `life` (36 hours at most); `None` if there is
    /// no such key. They end when it does.
    pub fn new_session(
        &self,
        access_key_id: &str,
        life: Duration,
        now: Timestamp,
        rand: &dyn Rand,
    ) -> Option<SessionCredentials> {
        self.key(access_key_id)?;
        let expires = now.plus(life.min(Duration::from_secs(SESSION_SECONDS_MAX)));
        let own_id = new_access_key_id("ASIA", rand);
        let secret = new_secret(rand);
        let session = Session {
            secret: secret.expose().to_owned(),
            parent: access_key_id.to_owned(),
            expires,
        };
        let session = zeroize::Zeroizing::new(
            serde_json::to_vec(&session).expect("texts and numbers are JSON"),
        );
        let token = crate::sigv4::hex(&self.sessions.seal(&session, own_id.as_bytes()));
        Some(SessionCredentials {
            access_key_id: own_id,
            secret_access_key: secret,
            session_token: Secret::new(token),
            expires,
        })
    }

    /// Checks all of a signature that needs no body, for a call of the service whose signing
    /// name is `service`.
    pub fn begin<'a>(
        &self,
        request: &SignedRequest<'a>,
        service: &str,
        now: Timestamp,
    ) -> Result<Pending<'a>, SignatureError> {
        let claim = Claim::read(request)?;
        let scope = claim.check(request, self.region.as_str(), service, now)?;
        let (key, identity) = if let Some(token) = claim.security_token() {
            self.session(scope.access_key_id, token, &scope, now)?
        } else {
            let key = self.key(scope.access_key_id).ok_or(SignatureError::UnknownKey)?;
            (key.signing_key(&scope), key.identity.clone())
        };
        Ok(Pending { claim, key, identity })
    }

    fn key(&self, access_key_id: &str) -> Option<Arc<ActiveKey>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(access_key_id).cloned()
    }

    fn session(
        &self,
        access_key_id: &str,
        token: &str,
        scope: &Scope<'_>,
        now: Timestamp,
    ) -> Result<(SigningKey, Arc<Identity>), SignatureError> {
        let session = crate::keys::bytes_of_hex(token)
            .and_then(|sealed| self.sessions.open(&sealed, access_key_id.as_bytes()))
            .map(zeroize::Zeroizing::new)
            .and_then(|session| serde_json::from_slice::<Session>(&session).ok())
            .ok_or(SignatureError::UnknownKey)?;
        let secret = Secret::new(session.secret);
        let parent = self.key(&session.parent).ok_or(SignatureError::UnknownKey)?;
        if now > session.expires {
            return Err(SignatureError::TokenExpired);
        }
        let identity = Arc::new(parent.identity.with_access_key_id(access_key_id));
        Ok((SigningKey::derive(&secret, scope), identity))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("region", &self.region).finish_non_exhaustive()
    }
}

/// A request whose head was found in order, and whose signature is not yet checked.
pub struct Pending<'a> {
    claim: Claim<'a>,
    key: SigningKey,
    identity: Arc<Identity>,
}

impl Pending<'_> {
    /// Checks the signature against the head and the body, and says who calls.
    ///
    /// * `secure_transport`: whether the request came over TLS.
    pub fn finish(
        self,
        request: &SignedRequest<'_>,
        payload: Payload<'_>,
        secure_transport: bool,
    ) -> Result<VerifiedCaller, SignatureError> {
        let scope = self.claim.scope().ok_or(SignatureError::UnknownKey)?;
        self.claim.verify(request, &scope, &self.key, payload)?;
        Ok(VerifiedCaller::proved(self.identity, secure_transport))
    }
}

impl fmt::Debug for Pending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("claim", &self.claim).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
