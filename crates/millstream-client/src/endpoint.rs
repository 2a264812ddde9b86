//! Where requests go: a URL taken apart once.

use std::fmt;
use std::str::FromStr;

/// An endpoint: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether TLS is spoken.
    pub is_tls: bool,
    /// The host's name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why a text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an endpoint: write http://HOST:PORT or https://HOST")]
pub struct EndpointError {
    /// What was given.
    pub text: String,
}

impl Endpoint {
    /// The service's own endpoint for Kinesis in `region`.
    pub fn of_aws(region: &str) -> Self {
        // Source: AWS General Reference, Kinesis Data Streams endpoints (documented).
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        let host = format!("kinesis.{region}.amazonaws.com{suffix}");
        Self { is_tls: true, host, port: 443 }
    }

    /// The region that the host's name tells, where it is one of the service's own endpoints.
    pub fn aws_region(&self) -> Option<&str> {
        // `kinesis.REGION.amazonaws.com`, also `kinesis-fips.`, `ACCOUNT.data-kinesis.`, and a
        // private network's `vpce-….kinesis.REGION.vpce.amazonaws.com` (documented).
        let host = &self.host;
        let suffixes = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];
        let is_aws = suffixes.iter().any(|suffix| host.ends_with(suffix));
        let mut labels = host.split('.').filter(|_| is_aws);
        labels.find(|label| {
            matches!(*label, "kinesis" | "kinesis-fips" | "data-kinesis" | "control-kinesis")
        })?;
        labels.next()
    }

    /// What stands in the `Host` header: the port is left out where the scheme implies it.
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let implied = if self.is_tls { 443 } else { 80 };
        if self.port == implied { host } else { format!("{host}:{}", self.port) }
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let error = || EndpointError { text: text.to_owned() };
        let (is_tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(error()),
        };
        let authority: http::uri::Authority =
            rest.strip_suffix('/').unwrap_or(rest).parse().map_err(|_| error())?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(error());
        }
        let port = match authority.port_u16() {
            Some(port) => port,
            // Something stands after the host, and it is no port.
            None if authority.as_str() != authority.host() => return Err(error()),
            None if is_tls => 443,
            None => 80,
        };
        Ok(Self { is_tls, host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_print_what_they_parse() {
        for text in ["http://127.0.0.1:4566", "https://localhost", "http://[::1]:80", "http://h"] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), text.trim_end_matches(":80"), "{text}");
        }
        assert_eq!("http://h:1/".parse::<Endpoint>().unwrap().authority(), "h:1");
        assert!("http://[::1]:9".parse::<Endpoint>().unwrap().is_loopback());
        assert!(!Endpoint::of_aws("eu-west-1").is_loopback());
        assert_eq!(
            Endpoint::of_aws("cn-north-1").to_string(),
            "https://kinesis.cn-north-1.amazonaws.com.cn"
        );
    }

    #[test]
    fn an_endpoint_of_the_service_tells_its_region() {
        let region = |text: &str| {
            let endpoint: Endpoint = text.parse().unwrap();
            endpoint.aws_region().map(ToOwned::to_owned)
        };
        for host in [
            "kinesis.eu-west-1.amazonaws.com",
            "kinesis-fips.eu-west-1.amazonaws.com",
            "123456789012.data-kinesis.eu-west-1.amazonaws.com",
            "vpce-1-2.kinesis.eu-west-1.vpce.amazonaws.com",
            "kinesis.eu-west-1.api.aws",
        ] {
            assert_eq!(region(&format!("https://{host}")).as_deref(), Some("eu-west-1"), "{host}");
        }
        for host in ["127.0.0.1:4566", "kinesis.example.org", "s3.eu-west-1.amazonaws.com"] {
            assert_eq!(region(&format!("http://{host}")), None, "{host}");
        }
        assert_eq!(Endpoint::of_aws("cn-north-1").aws_region(), Some("cn-north-1"));
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for text in [
            "",
            "localhost:4566",
            "ftp://h",
            "http://",
            "http://h:99999",
            "http://a@b",
            "http://h/path",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        }
    }
}
