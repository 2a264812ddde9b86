//! The three places where a person can set something: file, environment, flags.
//!
//! Owns how each is read into text by key, and which names are refused; knows no value's meaning.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Layer, Origin, SettingsError, key_named};
use crate::serving::key_files::MASTER_KEY_VARIABLE;

/// Names the config file; not itself a setting.
pub(super) const CONFIG_VARIABLE: &str = "MILLSTREAM_CONFIG";

/// What a layer says, and what of it is refused.
pub(crate) type Read = (Layer, Vec<SettingsError>);

const PREFIX: &str = "MILLSTREAM_";

/// Flags that stand for settings; the environment and a config file can say the same.
#[derive(Args, Clone, Debug, Default)]
#[command(
    next_help_heading = "Settings (flags win over MILLSTREAM_* variables, those over the file)"
)]
pub(crate) struct SettingsFlags {
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Serve here in clear text, HTTP/1.1 and HTTP/2 [default: 127.0.0.1:4566]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<String>,
    /// Serve here over TLS too (see `millstream tls ca`)
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) tls_listen: Option<String>,
    /// Name this host or address in the server's certificate too (repeat for more)
    #[arg(long = "tls-name", value_name = "NAME")]
    pub(crate) tls_names: Vec<String>,
    /// Serve this certificate chain instead of one from the local authority
    #[arg(long, value_name = "PEM-FILE", requires = "tls_private_key")]
    pub(crate) tls_certificate: Option<String>,
    /// The private key of --tls-certificate
    #[arg(long, value_name = "PEM-FILE", requires = "tls_certificate")]
    pub(crate) tls_private_key: Option<String>,
    /// Keep everything durable here [default: ./millstream-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// Be this region [default: us-east-1]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Be this account [default: 000000000000]
    #[arg(long, value_name = "ID")]
    pub(crate) account: Option<String>,
    /// `aws` enforces the service's quotas exactly, `open` lifts throughput limits [default: open]
    #[arg(long, value_name = "open|aws")]
    pub(crate) limits: Option<String>,
    /// What an answer promises: on disk, or in the system's memory [default: fsync]
    #[arg(long, value_name = "fsync|buffered")]
    pub(crate) durability: Option<String>,
    /// Create this stream at start where it is missing (repeat for more)
    #[arg(long = "init-stream", value_name = "NAME:SHARDS")]
    pub(crate) init_streams: Vec<String>,
    /// Show streams as CREATING, UPDATING and DELETING for this long [default: 50]
    #[arg(long, value_name = "MS")]
    pub(crate) state_delay_ms: Option<String>,
    /// How log lines look [default: text]
    #[arg(long, value_name = "text|json")]
    pub(crate) log_format: Option<String>,
    /// Which log lines to write, such as `debug` or `millstream_log=trace` [default: info]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log_filter: Option<String>,
    /// Who may read /metrics [default: loopback]
    #[arg(long, value_name = "loopback|all")]
    pub(crate) metrics_for: Option<String>,
    /// Give requests under way this long after a signal to stop [default: 10]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) drain_seconds: Option<String>,
    /// Deliver Firehose's objects to this S3-compatible service [default: folders in DIR/s3]
    #[arg(long, value_name = "URL|aws")]
    pub(crate) s3_endpoint: Option<String>,
    /// Read tables' schemas from this Glue service [default: files in DIR/schemas]
    #[arg(long, value_name = "URL|aws")]
    pub(crate) glue_endpoint: Option<String>,
    /// Write Iceberg tables of this REST catalog [default: those of the Glue service]
    #[arg(long, value_name = "URL")]
    pub(crate) iceberg_endpoint: Option<String>,
    /// Which of the REST catalog's warehouses
    #[arg(long, value_name = "NAME")]
    pub(crate) iceberg_warehouse: Option<String>,
    /// Call Lambda functions here [default: AWS]
    #[arg(long, value_name = "URL")]
    pub(crate) lambda_endpoint: Option<String>,
    /// Where deliveries may go [default: any in dev mode, else public]
    #[arg(long, value_name = "public|private|any")]
    pub(crate) firehose_destinations: Option<String>,
    /// What Redshift destinations are [default: redshift]
    #[arg(long, value_name = "redshift|postgresql")]
    pub(crate) redshift_dialect: Option<String>,
    /// Read from this TOML file what credentials, functions and secrets stand behind ARNs
    #[arg(long, value_name = "FILE")]
    pub(crate) outside_file: Option<String>,
}

/// Flags of commands that only need to know where a server keeps its files.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PlaceFlags {
    /// Read settings from this TOML file, as the server does
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server's data directory [default: ./millstream-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

