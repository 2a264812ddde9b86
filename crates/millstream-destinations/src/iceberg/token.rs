//! Tokens for a REST catalog, fetched with an id and a secret (OAuth 2, client credentials).

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use millstream_auth::Secret;
use millstream_core::{Clock, Timestamp};
use serde::Deserialize;

use super::rest::AGENT;
use crate::outbound::{Bounds, Outbound, Url, percent_encoded};
use crate::{ConfigError, Failure};

const REQUEST_MAX: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// A token is fetched anew so long before it ends.
const SPARE_MS: u64 = 60_000;
/// How long a token is used whose end is not said.
const LIFE_SECONDS: u64 = 3_600;

/// How tokens are fetched.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// Where; the catalog's own `/v1/oauth/tokens` where none is given.
    pub url: Option<String>,
    /// Whose; none where the secret says it all.
    pub client_id: Option<String>,
    /// The secret.
    pub client_secret: Secret,
    /// What for.
    pub scope: String,
}

pub(super) struct Tokens {
    url: Url,
    settings: TokenSettings,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
    /// With its end.
    current: RwLock<Option<(Secret, Timestamp)>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.url)
    }
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

impl Tokens {
    pub(super) fn new(
        settings: &TokenSettings,
        default: &str,
        outbound: Outbound,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let url: Url = settings.url.as_deref().unwrap_or(default).parse()?;
        outbound.check(&url)?;
        let (settings, current) = (settings.clone(), RwLock::new(None));
        Ok(Self { url, settings, outbound, clock, current })
    }

    /// The next request fetches a token anew.
    pub(super) fn forget(&self) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A token that holds for a while yet. Two who ask at once may both fetch one.
    pub(super) async fn token(&self) -> Result<Secret, Failure> {
        let now = self.clock.now();
        let known = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((token, end)) = known
            && now.ms() + SPARE_MS < end.ms()
        {
            return Ok(token);
        }
        let granted = self.fetch().await?;
        let token = Secret::new(granted.access_token);
        let life_ms = granted.expires_in.unwrap_or(LIFE_SECONDS).saturating_mul(1_000);
        let end = Timestamp::from_ms(now.ms().saturating_add(life_ms));
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some((token.clone(), end));
        Ok(token)
    }

    async fn fetch(&self) -> Result<Granted, Failure> {
        let denied = |why: String| {
            let message = format!("The catalog's tokens cannot be had: {why}.");
            Failure::retryable("Iceberg.AccessDenied", message)
        };
        let encoded = |text: &str| percent_encoded(text, b"");
        let id = self.settings.client_id.as_ref();
        let id = id.map(|id| format!("&client_id={}", encoded(id))).unwrap_or_default();
        let secret = encoded(self.settings.client_secret.expose());
        let scope = encoded(&self.settings.scope);
        let form =
            format!("grant_type=client_credentials{id}&client_secret={secret}&scope={scope}");
        let mut request = Request::new(Bytes::from(form));
        (*request.method_mut(), *request.uri_mut()) = (Method::POST, self.url.target());
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, kind);
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let bounds = Bounds { timeout: REQUEST_MAX, answer_bytes_max: ANSWER_BYTES_MAX };
        let answer = self.outbound.send(request, bounds).await;
        let answer = answer.map_err(|error| denied(error.to_string()))?;
        if answer.status != StatusCode::OK {
            // What it says may repeat what it was sent.
            return Err(denied(format!("it answered {}", answer.status.as_u16())));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|_| denied("its answer has no token".to_owned()))
    }
}
