//! `jdbc:redshift://host:port/database?parameters`.

use std::str::FromStr;

use crate::outbound::percent_decoded;

/// Redshift's port.
const REDSHIFT_PORT: u16 = 5439;
/// PostgreSQL's port.
const POSTGRESQL_PORT: u16 = 5432;

/// Whether a connection is encrypted. Where it is, the server's certificate is checked, also
/// where JDBC's `require` would not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// Where the server offers it: for a server that is allowed to speak in clear text.
    Prefer,
    /// Always.
    Require,
}

/// A database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JdbcUrl {
    /// Its host, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its name.
    pub database: String,
    /// Whether connections are encrypted.
    pub tls: TlsMode,
}

/// Why a text is no database's URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JdbcError {
    /// Another scheme.
    #[error("a JDBC URL begins with jdbc:redshift:// or jdbc:postgresql://")]
    Scheme,
    /// No host.
    #[error("the JDBC URL names no host")]
    NoHost,
    /// No database.
    #[error("the JDBC URL names no database")]
    NoDatabase,
    /// A port that is none.
    #[error("{0:?} is no port")]
    Port(String),
    /// A parameter's value that is not known.
    #[error("{value:?} is not a value of the parameter {name}")]
    Parameter {
        /// Which.
        name: String,
        /// What it was given.
        value: String,
    },
    /// Escapes that are no text.
    #[error("the JDBC URL holds escapes that are no UTF-8")]
    NotText,
}

impl FromStr for JdbcUrl {
    type Err = JdbcError;

    fn from_str(text: &str) -> Result<Self, JdbcError> {
        let known = [("jdbc:redshift://", REDSHIFT_PORT), ("jdbc:postgresql://", POSTGRESQL_PORT)];
        let (rest, default_port) = known
            .iter()
            .find_map(|(scheme, port)| Some((text.strip_prefix(scheme)?, *port)))
            .ok_or(JdbcError::Scheme)?;
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = place.split_once('/').ok_or(JdbcError::NoDatabase)?;
        let (host, port) = host_and_port(authority, default_port)?;
        let database = text_of(database)?;
        if database.is_empty() {
            return Err(JdbcError::NoDatabase);
        }
        Ok(Self { host, port, database, tls: tls_of(parameters)? })
    }
}

fn text_of(encoded: &str) -> Result<String, JdbcError> {
    String::from_utf8(percent_decoded(encoded)).map_err(|_| JdbcError::NotText)
}

fn host_and_port(authority: &str, default_port: u16) -> Result<(String, u16), JdbcError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (host, behind) = inner.split_once(']').ok_or(JdbcError::NoHost)?;
            (host, behind.strip_prefix(':'))
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() || host.contains(['@', ',', '/']) {
        return Err(JdbcError::NoHost);
    }
    let port = port.map_or(Ok(default_port), |port| {
        let parsed = port.parse().ok().filter(|port| *port != 0);
        parsed.ok_or_else(|| JdbcError::Port(port.to_owned()))
    })?;
    Ok((host.to_owned(), port))
}

/// What the parameters say of TLS; others are the JDBC driver's own and mean nothing here.
fn tls_of(parameters: &str) -> Result<TlsMode, JdbcError> {
    let mut tls = TlsMode::Prefer;
    for parameter in parameters.split(['&', ';']).filter(|text| !text.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let unknown = || JdbcError::Parameter { name: name.to_owned(), value: value.to_owned() };
        match name.to_ascii_lowercase().as_str() {
            "ssl" => match value.to_ascii_lowercase().as_str() {
                "true" | "" => tls = TlsMode::Require,
                "false" => tls = TlsMode::Disable,
                _ => return Err(unknown()),
            },
            "sslmode" => match value.to_ascii_lowercase().as_str() {
                "disable" => tls = TlsMode::Disable,
                "allow" | "prefer" => tls = TlsMode::Prefer,
                "require" | "verify-ca" | "verify-full" => tls = TlsMode::Require,
                _ => return Err(unknown()),
            },
            _ => {}
        }
    }
    Ok(tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let parse = |text: &str| text.parse::<JdbcUrl>().unwrap();
        let url = parse("jdbc:redshift://c.x.eu-west-1.redshift.amazonaws.com:5439/dev");
        assert_eq!(url.host, "c.x.eu-west-1.redshift.amazonaws.com");
        assert_eq!((url.port, url.database.as_str(), url.tls), (5439, "dev", TlsMode::Prefer));
        assert_eq!(parse("jdbc:redshift://h/d").port, 5439);
        let url = parse("jdbc:postgresql://[::1]/my%20db?ssl=true&tcpKeepAlive=true");
        assert_eq!((url.host.as_str(), url.port), ("::1", 5432));
        assert_eq!((url.database.as_str(), url.tls), ("my db", TlsMode::Require));
        assert_eq!(parse("jdbc:postgresql://h/d?sslmode=verify-full").tls, TlsMode::Require);
        assert_eq!(
            parse("jdbc:redshift://h/d;SSL=FALSE".replace(';', "?").as_str()).tls,
            TlsMode::Disable
        );
    }

    #[test]
    fn what_is_no_database_is_refused() {
        for text in [
            "",
            "redshift://h/d",
            "jdbc:mysql://h/d",
            "jdbc:redshift://h",
            "jdbc:redshift://h/",
            "jdbc:redshift:///d",
            "jdbc:redshift://:1/d",
            "jdbc:redshift://h:x/d",
            "jdbc:redshift://h:0/d",
            "jdbc:redshift://h:70000/d",
            "jdbc:redshift://[::1/d",
            "jdbc:redshift://u:p@h/d",
            "jdbc:postgresql://a,b/d",
            "jdbc:redshift://h/%ff",
            "jdbc:redshift://h/d?ssl=maybe",
            "jdbc:redshift://h/d?sslmode=none",
        ] {
            assert!(text.parse::<JdbcUrl>().is_err(), "{text}");
        }
    }
}
