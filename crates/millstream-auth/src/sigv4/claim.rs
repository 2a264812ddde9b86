//! What a request says of itself: who signed it, when, what, and the signature.
//!
//! Reads the `Authorization` header or a presigned query, then checks all that can be checked
//! without a key, in the service's order: completeness, date, signed headers, algorithm, scope.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{AUTHORIZATION, DATE, HOST};
use millstream_core::Timestamp;

use super::canonical::decoded;
use super::{ALGORITHM, Moment, Scope, ScopeFault, SignatureError, SignedRequest, TERMINATOR};

/// How far a request's clock may be from ours, in minutes (documented: 5, S3 has 15).
const SKEW_MINUTES: u64 = 5;
/// The longest life of a presigned request, in seconds: a week (documented).
const EXPIRES_SECONDS_MAX: u64 = 604_800;
const SECURITY_TOKEN: &str = "x-amz-security-token";
/// How much of a bad header is repeated in the error's text, in bytes.
const ECHO_LENGTH_MAX: usize = 1_024;

/// Where the signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In the `Authorization` header.
    Header,
    /// In the query, good for so many seconds (`None`: for the usual tolerance).
    Query {
        /// `X-Amz-Expires`.
        expires_seconds: Option<u64>,
    },
}

/// A request's signature and what it says it covers. Nothing in it is proved yet.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// Where the signature stands.
    pub form: Form,
    pub(super) algorithm: Cow<'a, str>,
    pub(super) credential: Cow<'a, str>,
    pub(super) signed_headers: Cow<'a, str>,
    pub(super) signature: Cow<'a, str>,
    pub(super) date: Cow<'a, str>,
    security_token: Option<Cow<'a, str>>,
}

/// The access key id that a request names, believed or not: for dev mode and for logs.
pub fn access_key_id_of(request: &SignedRequest<'_>) -> Option<String> {
    let header = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let credential = match header {
        Some(header) => header
            .split([',', ' '])
            .find_map(|part| part.trim().strip_prefix("Credential="))
            .map(Cow::Borrowed),
        None => query_parameter(request.query, "X-Amz-Credential").ok().flatten(),
    };
    let credential = credential?;
    Some(credential.split('/').next().unwrap_or_default().to_owned())
}

impl<'a> Claim<'a> {
    /// Finds the signature in the header or in the query.
    pub fn read(request: &SignedRequest<'a>) -> Result<Self, SignatureError> {
        let header = only(request.headers, &AUTHORIZATION, "Authorization")?;
        // Present is enough, even if empty (observed).
        let in_query = query_parameter(request.query, "X-Amz-Algorithm")?.is_some();
        match (header, in_query) {
            (Some(_), true) => Err(SignatureError::BothForms),
            (Some(header), false) => Self::read_header(&header, request.headers),
            (None, true) => Self::read_query(request.query),
            (None, false) => Err(SignatureError::Missing),
        }
    }

