//! What a server is told before it starts: one [`Settings`], from four layers.
//!
//! Owns the keys, their defaults and meaning ([`KEYS`]), the layers (default < TOML file <
//! environment < flags) and which of them a value came from. Each value travels as text until
//! the last step, so every layer is read, refused and explained in the same way.
//!
//! Invariant: an unknown key is an error in every layer; a value is checked wherever it came
//! from, and the message names the place to mend.

mod firehose;
mod layers;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use millstream_core::limits::LimitsMode;
use millstream_core::{AccountId, Region};

pub(crate) use firehose::{Destinations, FirehoseSettings, Service};
pub(crate) use layers::{PlaceFlags, SettingsFlags, environment_layer, file_layer, flags_layer};
pub(crate) use values::{Durability, InitStream, LogFormat};

/// One setting: its key in the file, what it means, and what holds when nobody says.
pub(crate) struct Key {
    /// Its name in the file; `MILLSTREAM_` and capitals in the environment; a flag with dashes.
    pub(crate) name: &'static str,
    /// The value when no layer names it, as text.
    pub(crate) default: &'static str,
    /// The form of a value.
    pub(crate) form: &'static str,
    /// What it does.
    pub(crate) meaning: &'static str,
}

/// Every key there is, in the order in which people want to read them.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "listen",
        default: "127.0.0.1:4566",
        form: "ADDRESS:PORT, such as 127.0.0.1:4566",
        meaning: "Where to serve in clear text: HTTP/1.1 and HTTP/2 on one port (port 0: any free)",
    },
    Key {
        name: "tls_listen",
        default: "",
        form: "ADDRESS:PORT, such as 0.0.0.0:4567, or empty",
        meaning: "Where to serve over TLS too, with a certificate from the local authority",
    },
    Key {
        name: "tls_names",
        default: "",
        form: "NAME, ...",
        meaning: "Host names and addresses of this server, for its certificate, beside localhost's",
    },
    Key {
        name: "tls_certificate",
        default: "",
        form: "PEM FILE, or empty",
        meaning: "A certificate chain of your own, instead of one from the local authority",
    },
    Key {
        name: "tls_private_key",
        default: "",
        form: "PEM FILE, or empty",
        meaning: "The private key of tls_certificate",
    },
    Key {
        name: "data_dir",
        default: "./millstream-data",
        form: "DIRECTORY",
        meaning: "Where everything durable lies: log/, keys/ and tls/",
    },
    Key {
        name: "region",
        default: "us-east-1",
        form: "REGION",
        meaning: "The region that ARNs name and that signatures must be made for",
    },
    Key {
        name: "account",
        default: "000000000000",
        form: "TWELVE DIGITS",
        meaning: "The account that ARNs name",
    },
    Key {
        name: "limits",
        default: "open",
        form: "open | aws",
        meaning: "open: only the shapes of requests are limited; aws: the service's quotas, exactly",
    },
    Key {
        name: "durability",
        default: "fsync",
        form: "fsync | buffered",
        meaning: "fsync: on disk before each answer; buffered: in the system's memory, lost in a power cut",
    },
    Key {
        name: "init_streams",
        default: "",
        form: "NAME:SHARDS, ...",
        meaning: "Streams to create at start where they are missing",
    },
    Key {
        name: "state_delay_ms",
        default: "50",
        form: "MILLISECONDS",
        meaning: "How long streams and consumers show as CREATING, UPDATING, DELETING (AWS: seconds)",
    },
    Key {
        name: "log_format",
        default: "text",
        form: "text | json",
        meaning: "How the server's own log lines look on standard error",
    },
    Key {
        name: "log_filter",
        default: "info",
        form: "LEVEL, or target=LEVEL, ...",
        meaning: "Which log lines to write: error, warn, info, debug, trace",
    },
    Key {
        name: "metrics_for",
        default: "loopback",
        form: "loopback | all",
        meaning: "Who may read /metrics",
    },
    Key {
        name: "drain_seconds",
        default: "10",
        form: "SECONDS",
        meaning: "How long requests under way may take after a signal to stop",
    },
    Key {
        name: "s3_endpoint",
        default: "",
        form: "URL, `aws`, or empty",
        meaning: "Where Firehose's buckets are: an S3-compatible service; empty: folders in DATA_DIR/s3",
    },
    Key {
        name: "glue_endpoint",
        default: "",
        form: "URL, `aws`, or empty",
        meaning: "Where tables' schemas are: a Glue service; empty: DATA_DIR/schemas/DATABASE.TABLE.json",
    },
    Key {
        name: "iceberg_endpoint",
        default: "",
        form: "URL, or empty",
        meaning: "Where Iceberg tables are: a REST catalog; empty: a Glue service's, or where there is none folders DATABASE/TABLE of the bucket `iceberg`",
    },
    Key {
        name: "iceberg_warehouse",
        default: "",
        form: "NAME, or empty",
        meaning: "Which of the REST catalog's warehouses",
    },
    Key {
        name: "lambda_endpoint",
        default: "",
        form: "URL, or empty",
        meaning: "Where Lambda functions are that the outside file does not name; empty: AWS",
    },
    Key {
        name: "firehose_destinations",
        default: "auto",
        form: "auto | public | private | any",
        meaning: "Where deliveries may go: public: public addresses over TLS; private: private networks too; any: this machine too; auto: any in dev mode, else public",
    },
    Key {
        name: "redshift_dialect",
        default: "redshift",
        form: "redshift | postgresql",
        meaning: "What Redshift destinations are: Redshift, or PostgreSQL servers",
    },
    Key {
        name: "outside_file",
        default: "",
        form: "TOML FILE, or empty",
        meaning: "What is outside of this server: credentials, and what functions, domains, clusters and secrets stand behind ARNs",
    },
];

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody said otherwise.
    Default,
    /// The file at this path.
    File(PathBuf),
    /// The environment variable of this name.
    Environment(String),
    /// The flag of this name.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Values by key, as text, each with its origin.
