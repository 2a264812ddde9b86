//! What is outside of the server, as its operator's TOML file says: whom the server speaks as, and
//! what stands behind the ARNs that configurations use.
//!
//! Apart from the settings because it holds secrets, which no `config show` may print.
//!
//! ```toml
//! [credentials]                      # for S3, Glue, Lambda and OpenSearch
//! access_key_id = "..."
//! secret_access_key = "..."
//!
//! [functions]                        # a URL, `jq:FILTER`, or `wasm:PATH` of a module
//! "arn:aws:lambda:us-east-1:000000000000:function:clean" = "http://127.0.0.1:9000/clean"
//! "arn:aws:lambda:us-east-1:000000000000:function:slim" = "jq:{id, at}"
//! "arn:aws:lambda:us-east-1:000000000000:function:mask" = "wasm:mask.wasm"   # beside this file
//!
//! [search_domains]
//! "arn:aws:es:us-east-1:000000000000:domain/logs" = "https://search.example.com"
//!
//! [kafka_clusters]
//! "arn:aws:kafka:us-east-1:000000000000:cluster/main/1" = "broker-1:9092,broker-2:9092"
//! [kafka_clusters."arn:aws:kafka:us-east-1:000000000000:cluster/secured/1"]
//! bootstrap = "broker-1:9096,broker-2:9096"
//! tls = true                         # by the system's authorities, or by those of `ca_file`
//! ca_file = "/etc/millstream/kafka-ca.pem"
//! sasl_mechanism = "SCRAM-SHA-512"   # or SCRAM-SHA-256, or PLAIN
//! username = "..."
//! password = "..."
//!
//! [iceberg]                          # for the REST catalog: one of `token`, `client_secret` (with
//! client_id = "..."                  # `oauth2_url` and `scope`, where they are not the catalog's
//! client_secret = "..."              # own) and `sigv4_service` (signed with [credentials])
//!
//! [secrets]                          # as Secrets Manager holds them: JSON
//! "arn:aws:secretsmanager:us-east-1:000000000000:secret:warehouse" = '{"username":"u","password":"p"}'
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use millstream_auth::Secret;
use millstream_auth::sigv4::SigningCredentials;
use millstream_firehose::{FunctionSetting, KafkaCluster};
use serde::Deserialize;

use super::kafka_clusters;
use crate::exit::{Failure, Outcome};

/// The file's contents.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Outside {
    credentials: Option<Credentials>,
    functions: BTreeMap<String, String>,
    pub(super) search_domains: BTreeMap<String, String>,
    kafka_clusters: BTreeMap<String, toml::Value>,
    secrets: BTreeMap<String, String>,
    #[cfg(feature = "iceberg")]
    pub(super) iceberg: super::iceberg::IcebergTable,
    /// Where the file is: what paths to modules begin from.
    #[serde(skip)]
    folder: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

impl Outside {
    /// Reads the file at `path`; nothing is outside where there is none.
    pub(super) fn read(path: Option<&Path>) -> Outcome<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        #[allow(clippy::disallowed_methods)] // The binary reads its own settings.
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("cannot read the outside file {}: {error}", path.display()))
                .advise("see `outside_file` in `millstream config show --explain`")
        })?;
        let mut outside = Self::parse(&text).map_err(|error| {
            Failure::usage(format!("{}: {error}", path.display())).advise(
                "its tables are [credentials] and [iceberg], and, with ARNs for keys, [functions], \
                 [search_domains], [kafka_clusters] and [secrets]",
            )
        })?;
        outside.folder = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(outside)
    }

    fn parse(text: &str) -> Result<Self, String> {
        // The parser's own message shows the line, which may hold a secret.
        let outside: Self = toml::from_str(text).map_err(|error| without_value(error.message()))?;
        outside.function_settings()?;
        kafka_clusters::check(&outside.kafka_clusters)?;
        Ok(outside)
    }

    /// In whose name others are spoken to.
    pub(super) fn credentials(&self) -> Option<SigningCredentials> {
        self.credentials.as_ref().map(|given| SigningCredentials {
            access_key_id: given.access_key_id.clone(),
            secret_access_key: given.secret_access_key.as_str().into(),
            session_token: given.session_token.as_deref().map(Secret::from),
        })
    }

    /// What stands behind functions' ARNs.
    pub(super) fn function_settings(&self) -> Result<BTreeMap<String, FunctionSetting>, String> {
        let read = |(arn, text): (&String, &String)| {
            let setting = match text.split_once(':') {
                Some(("http" | "https", _)) => FunctionSetting::Url(text.clone()),
                Some(("jq", filter)) => FunctionSetting::Jq(filter.to_owned()),
                Some(("wasm", path)) if cfg!(feature = "wasm") => {
                    FunctionSetting::Wasm(self.folder.join(path).to_string_lossy().into_owned())
                }
                Some(("wasm", _)) => {
                    return Err(format!(
                        "{arn}: this server is built without WebAssembly: the feature `wasm`"
                    ));
                }
                _ => return Err(format!("{arn}: a function is a URL, jq:FILTER or wasm:PATH")),
            };
            Ok((arn.clone(), setting))
        };
        self.functions.iter().map(read).collect()
    }

    /// Kafka clusters by ARN; reads the files of their authorities.
    pub(super) fn kafka_clusters(&self) -> Result<BTreeMap<String, KafkaCluster>, String> {
        kafka_clusters::read(&self.kafka_clusters)
    }

    /// The WebAssembly modules that functions are, read and judged.
    #[cfg(feature = "wasm")]
    pub(super) fn modules(&self) -> Outcome<millstream_firehose::Modules> {
        let mut modules = millstream_firehose::Modules::default();
        for (arn, setting) in self.function_settings().map_err(Failure::usage)? {
            let FunctionSetting::Wasm(path) = setting else { continue };
            #[allow(clippy::disallowed_methods)] // The binary reads what its settings name.
            let module = std::fs::read(&path)
                .map_err(|error| Failure::usage(format!("{arn}: cannot read {path}: {error}")))?;
            modules.add(&path, &module).map_err(|error| {
                Failure::usage(format!("{arn}: {path}: {error}"))
                    .advise("docs/internals/webassembly.md has the contract of modules")
            })?;
        }
        Ok(modules)
    }

    /// Secrets by ARN.
    pub(super) fn secrets(&self) -> BTreeMap<String, Secret> {
        let kept = |(arn, text): (&String, &String)| (arn.clone(), Secret::from(text.as_str()));
        self.secrets.iter().map(kept).collect()
    }
}

