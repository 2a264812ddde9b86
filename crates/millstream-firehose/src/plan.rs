//! What a delivery stream is to do, read once from its configuration.
//!
//! Owns the nouns between the two halves of this crate: `configuration` reads the stored document
//! into a [`Plan`], checked whole; `delivery` carries it out and never sees the document.
//! Defaults are filled in and names resolved here, so that nothing below has to ask twice.

use std::fmt;
use std::time::Duration;

use millstream_core::{StreamArn, Timestamp};
use millstream_formats::compression::Compression;
use millstream_formats::prefix::{ErrorPrefix, Prefix};
use millstream_formats::zone::Zone;

use crate::settings::KafkaCluster;

/// Everything that delivery needs to know of a delivery stream's configuration.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The version of the configuration, part of object names.
    pub(crate) version: u64,
    pub(crate) source: Source,
    pub(crate) processing: Processing,
    pub(crate) buffering: Buffering,
    pub(crate) target: Target,
    pub(crate) backup: Backup,
    /// Where the destination's errors are logged, where that is wanted.
    pub(crate) error_log: Option<ErrorLog>,
}

/// Where records come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Puts to the delivery stream itself.
    DirectPut,
    /// A Data Stream, from records that arrived at or after `from`.
    KinesisStream { arn: StreamArn, from: Timestamp },
    /// A topic of a Kafka cluster; `from` of `None` is the earliest record.
    #[cfg_attr(not(any(test, feature = "kafka")), expect(dead_code, reason = "nobody reads it"))]
    Kafka { cluster: KafkaCluster, topic: String, from: Option<Timestamp> },
}

/// Buffer until one of both is reached. Bytes count before compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buffering {
    pub(crate) bytes: u64,
    pub(crate) interval: Duration,
}

/// What is done to records before they are buffered, in this order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processing {
    /// Gunzip, as CloudWatch Logs compresses.
    pub(crate) decompress: bool,
    /// Take the messages out of CloudWatch Logs' envelopes.
    pub(crate) extract_log_messages: bool,
    pub(crate) split: Option<Split>,
    pub(crate) transform: Option<Transform>,
    /// A jq expression that yields an object of partition keys.
    pub(crate) partition_query: Option<String>,
    /// Put a line feed after each record.
    pub(crate) append_delimiter: bool,
}

/// How one record is split into several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// JSON objects, one after another.
    Json,
    /// Bytes between these.
    Delimited(Vec<u8>),
}

/// Who reworks records.
#[derive(Clone, Debug)]
pub(crate) struct Transform {
    pub(crate) function: Function,
    pub(crate) retries: u32,
    pub(crate) buffering: Buffering,
}

/// What a function ARN stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    /// A Lambda function, found at a URL by the settings.
    Lambda { arn: String },
    /// A jq filter of ours, run in this process: beyond the real service.
    Jq { arn: String, filter: String },
    /// A WebAssembly module of ours, run in this process: beyond the real service.
    Wasm { arn: String, module: String },
}

/// Where records go.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Objects(Objects),
    Http(HttpTarget),
    Search(SearchTarget),
    Splunk(SplunkTarget),
    Redshift(RedshiftTarget),
    Iceberg(IcebergTarget),
}

/// Objects in a bucket.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    /// The bucket's name.
    pub(crate) bucket: String,
    pub(crate) prefix: Prefix,
    pub(crate) error_prefix: ErrorPrefix,
    pub(crate) zone: Zone,
    pub(crate) compression: Compression,
    /// Instead of the format's own, with its dot.
    pub(crate) extension: Option<String>,
    pub(crate) buffering: Buffering,
    pub(crate) conversion: Option<Conversion>,
    /// Partitions that may be active at once; `None` without dynamic partitioning.
    pub(crate) partitions_max: Option<usize>,
    /// How long a failed partition or object is tried again before it is an error.
    pub(crate) retry: Duration,
    /// The key that the bucket is to encrypt with.
    pub(crate) kms_key: Option<String>,
}

/// JSON to columns.
#[derive(Clone, Debug)]
pub(crate) struct Conversion {
    pub(crate) schema: SchemaSource,
    pub(crate) reader: millstream_columnar::JsonReader,
    pub(crate) writer: millstream_columnar::FileFormat,
}