pub(crate) type Layer = BTreeMap<&'static str, (String, Origin)>;

/// Why settings are refused; each says where to mend what.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the config file {path}: {reason}", path = .path.display())]
    FileUnreadable { path: PathBuf, reason: String },
    /// The file is no TOML.
    #[error("{path} is not valid TOML: {reason}", path = .path.display())]
    FileMalformed { path: PathBuf, reason: String },
    /// No such setting.
    #[error("unknown key `{key}` in {origin}: {}", likely_key(.key))]
    UnknownKey { key: String, origin: Origin },
    /// The value is not of the key's form.
    #[error("{key} = \"{value}\" ({origin}): {reason}; it takes {form}")]
    BadValue {
        key: &'static str,
        value: String,
        origin: Origin,
        reason: String,
        form: &'static str,
    },
}

/// What somebody may have meant who wrote `wrong`; all keys where nothing is near.
fn likely_key(wrong: &str) -> String {
    let near = KEYS.iter().map(|key| (distance(wrong, key.name), key.name)).min();
    match near {
        Some((distance, name)) if distance * 3 <= name.len().max(6) => {
            format!("did you mean `{name}`?")
        }
        _ => {
            let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
            format!("the keys are {}", names.join(", "))
        }
    }
}

/// How many letters must be put in, left out or changed to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.bytes().enumerate() {
        let mut before = std::mem::replace(&mut row[0], at + 1);
        for (column, wanted) in other.bytes().enumerate() {
            let changed = before + usize::from(letter != wanted);
            before = row[column + 1];
            row[column + 1] = changed.min(before + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// The key of this name.
pub(crate) fn key_named(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// All values in force, with their origins, before they are checked.
#[derive(Clone, Debug)]
pub(crate) struct Effective(Layer);

impl Effective {
    /// Lays the layers over the defaults; later ones win.
    pub(crate) fn of(layers: impl IntoIterator<Item = Layer>) -> Self {
        let mut values: Layer =
            KEYS.iter().map(|key| (key.name, (key.default.to_owned(), Origin::Default))).collect();
        for layer in layers {
            values.extend(layer);
        }
        Self(values)
    }

    /// The value in force for `name` and where it came from.
    pub(crate) fn get(&self, name: &'static str) -> (&str, &Origin) {
        let (value, origin) = self.0.get(name).expect("each key has a default");
        (value, origin)
    }
}

/// What a server is told before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Where to serve in clear text.
    pub(crate) listen: SocketAddr,
    /// Where to serve over TLS.
    pub(crate) tls_listen: Option<SocketAddr>,
    /// Host names and addresses for the server's certificate.
    pub(crate) tls_names: Vec<String>,
    /// A certificate of the person's own, with its key.
    pub(crate) tls_files: Option<(PathBuf, PathBuf)>,
    /// Where everything durable lies.
    pub(crate) data_dir: PathBuf,
    /// The region that ARNs name.
    pub(crate) region: Region,
    /// The account that ARNs name.
    pub(crate) account: AccountId,
    /// Which quotas hold.
    pub(crate) limits: LimitsMode,
    /// What an acknowledgement means.
    pub(crate) durability: Durability,
    /// Streams to create at start.
    pub(crate) init_streams: Vec<InitStream>,
    /// How long changes of a stream's state show.
    pub(crate) state_delay_ms: u64,
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    /// Which log lines are written.
    pub(crate) log_filter: String,
    /// Whether others than this machine may read `/metrics`.
    pub(crate) metrics_for_all: bool,
    /// How long requests under way may take after a signal to stop.
    pub(crate) drain_seconds: u64,
    /// What Firehose delivers to, and by what.
    pub(crate) firehose: FirehoseSettings,
}

impl Settings {
    /// Checks each value; the error lists all that are wrong, in the order of [`KEYS`].
    pub(crate) fn check(effective: &Effective) -> Result<Self, Vec<SettingsError>> {
        let mut wrong = Vec::new();
        let mut check = values::Checker { effective, wrong: &mut wrong };
        let listen = check.take("listen", values::address);
        let tls_listen = check.take("tls_listen", values::optional_address);
        let tls_names = check.take("tls_names", values::names);
        let certificate = check.take("tls_certificate", values::optional_file);
        let private_key = check.take("tls_private_key", values::optional_file);
        let data_dir = check.take("data_dir", values::directory);
        let region = check.take("region", values::parsed::<Region>);
        let account = check.take("account", values::parsed::<AccountId>);
        let limits = check.take("limits", values::limits);
        let durability = check.take("durability", values::parsed::<Durability>);
        let init_streams = check.take("init_streams", values::init_streams);
        let state_delay_ms = check.take("state_delay_ms", values::whole);
        let log_format = check.take("log_format", values::parsed::<LogFormat>);
        let log_filter = check.take("log_filter", values::log_filter);
        let metrics_for_all = check.take("metrics_for", values::metrics_for_all);
        let drain_seconds = check.take("drain_seconds", values::whole);
        let firehose = firehose::check(&mut check);
        if let (Some(certificate), Some(private_key)) = (&certificate, &private_key) {
            check.both_or_neither(certificate.is_some(), private_key.is_some());
        }
        let is_good = check.wrong.is_empty();
        let settings = (|| {
            Some(Self {
                listen: listen?,
                tls_listen: tls_listen?,
                tls_names: tls_names?,
                tls_files: certificate?.zip(private_key?),
                data_dir: data_dir?,
                region: region?,
                account: account?,
                limits: limits?,
                durability: durability?,
                init_streams: init_streams?,
                state_delay_ms: state_delay_ms?,
                log_format: log_format?,
                log_filter: log_filter?,
                metrics_for_all: metrics_for_all?,
                drain_seconds: drain_seconds?,
                firehose: firehose?,
            })
        })();
        settings.filter(|_| is_good).ok_or(wrong)
    }

    /// Reads all layers as a start of the server does (file, environment, flags) and checks them;
    /// the error lists all that is wrong in any of them.
    pub(crate) fn gather(flags: &SettingsFlags) -> Result<(Effective, Self), Vec<SettingsError>> {
        let file = config_path(flags).map(|path| file_layer(&path));
        let environment = environment_layer(std::env::vars());
        Self::of_layers(file.into_iter().chain([environment, (flags_layer(flags), Vec::new())]))
    }

    fn of_layers(
        layers: impl IntoIterator<Item = layers::Read>,
    ) -> Result<(Effective, Self), Vec<SettingsError>> {
        let (layers, wrong): (Vec<_>, Vec<_>) = layers.into_iter().unzip();
        let mut wrong: Vec<SettingsError> = wrong.into_iter().flatten().collect();
        let effective = Effective::of(layers);
        match Self::check(&effective) {
            Ok(settings) if wrong.is_empty() => return Ok((effective, settings)),
            Ok(_) => {}
            Err(more) => wrong.extend(more),
        }
        Err(wrong)
    }
}

fn config_path(flags: &SettingsFlags) -> Option<PathBuf> {
    let named = flags.config.clone();
    named.or_else(|| std::env::var_os(layers::CONFIG_VARIABLE).map(|path| Path::new(&path).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(listen: &str) -> SettingsFlags {
        SettingsFlags { listen: Some(listen.to_owned()), ..SettingsFlags::default() }
    }

    fn environment(pairs: &[(&str, &str)]) -> Layer {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        good(environment_layer(pairs))
    }

    fn file(text: &str) -> Layer {
        good(layers::file_text_layer(Path::new("millstream.toml"), text))
    }

    fn good((layer, wrong): layers::Read) -> Layer {
        assert!(wrong.is_empty(), "{wrong:?}");
        layer
    }

    #[test]
    fn defaults_are_valid_and_serve_on_loopback() {
        let settings = Settings::check(&Effective::of([])).expect("defaults hold");
        assert!(settings.listen.ip().is_loopback());
        assert_eq!(settings.durability, Durability::Fsync);
        assert_eq!(settings.limits, LimitsMode::Open);
        assert_eq!(settings.tls_listen, None);
    }

    #[test]
    fn flags_win_over_the_environment_which_wins_over_the_file() {
        let file = file("listen = \"127.0.0.1:1\"\nregion = \"eu-west-1\"\nlimits = \"aws\"\n");
        let environment = environment(&[
            ("MILLSTREAM_LISTEN", "127.0.0.1:2"),
            ("MILLSTREAM_REGION", "eu-central-1"),
        ]);
        let effective = Effective::of([file, environment, flags_layer(&flags("127.0.0.1:3"))]);
        let settings = Settings::check(&effective).expect("all valid");
        assert_eq!(settings.listen.port(), 3);
        assert_eq!(settings.region.as_str(), "eu-central-1");
        assert_eq!(settings.limits, LimitsMode::Aws);
        assert_eq!(effective.get("listen").1.to_string(), "flag --listen");
        assert_eq!(effective.get("region").1.to_string(), "environment MILLSTREAM_REGION");
        assert_eq!(effective.get("limits").1.to_string(), "file millstream.toml");
        assert_eq!(effective.get("account").1, &Origin::Default);
    }

    #[test]
    fn an_unknown_key_is_refused_in_the_file_and_in_the_environment() {
        let errors = layers::file_text_layer(Path::new("a.toml"), "lisen = \"x\"\n").1;
        let expected = "unknown key `lisen` in file a.toml: did you mean `listen`?";
        assert_eq!(errors[0].to_string(), expected);
        let pair = [("MILLSTREAM_HORSES".to_owned(), "x".to_owned())];
        let errors = environment_layer(pair).1;
        let text = errors[0].to_string();
        assert!(text.starts_with("unknown key `horses` in environment MILLSTREAM_HORSES"));
        assert!(text.contains("the keys are listen, tls_listen"), "{text}");
    }

    #[test]
    fn all_that_is_wrong_in_any_layer_is_told_at_once() {
        let path = Path::new("a.toml");
        let file = layers::file_text_layer(path, "lisen = \"x\"\ndrain_seconds = \"soon\"\n");
        let pair = [("MILLSTREAM_LIMITS".to_owned(), "none".to_owned())];
        let errors = Settings::of_layers([file, environment_layer(pair)]).unwrap_err();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
    }

    #[test]
    fn the_master_key_is_no_setting_and_is_never_shown() {
        assert!(environment(&[("MILLSTREAM_MASTER_KEY", "secret")]).is_empty());
    }

    #[test]
    fn distances_count_letters() {
        for (one, other, expected) in
            [("", "", 0), ("abc", "", 3), ("lisen", "listen", 1), ("regoin", "region", 2)]
        {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn variables_that_kubernetes_makes_for_a_service_of_this_name_are_not_settings() {
        for name in ["MILLSTREAM_SERVICE_HOST", "MILLSTREAM_PORT", "MILLSTREAM_PORT_4566_TCP_ADDR"]
        {
            assert!(environment(&[(name, "tcp://10.0.0.1:4566")]).is_empty(), "{name}");
        }
    }

    #[test]
    fn every_bad_value_is_named_with_its_place_and_form() {
        let effective = Effective::of([environment(&[
            ("MILLSTREAM_LISTEN", "nowhere"),
            ("MILLSTREAM_DURABILITY", "maybe"),
            ("MILLSTREAM_INIT_STREAMS", "orders:0"),
        ])]);
        let errors = Settings::check(&effective).unwrap_err();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(texts[0].contains("environment MILLSTREAM_LISTEN"), "{}", texts[0]);
        assert!(texts[1].contains("fsync | buffered"), "{}", texts[1]);
        assert!(texts[2].contains("orders:0"), "{}", texts[2]);
    }

    #[test]
    fn a_file_may_write_lists_and_numbers_as_toml_does() {
        let layer = file("init_streams = [\"orders:4\", \"clicks:1\"]\ndrain_seconds = 3\n");
        let settings = Settings::check(&Effective::of([layer])).expect("valid");
        assert_eq!(settings.drain_seconds, 3);
        let names: Vec<&str> = settings.init_streams.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["orders", "clicks"]);
    }
}
