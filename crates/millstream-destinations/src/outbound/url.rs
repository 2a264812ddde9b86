//! A URL taken apart once: where to connect, what to ask for, and as whom.

use std::fmt;
use std::str::FromStr;

use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use millstream_auth::Secret;

/// A name and a password that stood in a URL.
#[derive(Clone, Debug)]
pub struct Userinfo {
    /// Who.
    pub user: String,
    /// Its password; empty where none was given.
    pub password: Secret,
}

impl Userinfo {
    /// The value of an `Authorization` header (RFC 7617).
    pub fn basic(&self) -> String {
        let pair = format!("{}:{}", self.user, self.password.expose());
        format!("Basic {}", base64_simd::STANDARD.encode_to_string(pair))
    }
}

/// An `http` or `https` URL.
#[derive(Clone)]
pub struct Url {
    /// Whether TLS is spoken.
    pub is_tls: bool,
    /// The host's name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path and query, as they stood.
    pub path_and_query: PathAndQuery,
    /// Who is asking, where the URL says.
    pub userinfo: Option<Userinfo>,
    authority: Authority,
}

/// Why a text is no URL to deliver to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL at all.
    #[error("not a URL: {0}")]
    Malformed(String),
    /// A scheme other than `http` and `https`.
    #[error("a URL must begin with https:// or http://")]
    Scheme,
    /// No host.
    #[error("the URL names no host")]
    NoHost,
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let uri: Uri =
            text.parse().map_err(|error: http::uri::InvalidUri| malformed(&error.to_string()))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(UrlError::Scheme),
        };
        let parts = uri.into_parts();
        let authority = parts.authority.ok_or(UrlError::NoHost)?;
        let (userinfo, place) = match authority.as_str().rsplit_once('@') {
            Some((userinfo, place)) => (Some(parse_userinfo(userinfo)?), place),
            None => (None, authority.as_str()),
        };
        let place: Authority =
            place.parse().map_err(|error: http::uri::InvalidUri| malformed(&error.to_string()))?;
        let host = place.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(UrlError::NoHost);
        }
        let port = match place.port() {
            Some(port) => port.as_u16(),
            None if place.as_str().len() > place.host().len() => {
                return Err(malformed("the port is no number"));
            }
            None if is_tls => 443,
            None => 80,
        };
        let path_and_query = parts.path_and_query.unwrap_or(PathAndQuery::from_static("/"));
        Ok(Self { is_tls, host, port, path_and_query, userinfo, authority: place })
    }
}

fn malformed(reason: &str) -> UrlError {
    UrlError::Malformed(reason.to_owned())
}

fn parse_userinfo(text: &str) -> Result<Userinfo, UrlError> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let plain = |text: &str| {
        String::from_utf8(percent_decoded(text)).map_err(|_| malformed("userinfo is not UTF-8"))
    };
    Ok(Userinfo { user: plain(user)?, password: Secret::new(plain(password)?) })
}

/// Percent-decoded bytes; a malformed escape stands for itself.
pub(crate) fn percent_decoded(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = match (byte, bytes.get(at + 1), bytes.get(at + 2)) {
            (b'%', Some(&high), Some(&low)) => digit(high).zip(digit(low)),
            _ => None,
        };
        if let Some((high, low)) = escape {
            plain.push(high << 4 | low);
            at += 3;
        } else {
            plain.push(byte);
            at += 1;
        }
    }
    plain
}

/// Encodes all but the unreserved characters (RFC 3986, 2.3) and those in `also_kept`.
pub(crate) fn percent_encoded(text: &str, also_kept: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also_kept.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            encoded.push(char::from(DIGITS[usize::from(byte & 0xf)]));
        }
    }
    encoded
}

impl Url {
    /// The target of a request: scheme, host and port, path; nothing of the userinfo.
    pub fn target(&self) -> Uri {
        self.with_path(self.path_and_query.clone())
    }

    /// As [`Url::target`], with another path and query.
    pub fn with_path(&self, path_and_query: PathAndQuery) -> Uri {
        let scheme = if self.is_tls { Scheme::HTTPS } else { Scheme::HTTP };
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(scheme);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path_and_query);
        Uri::from_parts(parts).expect("scheme, authority and path make a URI")
    }

    /// The path without a slash at its end, to put more behind it.
    pub(crate) fn base_path(&self) -> &str {
        self.path_and_query.path().trim_end_matches('/')
    }

    /// The host and, where it was given, the port.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The same host under another name before it, as `bucket.host`.
    pub(crate) fn with_subdomain(&self, name: &str) -> Result<Self, UrlError> {
        let authority: Authority = format!("{name}.{}", self.authority)
            .parse()
            .map_err(|error: http::uri::InvalidUri| malformed(&error.to_string()))?;
        Ok(Self { host: format!("{name}.{}", self.host), authority, ..self.clone() })
    }
}

impl fmt::Display for Url {
    /// Without the userinfo.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.target())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let url: Url = "https://search.example.com:9200/a/b?c=d".parse().unwrap();
        assert!(url.is_tls);
        assert_eq!((url.host.as_str(), url.port), ("search.example.com", 9200));
        assert_eq!(url.target().to_string(), "https://search.example.com:9200/a/b?c=d");
        let url: Url = "http://[::1]/".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port), ("::1", 80));
        assert_eq!(url.target().to_string(), "http://[::1]/");
    }

    #[test]
    fn a_password_leaves_the_url_and_is_never_printed() {
        let url: Url = "https://me%40home:se%3Acret@host/".parse().unwrap();
        let userinfo = url.userinfo.clone().unwrap();
        assert_eq!(userinfo.basic(), "Basic bWVAaG9tZTpzZTpjcmV0");
        assert_eq!(url.to_string(), "https://host/");
        assert!(!format!("{url:?} {userinfo:?}").contains("se:cret"));
    }

    #[test]
    fn what_is_no_http_url_is_refused() {
        assert_eq!("ftp://host/".parse::<Url>().unwrap_err(), UrlError::Scheme);
        assert_eq!("host".parse::<Url>().unwrap_err(), UrlError::Scheme);
        assert_eq!("/path".parse::<Url>().unwrap_err(), UrlError::Scheme);
        for text in ["https://", "https://host:port/", "https://host:/", "https://user@/", ""] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }
}