/// The table whose columns a conversion writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SchemaSource {
    pub(crate) catalog: Option<String>,
    pub(crate) database: String,
    pub(crate) table: String,
    pub(crate) region: Option<String>,
    /// A number, or `LATEST`.
    pub(crate) version: String,
}

/// What else is written to a bucket.
#[derive(Clone, Debug)]
pub(crate) struct Backup {
    /// All source records as they came, where that is wanted.
    pub(crate) all: Option<Objects>,
    /// Records that could not be delivered. For objects this is the destination's own bucket.
    pub(crate) errors: Objects,
}

/// Where the destination's errors are logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ErrorLog {
    pub(crate) group: String,
    pub(crate) stream: String,
}

/// A secret that is never printed.
pub(crate) type Secret = std::sync::Arc<zeroize::Zeroizing<String>>;

/// An HTTP endpoint that speaks Firehose's delivery protocol.
#[derive(Clone)]
pub(crate) struct HttpTarget {
    pub(crate) url: String,
    pub(crate) name: Option<String>,
    pub(crate) access_key: Option<Secret>,
    pub(crate) gzip: bool,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) retry: Duration,
}

impl fmt::Debug for HttpTarget {
    /// Neither the URL, which may hold a key, nor the attributes: the model calls both sensitive.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTarget").field("name", &self.name).finish_non_exhaustive()
    }
}

/// OpenSearch, Elasticsearch or OpenSearch Serverless.
#[derive(Clone)]
pub(crate) struct SearchTarget {
    pub(crate) endpoint: String,
    pub(crate) index: String,
    pub(crate) type_name: Option<String>,
    pub(crate) rotation: Rotation,
    pub(crate) with_ids: bool,
    pub(crate) serverless: bool,
    pub(crate) retry: Duration,
}

impl fmt::Debug for SearchTarget {
    /// Not the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SearchTarget").field("index", &self.index).finish_non_exhaustive()
    }
}

/// How often a new index begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotation {
    None,
    Hour,
    Day,
    Week,
    Month,
}

/// A Splunk HTTP event collector.
#[derive(Clone)]
pub(crate) struct SplunkTarget {
    pub(crate) endpoint: String,
    pub(crate) raw: bool,
    pub(crate) token: Secret,
    pub(crate) ack_timeout: Duration,
    pub(crate) retry: Duration,
}

impl fmt::Debug for SplunkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SplunkTarget").field("raw", &self.raw).finish_non_exhaustive()
    }
}

/// A Redshift cluster, or a PostgreSQL server that stands for one.
#[derive(Clone)]
pub(crate) struct RedshiftTarget {
    pub(crate) jdbc_url: String,
    pub(crate) user: String,
    pub(crate) password: Secret,
    pub(crate) table: String,
    pub(crate) columns: Option<String>,
    pub(crate) options: Option<String>,
    pub(crate) role_arn: String,
    pub(crate) staging: Objects,
    pub(crate) retry: Duration,
}

impl fmt::Debug for RedshiftTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedshiftTarget").field("table", &self.table).finish_non_exhaustive()
    }
}

/// Tables of an Iceberg catalog.
#[cfg_attr(not(feature = "iceberg"), expect(dead_code, reason = "nobody delivers there"))]
#[derive(Clone, Debug)]
pub(crate) struct IcebergTarget {
    pub(crate) catalog_arn: Option<String>,
    pub(crate) warehouse: Option<String>,
    pub(crate) tables: Vec<IcebergTable>,
    pub(crate) retry: Duration,
}

/// The part of the destination that a table is: its names, one a line.
pub(crate) fn table_partition(database: &str, table: &str) -> String {
    format!("{database}\n{table}")
}

impl IcebergTarget {
    /// What is configured of the table that is a part.
    pub(crate) fn table(&self, partition: &str) -> Option<&IcebergTable> {
        let (database, table) = partition.split_once('\n')?;
        self.tables.iter().find(|one| one.database == database && one.table == table)
    }
}

/// One table, and how its rows are told apart.
#[cfg_attr(not(feature = "iceberg"), expect(dead_code, reason = "nobody delivers there"))]
#[derive(Clone, Debug)]
pub(crate) struct IcebergTable {
    pub(crate) database: String,
    pub(crate) table: String,
    pub(crate) unique_keys: Vec<String>,
    pub(crate) error_prefix: Option<String>,
}
