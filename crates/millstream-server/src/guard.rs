//! What stands before every route: the checks that keep web pages and forged headers out.
//!
//! A page in the developer's browser reaches loopback too, so dev mode, which asks for no
//! signature, looks at `Host` (against DNS rebinding) and `Origin` (against cross-origin posts).

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::{StatusCode, uri::Authority};

use crate::refusal::{Form, Refusal};

/// Headers that are ours to set.
const OWN_PREFIX: &str = "x-millstream-";

fn denied(message: impl Into<String>) -> Refusal {
    Refusal::new(Form::RestJson, "AccessDeniedException", message, StatusCode::FORBIDDEN)
}

/// The checks of both modes.
pub(crate) fn check_head(parts: &Parts) -> Result<(), Refusal> {
    let headers = &parts.headers;
    if let Some(name) = headers.keys().find(|name| name.as_str().starts_with(OWN_PREFIX)) {
        return Err(denied(format!("The header {name} is not taken from clients.")));
    }
    if headers.get_all(HOST).iter().nth(1).is_some() {
        let (form, code) = (Form::RestJson, "BadRequestException");
        let message = "A request has one Host header.";
        return Err(Refusal::new(form, code, message, StatusCode::BAD_REQUEST));
    }
    Ok(())
}

/// Which hosts and origins dev mode takes.
#[derive(Clone, Debug, Default)]
pub(crate) struct DevGuard {
    /// Whether someone said twice that the network may come in.
    pub(crate) is_open: bool,
    /// Host names taken beside loopback's, lower case.
    pub(crate) host_names: Vec<String>,
}

impl DevGuard {
    pub(crate) fn check(&self, parts: &Parts) -> Result<(), Refusal> {
        let header = parts.headers.get(HOST).map(|host| host.to_str().unwrap_or_default());
        let target = parts.uri.authority().map(Authority::as_str);
        let mut hosts = [header, target].into_iter().flatten().peekable();
        let taken = hosts.peek().is_some() && hosts.all(|host| self.takes_host(host));
        if !taken {
            return Err(denied(
                "Dev mode answers on localhost and loopback addresses only: the Host of this \
                 request is another. Name it in the server's settings to allow it.",
            ));
        }
        for origin in parts.headers.get_all(ORIGIN) {
            if !self.takes_origin(origin.to_str().unwrap_or_default()) {
                return Err(denied(
                    "Dev mode asks for no signature, so it takes no requests of web pages but \
                     those served from this machine.",
                ));
            }
        }
        Ok(())
    }

    fn takes_origin(&self, origin: &str) -> bool {
        // `null` and other schemes are anyone's.
        let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        host.is_some_and(|host| self.takes_host(host))
    }

    fn takes_host(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            // An address cannot be rebound: whoever asks for it means it.
            return address.to_canonical().is_loopback() || self.is_open;
        }
        let is_local = name == "localhost" || name.ends_with(".localhost");
        // Names without a dot are given inside a network, such as a compose file's services.
        let is_inside = self.is_open && !name.is_empty() && !name.contains('.');
        is_local || is_inside || self.host_names.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check(guard: &DevGuard, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        guard.check(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn dev_mode_takes_loopback_hosts_only() {
        let guard = DevGuard::default();
        for host in [
            "localhost",
            "localhost:4566",
            "127.0.0.1:4566",
            "127.8.8.8",
            "[::1]:1",
            "a.localhost",
            "LOCALHOST.",
        ] {
            assert!(check(&guard, &[("host", host)]), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "[::2]",
            "0.0.0.0",
            "a@b@c",
            "millstream",
        ] {
            assert!(!check(&guard, &[("host", host)]), "{host}");
        }
        assert!(!check(&guard, &[]), "no host at all");
    }

    #[test]
    fn opened_to_the_network_it_still_takes_no_rebound_names() {
        let guard = DevGuard { is_open: true, host_names: vec!["dev.example".to_owned()] };
        for host in ["10.0.0.1:4566", "millstream:4566", "dev.example", "localhost"] {
            assert!(check(&guard, &[("host", host)]), "{host}");
        }
        assert!(!check(&guard, &[("host", "evil.example")]));
    }

    #[test]
    fn dev_mode_takes_no_foreign_pages() {
        let guard = DevGuard::default();
        let from = |origin: &str| check(&guard, &[("host", "localhost"), ("origin", origin)]);
        assert!(from("http://localhost:3000"));
        assert!(from("https://127.0.0.1"));
        for origin in
            ["null", "http://evil.example", "file://", "http://localhost.evil.example", ""]
        {
            assert!(!from(origin), "{origin}");
        }
    }

    #[test]
    fn our_own_headers_and_two_hosts_are_refused() {
        let head = |headers: &[(&str, &str)]| {
            let mut request = Request::builder().uri("/");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            check_head(&request.body(()).unwrap().into_parts().0)
        };
        assert!(head(&[("host", "a")]).is_ok());
        assert!(head(&[("x-millstream-caller", "root")]).is_err());
        assert!(head(&[("host", "a"), ("host", "b")]).is_err());
    }
}