/// Serde's message about a value of the wrong kind quotes the value, which may be a secret.
pub(super) fn without_value(message: &str) -> String {
    match message.split_once(", expected") {
        Some((wrong, wanted)) if wrong.starts_with("invalid ") => {
            format!("a value is of the wrong kind, expected{wanted}")
        }
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_urls_and_filters() {
        let text = "[functions]\na = \"https://x/f\"\nb = \"jq:{id: .id}\"\n";
        let functions = Outside::parse(text).unwrap().function_settings().unwrap();
        let found: Vec<_> = functions.into_values().collect();
        let wanted =
            [FunctionSetting::Url("https://x/f".into()), FunctionSetting::Jq("{id: .id}".into())];
        assert_eq!(found, wanted);
        let wrong = Outside::parse("[functions]\na = \"lambda\"\n").err().unwrap();
        assert_eq!(wrong, "a: a function is a URL, jq:FILTER or wasm:PATH");
    }

    #[cfg(not(feature = "wasm"))]
    #[test]
    fn modules_are_refused_where_they_cannot_be_run() {
        let wrong = Outside::parse("[functions]\na = \"wasm:/m.wasm\"\n").err().unwrap();
        assert_eq!(wrong, "a: this server is built without WebAssembly: the feature `wasm`");
    }

    #[cfg(feature = "wasm")]
    #[test]
    fn modules_lie_beside_the_file_and_are_judged_at_once() {
        let text = "[functions]\na = \"wasm:m.wasm\"\nb = \"wasm:/m.wasm\"\n";
        let mut outside = Outside::parse(text).unwrap();
        outside.folder = "/etc/millstream".into();
        let functions = outside.function_settings().unwrap();
        let wanted = ["/etc/millstream/m.wasm", "/m.wasm"];
        let wanted = wanted.map(|path| FunctionSetting::Wasm(path.to_owned()));
        assert!(functions.into_values().eq(wanted));
        let missing = outside.modules().err().unwrap().message;
        assert!(missing.starts_with("a: cannot read /etc/millstream/m.wasm: "), "{missing}");
        let no_module = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let text = format!("[functions]\na = \"wasm:{no_module}\"\n");
        let wrong = Outside::parse(&text).unwrap().modules().err().unwrap().message;
        assert!(wrong.contains("it is not a WebAssembly module"), "{wrong}");
    }

    #[test]
    fn what_is_not_known_is_refused_and_no_secret_is_told() {
        let text = "[credentials]\naccess_key_id = \"a\"\nsecret_access_key = 7913\n";
        let error = Outside::parse(text).err().unwrap();
        assert!(!error.contains("7913"), "{error}");
        let error = Outside::parse("secrets = \"7913\"\n").err().unwrap();
        assert!(!error.contains("7913"), "{error}");
        let error = Outside::parse("[secretz]\na = \"7913\"\n").err().unwrap();
        assert!(error.contains("secretz") && !error.contains("7913"), "{error}");
        assert!(Outside::parse("").unwrap().credentials().is_none());
    }
}
