//! What can be set.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_auth::Secret;
use millstream_catalog::SnapshotPolicy;
use millstream_core::Region;
use millstream_core::limits::{self, LimitsMode};

/// Settings of the service.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The region that delivery streams are in.
    pub region: Region,
    /// Whether the quotas of the real service are enforced.
    pub limits: LimitsMode,
    /// How long a new delivery stream is CREATING.
    pub creating: Duration,
    /// How long encryption is ENABLING or DISABLING.
    pub encrypting: Duration,
    /// How long a delivery stream is DELETING.
    pub deleting: Duration,
    /// How often data keys are looked for that nothing is sealed under any more.
    pub housekeeping: Duration,
    /// Delivery streams that one account may have, where quotas are enforced.
    pub stream_limit: usize,
    /// When the catalog writes its whole state anew.
    pub snapshots: SnapshotPolicy,
    /// What stands behind the names that configurations use.
    pub world: World,
}

/// What stands behind the names of AWS's world that a configuration may use.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Functions, by ARN: any other is a Lambda function, and has to be found by whoever calls it.
    pub functions: BTreeMap<String, FunctionSetting>,
    /// Endpoints of OpenSearch and Elasticsearch domains, by domain ARN.
    pub search_domains: BTreeMap<String, String>,
    /// Kafka clusters, by cluster ARN.
    pub kafka_clusters: BTreeMap<String, KafkaCluster>,
    /// Secrets by ARN, in the JSON that Firehose documents for each kind of destination.
    pub secrets: BTreeMap<String, Secret>,
    /// Whether destinations may be reached over plain `http://`.
    pub allows_plain_http: bool,
    /// Whether Redshift destinations are PostgreSQL servers, whose URLs then name any host.
    pub redshift_is_postgresql: bool,
}

/// A Kafka cluster, and how its brokers are spoken to.
#[derive(Clone, Debug)]
pub struct KafkaCluster {
    /// Bootstrap brokers: `HOST:PORT`, with commas between.
    pub bootstrap: String,
    /// Clear text where it is none.
    pub tls: Option<KafkaTls>,
    /// Nobody in particular where it is none.
    pub login: Option<KafkaLogin>,
}

impl KafkaCluster {
    /// A cluster that is spoken to in clear text, as nobody in particular.
    pub fn open(bootstrap: impl Into<String>) -> Self {
        Self { bootstrap: bootstrap.into(), tls: None, login: None }
    }
}

/// Whom to believe that they are the brokers.
#[derive(Clone, Debug, Default)]
pub struct KafkaTls {
    /// Certificate authorities in PEM; those of the operating system where it is none.
    pub authorities: Option<String>,
}

/// As whom to log in, by SASL.
#[derive(Clone, Debug)]
pub struct KafkaLogin {
    /// In which way.
    pub mechanism: SaslMechanism,
    /// As whom.
    pub username: String,
    /// With what.
    pub password: Secret,
}

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The password itself is sent (RFC 4616): over TLS only.
    Plain,
    /// The password is proved to be known, by both sides (RFC 5802, RFC 7677).
    ScramSha256,
    /// The same over a longer hash: what MSK has.
    ScramSha512,
}

impl SaslMechanism {
    /// All that there are.
    pub const ALL: [Self; 3] = [Self::Plain, Self::ScramSha256, Self::ScramSha512];

    /// The name that it is registered under.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// What a function ARN stands for, where it is not a Lambda function to be looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FunctionSetting {
    /// A function of a Lambda runtime at this URL.
    Url(String),
    /// A jq filter, run in this process.
    Jq(String),
    /// A WebAssembly module at this path, run in this process.
    Wasm(String),
}

impl Settings {
    /// The defaults, in `region`.
    pub fn new(region: Region) -> Self {
        Self {
            region,
            limits: LimitsMode::Open,
            creating: Duration::from_millis(50),
            encrypting: Duration::from_millis(50),
            deleting: Duration::from_millis(50),
            housekeeping: Duration::from_secs(10),
            stream_limit: limits::FIREHOSE_STREAMS_PER_ACCOUNT_MAX,
            snapshots: SnapshotPolicy::default(),
            world: World::default(),
        }
    }
}