impl PlaceFlags {
    /// The same as a server's flags.
    pub(crate) fn settings(&self) -> SettingsFlags {
        SettingsFlags {
            config: self.config.clone(),
            data_dir: self.data_dir.clone(),
            ..SettingsFlags::default()
        }
    }
}

/// The settings that flags name.
pub(crate) fn flags_layer(flags: &SettingsFlags) -> Layer {
    let joined = |values: &[String]| (!values.is_empty()).then(|| values.join(","));
    let named = [
        ("listen", "--listen", flags.listen.clone()),
        ("tls_listen", "--tls-listen", flags.tls_listen.clone()),
        ("tls_names", "--tls-name", joined(&flags.tls_names)),
        ("tls_certificate", "--tls-certificate", flags.tls_certificate.clone()),
        ("tls_private_key", "--tls-private-key", flags.tls_private_key.clone()),
        ("data_dir", "--data-dir", flags.data_dir.clone()),
        ("region", "--region", flags.region.clone()),
        ("account", "--account", flags.account.clone()),
        ("limits", "--limits", flags.limits.clone()),
        ("durability", "--durability", flags.durability.clone()),
        ("init_streams", "--init-stream", joined(&flags.init_streams)),
        ("state_delay_ms", "--state-delay-ms", flags.state_delay_ms.clone()),
        ("log_format", "--log-format", flags.log_format.clone()),
        ("log_filter", "--log-filter", flags.log_filter.clone()),
        ("metrics_for", "--metrics-for", flags.metrics_for.clone()),
        ("drain_seconds", "--drain-seconds", flags.drain_seconds.clone()),
        ("s3_endpoint", "--s3-endpoint", flags.s3_endpoint.clone()),
        ("glue_endpoint", "--glue-endpoint", flags.glue_endpoint.clone()),
        ("iceberg_endpoint", "--iceberg-endpoint", flags.iceberg_endpoint.clone()),
        ("iceberg_warehouse", "--iceberg-warehouse", flags.iceberg_warehouse.clone()),
        ("lambda_endpoint", "--lambda-endpoint", flags.lambda_endpoint.clone()),
        ("firehose_destinations", "--firehose-destinations", flags.firehose_destinations.clone()),
        ("redshift_dialect", "--redshift-dialect", flags.redshift_dialect.clone()),
        ("outside_file", "--outside-file", flags.outside_file.clone()),
    ];
    named
        .into_iter()
        .filter_map(|(key, flag, value)| Some((key, (value?, Origin::Flag(flag.to_owned())))))
        .collect()
}

/// The settings among `variables`.
pub(crate) fn environment_layer(variables: impl IntoIterator<Item = (String, String)>) -> Read {
    let mut layer = Layer::new();
    let mut wrong = Vec::new();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if name == CONFIG_VARIABLE || name == MASTER_KEY_VARIABLE || is_service_link(rest) {
            continue;
        }
        let key = rest.to_ascii_lowercase();
        let origin = Origin::Environment(name.clone());
        match key_named(&key) {
            Some(known) => drop(layer.insert(known.name, (value, origin))),
            None => wrong.push(SettingsError::UnknownKey { key, origin }),
        }
    }
    (layer, wrong)
}

/// Kubernetes gives each pod such variables for a service called `millstream`.
fn is_service_link(rest: &str) -> bool {
    rest.starts_with("SERVICE_HOST")
        || rest.starts_with("SERVICE_PORT")
        || rest == "PORT"
        || rest.starts_with("PORT_")
}

/// The settings in the file at `path`.
pub(crate) fn file_layer(path: &Path) -> Read {
    match std::fs::read_to_string(path) {
        Ok(text) => file_text_layer(path, &text),
        Err(error) => {
            let reason = error.to_string();
            (Layer::new(), vec![SettingsError::FileUnreadable { path: path.into(), reason }])
        }
    }
}

/// The settings in `text`, the content of the file at `path`.
pub(super) fn file_text_layer(path: &Path, text: &str) -> Read {
    let table = match text.parse::<toml::Table>() {
        Ok(table) => table,
        Err(error) => {
            let reason = error.to_string().trim_end().to_owned();
            return (
                Layer::new(),
                vec![SettingsError::FileMalformed { path: path.into(), reason }],
            );
        }
    };
    let mut layer = Layer::new();
    let mut wrong = Vec::new();
    for (key, value) in table {
        let origin = Origin::File(path.into());
        match key_named(&key) {
            Some(known) => drop(layer.insert(known.name, (plain_text(&value), origin))),
            None => wrong.push(SettingsError::UnknownKey { key, origin }),
        }
    }
    (layer, wrong)
}

/// A TOML value as the other layers would write it.
fn plain_text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(values) => values.iter().map(plain_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
