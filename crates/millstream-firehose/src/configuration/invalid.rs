//! What is wrong with a configuration, in the service's own words.
//!
//! Source: sentences marked (recorded) were quoted from the service by users or by the tests of
//! other implementations; the rest say the same facts in ours.

use millstream_formats::prefix::PrefixError;
use millstream_formats::zone::UnknownZone;

use super::document::DestinationKind;
use crate::state::SourceKind;

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Invalid {
    // --- The delivery stream ---
    #[error("Exactly one destination configuration is supported for a Firehose")] // (recorded)
    NotOneDestination,
    // (recorded for Kinesis)
    #[error("{configuration} is only applicable for {} stream type", .kind.as_str())]
    SourceUnwanted { configuration: &'static str, kind: SourceKind },
    #[error("{configuration} must be given for {} stream type.", .kind.as_str())]
    SourceMissing { configuration: &'static str, kind: SourceKind },
    #[error("{0} is not supported by this server.")]
    Unsupported(&'static str),
    #[error("{0} is not an ARN of a stream in region {1}.")]
    NotAStream(String, String),
    #[error("No brokers are known for the cluster {0}: they are named in the server's settings.")]
    UnknownCluster(String),
    // (recorded)
    #[error("Changing the destination type to or from {} is not supported at this time.", .kind.as_str())]
    KindFixed { kind: DestinationKind },

    // --- Buckets ---
    #[error("Both SizeInMBs and IntervalInSeconds must be given in BufferingHints, or neither.")]
    HalfBuffering,
    // (recorded for data format conversion)
    #[error("BufferingHints.SizeInMBs must be at least 64 when {0} is enabled.")]
    SmallBuffer(&'static str),
    #[error("{} is not an ARN of a bucket.", .0)]
    NotABucket(String),
    #[error("{}", prefix_sentence(.0))]
    Prefix(#[from] PrefixError),
    #[error("CustomTimeZone: {0}")]
    Zone(#[from] UnknownZone),
    #[error(
        "EncryptionConfiguration must have exactly one of NoEncryptionConfig and KMSEncryptionConfig."
    )]
    NotOneEncryption,
    #[error("LogGroupName and LogStreamName must be given when CloudWatch logging is enabled.")]
    LogNameMissing,
    #[error("{0} is not a supported CompressionFormat for an Amazon Redshift destination.")]
    RedshiftCompression(String),
    #[error("S3BackupConfiguration must be given when S3BackupMode is Enabled.")]
    BackupMissing,
    #[error("Disabling S3 backup is not currently supported.")] // (recorded)
    BackupKept,

    // --- Dynamic partitioning ---
    #[error("Dynamic Partitioning can be enabled only when a delivery stream is created.")]
    PartitioningLate,
    #[error("Dynamic Partitioning cannot be disabled once it is enabled.")]
    PartitioningKept,
    #[error("{namespace} in Prefix needs a {processor} processor.")]
    PartitionKeyUnprovided { namespace: &'static str, processor: &'static str },
    #[error("The MetadataExtraction processor needs Dynamic Partitioning to be enabled.")]
    ExtractionUnwanted,

    // --- Data format conversion ---
    #[error("CompressionFormat must be UNCOMPRESSED when data format conversion is enabled.")]
    ConversionCompressed,
    #[error("{0} must be given when data format conversion is enabled.")]
    ConversionLacks(&'static str),
    #[error("{0} must have exactly one of {1} and {2}.")]
    NotOneSerDe(&'static str, &'static str, &'static str),

    // --- Processing ---
    #[error("At least 1 Processor needs to be supplied when processing is enabled")]
    NoProcessor,
    #[error("Exactly 1 {0} Processor can be supplied.")]
    ProcessorTwice(String),
    #[error("Processor {processor} needs the parameter {parameter}.")]
    ParameterMissing { processor: &'static str, parameter: &'static str },
    #[error("Processor {processor} has no parameter {parameter}.")]
    ParameterUnknown { processor: String, parameter: String },
    #[error("Processor {processor} has the parameter {parameter} more than once.")]
    ParameterTwice { processor: String, parameter: String },
    #[error("Parameter {parameter} of Processor {processor} must be {must}.")]
    ParameterValue { processor: &'static str, parameter: &'static str, must: &'static str },
    #[error("The MetadataExtractionQuery does not read: {0}")]
    Query(String),
    #[error("The CloudWatchLogProcessing processor needs a Decompression processor.")]
    ExtractionWithoutDecompression,

    // --- Other destinations ---
    #[error("Exactly one of {0} and {1} must be given.")]
    NotOneOf(&'static str, &'static str),
    #[error("{0} must be given.")]
    Missing(&'static str),
    #[error("No endpoint is known for the domain {0}: it is named in the server's settings.")]
    UnknownDomain(String),
    #[error(
        "The secret {0} is not known, or lacks {1}: secrets are kept in the server's settings."
    )]
    UnknownSecret(String, &'static str),
    #[error("{0} must begin with https://: plain http is not allowed by the server's settings.")]
    PlainHttp(&'static str),
    #[error("{0} is not a URL.")]
    NotAUrl(&'static str),
    #[error("ClusterJDBCURL must name a Redshift cluster or workgroup.")]
    NotRedshift,
}

/// As the service says it: some facts stand behind a preface (recorded, its slip included).
fn prefix_sentence(error: &PrefixError) -> String {
    match error {
        PrefixError::ErrorOutputType
        | PrefixError::ErrorOutputTypeMissing
        | PrefixError::ErrorOutputPrefixMissing
        | PrefixError::RedshiftExpression
        | PrefixError::RedshiftErrorOutputPrefix => {
            format!("Ths supplied prefix(es) do not satisfy the following constraint: {error}")
        }
        PrefixError::Expression
        | PrefixError::Namespace(_)
        | PrefixError::Value { .. }
        | PrefixError::Length { .. }
        | PrefixError::PartitionKey
        | PrefixError::PartitionKeyMissing
        | PrefixError::PartitionKeyOfError => error.to_string(),
    }
}
