//! Kafka clusters, as the outside file has them: a text of brokers, or a table that says how they
//! are spoken to too.
//!
//! Owns what goes together: authorities belong to TLS, a password to a mechanism, and a mechanism
//! that sends the password itself to TLS. No message holds a value that may be a secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use millstream_auth::Secret;
use millstream_destinations::outbound::{Allow, Outbound, OutboundSettings, Trust};
use millstream_firehose::{KafkaCluster, KafkaLogin, KafkaTls, SaslMechanism};
use serde::Deserialize;
use toml::Value;

use super::outside::without_value;

/// A cluster's table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    bootstrap: String,
    #[serde(default)]
    tls: bool,
    ca_file: Option<PathBuf>,
    sasl_mechanism: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

/// Whether all clusters are well described; reads no file.
pub(super) fn check(clusters: &BTreeMap<String, Value>) -> Result<(), String> {
    each(clusters, |_| Ok(String::new())).map(drop)
}

/// All clusters by ARN, with what the files of their authorities hold.
pub(super) fn read(
    clusters: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, KafkaCluster>, String> {
    each(clusters, authorities)
}

fn each(
    clusters: &BTreeMap<String, Value>,
    authorities: fn(&Path) -> Result<String, String>,
) -> Result<BTreeMap<String, KafkaCluster>, String> {
    let one = |(arn, value): (&String, &Value)| {
        let cluster = cluster(value, authorities).map_err(|reason| format!("{arn}: {reason}"))?;
        Ok((arn.clone(), cluster))
    };
    clusters.iter().map(one).collect()
}

fn cluster(
    value: &Value,
    authorities: fn(&Path) -> Result<String, String>,
) -> Result<KafkaCluster, String> {
    let table: Table = match value {
        Value::String(bootstrap) => return Ok(KafkaCluster::open(bootstrap)),
        Value::Table(_) => value
            .clone()
            .try_into()
            .map_err(|error: toml::de::Error| without_value(error.message()))?,
        _ => return Err("a cluster is a text of brokers, or a table".to_owned()),
    };
    let tls = match (table.tls, &table.ca_file) {
        (false, None) => None,
        (false, Some(_)) => return Err("ca_file is for tls = true".to_owned()),
        (true, file) => {
            let authorities = file.as_deref().map(authorities).transpose()?;
            Some(KafkaTls { authorities })
        }
    };
    let login = login(&table)?;
    Ok(KafkaCluster { bootstrap: table.bootstrap, tls, login })
}

fn login(table: &Table) -> Result<Option<KafkaLogin>, String> {
    let Table { tls, sasl_mechanism, username, password, .. } = table;
    let Some(name) = sasl_mechanism else {
        if username.is_some() || password.is_some() {
            return Err("username and password are for a sasl_mechanism".to_owned());
        }
        return Ok(None);
    };
    let known = SaslMechanism::ALL.into_iter().find(|mechanism| mechanism.name() == name);
    let Some(mechanism) = known else {
        let known = SaslMechanism::ALL.map(SaslMechanism::name).join(", ");
        return Err(format!("sasl_mechanism is one of {known}"));
    };
    let (Some(username), Some(password)) = (username, password) else {
        return Err("sasl_mechanism needs username and password".to_owned());
    };
    if mechanism == SaslMechanism::Plain && !tls {
        return Err("PLAIN sends the password as it is: it needs tls = true".to_owned());
    }
    let (username, password) = (username.clone(), Secret::from(password.as_str()));
    Ok(Some(KafkaLogin { mechanism, username, password }))
}

/// The authorities in the file at `path`, which has to hold some.
fn authorities(path: &Path) -> Result<String, String> {
    #[allow(clippy::disallowed_methods)] // The binary reads its own settings.
    let pem = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read ca_file {}: {error}", path.display()))?;
    let trust = Trust { system: false, pem: Some(pem.clone()) };
    let settings = OutboundSettings { trust, allow: Allow::default(), ..Default::default() };
    let usable = Outbound::new(settings);
    usable.map_err(|error| format!("ca_file {}: {error}", path.display()))?;
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<KafkaCluster, String> {
        let table: BTreeMap<String, Value> = toml::from_str(text).unwrap();
        each(&table, |_| Ok("PEM".to_owned())).map(|mut clusters| clusters.remove("a").unwrap())
    }

    #[test]
    fn a_text_is_brokers_in_clear_text() {
        let cluster = parsed("a = 'b-1:9092,b-2:9092'").unwrap();
        assert_eq!(cluster.bootstrap, "b-1:9092,b-2:9092");
        assert!(cluster.tls.is_none() && cluster.login.is_none());
    }

    #[test]
    fn a_table_says_how_brokers_are_spoken_to() {
        let cluster = parsed(
            "[a]\nbootstrap = 'b:9096'\ntls = true\nca_file = 'x'\n\
             sasl_mechanism = 'SCRAM-SHA-512'\nusername = 'u'\npassword = '7913'\n",
        )
        .unwrap();
        assert_eq!(cluster.tls.as_ref().unwrap().authorities.as_deref(), Some("PEM"));
        assert!(!format!("{cluster:?}").contains("7913"), "{cluster:?}");
        let login = cluster.login.unwrap();
        assert_eq!((login.mechanism, &*login.username), (SaslMechanism::ScramSha512, "u"));
        assert_eq!(login.password.expose(), "7913");
        let cluster = parsed("[a]\nbootstrap = 'b:9094'\ntls = true\n").unwrap();
        assert_eq!(cluster.tls.unwrap().authorities, None);
    }

    #[test]
    fn what_does_not_go_together_is_refused_and_no_secret_is_told() {
        let rows = [
            ("ca_file = 'x'", "ca_file is for"),
            ("username = 'u'", "are for a sasl_mechanism"),
            ("password = '7913'", "are for a sasl_mechanism"),
            ("sasl_mechanism = 'GSSAPI'", "one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
            ("sasl_mechanism = 'SCRAM-SHA-256'\npassword = '7913'", "needs username"),
            ("sasl_mechanism = 'PLAIN'\nusername = 'u'\npassword = '7913'", "needs tls"),
            ("pasword = '7913'", "pasword"),
            ("password = 7913", "expected"),
        ];
        for (more, wanted) in rows {
            let error = parsed(&format!("[a]\nbootstrap = 'b:9092'\n{more}\n")).unwrap_err();
            assert!(error.contains(wanted) && !error.contains("7913"), "{more}: {error}");
        }
        assert!(parsed("a = 7913").unwrap_err().contains("a text of brokers"));
        assert!(parsed("[a]\ntls = true").unwrap_err().contains("bootstrap"));
    }

    #[test]
    fn authorities_that_cannot_be_read_are_told_with_their_file() {
        let text = "[a]\nbootstrap = 'b:9094'\ntls = true\nca_file = '/nowhere/ca.pem'\n";
        let table: BTreeMap<String, Value> = toml::from_str(text).unwrap();
        let error = read(&table).unwrap_err();
        assert!(error.starts_with("a: cannot read ca_file /nowhere/ca.pem: "), "{error}");
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(authorities(Path::new(manifest)).unwrap_err().contains("no certificate"));
    }
}