    fn read_header(header: &Cow<'a, str>, headers: &'a HeaderMap) -> Result<Self, SignatureError> {
        // A header that is not text holds no parameter, and is all the same repeated.
        let text: &'a str = match header {
            Cow::Borrowed(text) => text,
            Cow::Owned(_) => "",
        };
        let echo = || header.chars().take(ECHO_LENGTH_MAX).collect::<String>();
        let mut parts = text.split([',', ' ']).filter(|part| !part.is_empty());
        let algorithm = parts.next().unwrap_or_default();
        let [mut credential, mut signature, mut signed_headers] = [""; 3];
        for part in parts {
            let Some((name, value)) = part.split_once('=') else {
                return Err(SignatureError::NotKeyValue {
                    part: part.chars().take(ECHO_LENGTH_MAX).collect(),
                    header: echo(),
                });
            };
            let (place, name) = match name {
                "Credential" => (&mut credential, "Credential"),
                "Signature" => (&mut signature, "Signature"),
                "SignedHeaders" => (&mut signed_headers, "SignedHeaders"),
                _ => continue,
            };
            if !place.is_empty() {
                return Err(SignatureError::Duplicate { name });
            }
            *place = value;
        }
        let date = match only_named(headers, "x-amz-date", "X-Amz-Date")? {
            Some(date) => Some(date),
            None => only(headers, &DATE, "Date")?,
        };
        let named = [
            ("Credential", credential),
            ("Signature", signature),
            ("SignedHeaders", signed_headers),
        ];
        let missing: Vec<&'static str> =
            named.iter().filter(|(_, value)| value.is_empty()).map(|(name, _)| *name).collect();
        let date_missing = date.as_ref().is_none_or(|date| date.is_empty());
        if !missing.is_empty() || date_missing {
            return Err(SignatureError::IncompleteHeader { missing, date_missing, header: echo() });
        }
        Ok(Self {
            form: Form::Header,
            algorithm: algorithm.into(),
            credential: credential.into(),
            signed_headers: signed_headers.into(),
            signature: signature.into(),
            date: date.unwrap_or_default(),
            security_token: only_named(headers, SECURITY_TOKEN, "X-Amz-Security-Token")?,
        })
    }

    fn read_query(query: Option<&'a str>) -> Result<Self, SignatureError> {
        let mut missing = Vec::new();
        let mut take = |name: &'static str| -> Result<Cow<'a, str>, SignatureError> {
            let value = query_parameter(query, name)?.unwrap_or_default();
            if value.is_empty() {
                missing.push(name);
            }
            Ok(value)
        };
        let algorithm = take("X-Amz-Algorithm")?;
        let credential = take("X-Amz-Credential")?;
        let signature = take("X-Amz-Signature")?;
        let signed_headers = take("X-Amz-SignedHeaders")?;
        let date = take("X-Amz-Date")?;
        if !missing.is_empty() {
            return Err(SignatureError::IncompleteQuery { missing });
        }
        let expires_seconds = match query_parameter(query, "X-Amz-Expires")? {
            None => None,
            Some(text) => match text.parse() {
                Ok(seconds) if (1..=EXPIRES_SECONDS_MAX).contains(&seconds) => Some(seconds),
                _ => return Err(SignatureError::ExpiresOutOfRange { got: text.into_owned() }),
            },
        };
        Ok(Self {
            form: Form::Query { expires_seconds },
            algorithm,
            credential,
            signed_headers,
            signature,
            date,
            security_token: query_parameter(query, "X-Amz-Security-Token")?,
        })
    }

    /// The access key id claimed; empty if the credential is malformed.
    pub fn access_key_id(&self) -> &str {
        self.credential.split('/').next().unwrap_or_default()
    }

    /// The scope claimed; `None` if the credential is malformed.
    pub(crate) fn scope(&self) -> Option<Scope<'_>> {
        Scope::parse(&self.credential)
    }

    /// The session token sent along.
    pub fn security_token(&self) -> Option<&str> {
        self.security_token.as_deref()
    }

    /// Checks all that needs no key; what comes back is the scope that the key is for.
    pub fn check(
        &self,
        request: &SignedRequest<'_>,
        region: &str,
        service: &str,
        now: Timestamp,
    ) -> Result<Scope<'_>, SignatureError> {
        let moment = self.moment()?;
        self.check_age(moment, now)?;
        self.check_signed_headers(request)?;
        if self.algorithm != ALGORITHM {
            return Err(SignatureError::UnsupportedAlgorithm {
                got: self.algorithm.clone().into(),
            });
        }
        let scope = Scope::parse(&self.credential).ok_or_else(|| {
            SignatureError::CredentialMalformed { got: self.credential.clone().into() }
        })?;
        check_scope(&scope, region, service, moment)?;
        Ok(scope)
    }

    /// When the request says it was signed.
    pub(super) fn moment(&self) -> Result<Moment, SignatureError> {
        let moment = Moment::parse(&self.date).or_else(|| match self.form {
            Form::Header => Moment::parse_http_date(&self.date),
            Form::Query { .. } => None,
        });
        moment.ok_or_else(|| SignatureError::DateMalformed { got: self.date.clone().into() })
    }

    fn check_age(&self, moment: Moment, now: Timestamp) -> Result<(), SignatureError> {
        let at = |seconds| Moment::of(Timestamp::from_seconds(seconds));
        let skew_seconds = SKEW_MINUTES * 60;
        let minutes = SKEW_MINUTES;
        let earliest = now.seconds().saturating_sub(skew_seconds);
        let latest = now.seconds().saturating_add(skew_seconds);
        let signed = moment;
        if moment.seconds() > latest {
            let (limit, now) = (at(latest), Moment::of(now));
            return Err(SignatureError::NotYetCurrent { signed, limit, now, minutes });
        }
        match self.form {
            // A presigned request is good until it says, with no tolerance beyond.
            Form::Query { expires_seconds: Some(expires_seconds) } => {
                let end = moment.seconds().saturating_add(expires_seconds);
                if now.seconds() > end {
                    let now = Moment::of(now);
                    let (signed, limit) = (at(end), now);
                    return Err(SignatureError::Expired { signed, limit, now, minutes: 0 });
                }
            }
            Form::Header | Form::Query { expires_seconds: None } => {
                if moment.seconds() < earliest {
                    let (limit, now) = (at(earliest), Moment::of(now));
                    return Err(SignatureError::Expired { signed, limit, now, minutes });
                }
            }
        }
        Ok(())
    }

    /// What must be signed, so that nobody can change it on the way or send it again elsewhere:
    /// the host, the date, and every `x-amz-` header there is.
    fn check_signed_headers(&self, request: &SignedRequest<'_>) -> Result<(), SignatureError> {
        let names = self.signed_headers.as_ref();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.;".contains(&byte);
        if !names.bytes().all(is_name) {
            return Err(SignatureError::SignedHeadersMalformed { got: names.to_owned() });
        }
        let covers = |name: &str| names.split(';').any(|signed| signed.eq_ignore_ascii_case(name));
        let not_signed = |name: &str| SignatureError::HeaderNotSigned { name: name.to_owned() };
        if !covers("host") {
            return Err(not_signed("'Host' or ':authority'"));
        }
        if request.headers.get_all(HOST).iter().nth(1).is_some() {
            return Err(SignatureError::Duplicate { name: "Host" });
        }
        for name in request.headers.keys() {
            // A session token may be added after signing: it brings the secret that the
            // signature is checked with, so another's token never fits.
            let matters = name.as_str().starts_with("x-amz-") && name != SECURITY_TOKEN;
            if matters && !covers(name.as_str()) {
                return Err(not_signed(&format!("'{name}'")));
            }
        }
        let dated = self.form != Form::Header || covers("x-amz-date") || covers("date");
        if dated { Ok(()) } else { Err(not_signed("'X-Amz-Date' or 'Date'")) }
    }
}

fn check_scope(
    scope: &Scope<'_>,
    region: &str,
    service: &str,
    moment: Moment,
) -> Result<(), SignatureError> {
    let mut faults = Vec::new();
    if scope.region != region {
        faults.push(ScopeFault::Region { got: scope.region.to_owned() });
    }
    if scope.service != service {
        faults.push(ScopeFault::Service { want: service.to_owned() });
    }
    if scope.terminator != TERMINATOR {
        faults.push(ScopeFault::Terminator { got: scope.terminator.to_owned() });
    }
    if scope.date != moment.date() {
        faults.push(ScopeFault::Date { got: scope.date.to_owned(), moment });
    }
    if faults.is_empty() { Ok(()) } else { Err(SignatureError::OutOfScope { faults }) }
}

/// The one value of a header; bytes that are no text are kept visible, as an owned text.
fn only<'a>(
    headers: &'a HeaderMap,
    key: &http::HeaderName,
    name: &'static str,
) -> Result<Option<Cow<'a, str>>, SignatureError> {
    let mut values = headers.get_all(key).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(SignatureError::Duplicate { name });
    }
    Ok(value.map(|value| match value.to_str() {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(String::from_utf8_lossy(value.as_bytes()).into_owned()),
    }))
}

fn only_named<'a>(
    headers: &'a HeaderMap,
    key: &'static str,
    name: &'static str,
) -> Result<Option<Cow<'a, str>>, SignatureError> {
    only(headers, &http::HeaderName::from_static(key), name)
}

/// The one value of a query parameter, decoded; a value that is no text reads as empty.
fn query_parameter<'a>(
    query: Option<&'a str>,
    name: &'static str,
) -> Result<Option<Cow<'a, str>>, SignatureError> {
    let Some(query) = query else { return Ok(None) };
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(SignatureError::Duplicate { name });
    }
    if !value.contains(['%', '+']) {
        return Ok(Some(Cow::Borrowed(value)));
    }
    Ok(Some(String::from_utf8(decoded(value, true)).map_or(Cow::Borrowed(""), Cow::Owned)))
}
